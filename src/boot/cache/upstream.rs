//! Asks the places that images come from: http and https, through the proxy that the environment names, redirects
//! followed as far as [`MAX_REDIRECTS`] and never from https to http. Every wait has its limit.

mod line;
mod place;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use crate::model::SourceUrl;

pub use line::Environment;
use line::{Line, Lines};
use place::Place;

/// As many redirects as one request follows. A mirror's director needs one or two.
pub const MAX_REDIRECTS: usize = 6;
/// As long as a source may take to begin its answer, or to go on with it.
pub const QUIET: Duration = Duration::from_secs(30);
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("dragonfly/", env!("CARGO_PKG_VERSION")));

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    pub url: SourceUrl,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Question {
    pub const fn get(url: SourceUrl) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: Vec::new(),
        }
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        // What is no value of a header came off the wire: the question goes without it.
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.push((name, value));
        }
        self
    }
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// Moves the bytes; ends with the reply.
    _line: Line,
}

/// Why a source did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{0} is not known: {1}")]
    Host(String, String),
    #[error("{0} cannot be reached: {1}")]
    Connect(String, String),
    #[error("{0} is not trusted: {1}")]
    Tls(String, String),
    #[error("{0} did not answer as HTTP asks: {1}")]
    Broken(String, String),
    #[error("{0} was quiet for {time} seconds", time = QUIET.as_secs())]
    Quiet(String),
    #[error("{0} redirects to what cannot be followed: {1}")]
    Redirect(String, String),
    #[error("{0} redirects more than {MAX_REDIRECTS} times")]
    Redirects(String),
}

impl Trouble {
    /// Whether it may go well in a moment.
    pub const fn passes(&self) -> bool {
        !matches!(
            self,
            Self::Tls(..) | Self::Redirect(..) | Self::Redirects(_)
        )
    }
}

/// The way out.
#[derive(Debug)]
pub struct Upstream {
    lines: Lines,
}

impl Upstream {
    pub fn new(environment: &Environment) -> Self {
        Self {
            lines: Lines::new(environment),
        }
    }

    /// Asks, and follows redirects. Credentials go to the host that they are for alone.
    pub async fn ask(&self, question: &Question) -> Result<Reply, Trouble> {
        let mut question = question.clone();
        for _ in 0..=MAX_REDIRECTS {
            let reply = self.ask_once(&question).await?;
            let Some(target) = redirect(&reply) else {
                return Ok(reply);
            };
            let from = question.url.as_str();
            let wrong = |why: &str| {
                let shown = target.escape_default().to_string();
                Trouble::Redirect(from.to_owned(), format!("{shown} ({why})"))
            };
            let next = place::follow(&question.url, &target).map_err(|why| wrong(&why))?;
            if from.starts_with("https:") && !next.as_str().starts_with("https:") {
                return Err(wrong("it is not https any more"));
            }
            if Place::of(&next) != Place::of(&question.url) {
                question.headers.retain(|(name, _)| *name != AUTHORIZATION);
            }
            question.url = next;
        }
        Err(Trouble::Redirects(question.url.to_string()))
    }

    async fn ask_once(&self, question: &Question) -> Result<Reply, Trouble> {
        let place = Place::of(&question.url);
        let mut line = self.lines.open(&place).await?;
        let broken =
            |error: &dyn std::fmt::Display| Trouble::Broken(place.to_string(), error.to_string());
        let target = line.target(&place, &question.url);
        let mut request = Request::builder()
            .method(&question.method)
            .uri(target)
            .body(Empty::<Bytes>::new())
            .map_err(|error| broken(&error))?;
        let headers = request.headers_mut();
        headers.extend(question.headers.iter().cloned());
        let host = HeaderValue::try_from(place.authority()).map_err(|error| broken(&error))?;
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, AGENT);
        // Bytes are summed as they lie there; packed on the way they would be others.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answered = timeout(QUIET, line.sender.send_request(request)).await;
        let answered = answered.map_err(|_| Trouble::Quiet(place.to_string()))?;
        let (parts, body) = answered.map_err(|error| broken(&error))?.into_parts();
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
            _line: line,
        })
    }
}

impl Reply {
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let frame = timeout(QUIET, self.body.frame()).await;
            let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(io::Error::other(error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// A small body, whole.
    pub async fn small(mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            if whole.len() + bytes.len() > most {
                let why = format!("it is longer than {most} bytes");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}

/// RFC 9110 15.4: where the content lies instead.
fn redirect(reply: &Reply) -> Option<String> {
    let moved = matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let target = reply.header(&LOCATION).filter(|_| moved)?;
    Some(target.to_owned())
}
