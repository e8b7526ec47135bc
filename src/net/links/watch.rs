//! The watch over links and addresses: one netlink connection that listens, and asks anew after each change.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{LinkAddress, LinkKind, LinkState, Links};
use crate::model::MacAddr;

/// From the first message of a burst to the look: changes come in handfuls.
const SETTLE: Duration = Duration::from_millis(20);
/// Between two looks at least, however much changes; an address that was taken away is back well within a second.
const BETWEEN: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    #[error("netlink socket could not be opened")]
    Open(#[source] io::Error),
    #[error("links could not be listed")]
    List(#[source] rtnetlink::Error),
    #[error("netlink connection ended")]
    Ended,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Watch {
    handle: Handle,
    now: watch::Receiver<Arc<Links>>,
    tasks: [AbortHandle; 2],
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Watch {
    /// Returns with the links as they are; must be called inside a tokio runtime.
    pub async fn start() -> Result<Self, LinksError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr];
        // Listening first: what changes while the first list is read is seen.
        let (connection, handle, mut messages) =
            new_multicast_connection(&groups).map_err(LinksError::Open)?;
        let connection = tokio::spawn(connection).abort_handle();
        let first = list(&handle).await;
        let (tell, now) = watch::channel(Arc::new(first.inspect_err(|_| connection.abort())?));
        let asked = handle.clone();
        let look = tokio::spawn(async move {
            while messages.next().await.is_some() {
                tokio::time::sleep(SETTLE).await;
                while messages.try_recv().is_ok() {}
                match list(&asked).await {
                    // Told also when all is as it was: what was put on after the last look may be off again.
                    Ok(links) => drop(tell.send_replace(Arc::new(links))),
                    Err(error) => {
                        tracing::warn!(%error, "links could not be listed; the next change is awaited");
                    }
                }
                tokio::time::sleep(BETWEEN).await;
            }
        });
        let tasks = [connection, look.abort_handle()];
        Ok(Self { handle, now, tasks })
    }

    /// The links now, and whenever the kernel said that something changed.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Links>> {
        self.now.clone()
    }

    pub fn now(&self) -> Arc<Links> {
        Arc::clone(&self.now.borrow())
    }

    /// The connection, for those who change something.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

async fn list(handle: &Handle) -> Result<Links, LinksError> {
    let mut links = BTreeMap::new();
    let mut found = handle.link().get().execute();
    while let Some(message) = found.try_next().await.map_err(LinksError::List)? {
        if let Some(link) = read_link(&message) {
            links.insert(link.index, link);
        }
    }
    let mut request = handle.address().get();
    request.message_mut().header.family = AddressFamily::Inet;
    let mut found = request.execute();
    while let Some(message) = found.try_next().await.map_err(LinksError::List)? {
        let link = links.get_mut(&message.header.index);
        if let (Some(link), Some(address)) = (link, read_address(&message)) {
            link.addresses.push(address);
        }
    }
    Ok(Links(links))
}

/// None for what is not Ethernet, and for what we cannot name.
fn read_link(message: &LinkMessage) -> Option<LinkState> {
    let flags = message.header.flags;
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    if !ethernet || flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let (mut name, mut mac, mut mtu, mut master) = (None, None, 1500, None);
    let mut kind = LinkKind::Card;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(&bytes[..]).ok(),
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::Controller(index) => master = Some(*index).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(facts) => {
                kind = facts.iter().find_map(read_kind).unwrap_or(kind);
            }
            _ => {}
        }
    }
    let up = flags.contains(LinkFlags::Up);
    Some(LinkState {
        index: message.header.index,
        name: name?,
        mac: MacAddr::new(mac?),
        up,
        running: up && flags.contains(LinkFlags::LowerUp),
        mtu,
        kind,
        master,
        addresses: Vec::new(),
    })
}

fn read_kind(fact: &LinkInfo) -> Option<LinkKind> {
    let LinkInfo::Kind(kind) = fact else {
        return None;
    };
    Some(match kind {
        InfoKind::Vlan => LinkKind::Vlan,
        InfoKind::Bond | InfoKind::Team => LinkKind::Bond,
        InfoKind::Bridge => LinkKind::Bridge,
        // A switch chip's port is a socket in a wall like any other.
        InfoKind::Dsa => LinkKind::Card,
        _ => LinkKind::Virtual,
    })
}

fn read_address(message: &AddressMessage) -> Option<LinkAddress> {
    // On a point-to-point link `Address` is the other end; `Local` is always ours.
    let local = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
    Some(LinkAddress {
        address: local?,
        prefix: message.header.prefix_len,
    })
}
