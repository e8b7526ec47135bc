//! Where boot agents are heard, plugged to what the wire knows of addresses and to what workflows have for them.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::failure::Failure;
use crate::core::Core;
use crate::core::config::Config;
use crate::model::agent::{Heard, HomeOrder, HomeReport, Order, Refused, Report};
use crate::model::{MacAddr, Machine, MachineId};
use crate::net::peers::Peers;
use crate::provision::endpoint::{Endpoint, Neighbours, Orders};
use crate::provision::identity::{Identity, KEY_FILE};

/// The endpoint, with the server's own key out of the data folder.
pub(super) fn open(config: &Config, core: &Core, peers: &Peers) -> Result<Arc<Endpoint>, Failure> {
    let file = config.data.join(KEY_FILE);
    let identity = Identity::open(&file).map_err(|error| {
        Failure::unavailable(error.to_string()).hint(format!(
            "it lies in {}; without it a new one is made, and agents that run now have to boot anew",
            file.display()
        ))
    })?;
    let (orders, neighbours) = (Box::new(Nothing), Box::new(Heardof(peers.clone())));
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

/// An agent that was only to look into its machine goes on to the disk.
struct Nothing;

impl Orders for Nothing {
    fn order<'a>(&'a self, _machine: &'a Machine) -> BoxFuture<'a, Order> {
        let why = "nothing is to be done for it".to_owned();
        async { Order::LocalBoot { why } }.boxed()
    }

    fn report<'a>(&'a self, _machine: MachineId, _report: &'a Report) -> BoxFuture<'a, Heard> {
        let heard = Heard {
            go_on: false,
            why: "no workflow is at work on this machine".into(),
        };
        async { heard }.boxed()
    }

    fn home<'a>(
        &'a self,
        _report: &'a HomeReport,
        _from: IpAddr,
    ) -> BoxFuture<'a, Result<HomeOrder, Refused>> {
        let why = "no workflow installed this machine".to_owned();
        async { Ok(HomeOrder::Forget { why }) }.boxed()
    }

    fn halt<'a>(&'a self, _machine: MachineId, _why: &'a str) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}
