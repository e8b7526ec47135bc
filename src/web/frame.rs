//! What stands around every request: its ids, the guards, the time limit, the end of a panic, the headers
//! of its answer, and the counting; and how a row of the table becomes a handler.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use axum::middleware::Next;
use axum::routing::{MethodFilter, on};
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::ask::{Ask, CORRELATION_ID, IDEMPOTENCY_KEY, Ids, REQUEST_ID, header};
use super::param::{Params, shown};
use super::peer::Peer;
use super::problem::Fault;
use super::routes::{Input, Policy, Route};
use super::server::Stop;
use super::{Mounted, Web, guard};
use crate::api::Code;
use crate::core::{Refusal, policy};
use crate::model::{Actor, CorrelationId, RequestId};

/// On every answer. Nothing here is for another page to frame, sniff or keep.
static HEADERS: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Around everything, known paths and unknown ones alike.
pub async fn frame(State(web): State<Web>, request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    let fresh = web.core().clock().new_id();
    let ids = ids(&parts, fresh);
    let known = *ids.as_ref().unwrap_or(&plain_ids(fresh));
    parts.extensions.insert(known);
    let (method, template) = (parts.method.clone(), template(&parts));
    let passed = ids.and_then(|_| guard::check(&parts));
    let mut response = match passed {
        Ok(()) => {
            let patience = patience(&method, template);
            bounded(&web, patience, next.run(Request::from_parts(parts, body))).await
        }
        Err(fault) => Err(fault),
    }
    .unwrap_or_else(|fault| fault.answer(&known.request.to_string()));
    dress(&mut response, known);
    let took = began.elapsed();
    web.metrics()
        .request(&method, template, response.status(), took);
    tracing::debug!(
        %method, route = template, status = response.status().as_u16(),
        micros = took.as_micros(), request = %known.request, "request answered"
    );
    response
}

/// Within its time, and without taking anything else down with it.
async fn bounded(
    web: &Web,
    patience: Duration,
    answer: impl Future<Output = Response<Body>>,
) -> Result<Response<Body>, Fault> {
    let caught = AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout(patience, caught).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => {
            web.metrics().panicked();
            Err(Fault::internal(&"handler panicked"))
        }
        Err(_) => Err(guard::too_slow()),
    }
}

fn patience(method: &Method, template: &str) -> Duration {
    let streams = super::routes::stream_of(method, template).is_some();
    if streams || super::routes::images::PATIENT.contains(&template) {
        guard::PATIENT_TIME
    } else {
        guard::REQUEST_TIME
    }
}

fn plain_ids(fresh: Uuid) -> Ids {
    Ids {
        request: RequestId(fresh),
        correlation: CorrelationId(fresh),
    }
}

/// The ids that the caller gave, or new ones.
fn ids(parts: &Parts, fresh: Uuid) -> Result<Ids, Fault> {
    let given = |name: HeaderName, shown_name: &str| match header(&parts.headers, &name)? {
        None => Ok(None),
        Some(text) => Uuid::try_parse(text).map(Some).map_err(|_| {
            let reason = format!("'{}' is not a UUID", shown(text));
            Fault::field(shown_name, reason, "019aa4f0-7c1e-7000-8000-5254001234ab")
        }),
    };
    let request = given(REQUEST_ID, "X-Request-Id")?.unwrap_or(fresh);
    let correlation = given(CORRELATION_ID, "X-Correlation-Id")?.unwrap_or(request);
    Ok(Ids {
        request: RequestId(request),
        correlation: CorrelationId(correlation),
    })
}

/// The row's own path, never the client's: it becomes a label.
fn template(parts: &Parts) -> &'static str {
    let matched = parts.extensions.get::<MatchedPath>();
    let found =
        matched.and_then(|path| super::routes::all().find(|route| route.path == path.as_str()));
    found.map_or("other", |route| route.path)
}

fn dress(response: &mut Response<Body>, ids: Ids) {
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    for (name, id) in [
        (REQUEST_ID, ids.request.0),
        (CORRELATION_ID, ids.correlation.0),
    ] {
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            headers.insert(name, value);
        }
    }
}

/// A row of the table as a handler of the router.
pub fn mount(route: &'static Route, web: &Web) -> Mounted {
    let web = web.clone();
    let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
    on(filter, move |request: Request| {
        let web = web.clone();
        async move {
            let ids = request.extensions().get::<Ids>().copied();
            let ids = ids.unwrap_or_else(|| plain_ids(web.core().clock().new_id()));
            let answered = answer(route, web, request, ids).await;
            answered.unwrap_or_else(|fault| fault.answer(&ids.request.to_string()))
        }
    })
}

async fn answer(
    route: &'static Route,
    web: Web,
    request: Request,
    ids: Ids,
) -> Result<Response<Body>, Fault> {
    let (mut parts, body) = request.into_parts();
    let actor = actor(&parts);
    allowed(route, &actor)?;
    if route.command.is_none() && parts.headers.contains_key(IDEMPOTENCY_KEY) {
        let reason = "it is for calls that change something";
        return Err(Fault::field("Idempotency-Key", reason, "no such header"));
    }
    let params = Params::read(&parts.uri, route.params)?;
    let path = path(&mut parts).await?;
    let (body, stream) = match route.body {
        Input::Stream(_) => (Bytes::new(), Some(body)),
        _ => (guard::read(body).await?, None),
    };
    match route.body {
        Input::Nothing if !body.is_empty() => {
            return Err(Fault::field(
                "body",
                "this call takes none",
                "no body at all",
            ));
        }
        Input::Required(..) if body.is_empty() => {
            return Err(Fault::field("body", "it is empty", route.body_example()));
        }
        _ => {}
    }
    let stop = parts.extensions.get::<Stop>().map(|stop| stop.0.clone());
    (route.handler)(Ask {
        web,
        route,
        method: parts.method,
        uri: parts.uri,
        path,
        params,
        headers: parts.headers,
        body,
        stream: Mutex::new(stream),
        actor,
        ids,
        stop: stop.unwrap_or_else(|| watch::channel(false).1),
    })
    .await
}

/// A request without a peer did not come through [`super::serve`]: it is nobody's.
fn actor(parts: &Parts) -> Actor {
    parts
        .extensions
        .get::<Peer>()
        .map_or_else(|| Actor::person("nobody", "nowhere"), Peer::actor)
}

fn allowed(route: &Route, actor: &Actor) -> Result<(), Fault> {
    match route.policy {
        Policy::Open => Ok(()),
        Policy::Needs(permission) if policy::allows(policy::role(actor), permission) => Ok(()),
        Policy::Needs(permission) => Err(Refusal::Forbidden {
            actor: actor.name.clone(),
            action: policy::action(permission).into(),
        }
        .into()),
    }
}

async fn path(parts: &mut Parts) -> Result<Vec<(String, String)>, Fault> {
    let raw = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| {
            Fault::new(Code::Invalid, "the path is not UTF-8 after %XX is undone")
                .hint("encode other characters as %XX of their UTF-8 bytes")
        })?;
    Ok(raw
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// An answer without a body, such as to OPTIONS.
pub fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
