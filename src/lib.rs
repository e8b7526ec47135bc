//! Dragonfly turns bare machines into running servers.

pub mod model;
