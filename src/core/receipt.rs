//! What a caller gets back: a receipt for what was accepted, a refusal for what was not.

use serde::{Deserialize, Serialize};

use crate::model::template::TemplateError;
use crate::model::{
    CorrelationId, Cursor, FieldChange, FieldError, MachineId, ReceiptId, RequestId, Subject,
};
use crate::store::StoreError;

/// The layout of a receipt; grows when its meaning changes.
pub const RECEIPT_FORMAT: u16 = 1;

/// Proof that a command was accepted, and where to look next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub format: u16,
    pub id: ReceiptId,
    /// The command's name, such as `machine.set`.
    pub command: String,
    pub status: ReceiptStatus,
    pub subject: Subject,
    /// The subject's version after the command.
    pub version: u64,
    pub diff: Vec<FieldChange>,
    /// The places and names of the events that it caused.
    pub events: Vec<(Cursor, String)>,
    pub next: Vec<NextStep>,
    /// Things worth knowing that stopped nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub request: RequestId,
    pub correlation: CorrelationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Cursor>,
}

/// What became of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    Accepted,
    /// It was true already; nothing was written.
    Unchanged,
    /// Asked for with `--dry-run`; nothing was written.
    DryRun,
}

/// A command that makes sense now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    pub label: String,
    pub command: String,
}

/// Why a command was not accepted. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{actor} may not {action}")]
    Forbidden { actor: String, action: String },
    #[error("no {what} is known as '{name}'")]
    NotFound { what: &'static str, name: String },
    #[error("'{name}' could be any of {}", .candidates.join(", "))]
    Ambiguous {
        name: String,
        candidates: Vec<String>,
    },
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The field is fine, but the person has to say that they mean it.
    #[error("{field} needs a confirmation: {question}")]
    Unconfirmed {
        field: &'static str,
        question: &'static str,
    },
    #[error("machine {name} is locked{}", .reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Locked {
        machine: MachineId,
        name: String,
        reason: Option<String>,
    },
    #[error("version is {found} now, not {expected}: somebody changed it meanwhile")]
    Stale { expected: u64, found: u64 },
    /// It cannot be done as things stand; `hint` says what would help.
    #[error("{reason}")]
    Conflict { reason: String, hint: String },
    #[error("idempotency key '{key}' was used for another request")]
    KeyReused { key: String },
    /// Too many writers changed the same object; trying again is safe.
    #[error("too many changes at once: try again")]
    Contended,
    /// All that is wrong with a template, in the order of its lines.
    #[error("template is wrong in {} {}", .0.len(), if .0.len() == 1 { "place" } else { "places" })]
    Template(Vec<TemplateError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}
