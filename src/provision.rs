//! Provisioning: what turns an order into an installed system.
//!
//! - [`first_boot`]: what an installed system reads at its first boot.
//! - [`yaml`]: a tree written as YAML, so that no text is ever pasted into another.

pub mod first_boot;
pub use crate::model::yaml;
