//! Speaks HTTP with the daemon: over its unix socket or loopback TCP, one connection for all requests.
//!
//! A request whose connection breaks, or that is answered with "not just now", is sent once more: a read
//! changes nothing, and a change carries a key under which the daemon does it once.

mod send;

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::send::{Sent, held};
use super::failure::{Failure, Sort};
use super::target::Target;
use crate::api::{Problem, Receipt, Status};

/// As large as an answer may be: a page of a thousand machines is about 4 MiB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How long a place may take to accept the connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an answer may take that works through whole images.
const LONG: Duration = Duration::from_hours(2);
/// How long to wait before a request is sent once more.
const BREATH: Duration = Duration::from_millis(300);

/// A way to the daemon.
#[derive(Debug)]
pub struct Client {
    places: Vec<Target>,
    patience: Duration,
    line: Option<Line>,
}

/// An open connection and the task that moves its bytes.
#[derive(Debug)]
struct Line {
    sender: SendRequest<Sent>,
    place: Target,
    mover: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    pub headers: Vec<(&'static str, String)>,
}

impl Ask {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            headers: Vec::new(),
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn uri(&self) -> String {
        let pairs: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        if pairs.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, pairs.join("&"))
        }
    }
}

/// A person's word as one part of a path or a query string.
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut done, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            done.push(char::from(byte));
        } else {
            let _ = write!(done, "%{byte:02X}");
        }
        done
    })
}

impl Client {
    pub fn new(places: Vec<Target>, patience: Duration) -> Self {
        Self {
            places,
            patience,
            line: None,
        }
    }

    /// As [`Self::place`], or where it was looked for in vain when that was a single place.
    pub fn asked(&self) -> Option<&Target> {
        self.place().or(match self.places.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }

    /// Where the daemon was found.
    pub fn place(&self) -> Option<&Target> {
        self.line.as_ref().map(|line| &line.place)
    }

    /// Asks, and reads the answer as `T`.
    pub async fn read<T: DeserializeOwned>(&mut self, ask: Ask) -> Result<T, Failure> {
        let bytes = self.ask_twice(&ask).await?;
        match serde_json::from_slice(&bytes) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.not_understood(&error.to_string()).await),
        }
    }

    /// The same for what may take very long, such as summing a whole image.
    pub async fn read_patiently<T: DeserializeOwned>(&mut self, ask: Ask) -> Result<T, Failure> {
        let usual = std::mem::replace(&mut self.patience, LONG);
        let answer = self.read(ask).await;
        self.patience = usual;
        answer
    }

    pub async fn change(&mut self, ask: Ask) -> Result<Receipt, Failure> {
        self.read(ask).await
    }

    pub async fn status(&mut self) -> Result<Status, Failure> {
        self.read(Ask::get("/api/v1/status")).await
    }

    /// Opens a stream that goes on until one of the two sides ends it.
    pub async fn stream(&mut self, ask: &Ask) -> Result<Response<Incoming>, Failure> {
        let patience = self.patience;
        let response = timeout(patience, self.send(ask))
            .await
            .map_err(|_| self.slow())??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = timeout(patience, self.collect(response))
            .await
            .map_err(|_| self.slow())??;
        Err(self.refusal(status.as_u16(), &body))
    }

    /// Forgets the connection; the next request opens a new one.
    pub fn hang_up(&mut self) {
        self.line = None;
    }

    async fn ask_twice(&mut self, ask: &Ask) -> Result<Bytes, Failure> {
        let fresh = self.line.is_none();
        match self.ask_once(ask).await {
            Err(failure) if failure.is_transient() && !(fresh && self.line.is_none()) => {
                self.hang_up();
                sleep(BREATH).await;
                self.ask_once(ask).await
            }
            answered => answered,
        }
    }

    async fn ask_once(&mut self, ask: &Ask) -> Result<Bytes, Failure> {
        let patience = self.patience;
        let answered = timeout(patience, async {
            let response = self.send(ask).await?;
            let status = response.status();
            let body = self.collect(response).await?;
            if status.is_success() {
                Ok(body)
            } else {
                Err(self.refusal(status.as_u16(), &body))
            }
        });
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(self.slow()),
        }
    }

    async fn send(&mut self, ask: &Ask) -> Result<Response<Incoming>, Failure> {
        let request = self.request(ask).await?;
        let sent = self.connected().await?.sender.send_request(request).await;
        sent.map_err(|error| self.broken(&error))
    }

    /// The request as it goes to the place that answers.
    async fn request(&mut self, ask: &Ask) -> Result<Request<Sent>, Failure> {
        let host = match &self.connected().await?.place {
            Target::Tcp(authority) => authority.clone(),
            Target::Unix(_) => "localhost".into(),
        };
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(ask.uri())
            .header(HOST, host)
            .header(USER_AGENT, concat!("dragonfly/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(headers) = request.headers_mut() {
            for (name, value) in &ask.headers {
                if let Ok(value) = value.parse() {
                    headers.insert(*name, value);
                }
            }
        }
        let body = ask.body.as_ref().map(ToString::to_string);
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(held(Bytes::from(body)))
            .map_err(|error| Failure::usage(format!("this cannot be asked over HTTP: {error}")))
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| self.broken(&*error))
    }

    /// The connection, opened at the first place that answers.
    async fn connected(&mut self) -> Result<&mut Line, Failure> {
        let alive = match &mut self.line {
            Some(line) => line.sender.ready().await.is_ok(),
            None => false,
        };
        if !alive {
            self.line = None;
            self.line = Some(self.connect().await?);
        }
        self.line
            .as_mut()
            .ok_or_else(|| Failure::new(Sort::Failed, "no connection is open"))
    }

    async fn connect(&self) -> Result<Line, Failure> {
        let mut tried = Vec::new();
        for place in &self.places {
            match open(place).await {
                Ok(line) => return Ok(line),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(not_allowed(place));
                }
                Err(error) => tried.push((place, error)),
            }
        }
        Err(nobody_there(&tried))
    }

    fn told_place(&self) -> String {
        self.place()
            .or_else(|| self.places.first())
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    fn slow(&mut self) -> Failure {
        let detail = format!(
            "{} did not answer within {} s",
            self.told_place(),
            self.patience.as_secs()
        );
        self.hang_up();
        Failure::new(Sort::Unavailable, detail).hint(
            "ask again, with more patience: --timeout 120; `dragonfly doctor` looks for the cause",
        )
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let place = self.told_place();
        let parse = error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse);
        if parse {
            return Failure::new(
                Sort::Foreign,
                format!("what answers at {place} does not speak HTTP"),
            )
            .hint("is that Dragonfly's address? --server names another");
        }
        Failure::new(
            Sort::Unavailable,
            format!("the connection to {place} broke: {error}"),
        )
        .hint("ask again; `dragonfly doctor` looks for the cause")
    }

    fn refusal(&self, status: u16, body: &[u8]) -> Failure {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return Failure::Refused(Box::new(problem));
        }
        let detail = format!(
            "what answers at {} (status {status}) is not this version of Dragonfly",
            self.told_place()
        );
        Failure::new(Sort::Foreign, detail).hint("is that its address? --server names another")
    }

    /// An answer that is not what was promised: from another version, or from another program.
    async fn not_understood(&mut self, error: &str) -> Failure {
        let place = self.told_place();
        let status = self.ask_once(&Ask::get("/api/v1/status")).await;
        let theirs = status
            .ok()
            .and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        let theirs = theirs
            .as_ref()
            .and_then(|status| status.get("version")?.as_str());
        let ours = env!("CARGO_PKG_VERSION");
        match theirs {
            None => Failure::new(
                Sort::Foreign,
                format!("what answers at {place} is not Dragonfly"),
            )
            .hint("is that its address? --server names another"),
            Some(theirs) if theirs != ours => Failure::new(
                Sort::Foreign,
                format!("Dragonfly {theirs} at {place} is not understood by this version {ours}"),
            )
            .hint("use the command line that came with it"),
            Some(_) => Failure::new(
                Sort::Foreign,
                format!("the answer of {place} is not understood: {error}"),
            ),
        }
    }
}

async fn open(place: &Target) -> std::io::Result<Line> {
    let late = || std::io::Error::new(ErrorKind::TimedOut, "it does not accept the connection");
    match place {
        Target::Unix(path) => {
            let stream = timeout(CONNECT_TIME, UnixStream::connect(path)).await;
            shake(stream.map_err(|_| late())??, place).await
        }
        Target::Tcp(authority) => {
            let stream = timeout(CONNECT_TIME, TcpStream::connect(authority.as_str())).await;
            let stream = stream.map_err(|_| late())??;
            stream.set_nodelay(true)?;
            shake(stream, place).await
        }
    }
}

async fn shake<S>(stream: S, place: &Target) -> std::io::Result<Line>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    // A connection that fails is told of by the request that waits on it.
    let mover = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Line {
        sender,
        place: place.clone(),
        mover,
    })
}

fn not_allowed(place: &Target) -> Failure {
    Failure::new(
        Sort::Forbidden,
        format!("you may not use the socket {place}"),
    )
    .hint(
        "join its group, then sign in again: sudo usermod -aG dragonfly \"$USER\"; or ask as root",
    )
}

fn nobody_there(tried: &[(&Target, std::io::Error)]) -> Failure {
    let told: Vec<_> = tried
        .iter()
        .map(|(place, error)| format!("{place} ({})", why(error)))
        .collect();
    let detail = format!("no Dragonfly answers at {}", told.join(" nor at "));
    Failure::new(Sort::Unavailable, detail)
        .hint("start it with `dragonfly server`, or look around with `dragonfly demo`")
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it is not there".into(),
        ErrorKind::ConnectionRefused => "nobody listens".into(),
        ErrorKind::TimedOut => "no answer".into(),
        _ => error.to_string(),
    }
}
