//! Provisioning: what turns an order into an installed system.
//!
//! - [`answers`]: what a distribution's installer asks, answered.
//! - [`first_boot`]: what an installed system reads at its first boot.
//! - [`metadata`]: the same over HTTP.
//! - [`work`]: what the agent of a workflow does.
//! - [`yaml`]: a tree written as YAML, so that no text is ever pasted into another.

pub mod answers;
pub mod first_boot;
pub mod metadata;
pub mod work;
pub use crate::model::yaml;
