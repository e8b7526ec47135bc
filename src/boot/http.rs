//! The machine plane by plain HTTP.
