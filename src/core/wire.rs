//! What happens on the wire now: published by `net`, shown by pages, and asked for a scan.
//!
//! Nothing of it is kept: it is as true as the last publication, and empty where nothing serves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::network::{FloatingStatus, Serve};
use crate::model::{LinkName, MacAddr};

use super::Refusal;

/// Links that can be published; a host has few, and a name is a link's only until it is renamed.
pub const MAX_LINKS: usize = 256;
/// How long a scan may take.
pub const SCAN_DEADLINE: Duration = Duration::from_secs(5);
/// Scans that may wait for their turn.
const QUEUE: usize = 8;

/// A link as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    pub name: LinkName,
    pub mac: MacAddr,
    pub up: bool,
    pub mtu: u16,
    /// The host's own addresses, each with the length of its prefix; the floating IP is none of them.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    pub floating: FloatingStatus,
    pub serving: Serving,
    /// Name and count, in an order that stays.
    pub counters: Vec<(&'static str, u64)>,
}

impl LinkStatus {
    /// The network that `address` lies in, of those that the host itself is in.
    pub fn network_of(&self, address: Ipv4Addr) -> Option<(Ipv4Addr, u8)> {
        let mask = |prefix: u8| u32::MAX.checked_shl(32 - u32::from(prefix.min(32)));
        self.addresses.iter().copied().find(|(own, prefix)| {
            let mask = mask(*prefix).unwrap_or(0);
            u32::from(*own) & mask == u32::from(address) & mask
        })
    }
}

/// What is given out on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    pub serve: Serve,
    /// The address that machines are told; none while nothing is given out.
    pub from: Option<Ipv4Addr>,
    /// Why nothing is given out, or not what is wanted; empty when all is well.
    pub why: String,
}

/// One address that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    pub address: Ipv4Addr,
    pub found: Found,
}

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody answered.
    Free,
    /// The host itself has it, as its own or as the floating IP.
    Own,
    Taken {
        by: MacAddr,
    },
}

/// A scan that somebody asked for; whoever serves the link answers.
#[derive(Debug)]
pub struct ScanRequest {
    pub link: LinkName,
    /// The addresses found, or why they cannot be looked at.
    pub answer: oneshot::Sender<Result<Vec<Scanned>, String>>,
}

/// The board between `net` and everybody else.
#[derive(Debug)]
pub struct WireBoard {
    links: Mutex<BTreeMap<LinkName, LinkStatus>>,
    moved: watch::Sender<u64>,
    asks: mpsc::Sender<ScanRequest>,
    asked: Mutex<Option<mpsc::Receiver<ScanRequest>>>,
}

impl Default for WireBoard {
    fn default() -> Self {
        let (asks, asked) = mpsc::channel(QUEUE);
        Self {
            links: Mutex::default(),
            moved: watch::Sender::new(0),
            asks,
            asked: Mutex::new(Some(asked)),
        }
    }
}

impl WireBoard {
    /// Puts up how a link is now, over what was there.
    pub fn publish(&self, status: LinkStatus) {
        let changed = self.with(|links| {
            if links.len() >= MAX_LINKS && !links.contains_key(&status.name) {
                return false;
            }
            let name = status.name.clone();
            let before = links.insert(name.clone(), status);
            before.as_ref() != links.get(&name)
        });
        if changed {
            self.moved.send_modify(|count| *count += 1);
        }
    }

    /// Takes down a link that is served no more.
    pub fn withdraw(&self, link: &LinkName) {
        if self.with(|links| links.remove(link)).is_some() {
            self.moved.send_modify(|count| *count += 1);
        }
    }

    pub fn links(&self) -> Vec<LinkStatus> {
        self.with(|links| links.values().cloned().collect())
    }

    pub fn link(&self, link: &LinkName) -> Option<LinkStatus> {
        self.with(|links| links.get(link).cloned())
    }

    /// A signal each time that something on the board changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// The scans that are asked for; for the one who answers them, so a second time there is none.
    pub fn scans(&self) -> Option<mpsc::Receiver<ScanRequest>> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Looks at the addresses that the floating IP of a link may be.
    pub async fn scan(&self, link: &LinkName) -> Result<Vec<Scanned>, Refusal> {
        if self.link(link).is_none() {
            return Err(self.unserved(link));
        }
        let (answer, found) = oneshot::channel();
        let link = link.clone();
        let request = ScanRequest { link, answer };
        if self.asks.try_send(request).is_err() {
            return Err(conflict(
                "too many scans are asked for already",
                "try again in a moment",
            ));
        }
        match tokio::time::timeout(SCAN_DEADLINE, found).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(why))) => Err(conflict(&why, "see the link with: dragonfly network list")),
            Ok(Err(_)) | Err(_) => Err(conflict(
                "nobody answered for that link within 5 seconds",
                "see whether it is served with: dragonfly network list",
            )),
        }
    }

    fn unserved(&self, link: &LinkName) -> Refusal {
        let links: Vec<_> = self
            .links()
            .into_iter()
            .map(|l| l.name.to_string())
            .collect();
        let hint = if links.is_empty() {
            "no link is served: name some in net.links of the configuration".to_owned()
        } else {
            format!("links that are served: {}", links.join(", "))
        };
        conflict(&format!("link {link} is not served here"), &hint)
    }

    /// Nothing in here panics half way, so a poisoned lock still guards a whole map.
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<LinkName, LinkStatus>) -> T) -> T {
        work(&mut self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn conflict(reason: &str, hint: &str) -> Refusal {
    Refusal::Conflict {
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}
