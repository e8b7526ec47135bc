//! Events, as the API shows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the order of all events; hand it back as `cursor` or `Last-Event-ID`.
    pub cursor: String,
    pub format: u16,
    pub at: String,
    /// Such as `machine.registered`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `machine`, `setting`, `conflict` or `appliance`.
    pub subject_kind: String,
    pub subject_id: Option<String>,
    pub subject_version: u64,
    pub audit: bool,
    pub actor: Actor,
    pub request: String,
    pub correlation: String,
    pub causation: Option<String>,
    /// What the type brings with it.
    pub data: Value,
    /// One line for people.
    pub text: String,
}

/// Who did it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `person`, `machine` or `system`.
    pub kind: String,
    pub name: String,
    pub from: String,
}

/// Sent on the live stream when events were missed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reset {
    /// Events before this place are gone.
    pub floor: String,
}
