//! Connections to sources: plain or TLS, straight or through a proxy.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::place::{Place, host_and_port, path};
use super::{QUIET, Trouble};
use crate::model::SourceUrl;

/// As long as a host may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Read from a source at once: few wake-ups for each mebibyte.
const BUFFER: usize = 512 * 1024;
/// A proxy's answer to CONNECT is not longer.
const MAX_PROXY_ANSWER: usize = 8 * 1024;

/// The variables of the environment that name proxies.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

impl Environment {
    /// Of this process. `HTTP_PROXY` in capitals is left out, as curl does.
    pub fn of_process() -> Self {
        let read = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
            values.find(|value| !value.is_empty())
        };
        Self {
            http_proxy: read(&["http_proxy"]),
            https_proxy: read(&["https_proxy", "HTTPS_PROXY"]),
            no_proxy: read(&["no_proxy", "NO_PROXY"]),
        }
    }

    fn proxy(&self, place: &Place) -> Option<Proxy> {
        let named = if place.tls {
            self.https_proxy.as_deref()
        } else {
            self.http_proxy.as_deref()
        };
        let text = named.filter(|_| !self.is_near(&place.host))?;
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let (host, port) = host_and_port(authority.trim_end_matches('/'));
        Some(Proxy {
            host: host.to_owned(),
            port: port.unwrap_or(3128),
        })
    }

    /// `no_proxy`: names, with all below them, addresses, or `*`. This machine itself is always near.
    fn is_near(&self, host: &str) -> bool {
        let own = host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|at| at.is_loopback());
        let listed = self.no_proxy.as_deref().unwrap_or_default().split(',');
        let fits = |word: &str| {
            let word = word.trim().trim_start_matches('.').to_ascii_lowercase();
            let below = host.strip_suffix(word.as_str());
            word == "*"
                || (!word.is_empty() && below.is_some_and(|b| b.is_empty() || b.ends_with('.')))
        };
        own || host == "localhost" || listed.into_iter().any(fits)
    }
}

#[derive(Clone, Debug)]
struct Proxy {
    host: String,
    port: u16,
}

#[derive(Debug)]
pub struct Lines {
    environment: Environment,
    /// The system's certificates are read when the first https source is asked.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// An open connection, and the task that moves its bytes: it ends with the connection.
#[derive(Debug)]
pub struct Line {
    pub sender: SendRequest<Empty<Bytes>>,
    mover: JoinHandle<()>,
    /// The proxy wants to be told the whole URL.
    proxied: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

impl Line {
    /// RFC 9112 3.2: a path, or the whole URL for a proxy.
    pub fn target(&self, place: &Place, url: &SourceUrl) -> String {
        if self.proxied && !place.tls {
            url.to_string()
        } else {
            path(url)
        }
    }

    async fn over<S>(socket: S, place: &Place, proxied: bool) -> Result<Self, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = http1::Builder::new();
        http.max_buf_size(BUFFER).max_headers(100);
        let (sender, connection) = http
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| Trouble::Broken(place.to_string(), error.to_string()))?;
        let mover = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a source ended");
            }
        });
        Ok(Self {
            sender,
            mover,
            proxied,
        })
    }
}

impl Lines {
    pub fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            tls: OnceLock::new(),
        }
    }

    pub async fn open(&self, place: &Place) -> Result<Line, Trouble> {
        let proxy = self.environment.proxy(place);
        let socket = match &proxy {
            None => dial(&place.host, place.port, place).await?,
            Some(proxy) => {
                let mut socket = dial(&proxy.host, proxy.port, place).await?;
                if place.tls {
                    let through = tunnel(&mut socket, place);
                    in_time(place, through).await?;
                }
                socket
            }
        };
        if !place.tls {
            return Line::over(socket, place, proxy.is_some()).await;
        }
        let untrusted = |why: String| Trouble::Tls(place.to_string(), why);
        let config = self.tls.get_or_init(trust).clone().map_err(untrusted)?;
        let name = ServerName::try_from(place.host.clone())
            .map_err(|error| Trouble::Tls(place.to_string(), error.to_string()))?;
        let shaken = timeout(QUIET, TlsConnector::from(config).connect(name, socket)).await;
        match shaken {
            Err(_) => Err(Trouble::Quiet(place.to_string())),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Trouble::Tls(place.to_string(), error.to_string()))
            }
            Ok(Err(error)) => Err(Trouble::Connect(place.to_string(), error.to_string())),
            Ok(Ok(socket)) => Line::over(socket, place, proxy.is_some()).await,
        }
    }
}

/// The certificates that this machine trusts.
fn trust() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("this machine has no certificates to trust: install ca-certificates".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Each address of the host in turn, as the resolver ranks them.
async fn dial(host: &str, port: u16, place: &Place) -> Result<TcpStream, Trouble> {
    let found = timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
    let unknown = |why: String| Trouble::Host(host.to_owned(), why);
    let found = found.map_err(|_| unknown("no name server answers".into()))?;
    let all = found.map_err(|error| unknown(error.to_string()))?;
    let mut last = "it has no address".to_owned();
    for address in all {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err(Trouble::Connect(place.to_string(), last))
}

async fn in_time(place: &Place, work: impl Future<Output = io::Result<()>>) -> Result<(), Trouble> {
    match timeout(QUIET, work).await {
        Ok(done) => done
            .map_err(|error| Trouble::Connect(place.to_string(), format!("by the proxy: {error}"))),
        Err(_) => Err(Trouble::Quiet("the proxy".into())),
    }
}

/// RFC 9110 9.3.6.
async fn tunnel(socket: &mut TcpStream, place: &Place) -> io::Result<()> {
    let at = place.with_port();
    let ask = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    socket.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    // One byte at a time: what comes behind the head is TLS already.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_PROXY_ANSWER {
            return Err(io::Error::other("its answer does not end"));
        }
        answer.push(socket.read_u8().await?);
    }
    let first = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    match first.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(first.escape_default().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("http://a.example.net/x", Some("proxy:3128"))]
    #[test_case("https://a.example.net/x", Some("tls-proxy:8080"); "https has its own")]
    #[test_case("http://near.lan/x", None; "a name that is near")]
    #[test_case("http://deep.near.lan/x", None; "below it")]
    #[test_case("http://notnear.lan/x", Some("proxy:3128"); "another that ends alike")]
    #[test_case("http://10.0.0.1/x", None; "an address")]
    #[test_case("http://127.0.0.1/x", None; "this machine")]
    #[test_case("http://localhost/x", None; "this machine by name")]
    fn the_environment_names_the_proxy(url: &str, through: Option<&str>) {
        let environment = Environment {
            http_proxy: Some("http://proxy/".into()),
            https_proxy: Some("tls-proxy:8080".into()),
            no_proxy: Some(" .near.lan, 10.0.0.1".into()),
        };
        let url: SourceUrl = url.parse().unwrap();
        let proxy = environment.proxy(&Place::of(&url));
        let proxy = proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port));
        assert_eq!(proxy.as_deref(), through);
    }
}
