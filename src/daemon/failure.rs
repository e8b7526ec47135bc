//! Why the daemon, or a tool of it, ended badly: told to a person, or to a program, with an exit code.

use std::process::ExitCode;

use crate::api::Code;
use crate::core::Refusal;
use crate::core::config::{ConfigErrors, Origin};
use crate::core::install::Unclear;
use crate::store::StoreError;

/// The exit codes that end the daemon; the command line has the same table for its own.
pub(super) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const TRANSIENT: u8 = 6;
pub(super) const INTERNAL: u8 = 7;

/// One reason to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    pub exit: u8,
    pub code: Code,
    pub detail: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self {
            exit: FAILED,
            code: Code::Invalid,
            detail: detail.into(),
            hint: None,
        }
    }

    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Self {
            exit: INTERNAL,
            code: Code::Internal,
            ..Self::new(detail)
        }
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self {
            code: Code::Unavailable,
            ..Self::new(detail)
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on standard error, and gives the code to end with.
    pub(super) fn report(&self, json: bool) -> ExitCode {
        if json {
            let problem = serde_json::json!({
                "type": format!("urn:dragonfly:problem:{}", code_word(self.code)),
                "title": "It was not done",
                "status": 0,
                "detail": self.detail,
                "code": self.code,
                "hint": self.hint,
                "request_id": "",
                "retryable": self.exit == TRANSIENT,
            });
            super::print::error_line(
                &serde_json::json!({ "version": 1, "error": problem }).to_string(),
            );
        } else {
            super::print::error_line(&format!("error: {}", self.detail));
            if let Some(hint) = &self.hint {
                super::print::error_line(&format!("  {hint}"));
            }
        }
        ExitCode::from(self.exit)
    }
}

fn code_word(code: Code) -> String {
    let word = serde_json::to_value(code).unwrap_or_default();
    word.as_str().unwrap_or("internal").to_owned()
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let by_flag = |origin: &Origin| matches!(origin, Origin::Flag(_));
        let usage = errors.0.iter().all(|error| by_flag(&error.origin));
        Self {
            exit: if usage { USAGE } else { FAILED },
            ..Self::new(errors.to_string())
        }
    }
}

impl From<Unclear> for Failure {
    fn from(error: Unclear) -> Self {
        Self::new(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        use StoreError::{Busy, Closed, Damaged, Foreign, Full, Io, Newer, ReadOnly};
        let (exit, code) = match &error {
            Busy { .. } | Full { .. } => (TRANSIENT, Code::Unavailable),
            Io { .. } | ReadOnly { .. } => (FAILED, Code::Unavailable),
            Damaged { .. } | Foreign { .. } | Newer { .. } => (FAILED, Code::Invalid),
            Closed => (INTERNAL, Code::Internal),
            _ => (FAILED, Code::Conflict),
        };
        let hint = match &error {
            Io { what, .. } if what.contains("os error") => Some(
                "see that the user who runs Dragonfly may write there, or choose another folder with --data",
            ),
            ReadOnly { .. } => {
                Some("make its disk writable again, or choose another folder with --data")
            }
            _ => None,
        };
        Self {
            exit,
            code,
            hint: hint.map(Into::into),
            ..Self::new(error.to_string())
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}
