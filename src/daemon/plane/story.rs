//! What machines fetch, told to their trace, to the ladder of their link and to the memory of loaders.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::mpsc;

use super::adviser::Adviser;
use crate::boot::http;
use crate::model::trace::{Mark, Stage, Step};
use crate::model::{LinkName, MacAddr};
use crate::net::peers::Peers;
use crate::net::tftp;

/// Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Story {
    adviser: Adviser,
    peers: Peers,
    fetched: mpsc::Sender<MacAddr>,
}

/// One thing that was fetched, or not.
struct Fetch<'a> {
    stage: Stage,
    peer: IpAddr,
    mark: Mark,
    name: &'a str,
    text: &'a str,
}

impl Story {
    pub(super) fn new(adviser: Adviser, peers: Peers, fetched: mpsc::Sender<MacAddr>) -> Self {
        Self {
            adviser,
            peers,
            fetched,
        }
    }

    /// The link on which an address was heard.
    pub(super) fn link_of(&self, peer: IpAddr) -> Option<LinkName> {
        self.peers.at(four(peer)?).map(|peer| peer.link)
    }

    /// The card that was heard at an address last.
    pub(super) fn mac_of(&self, peer: IpAddr) -> Option<MacAddr> {
        self.peers.at(four(peer)?).map(|peer| peer.mac)
    }

    /// One line of a machine's trace.
    pub(super) fn note(
        &self,
        mac: MacAddr,
        link: Option<LinkName>,
        what: (Stage, Mark),
        text: &str,
        why: &str,
    ) {
        let step = Step {
            at: self.adviser.core().clock().now(),
            stage: what.0,
            mark: what.1,
            link,
            text: text.to_owned(),
            why: why.to_owned(),
        };
        self.adviser.core().traces().note(mac, step);
    }

    /// The machine got something from us: its ladder has nothing to climb for.
    pub(super) fn arrived(&self, mac: MacAddr) {
        // A ladder that is behind by so much will hear of the next one.
        let _ = self.fetched.try_send(mac);
    }

    fn fetch(&self, fetch: &Fetch<'_>) {
        let peer = four(fetch.peer).and_then(|address| self.peers.at(address));
        let Some(peer) = peer else {
            tracing::debug!(peer = %fetch.peer, mark = ?fetch.mark, text = fetch.text, "fetched by an unknown one");
            return;
        };
        self.note(
            peer.mac,
            Some(peer.link),
            (fetch.stage, fetch.mark),
            fetch.text,
            "",
        );
        if matches!(
            fetch.mark,
            Mark::FileBegun | Mark::FileProbed | Mark::FileDone
        ) {
            self.arrived(peer.mac);
        }
        if fetch.mark == Mark::FileDone {
            self.adviser.loader_fetched(peer.mac, fetch.name);
        }
    }
}

const fn four(address: IpAddr) -> Option<std::net::Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

impl tftp::Watcher for Story {
    /// The text begins with the file's name.
    fn tftp(&self, peer: SocketAddr, mark: Mark, text: String) {
        self.fetch(&Fetch {
            stage: Stage::Tftp,
            peer: peer.ip(),
            mark,
            name: text.split(',').next().unwrap_or_default(),
            text: &text,
        });
    }
}

impl http::Watcher for Story {
    fn seen(&self, seen: &http::Seen<'_>) {
        self.fetch(&Fetch {
            stage: Stage::Http,
            peer: seen.peer.ip(),
            mark: seen.mark,
            name: seen.name,
            text: seen.text,
        });
    }
}
