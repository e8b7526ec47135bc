//! From a request to an answer.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Caller, Endpoint};
use crate::model::agent::{self, Refused};

/// Bytes of a body: an inventory with hundreds of disks is a tenth of it.
const MAX_BODY: usize = 512 * 1024;

/// What goes back, and whether the caller is one who was let in.
pub struct Answer {
    pub response: Response<Full<Bytes>>,
    pub let_in: bool,
}

/// Why a call is not answered as it wants.
#[derive(Debug)]
pub struct No {
    pub status: StatusCode,
    pub refused: Refused,
}

impl No {
    /// The call is wrong, and will be.
    pub fn wrong(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// The caller is not believed.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// The caller is to stop for good.
    pub fn halt(error: impl Into<String>) -> Self {
        let mut no = Self::forbidden(error);
        no.refused.halt = true;
        no
    }

    /// The same call may be answered later.
    pub fn later(error: impl Into<String>) -> Self {
        let mut no = Self::new(StatusCode::SERVICE_UNAVAILABLE, error);
        no.refused.retry = true;
        no
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            refused: Refused {
                error: error.into(),
                retry: false,
                halt: false,
            },
        }
    }
}

pub async fn answer(endpoint: &Endpoint, caller: &Caller, request: Request<Incoming>) -> Answer {
    match routed(endpoint, caller, request).await {
        Ok(response) => Answer {
            response,
            let_in: true,
        },
        Err(no) => Answer {
            response: json(no.status, &no.refused),
            let_in: false,
        },
    }
}

async fn routed(
    endpoint: &Endpoint,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, No> {
    let path = request.uri().path().to_owned();
    let known = [
        agent::HELLO,
        agent::CHECK_IN,
        agent::ORDER,
        agent::REPORT,
        agent::LOG,
        agent::HOME,
    ];
    if !known.contains(&path.as_str()) {
        let line = "there is nothing here; agents call below /agent/v1/";
        return Err(No::new(StatusCode::NOT_FOUND, line));
    }
    if request.method() != Method::POST {
        return Err(No::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "it is called by POST",
        ));
    }
    let body = request.into_body();
    Ok(match path.as_str() {
        agent::HELLO => ok(&endpoint.hello(caller, read(body).await?).await?),
        agent::HOME => ok(&endpoint.home(caller, read(body).await?).await?),
        _ => {
            let session = endpoint.session(caller).await?;
            match path.as_str() {
                agent::CHECK_IN => ok(&endpoint
                    .check_in(caller, &session, read(body).await?)
                    .await?),
                agent::ORDER => ok(&endpoint.order(&session, read(body).await?).await?),
                agent::REPORT => ok(&endpoint.report(&session, read(body).await?).await?),
                _ => {
                    endpoint.log(&session, &read(body).await?);
                    nothing()
                }
            }
        }
    })
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, No> {
    let read = Limited::new(body, MAX_BODY).collect().await;
    let bytes = read.map_err(|error| No::wrong(format!("the body was not read: {error}")))?;
    serde_json::from_slice(&bytes.to_bytes())
        .map_err(|error| No::wrong(format!("the body is not what is called for: {error}")))
}

fn ok(body: &impl Serialize) -> Response<Full<Bytes>> {
    json(StatusCode::OK, body)
}

fn nothing() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!(%error, "answer to an agent not written");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
