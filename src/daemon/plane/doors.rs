//! The doors of the machine plane: TFTP, HTTP and the agents' TLS at each of our addresses, opened when an address comes and closed when
//! it goes, so that answers leave from the address that was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::story::Story;
use crate::boot::files::{Content, Files, Missing};
use crate::boot::http::{self, Plane};
use crate::core::config::NetConfig;
use crate::net::tftp::{self, Embedded, FileRequest, Limits, OnDisk, OpenError, Source};
use crate::net::wire::Addresses;
use crate::provision::endpoint::{self, Endpoint};

/// Agents that shake hands at once, before they are accepted; the kernel has its own limit.
const BACKLOG: u32 = 4096;
const TFTP_PORT: u16 = 69;
/// A door that cannot be opened is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// What all doors open on.
#[derive(Clone)]
pub(super) struct Doors {
    files: Arc<dyn tftp::Files>,
    story: Story,
    plane: Arc<Plane>,
    http_port: u16,
    agents: Arc<Endpoint>,
    agent_port: u16,
}

impl Doors {
    pub(super) fn new(
        files: Arc<Files>,
        story: Story,
        plane: Plane,
        agents: Arc<Endpoint>,
        net: &NetConfig,
    ) -> Self {
        let http_port = net.http_port;
        Self {
            files: Arc::new(Shelf { files, http_port }),
            story,
            plane: Arc::new(plane),
            http_port,
            agents,
            agent_port: net.agent_port,
        }
    }

    fn open_agents(&self, at: Ipv4Addr, stop: watch::Receiver<bool>) -> io::Result<Door> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddrV4::new(at, self.agent_port).into())?;
        let listener = socket.listen(BACKLOG)?;
        let agents = Arc::clone(&self.agents);
        Ok(Box::pin(async move {
            endpoint::serve(listener, agents, stop).await;
            Ok(())
        }))
    }

    async fn open_http(&self, at: Ipv4Addr, stop: watch::Receiver<bool>) -> io::Result<Door> {
        let listener = TcpListener::bind(SocketAddrV4::new(at, self.http_port)).await?;
        let plane = Arc::clone(&self.plane);
        Ok(Box::pin(async move {
            http::serve(listener, plane, stop).await;
            Ok(())
        }))
    }

    async fn open_tftp(&self, at: Ipv4Addr, stop: watch::Receiver<bool>) -> io::Result<Door> {
        let listener = UdpSocket::bind(SocketAddrV4::new(at, TFTP_PORT)).await?;
        let (files, story) = (Arc::clone(&self.files), Arc::new(self.story.clone()));
        Ok(Box::pin(tftp::serve(
            listener,
            files,
            story,
            Limits::default(),
            stop,
        )))
    }
}

type Door = futures_util::future::BoxFuture<'static, io::Result<()>>;

/// A sort of door at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tftp,
    Http,
    Agents,
}

/// Keeps the doors as the addresses are, until `stop` turns true.
pub(super) async fn keep(
    doors: Doors,
    mut addresses: watch::Receiver<Addresses>,
    mut stop: watch::Receiver<bool>,
) {
    let mut keeper = Keeper {
        doors,
        open: BTreeMap::new(),
        tasks: JoinSet::new(),
        told: BTreeSet::new(),
    };
    loop {
        let wanted = wanted(&addresses.borrow_and_update());
        let complete = keeper.reconcile(&wanted).await;
        tokio::select! {
            // Whoever could say stop may be gone; then nobody is there to serve for.
            _ = stop.wait_for(|stop| *stop) => break,
            changed = addresses.changed() => if changed.is_err() { break },
            Some(ended) = keeper.tasks.join_next() => keeper.ended(ended),
            () = tokio::time::sleep(RETRY), if !complete => {}
        }
    }
    keeper.close().await;
}

fn wanted(addresses: &Addresses) -> BTreeSet<(Ipv4Addr, Kind)> {
    let all: BTreeSet<Ipv4Addr> = addresses.values().flatten().copied().collect();
    let kinds = |at: Ipv4Addr| [(at, Kind::Tftp), (at, Kind::Http), (at, Kind::Agents)];
    all.into_iter().flat_map(kinds).collect()
}

struct Keeper {
    doors: Doors,
    open: BTreeMap<(Ipv4Addr, Kind), watch::Sender<bool>>,
    tasks: JoinSet<((Ipv4Addr, Kind), io::Result<()>)>,
    /// Doors whose trouble was told already.
    told: BTreeSet<(Ipv4Addr, Kind)>,
}

impl Keeper {
    /// Whether all doors that are wanted are open now.
    async fn reconcile(&mut self, wanted: &BTreeSet<(Ipv4Addr, Kind)>) -> bool {
        self.open.retain(|door, stop| {
            let stays = wanted.contains(door);
            if !stays {
                stop.send_replace(true);
            }
            stays
        });
        self.told.retain(|door| wanted.contains(door));
        for door in wanted {
            if !self.open.contains_key(door) {
                self.open(*door).await;
            }
        }
        self.open.len() == wanted.len()
    }

    async fn open(&mut self, door: (Ipv4Addr, Kind)) {
        let (at, kind) = door;
        let (stop, stopped) = watch::channel(false);
        let opened = match kind {
            Kind::Tftp => self.doors.open_tftp(at, stopped).await,
            Kind::Http => self.doors.open_http(at, stopped).await,
            Kind::Agents => self.doors.open_agents(at, stopped),
        };
        match opened {
            Ok(task) => {
                tracing::info!(%at, ?kind, "machines are served");
                self.tasks.spawn(async move { (door, task.await) });
                self.open.insert(door, stop);
                self.told.remove(&door);
            }
            Err(error) if self.told.insert(door) => {
                tracing::warn!(%at, ?kind, %error, "machines cannot be served there; tried again every 2 s");
            }
            Err(_) => {}
        }
    }

    fn ended(&mut self, ended: Result<((Ipv4Addr, Kind), io::Result<()>), tokio::task::JoinError>) {
        match ended {
            Ok((door, outcome)) => {
                if let Err(error) = outcome {
                    tracing::warn!(at = %door.0, kind = ?door.1, %error, "machines are served there no more");
                }
                // One that was closed on purpose may have been opened anew.
                self.open
                    .retain(|key, stop| *key != door || !stop.is_closed());
            }
            Err(error) => {
                tracing::error!(%error, "a door of the machine plane broke");
                self.open.retain(|_, stop| !stop.is_closed());
            }
        }
    }

    async fn close(mut self) {
        for stop in self.open.values() {
            stop.send_replace(true);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The files of the boot room, as TFTP wants them.
struct Shelf {
    files: Arc<Files>,
    http_port: u16,
}

impl tftp::Files for Shelf {
    fn open(&self, request: &FileRequest<'_>) -> Result<Box<dyn Source>, OpenError> {
        let server = SocketAddrV4::new(request.local, self.http_port);
        let opened = self.files.open(request.name, server.into());
        match opened.map(|opened| opened.content) {
            Ok(Content::File(file)) => OnDisk::new(file)
                .map(|source| Box::new(source) as Box<dyn Source>)
                .map_err(|_| OpenError::Missing),
            Ok(Content::Bytes(bytes)) => Ok(Box::new(Embedded(bytes))),
            Err(Missing::Name(_)) => Err(OpenError::Denied),
            Err(_) => Err(OpenError::Missing),
        }
    }
}
