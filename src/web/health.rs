//! What operators' tools ask: alive, ready, figures; and what is said where there is nothing.

use axum::body::Body;
use axum::extract::{Extension, MatchedPath};
use axum::http::header::{ALLOW, HeaderValue};
use axum::http::{Method, Response, StatusCode, Uri};

use super::Ready;
use super::ask::{Ask, Ids, bytes_as};
use super::frame::bare;
use super::param::shown;
use super::problem::Fault;
use super::routes::{self, Route};
use crate::api::Code;
use crate::model::nearest::nearest;

const PLAIN: &str = "text/plain; charset=utf-8";
/// What Prometheus asks for first.
pub const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn live(_: &Ask) -> Response<Body> {
    bytes_as(PLAIN, "alive\n")
}

/// Ready once the daemon says so, for as long as the store does not say otherwise.
pub fn ready(ask: &Ask) -> Response<Body> {
    let told = ask.web.about().ready.borrow().clone();
    let waits = match told {
        Ready::No(why) => Some(why),
        Ready::Yes if *ask.stop.borrow() => Some("dragonfly is stopping".into()),
        Ready::Yes => ask
            .web
            .core()
            .health()
            .err()
            .map(|refusal| refusal.to_string()),
    };
    let Some(why) = waits else {
        return bytes_as(PLAIN, "ready\n");
    };
    let mut response = bytes_as(PLAIN, format!("not ready: {why}\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

pub fn metrics(ask: &Ask) -> Result<Response<Body>, Fault> {
    let text = ask.web.metrics().text()?;
    Ok(bytes_as(METRICS, text))
}

/// Where no route is.
pub async fn nowhere(Extension(ids): Extension<Ids>, uri: Uri) -> Response<Body> {
    not_found(&uri).answer(&ids.request.to_string())
}

fn not_found(uri: &Uri) -> Fault {
    let paths = routes::all()
        .map(|route| route.path)
        .filter(|path| !path.contains('{'));
    let hint = match nearest(uri.path(), paths) {
        Some(path) => format!("did you mean {path}?"),
        None => "the API describes itself at /api/v1/openapi.json".into(),
    };
    Fault::new(
        Code::NotFound,
        format!("there is nothing at '{}'", shown(uri.path())),
    )
    .hint(hint)
}

/// Where a route is, but not for this method. OPTIONS is answered with what there is.
pub async fn no_such_method(
    Extension(ids): Extension<Ids>,
    path: MatchedPath,
    method: Method,
) -> Response<Body> {
    let methods = Route::methods_of(path.as_str());
    let allow = HeaderValue::try_from(&methods).unwrap_or(HeaderValue::from_static("OPTIONS"));
    if method == Method::OPTIONS {
        let mut response = bare(StatusCode::NO_CONTENT);
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    let told = shown(method.as_str());
    Fault::new(Code::Unsupported, format!("{told} is not spoken here"))
        .hint(format!("this path takes {methods}"))
        .header(ALLOW, allow)
        .answer(&ids.request.to_string())
}
