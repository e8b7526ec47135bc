//! Fetching by HTTP/1.1, plain: one connection that is kept, ranges, and an answer carried on where it was cut.
//!
//! The agent has no resolver, so its URLs name addresses. A source is taken to be one unchanging file: its length and
//! its tag are remembered from the first answer, and each later one has to agree with them.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

mod connection;
mod fetch;

pub use fetch::Fetch;

/// Redirections that are followed from one URL.
const MAX_REDIRECTS: usize = 5;

/// Who waits for the bytes: asked whether it still wants them, and told what keeps them.
pub trait Watch: Sync {
    fn stopped(&self) -> bool;
    /// Waits so long, or less when it is stopped meanwhile.
    fn wait(&self, time: Duration);
    /// What went wrong and is tried again; nothing once it goes on.
    fn trouble(&self, what: Option<String>);
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("the URL '{url}' cannot be fetched: {why}")]
    Url { url: String, why: &'static str },
    #[error("{url} was answered with {status}{reason}")]
    Refused {
        url: Url,
        status: u16,
        /// With what stands before it.
        reason: String,
    },
    #[error("{url} leads on and on: {MAX_REDIRECTS} redirections, and no file")]
    Redirects { url: Url },
    #[error("{url} changed while it was fetched: {what}")]
    Changed { url: Url, what: String },
    #[error(
        "{url} is sent without its length, so that its end cannot be told from a cut; serve it as a file"
    )]
    NoLength { url: Url },
    #[error(
        "the server of {url} does not answer Range, and this image has to be read in parts; serve it as a file"
    )]
    NoRange { url: Url },
    #[error("the server of {url} does not speak HTTP/1.1: {what}")]
    Nonsense { url: Url, what: String },
    #[error("stopped")]
    Stopped,
}

/// `http://ADDRESS[:PORT]/PATH`, of which nothing more has to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    address: SocketAddr,
    path: String,
}

impl Url {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a redirection leads.
    fn join(&self, location: &str) -> Result<Self, HttpError> {
        if location.starts_with('/') && !location.starts_with("//") {
            return format!("http://{}{location}", self.host).parse();
        }
        location.parse()
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

impl FromStr for Url {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        let wrong = |why| HttpError::Url {
            url: text.escape_debug().to_string(),
            why,
        };
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| wrong("it has to begin with http://"))?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it holds a space, or what is no ASCII"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: host.into(),
            address: address(host).ok_or_else(|| {
                wrong("its host has to be an address, such as 192.0.2.1:3080: there is no resolver")
            })?,
            path: format!("{slash}{path}"),
        })
    }
}

fn address(host: &str) -> Option<SocketAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let ip: IpAddr = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => IpAddr::V4(host.parse().ok()?),
    };
    Some(SocketAddr::new(ip, 80))
}

#[cfg(test)]
pub mod liar;
#[cfg(test)]
mod tests;
