//! What went wrong, as RFC 9457 wants it, with what to do about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::template::TemplateError;

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A name for the sort of problem: `urn:dragonfly:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    pub code: Code,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Why the field was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A value that the field would have taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The version at which the object stands, when the caller expected another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<u64>,
    /// What an ambiguous name could be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// All that is wrong in a text that was sent, such as a template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<TextError>,
    pub request_id: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// What is wrong in a text, and where; line and column are counted from one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextError {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl From<TemplateError> for TextError {
    fn from(error: TemplateError) -> Self {
        Self {
            line: error.line as u64,
            column: error.column as u64,
            message: error.message,
        }
    }
}

/// The sort of problem. The command line's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A field, a parameter or the whole body is wrong.
    Invalid,
    /// The person has to say that they mean it.
    Unconfirmed,
    /// Not allowed, or asked from where nobody may ask.
    Forbidden,
    NotFound,
    /// The name fits more than one.
    Ambiguous,
    /// The object changed meanwhile, or cannot be changed as things stand.
    Conflict,
    Locked,
    /// The idempotency key was used for another request.
    KeyReused,
    TooLarge,
    /// The method or the media type is not spoken here.
    Unsupported,
    /// Events before the window are gone.
    Gone,
    /// Try again later.
    Unavailable,
    Internal,
}
