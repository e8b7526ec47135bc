//! Registries at `/v2/ALIAS/…`, as the distribution specification has them, for pulling alone.

use std::borrow::Cow;

use super::answer::{Answer, Status};
use super::images::{sent, status};
use super::request::Request;
use super::route::Routed;
use crate::boot::cache::{Cache, Missing};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const VERSION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");

/// What lies below `/v2/`.
pub async fn registry(cache: &Cache, request: &Request, path: &str) -> Routed {
    let mut answer = if path.is_empty() {
        Answer {
            kind: Cow::Borrowed(JSON),
            ..Answer::text(Status::Ok, "{}")
        }
    } else {
        pulled(cache, request, path).await
    };
    answer.more.push((VERSION.0, VERSION.1.to_owned()));
    Routed {
        answer,
        file: (!path.is_empty()).then(|| format!("v2/{path}")),
    }
}

async fn pulled(cache: &Cache, request: &Request, path: &str) -> Answer {
    let wanted = match path.parse() {
        Ok(wanted) => wanted,
        Err(why) => return refused(Status::NotFound, "NAME_UNKNOWN", why),
    };
    match cache.pull(&wanted).await {
        Ok((mut opened, digest)) => {
            let media = opened.media.take().filter(|media| is_media(media));
            let kind = media.map_or(Cow::Borrowed(BYTES), Cow::Owned);
            let mut answer = sent(request, kind, opened);
            let name = "Docker-Content-Digest";
            answer.more.push((name, digest.to_string()));
            answer
        }
        Err(missing) => {
            let code = match missing {
                Missing::Absent(_) => "MANIFEST_UNKNOWN",
                _ => "UNKNOWN",
            };
            refused(status(&missing), code, &missing.to_string())
        }
    }
}

/// What is repeated to a client is one plain word.
fn is_media(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn refused(status: Status, code: &str, message: &str) -> Answer {
    let error = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    Answer {
        kind: Cow::Borrowed(JSON),
        ..Answer::text(status, error.to_string())
    }
}
