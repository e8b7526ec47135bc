//! The commands about networks: what a person wants of one, and what is held on it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;

use crate::model::network::{Held, NetworkPatch, Pool, Serve, Want};
use crate::model::{FieldChange, FieldError, LinkName, Network, NetworkConfig, Subject, What};
use crate::store::Object;

use super::Refusal;
use super::plan::{Plan, View};
use super::wire::LinkStatus;

pub(super) fn set(view: &View, link: &LinkName, patch: &NetworkPatch) -> Result<Plan, Refusal> {
    let (before, version) = view.core.network(link)?;
    let config = patch.applied(&before.config);
    config.check()?;
    let mut plan = begin(link, version);
    match view.core.wire().link(link) {
        Some(status) => fit(&config, &status)?,
        None => plan.note(format!(
            "link {link} is not served at the moment; it counts from when it is"
        )),
    }
    plan.diff = before.config.diff(&config);
    if plan.diff.is_empty() {
        plan.note("nothing was asked for that is not so already");
        return Ok(plan);
    }
    if config.serve == Serve::Server && before.config.serve != Serve::Server {
        plan.note("there must be no other DHCP server on this network");
    }
    plan.say(What::NetworkChanged {
        diff: plan.diff.clone(),
    });
    let network = Network {
        config,
        ..Network::clone(&before)
    };
    plan.put(Object::Network(Arc::new(network)), version);
    Ok(plan)
}

/// What was claimed, or let go: written before an address is used, and after it is used no more.
pub(super) fn hold(view: &View, link: &LinkName, held: Option<&Held>) -> Result<Plan, Refusal> {
    let (before, version) = view.core.network(link)?;
    let address = |held: &Held| held.address;
    let (old, new) = (before.held.as_ref().map(address), held.map(address));
    let mut plan = begin(link, version);
    if before.held.as_ref() == held {
        plan.note("it is held so already");
        return Ok(plan);
    }
    // What stands beside the address is between two runs of the daemon.
    if old != new {
        let shown = |address: Option<Ipv4Addr>| json!(address);
        plan.diff = vec![FieldChange::new("held", shown(old), shown(new))];
        if let Some(address) = old {
            plan.say(What::AddressReleased { address });
        }
        if let Some(address) = new {
            plan.say(What::AddressHeld { address });
        }
    }
    let network = Network {
        held: held.cloned(),
        ..Network::clone(&before)
    };
    plan.put(Object::Network(Arc::new(network)), version);
    Ok(plan)
}

fn begin(link: &LinkName, version: u64) -> Plan {
    let mut plan = Plan::new(Subject::Network(link.clone()), version);
    plan.next("see the networks", "dragonfly network list");
    plan
}

/// Whether it fits the link as it is now: machines reach only what lies in their own network.
fn fit(config: &NetworkConfig, status: &LinkStatus) -> Result<(), FieldError> {
    if status.addresses.is_empty() {
        return Ok(());
    }
    let outside = |address| status.network_of(address).is_none();
    if let Want::Address(address) = config.floating.want {
        if outside(address) {
            return Err(wrong("floating", &out_of(address, status), status));
        }
        if status.addresses.iter().any(|(own, _)| *own == address) {
            let reason = format!("{address} is the host's own address");
            return Err(wrong("floating", &reason, status));
        }
    }
    if config.serve != Serve::Server {
        return Ok(());
    }
    let reserved = config.dhcp.reservations.values();
    if let Some(address) = reserved.copied().find(|address| outside(*address)) {
        return Err(wrong("reservations", &out_of(address, status), status));
    }
    match config.dhcp.pool {
        Some(pool) => fit_pool(pool, config.dhcp.router, status),
        None => Ok(()),
    }
}

fn fit_pool(pool: Pool, router: Option<Ipv4Addr>, status: &LinkStatus) -> Result<(), FieldError> {
    let Some((own, prefix)) = status.network_of(pool.first) else {
        return Err(wrong("pool", &out_of(pool.first, status), status));
    };
    if status.network_of(pool.last) != Some((own, prefix)) {
        let reason = format!("{} lies in another network than {}", pool.last, pool.first);
        return Err(wrong("pool", &reason, status));
    }
    if let Some(router) = router.filter(|router| status.network_of(*router) != Some((own, prefix)))
    {
        let reason = format!("{router} lies in another network than the pool {pool}");
        return Err(wrong("router", &reason, status));
    }
    let (network, broadcast) = ends(own, prefix);
    let taken = [
        (own, "the host's own address"),
        (network, "the network's own address"),
        (broadcast, "the broadcast address"),
    ];
    match taken
        .into_iter()
        .find(|(address, _)| pool.contains(*address))
    {
        Some((address, what)) => {
            let reason = format!("{address} lies in it, and is {what}");
            Err(wrong("pool", &reason, status))
        }
        None => Ok(()),
    }
}

fn out_of(address: Ipv4Addr, status: &LinkStatus) -> String {
    let networks = status.addresses.iter();
    let networks: Vec<_> = networks
        .map(|(own, prefix)| format!("{}/{prefix}", ends(*own, *prefix).0))
        .collect();
    format!(
        "{address} lies in no network of link {}, which is in {}",
        status.name,
        networks.join(", ")
    )
}

/// Network and broadcast address around one of its own.
fn ends(own: Ipv4Addr, prefix: u8) -> (Ipv4Addr, Ipv4Addr) {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let own = u32::from(own);
    (Ipv4Addr::from(own & !host), Ipv4Addr::from(own | host))
}

/// With an example that lies in the link's first network, behind the host.
fn wrong(field: &str, reason: &str, status: &LinkStatus) -> FieldError {
    let own = status
        .addresses
        .first()
        .map_or(0, |(own, _)| u32::from(*own));
    let first = Ipv4Addr::from(own.saturating_add(1));
    let example = match field {
        "pool" => format!("{first}-{}", Ipv4Addr::from(own.saturating_add(9))),
        "reservations" => format!("52:54:00:12:34:56={first}"),
        _ => first.to_string(),
    };
    FieldError::new(field, reason, example)
}
