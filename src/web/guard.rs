//! What a request has to pass before its handler sees it. Each guard is one function with its limits
//! beside it; [`CHECKS`] lists them in their order.
//!
//! Until there are users, whoever reaches a listener is the admin. Two kinds of callers must therefore not
//! reach it: a web page in the admin's own browser (it sends `Origin` or `Sec-Fetch-Site`, and by DNS
//! rebinding a foreign `Host`), and whoever only wants to keep the doors busy.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::param::shown;
use super::peer::Peer;
use super::problem::Fault;
use crate::api::Code;

/// As many bytes as a request's body may have: more than every body that the API takes, by far.
pub const MAX_BODY: usize = 1024 * 1024;
/// As many bytes as path and query may have: room for the longest name and cursor, percent-encoded.
pub const MAX_URI: usize = 8 * 1024;
/// As long as a call may take that reads or writes whole images.
pub const PATIENT_TIME: Duration = Duration::from_hours(2);
/// As long as a request may take from its last header to the first byte of its answer.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);

type Check = fn(&Parts) -> Result<(), Fault>;

/// In this order, on every request whatever its path.
pub const CHECKS: &[(&str, Check)] = &[
    ("host", host),
    ("origin", origin),
    ("uri", uri),
    ("length", length),
    ("content type", content_type),
];

pub fn check(parts: &Parts) -> Result<(), Fault> {
    CHECKS.iter().try_for_each(|(_, check)| check(parts))
}

/// On TCP the name in `Host` has to be a loopback name or literal: a page that rebinds its own name to
/// 127.0.0.1 still sends that name. The unix socket has no names to rebind.
fn host(parts: &Parts) -> Result<(), Fault> {
    if !matches!(parts.extensions.get::<Peer>(), Some(Peer::Tcp(_))) {
        return Ok(());
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let sent = hosts.next().and_then(|host| host.to_str().ok());
    let twice = hosts.next().is_some();
    let target = parts.uri.authority().is_none_or(loopback);
    let named = sent.and_then(|host| host.parse::<Authority>().ok());
    if target && !twice && named.is_some_and(|authority| loopback(&authority)) {
        return Ok(());
    }
    let sent = sent.map_or_else(|| "nothing".into(), |host| format!("'{}'", shown(host)));
    Err(Fault::new(
        Code::Forbidden,
        format!("Host names {sent}, and only this machine is served"),
    )
    .hint("ask for http://localhost or http://127.0.0.1 with the port, or use the socket"))
}

fn loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || literal.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// A browser says where a request comes from; anything but our own page, or the address bar, is refused.
fn origin(parts: &Parts) -> Result<(), Fault> {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let refuse = |what: &str| {
        Err(
            Fault::new(Code::Forbidden, format!("the request comes from {what}"))
                .hint("web pages of others cannot use this API; use the command line or a program"),
        )
    };
    for origin in parts.headers.get_all(axum::http::header::ORIGIN) {
        let own = parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| {
                origin
                    .to_str()
                    .is_ok_and(|origin| origin.eq_ignore_ascii_case(&format!("http://{host}")))
            });
        if !own {
            return refuse("a web page of another origin");
        }
    }
    let sites = parts.headers.get_all(SITE);
    if sites
        .iter()
        .any(|site| site != "same-origin" && site != "none")
    {
        return refuse("a web page of another site");
    }
    Ok(())
}

fn uri(parts: &Parts) -> Result<(), Fault> {
    let length = parts
        .uri
        .path_and_query()
        .map_or(0, |uri| uri.as_str().len());
    if length <= MAX_URI {
        return Ok(());
    }
    let detail = format!("path and query have {length} bytes, and {MAX_URI} are the limit");
    Err(Fault::new(Code::TooLarge, detail)
        .status(StatusCode::URI_TOO_LONG)
        .hint("ask for less in one request"))
}

/// A body that says it is too large is not read at all.
fn length(parts: &Parts) -> Result<(), Fault> {
    let told = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    match told.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MAX_BODY as u64 && stream(parts).is_none() => Err(too_large()),
        _ => Ok(()),
    }
}

/// The media type that this request may send without a limit.
fn stream(parts: &Parts) -> Option<&'static str> {
    let path = parts.extensions.get::<MatchedPath>()?;
    super::routes::stream_of(&parts.method, path.as_str())
}

/// A form or plain text can be posted by any web page; JSON cannot, without asking first.
fn content_type(parts: &Parts) -> Result<(), Fault> {
    let empty = parts
        .headers
        .get(CONTENT_LENGTH)
        .is_none_or(|length| length == "0");
    let chunked = parts
        .headers
        .contains_key(axum::http::header::TRANSFER_ENCODING);
    if parts.method.is_safe() || (empty && !chunked) {
        return Ok(());
    }
    let sent = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|media| media.to_str().ok());
    let media = sent
        .and_then(|media| media.split(';').next())
        .map(str::trim);
    let wanted = stream(parts).unwrap_or("application/json");
    if media.is_some_and(|media| media.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let told = media.map_or_else(
        || "no media type".into(),
        |media| format!("'{}'", shown(media)),
    );
    Err(Fault::new(
        Code::Unsupported,
        format!("the body has {told}, not {wanted}"),
    )
    .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    .hint(format!("send the header Content-Type: {wanted}")))
}

/// The whole body, or a refusal once it is over the limit.
pub async fn read(body: Body) -> Result<Bytes, Fault> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Fault::new(
            Code::Invalid,
            "the body broke off before its end",
        )),
    }
}

fn too_large() -> Fault {
    Fault::new(
        Code::TooLarge,
        format!("the body is over the limit of {MAX_BODY} bytes"),
    )
    .hint("split the change into smaller ones")
    .header(CONNECTION, HeaderValue::from_static("close"))
}

pub fn too_slow() -> Fault {
    let detail = format!(
        "the request took longer than {} seconds",
        REQUEST_TIME.as_secs()
    );
    Fault::new(Code::Unavailable, detail)
        .status(StatusCode::REQUEST_TIMEOUT)
        .hint("the change may still be made: look before you repeat it, or use an Idempotency-Key")
        .header(CONNECTION, HeaderValue::from_static("close"))
}
