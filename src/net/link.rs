//! Raw frames of one link.
