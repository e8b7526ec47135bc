//! Where boot agents are heard, plugged to what the wire knows of addresses and to what workflows have for them.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::failure::Failure;
use super::work;
use crate::boot::cache::Cache;
use crate::core::Core;
use crate::core::config::Config;
use crate::model::MacAddr;
use crate::net::peers::Peers;
use crate::provision::endpoint::{Endpoint, Neighbours};
use crate::provision::identity::{Identity, KEY_FILE};

/// The endpoint, with the server's own key out of the data folder.
pub(super) fn open(
    config: &Config,
    core: &Core,
    peers: &Peers,
    images: Option<Cache>,
) -> Result<Arc<Endpoint>, Failure> {
    let file = config.data.join(KEY_FILE);
    let identity = Identity::open(&file).map_err(|error| {
        Failure::unavailable(error.to_string()).hint(format!(
            "it lies in {}; without it a new one is made, and agents that run now have to boot anew",
            file.display()
        ))
    })?;
    let orders = Box::new(work::orders(config, core, &identity, images));
    let neighbours = Box::new(Heardof(peers.clone()));
    let endpoint = Endpoint::new(core.clone(), identity, orders, neighbours);
    endpoint
        .map(Arc::new)
        .map_err(|error| Failure::unavailable(error.to_string()))
}

/// Who was heard on the wire.
struct Heardof(Peers);

impl Neighbours for Heardof {
    fn mac_at(&self, address: IpAddr) -> Option<MacAddr> {
        match address {
            IpAddr::V4(address) => self.0.at(address).map(|peer| peer.mac),
            IpAddr::V6(_) => None,
        }
    }
}
