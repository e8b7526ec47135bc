//! One request as a handler sees it: checked against its route, its body read, its caller known.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use axum::http::{Method, Response, StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::param::{Params, shown};
use super::problem::Fault;
use super::routes::Route;
use super::{Web, nearest};
use crate::api;
use crate::core::{Call, Command, IdempotencyKey, MachineRef};
use crate::model::{Actor, CorrelationId, Cursor, Machine, RequestId};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub const CAUSATION_ID: HeaderName = HeaderName::from_static("x-causation-id");
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// As long as a machine's name in a path may be: a host name is the longest there is.
const MAX_NAME: usize = 253;

/// A request that passed the guards.
#[derive(Debug)]
pub struct Ask {
    pub web: Web,
    pub route: &'static Route,
    pub method: Method,
    pub uri: Uri,
    pub path: Vec<(String, String)>,
    pub params: Params,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body of a route that reads it while it comes.
    pub stream: Mutex<Option<Body>>,
    pub actor: Actor,
    pub ids: Ids,
    /// Turns true when the server stops; streams end then.
    pub stop: watch::Receiver<bool>,
}

/// What ties this request to others.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    pub request: RequestId,
    pub correlation: CorrelationId,
}

impl Ask {
    /// A part of the path, such as `machine`.
    pub fn part(&self, name: &str) -> Result<&str, Fault> {
        let found = self.path.iter().find(|(part, _)| part == name);
        let value = found.map_or("", |(_, value)| value.as_str());
        if value.is_empty() || value.chars().count() > MAX_NAME {
            let reason = format!("it has to be of 1 to {MAX_NAME} characters");
            return Err(Fault::field(name, reason, "52:54:00:12:34:56"));
        }
        Ok(value)
    }

    /// The machine that the path names, with its version.
    pub fn machine(&self) -> Result<(Arc<Machine>, u64), Fault> {
        let name = MachineRef(self.part("machine")?.to_owned());
        Ok(self.web.core().machine(&name)?)
    }

    /// The body, or what is wrong with it, where, and what would have been right.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let body: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        let mut reader = serde_json::Deserializer::from_slice(body);
        serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| (error.path().to_string(), error.into_inner()))
            .and_then(|value| {
                reader
                    .end()
                    .map(|()| value)
                    .map_err(|error| (".".into(), error))
            })
            .map_err(|(path, error)| self.wrong_body(&path, &error))
    }

    fn wrong_body(&self, path: &str, error: &serde_json::Error) -> Fault {
        let whole = || self.route.body_example();
        if error.is_syntax() || error.is_eof() {
            let reason = format!("it is not JSON: {error}");
            return Fault::field("body", reason, whole());
        }
        let told = error.to_string();
        let told = told.split(" at line ").next().unwrap_or_default();
        let named = told.split('`').nth(1).unwrap_or_default();
        if told.starts_with("unknown field") {
            let known: Vec<_> = told.split('`').skip(3).step_by(2).collect();
            return Fault::field(
                shown(named),
                nearest::unknown("the key", named, &known),
                whole(),
            );
        }
        if told.starts_with("missing field") {
            let example = self.route.field_example(named).unwrap_or_else(whole);
            return Fault::field(shown(named), "it is missing", example);
        }
        if path == "." {
            return Fault::field("body", told, whole());
        }
        let top = path.split(['.', '[']).next().unwrap_or_default();
        let example = self.route.field_example(top).unwrap_or_else(whole);
        Fault::field(shown(path), told, example)
    }

    /// The body, to be read while it comes; empty when it was taken before.
    pub fn take_stream(&self) -> Body {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.take().unwrap_or_else(Body::empty)
    }

    /// The call to the core that this request stands for.
    pub fn call(&self, command: Command) -> Result<Call, Fault> {
        Ok(Call {
            actor: self.actor.clone(),
            command,
            request: self.ids.request,
            correlation: self.ids.correlation,
            causation: self.causation()?,
            idempotency: self.idempotency()?,
            dry_run: self.params.flag("dry_run").unwrap_or(false),
            if_version: self.if_match()?,
        })
    }

    /// Runs the command and answers with its receipt.
    pub async fn run(&self, command: Command) -> Result<Response<Body>, Fault> {
        let receipt = self.web.core().run(self.call(command)?).await?;
        let receipt = super::view::receipt(&receipt);
        let mut response = json(&receipt)?;
        tag_version(&mut response, receipt.version);
        if self.method == Method::POST && self.route.creates && receipt.status == "accepted" {
            *response.status_mut() = StatusCode::CREATED;
            let place = receipt
                .subject_id
                .as_ref()
                .map(|id| format!("{}/{id}", self.route.path));
            if let Some(place) = place.and_then(|place| HeaderValue::try_from(place).ok()) {
                response
                    .headers_mut()
                    .insert(axum::http::header::LOCATION, place);
            }
        }
        Ok(response)
    }

    fn idempotency(&self) -> Result<Option<IdempotencyKey>, Fault> {
        let Some(key) = header(&self.headers, &IDEMPOTENCY_KEY)? else {
            return Ok(None);
        };
        if key.is_empty() || key.len() > IdempotencyKey::MAX {
            let reason = format!("it has to be of 1 to {} characters", IdempotencyKey::MAX);
            return Err(Fault::field(
                "Idempotency-Key",
                reason,
                "add-web01-2026-11-21",
            ));
        }
        let mut hash = Sha256::new();
        hash.update(self.uri.query().unwrap_or_default());
        hash.update([0]);
        hash.update(&self.body);
        let body_hash = hash
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing into a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            });
        let route = format!("{} {}", self.method, self.uri.path());
        Ok(Some(IdempotencyKey {
            key: key.into(),
            route,
            body_hash,
        }))
    }

    fn causation(&self) -> Result<Option<Cursor>, Fault> {
        let text = header(&self.headers, &CAUSATION_ID)?;
        let parsed = text.map(str::parse::<Cursor>).transpose();
        parsed.map_err(|error| Fault::field("X-Causation-Id", error.reason, error.example))
    }

    /// RFC 9110 13.1.1, for one strong tag of our own; `*` asks only that the object exists.
    fn if_match(&self) -> Result<Option<u64>, Fault> {
        match header(&self.headers, &IF_MATCH)? {
            None | Some("*") => Ok(None),
            Some(tag) => version_of(tag).map(Some).ok_or_else(|| {
                let reason = format!("'{}' is no version that was given out here", shown(tag));
                Fault::field("If-Match", reason, "\"v3\"")
            }),
        }
    }

    /// RFC 9110 13.1.2: whether the client holds this version already.
    pub fn holds(&self, version: u64) -> bool {
        let Some(tags) = self
            .headers
            .get(IF_NONE_MATCH)
            .and_then(|tags| tags.to_str().ok())
        else {
            return false;
        };
        tags.split(',').map(str::trim).any(|tag| {
            tag == "*" || version_of(tag.strip_prefix("W/").unwrap_or(tag)) == Some(version)
        })
    }

    /// One object with its version as `ETag`, or 304 when the client holds it.
    pub fn versioned<T: Serialize>(
        &self,
        object: &T,
        version: u64,
    ) -> Result<Response<Body>, Fault> {
        let mut response = if self.holds(version) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            json(object)?
        };
        tag_version(&mut response, version);
        Ok(response)
    }
}

/// A header's text; one that is not ASCII, or is sent twice, is refused.
pub fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| {
            Fault::field(
                name.as_str(),
                "it holds characters other than ASCII",
                "a plain word",
            )
        }),
        _ => Err(Fault::field(
            name.as_str(),
            "it is sent twice",
            "one header of this name",
        )),
    }
}

fn version_of(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix("\"v")?.strip_suffix('"')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn tag_version(response: &mut Response<Body>, version: u64) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"v{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// Any answer as JSON, written straight into bytes.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Response<Body>, Fault> {
    json_sized(value, 1024)
}

/// The same, for an answer whose size can be guessed.
pub fn json_sized<T: Serialize + ?Sized>(value: &T, guess: usize) -> Result<Response<Body>, Fault> {
    let mut bytes = Vec::with_capacity(guess);
    serde_json::to_writer(&mut bytes, value).map_err(|error| Fault::internal(&error))?;
    Ok(bytes_as("application/json", bytes))
}

pub fn bytes_as(media: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A list in one answer.
pub fn list<T: Serialize>(items: Vec<T>) -> Result<Response<Body>, Fault> {
    let total = Some(items.len() as u64);
    json(&api::List {
        items,
        next: None,
        total,
    })
}
