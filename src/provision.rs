//! Provisioning: what turns an order into an installed system.
//!
//! - [`answers`]: what a distribution's installer asks, answered.
//! - [`endpoint`]: where boot agents and installed systems speak to the server, over TLS. - [`tokens`]: what lets an
//!   agent in. - [`sessions`]: which one is believed. - [`identity`]: the server's own key.
//! - [`first_boot`]: what an installed system reads at its first boot.
//! - [`installer`]: a workflow that a distribution's own installer carries out.
//! - [`metadata`]: the same over HTTP.
//! - [`orders`]: what workflows have for agents and installed systems. - [`work`]: what the agent of one does.
//! - [`yaml`]: a tree written as YAML, so that no text is ever pasted into another.

pub mod answers;
pub mod endpoint;
pub mod first_boot;
pub mod identity;
pub mod installer;
pub mod metadata;
pub mod orders;
pub mod sessions;
pub mod tokens;
pub mod work;

pub use crate::model::yaml;
