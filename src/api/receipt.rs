//! The answer to a change that was accepted.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What was accepted and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub format: u16,
    pub id: String,
    /// Such as `machine.set`.
    pub command: String,
    /// `accepted`, `unchanged` or `dry_run`.
    pub status: String,
    pub subject_kind: String,
    pub subject_id: Option<String>,
    /// The subject's version now; also the `ETag`.
    pub version: u64,
    pub diff: Vec<Change>,
    /// The events that it caused, as places and types.
    pub events: Vec<EventRef>,
    pub next: Vec<NextStep>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub request: String,
    pub correlation: String,
    pub causation: Option<String>,
}

/// One field, before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub field: String,
    pub from: Value,
    pub to: Value,
}

/// An event by its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventRef {
    pub cursor: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A command that makes sense now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextStep {
    pub label: String,
    pub command: String,
}
