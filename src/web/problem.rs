//! What went wrong, as the API tells it: one [`Fault`] inside, one `application/problem+json` outside.
//!
//! | code | status | when |
//! |---|---|---|
//! | `invalid` | 400 | a field, parameter, header or body is wrong |
//! | `unconfirmed` | 428 | the person has to say that they mean it: `?confirm=true` |
//! | `forbidden` | 403 | the policy says no, or the call came from a web page or through a foreign name |
//! | `not_found` | 404 | no such path or object |
//! | `ambiguous` | 409 | the name fits more than one; `candidates` lists them |
//! | `conflict` | 409, 412 | it cannot be done as things stand; 412 when `If-Match` named an older version |
//! | `locked` | 423 | the machine is locked |
//! | `key_reused` | 422 | the idempotency key was used for another request |
//! | `too_large` | 413, 414 | the body, or the address, is over its limit |
//! | `unsupported` | 405, 406, 415 | the method or media type is not spoken here |
//! | `gone` | 410 | events before the window are gone |
//! | `unavailable` | 503, 408, 507 | busy, closing, too slow, or the disk is full: nothing was changed, try again |
//! | `internal` | 500 | our own fault; the log has it under the request id |

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};

use crate::api::{Code, Problem};
use crate::core::{Refusal, StoreError};
use crate::model::FieldError;

/// The media type of RFC 9457.
pub const MEDIA: &str = "application/problem+json";

/// How long a client that was turned away for load should wait, in seconds.
pub const RETRY_SECONDS: u64 = 1;

/// Each code with its usual status, title and whether the same call may succeed later.
const TABLE: &[(Code, StatusCode, &str, bool)] = &[
    (
        Code::Invalid,
        StatusCode::BAD_REQUEST,
        "Something in the request is wrong",
        false,
    ),
    (
        Code::Unconfirmed,
        StatusCode::PRECONDITION_REQUIRED,
        "This needs a confirmation",
        false,
    ),
    (
        Code::Forbidden,
        StatusCode::FORBIDDEN,
        "This is not allowed",
        false,
    ),
    (
        Code::NotFound,
        StatusCode::NOT_FOUND,
        "There is no such thing here",
        false,
    ),
    (
        Code::Ambiguous,
        StatusCode::CONFLICT,
        "The name fits more than one",
        false,
    ),
    (
        Code::Conflict,
        StatusCode::CONFLICT,
        "It cannot be done as things stand",
        false,
    ),
    (
        Code::Locked,
        StatusCode::LOCKED,
        "The machine is locked",
        false,
    ),
    (
        Code::KeyReused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "The idempotency key is taken",
        false,
    ),
    (
        Code::TooLarge,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The request is too large",
        false,
    ),
    (
        Code::Unsupported,
        StatusCode::METHOD_NOT_ALLOWED,
        "This is not spoken here",
        false,
    ),
    (Code::Gone, StatusCode::GONE, "Those events are gone", false),
    (
        Code::Unavailable,
        StatusCode::SERVICE_UNAVAILABLE,
        "Not just now",
        true,
    ),
    (
        Code::Internal,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something broke in here",
        false,
    ),
];

/// A problem on its way out: all but the request id, which the frame around every answer knows.
#[derive(Clone, Debug)]
pub struct Fault {
    problem: Box<Problem>,
    header: Option<(HeaderName, HeaderValue)>,
    /// What the log is told, and nobody else.
    secret: Option<String>,
}

impl Fault {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let row = TABLE.iter().find(|row| row.0 == code);
        let (_, status, title, retryable) = *row.unwrap_or(&TABLE[TABLE.len() - 1]);
        let problem = Box::new(Problem {
            kind: format!("urn:dragonfly:problem:{}", code_text(code)),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
            reason: None,
            example: None,
            hint: None,
            current_version: None,
            candidates: Vec::new(),
            errors: Vec::new(),
            request_id: String::new(),
            retryable,
        });
        let fault = Self {
            problem,
            header: None,
            secret: None,
        };
        if retryable {
            return fault.header(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        fault
    }

    /// A field, parameter or header that was refused, with one that would have been taken.
    pub fn field(
        field: impl Into<String>,
        reason: impl Into<String>,
        example: impl Into<String>,
    ) -> Self {
        let (field, reason) = (field.into(), reason.into());
        let mut fault = Self::new(Code::Invalid, format!("{field}: {reason}"));
        fault.problem.field = Some(field);
        fault.problem.reason = Some(reason);
        fault.problem.example = Some(example.into());
        fault
    }

    /// What broke goes to the log under the request id, never to the client.
    pub fn internal(what: &dyn std::fmt::Display) -> Self {
        Self::new(
            Code::Internal,
            "an internal error; the log tells it under this request id",
        )
        .hint("look for the request id in the log of the daemon")
        .secret(what)
    }

    fn secret(mut self, what: &dyn std::fmt::Display) -> Self {
        self.secret = Some(what.to_string());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.problem.status = status.as_u16();
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The answer to the request with this id.
    pub fn answer(mut self, request_id: &str) -> Response<Body> {
        if let Some(error) = &self.secret {
            tracing::error!(error, request = request_id, "request failed");
        }
        request_id.clone_into(&mut self.problem.request_id);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self::field(error.field, error.reason, error.example)
    }
}

/// The shortest that is right.
const A_TEMPLATE: &str = "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {name: off}\nspec: {actions: [{action: poweroff}]}\n";

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Forbidden { .. } => Self::new(Code::Forbidden, detail)
                .hint("ask as somebody who may, such as root on the socket"),
            Refusal::NotFound { what, .. } => {
                Self::new(Code::NotFound, detail).hint(where_to_look(what))
            }
            Refusal::Ambiguous { candidates, .. } => {
                let mut fault = Self::new(Code::Ambiguous, detail)
                    .hint("use the id, or more of its beginning, or the MAC address");
                fault.problem.candidates = candidates;
                fault
            }
            Refusal::Field(error) => error.into(),
            Refusal::Unconfirmed { field, question } => {
                let mut fault = Self::new(Code::Unconfirmed, detail)
                    .hint("repeat the call with ?confirm=true when you mean it");
                fault.problem.field = Some(field.into());
                fault.problem.reason = Some(question.into());
                fault
            }
            Refusal::Locked { name, .. } => Self::new(Code::Locked, detail).hint(format!(
                "unlock it first: dragonfly machine unlock '{name}'"
            )),
            Refusal::Stale { found, .. } => stale(found, detail),
            Refusal::Conflict { hint, .. } => Self::new(Code::Conflict, detail).hint(hint),
            Refusal::KeyReused { .. } => Self::new(Code::KeyReused, detail)
                .hint("take a new key for a new request; the same key is for the same request"),
            Refusal::Template(errors) => {
                let mut fault = Self::new(Code::Invalid, detail)
                    .hint("see all of it without sending it: dragonfly template check FILE");
                fault.problem.field = Some("source".into());
                fault.problem.reason = errors.first().map(ToString::to_string);
                fault.problem.example = Some(A_TEMPLATE.into());
                fault.problem.errors = errors.into_iter().map(Into::into).collect();
                fault
            }
            Refusal::Contended => Self::new(Code::Unavailable, detail),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Version { found, .. } => {
                stale(found, "it changed meanwhile".into()).status(StatusCode::CONFLICT)
            }
            StoreError::Taken { anchor, holder } => Self::new(
                Code::Conflict,
                format!("{anchor} belongs to machine {holder}"),
            )
            .hint(format!("look at it: dragonfly machine show {holder}")),
            StoreError::TooLarge { .. } => Self::new(Code::TooLarge, error.to_string())
                .hint("split the change into smaller ones"),
            StoreError::Reset { .. } => Self::new(Code::Gone, error.to_string())
                .hint("read from the beginning of the window: leave the cursor out"),
            StoreError::Full { .. } => {
                Self::new(Code::Unavailable, "the disk is full: nothing was changed")
                    .status(StatusCode::INSUFFICIENT_STORAGE)
                    .hint("free some space on the disk of the store and try again")
                    .secret(&error)
            }
            StoreError::ReadOnly { .. } => Self::new(
                Code::Unavailable,
                "the store cannot be written: nothing was changed",
            )
            .hint("dragonfly doctor tells what is wrong with it")
            .secret(&error),
            StoreError::Closed => {
                Self::new(Code::Unavailable, "dragonfly is stopping").hint("try again when it runs")
            }
            error => Self::internal(&error),
        }
    }
}

fn stale(found: u64, detail: String) -> Fault {
    let mut fault = Fault::new(Code::Conflict, detail)
        .status(StatusCode::PRECONDITION_FAILED)
        .hint("read it again, look at what changed, and repeat the call with the new version");
    fault.problem.current_version = Some(found);
    match HeaderValue::try_from(format!("\"v{found}\"")) {
        Ok(tag) => fault.header(ETAG, tag),
        Err(_) => fault,
    }
}

fn where_to_look(what: &str) -> &'static str {
    match what {
        "machine" => "list them: dragonfly machine list",
        "setting" => "list them: dragonfly settings",
        "template" => "list them: dragonfly template list",
        "conflict" => "list them: dragonfly machine conflicts",
        _ => "the API describes itself at /api/v1/openapi.json",
    }
}

/// The code's name on the wire.
pub fn code_text(code: Code) -> &'static str {
    match code {
        Code::Invalid => "invalid",
        Code::Unconfirmed => "unconfirmed",
        Code::Forbidden => "forbidden",
        Code::NotFound => "not_found",
        Code::Ambiguous => "ambiguous",
        Code::Conflict => "conflict",
        Code::Locked => "locked",
        Code::KeyReused => "key_reused",
        Code::TooLarge => "too_large",
        Code::Unsupported => "unsupported",
        Code::Gone => "gone",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table_once_and_under_its_name_on_the_wire() {
        for row in TABLE {
            let same = TABLE.iter().filter(|other| other.0 == row.0).count();
            assert_eq!(same, 1, "{:?}", row.0);
            assert_eq!(serde_json::json!(row.0), code_text(row.0));
        }
        assert_eq!(TABLE.len(), 13);
    }

    #[test]
    fn an_internal_error_tells_nothing_of_what_broke() {
        let path = std::path::PathBuf::from("/secret/place");
        let fault: Fault = StoreError::Io {
            path,
            what: "bad sector 7".into(),
        }
        .into();
        let told = serde_json::to_string(&fault.problem).unwrap();
        assert!(
            !told.contains("secret") && !told.contains("sector"),
            "{told}"
        );
        assert!(fault.secret.unwrap().contains("sector"));
    }
}
