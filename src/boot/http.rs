//! The machine plane by plain HTTP/1.1 and 1.0: what firmware, iPXE and kernels fetch.
//!
//! GET and HEAD of files by `sendfile(2)`, so that their bytes never pass through this process, of two scripts, and of
//! each machine's own script. Never a redirect, always a Content-Length, connections kept open: firmware stumbles
//! over the contrary (edk2 9714, 9920). `//` and percent signs are put in order in silence.
//!
//! Bounded everywhere: a head in bytes, fields and seconds; seats in all and per address, of which the one that has
//! not moved for longest is given to a newcomer; a transfer that does not move is ended. So half-open and slow clients,
//! however many, keep no machine from booting.
//!
//! - [`request`], [`target`]: bytes become a request. - [`select`]: conditions and ranges. - [`answer`]: status, head and
//!   body. - `route`: what there is. - `images`, `registry`: those of the cache. - `pages`: those
//!   of the machine that asks. - `seats`: who may sit. - `connection`: one client, from its first byte to its
//!   last. - `send`: bytes to a socket.

pub mod answer;
mod connection;
mod images;
mod pages;
mod registry;
pub mod request;
mod route;
mod seats;
pub mod select;
mod send;
pub mod target;

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::cache::Cache;
use super::files::Files;
use super::ipxe::Invited;
use crate::core::Clock;
use crate::model::MacAddr;
use crate::model::boot::{Decision, Once, Platform};
use crate::model::trace::Mark;

pub use pages::{PageAsk, Pages};
use seats::Seats;

/// As long as transfers may go on after the stop: enough for scripts and loaders; a kernel is fetched again. Less than
/// the daemon gives its tasks, or it would cut this one off.
pub const GRACE: Duration = Duration::from_secs(1);
/// When accepting fails, as it does when files run out, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who asks for its script, as its own iPXE tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub mac: MacAddr,
    pub uuid: Option<Uuid>,
    pub platform: Option<Platform>,
    pub peer: SocketAddr,
    /// The address that the request came in on.
    pub local: SocketAddr,
    /// The PCI id of the card that it boots from, as `14e4:164a`.
    pub card: Option<String>,
    pub told: Told,
}

/// What a machine says of itself; escaped, cut, and empty where it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The driver that iPXE uses: `virtio-net`, `snponly`, `undionly`.
    pub chip: String,
    /// iPXE's own version.
    pub version: String,
    pub maker: String,
    pub product: String,
    pub serial: String,
}

/// What a machine boots, and the name that its screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub name: String,
    pub decision: Decision,
    /// How its agent is let in, when it is sent one.
    pub agent: Option<Invited>,
    /// The kernel of its installer, when it is sent one.
    pub installer: Option<Once>,
}

/// Why a machine is not told anything just now; it asks again by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Decides about machines. A call is a script handed out: it registers who is new, and takes off what was ordered
/// for one boot; so it is not made for a HEAD.
pub trait Machines: Send + Sync {
    fn script<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Given, Unavailable>>;
}

/// One thing that was seen on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub mark: Mark,
    /// The file's name on the wire, as [`super::loaders`] has it; escaped.
    pub name: &'a str,
    /// What a person reads.
    pub text: &'a str,
}

/// Is told what clients fetch, for the trace.
pub trait Watcher: Send + Sync {
    fn seen(&self, seen: &Seen<'_>);
}

/// All that the machine plane serves with. One for all listeners: the seats are counted together.
pub struct Plane {
    files: Arc<Files>,
    machines: Box<dyn Machines>,
    watcher: Box<dyn Watcher>,
    clock: Arc<dyn Clock>,
    seats: Arc<Seats>,
    /// Served below `/images/`, where there is a cache.
    images: Option<Cache>,
    pages: Option<Box<dyn Pages>>,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("files", &self.files)
            .field("seats", &self.seats)
            .finish_non_exhaustive()
    }
}

impl Plane {
    pub fn new(
        files: Arc<Files>,
        machines: Box<dyn Machines>,
        watcher: Box<dyn Watcher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            files,
            machines,
            watcher,
            clock,
            seats: Arc::default(),
            images: None,
            pages: None,
        }
    }

    /// Serves pages of each machine's own as well.
    #[must_use]
    pub fn with_pages(mut self, pages: Box<dyn Pages>) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Serves the images of this cache as well.
    #[must_use]
    pub fn with_images(mut self, cache: Cache) -> Self {
        self.images = Some(cache);
        self
    }
}

/// Serves until `stop` turns true (or its sender is gone). When it returns, every task that it started is over.
pub async fn serve(listener: TcpListener, plane: Arc<Plane>, stop: watch::Receiver<bool>) {
    let mut told = stop.clone();
    let mut stopped = pin!(told_to_stop(&mut told));
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = guests.join_next(), if !guests.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "machine connection broke");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => admit(&mut guests, &plane, socket, peer, stop.clone()),
                Err(error) => {
                    tracing::warn!(%error, "machine connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while guests.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::info!(connections = guests.len(), "machine connections cut");
        guests.shutdown().await;
    }
}

fn admit(
    guests: &mut JoinSet<()>,
    plane: &Arc<Plane>,
    socket: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    match plane.seats.take(peer.ip()) {
        Some(seat) => {
            guests.spawn(connection::attend(plane.clone(), socket, peer, seat, stop));
        }
        None => connection::turn_away(&socket),
    }
}

/// A sender that is gone will never say stop, and there is nobody left to serve for.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
