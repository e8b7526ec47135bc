//! The agent's way to its server: JSON over HTTP/1.1 over TLS, one connection that is kept and made anew when it breaks.
//!
//! The server is known by its key alone (`trust`), and knows the agent by the agent's (`identity`). A call is repeated
//! until it is answered, since a server that restarts is no reason to stop.

pub mod identity;
mod message;
pub mod trust;

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::clock::{self, Backoff};
use crate::model::agent::Refused;
use identity::Identity;

const CONNECT: Duration = Duration::from_secs(10);
/// For an answer that is given at once.
pub const ANSWER: Duration = Duration::from_secs(30);

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// One server, and the connection to it.
pub struct Client {
    server: SocketAddr,
    tls: Arc<ClientConfig>,
    stream: Option<Stream>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not reached, or broke off; the call may have been heard.
    #[error("the server at {server} does not answer: {source}")]
    Away {
        server: SocketAddr,
        source: io::Error,
    },
    /// It answered, and will not.
    #[error("the server refused: {}", .0.error)]
    Refused(Refused),
    #[error("the server's answer to {path} makes no sense: {why}")]
    Nonsense { path: String, why: String },
}

impl CallError {
    /// Whether the same call later may be answered.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.retry && !refused.halt,
            Self::Away { .. } | Self::Nonsense { .. } => true,
        }
    }

    /// Whether the agent is to stop for good.
    pub const fn halts(&self) -> bool {
        matches!(self, Self::Refused(Refused { halt: true, .. }))
    }
}

impl Client {
    /// The server of this address, whose key has this SHA-256. Nothing is sent yet.
    pub fn new(
        server: SocketAddr,
        pin: [u8; 32],
        identity: Option<&Identity>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            server,
            tls: Arc::new(trust::config(pin, identity)?),
            stream: None,
        })
    }

    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// One call. A connection that the server closed while nothing was said is made anew, once.
    pub fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &Q,
        within: Duration,
    ) -> Result<A, CallError> {
        let nonsense = |why: String| CallError::Nonsense {
            path: path.to_owned(),
            why,
        };
        let body = serde_json::to_vec(question).map_err(|error| nonsense(error.to_string()))?;
        let was_open = self.stream.is_some();
        let mut answer = self.exchange(path, &body, within);
        if answer.is_err() && was_open {
            answer = self.exchange(path, &body, within);
        }
        let (status, body) = answer.map_err(|source| CallError::Away {
            server: self.server,
            source,
        })?;
        if (200..300).contains(&status) {
            let body = if body.is_empty() {
                b"null"
            } else {
                body.as_slice()
            };
            return serde_json::from_slice(body).map_err(|error| nonsense(error.to_string()));
        }
        let refused = serde_json::from_slice(&body).unwrap_or_else(|_| Refused {
            error: format!("status {status}"),
            retry: status >= 500 || status == 429,
            halt: false,
        });
        Err(CallError::Refused(refused))
    }

    /// The same until there is an answer, or a refusal that stays one. `failed` hears of each failure, and says whether
    /// to go on.
    pub fn call_until_answered<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        question: &Q,
        within: Duration,
        mut failed: impl FnMut(&CallError) -> bool,
    ) -> Result<A, CallError> {
        let mut backoff = Backoff::of_server();
        loop {
            match self.call(path, question, within) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    if !failed(&error) || !error.may_pass() {
                        return Err(error);
                    }
                }
            }
            clock::pause(backoff.pause());
        }
    }

    fn exchange(
        &mut self,
        path: &str,
        body: &[u8],
        within: Duration,
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.sock.set_read_timeout(Some(within))?;
        stream.write_all(&message::post(&self.server, path, body))?;
        stream.flush()?;
        let answer = message::read(&mut stream)?;
        if answer.keep {
            self.stream = Some(stream);
        }
        Ok((answer.status, answer.body))
    }

    fn connect(&self) -> io::Result<Stream> {
        let socket = TcpStream::connect_timeout(&self.server, CONNECT)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(ANSWER))?;
        let name = ServerName::IpAddress(self.server.ip().into());
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(tls, socket))
    }
}

#[cfg(test)]
mod tests;
