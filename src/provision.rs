//! Provisioning: what turns an order into an installed system.
//!
//! - [`yaml`]: a tree written as YAML, so that no text is ever pasted into another.

pub mod yaml;
