//! Networks and what is seen on them, as [`crate::api::network`] shows them.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::api::network as api;
use crate::core::wire::{Found, LinkStatus, Scanned};
use crate::model::network::{FloatingStatus, Holder, Lease};
use crate::model::{LinkName, Network, Sighting};

/// A network with its version, and its link as it is now.
pub fn network(network: &Network, version: u64, now: Option<&LinkStatus>) -> api::Network {
    let (config, dhcp) = (&network.config, &network.config.dhcp);
    let text = |value: Option<&dyn Display>| value.map(ToString::to_string);
    api::Network {
        link: network.link.to_string(),
        version,
        serve: word(&json!(config.serve)),
        idle: word(&json!(config.idle)),
        admit: word(&json!(config.admit)),
        rungs: config.rungs.iter().map(ToString::to_string).collect(),
        floating: config.floating.want.to_string(),
        scan: config.floating.scan,
        on_conflict: word(&json!(config.floating.on_conflict)),
        loaders: pairs(&config.loaders),
        pool: text(dhcp.pool.as_ref().map(|pool| pool as _)),
        router: text(dhcp.router.as_ref().map(|router| router as _)),
        dns: dhcp.dns.iter().map(ToString::to_string).collect(),
        domain: text(dhcp.domain.as_ref().map(|domain| domain as _)),
        lease_seconds: dhcp.lease_seconds,
        reservations: pairs(&dhcp.reservations),
        held: network.held.as_ref().map(|held| api::Held {
            address: held.address.to_string(),
            since: held.since.to_string(),
        }),
        now: now.map(link),
    }
}

fn pairs<'a, K: Display + 'a, V: Display + 'a, T: FromIterator<(String, String)>>(
    map: impl IntoIterator<Item = (&'a K, &'a V)>,
) -> T {
    let pairs = map.into_iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// The word that stands for a value wherever it is written down.
fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn link(status: &LinkStatus) -> api::Link {
    let addresses = status.addresses.iter();
    let counters = status.counters.iter();
    let serving = &status.serving;
    api::Link {
        name: status.name.to_string(),
        mac: status.mac.to_string(),
        up: status.up,
        mtu: status.mtu,
        addresses: addresses
            .map(|(address, prefix)| format!("{address}/{prefix}"))
            .collect(),
        serve: word(&json!(serving.serve)),
        from: serving.from.as_ref().map(ToString::to_string),
        why: said(&serving.why),
        floating: floating(&status.floating),
        counters: counters
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
    }
}

fn floating(status: &FloatingStatus) -> api::FloatingState {
    api::FloatingState {
        state: status.state.to_string(),
        address: status.address.map(|address| address.to_string()),
        since: Some(status.since.to_string()),
        text: said(&status.text),
        warning: status.warning.clone(),
    }
}

/// What is wanted and what is. Where nobody serves the link, what was claimed there last.
pub fn floating_ip(network: &Network, now: Option<&LinkStatus>) -> api::FloatingIp {
    let config = &network.config.floating;
    let held = network.held.as_ref();
    let now = now.map_or_else(
        || api::FloatingState {
            state: "unserved".into(),
            address: held.map(|held| held.address.to_string()),
            since: held.map(|held| held.since.to_string()),
            ..api::FloatingState::default()
        },
        |status| floating(&status.floating),
    );
    api::FloatingIp {
        link: network.link.to_string(),
        want: config.want.to_string(),
        scan: config.scan,
        on_conflict: word(&json!(config.on_conflict)),
        now,
    }
}

pub fn scan(link: &LinkName, found: &[Scanned]) -> api::Scan {
    let address = |scanned: &Scanned| {
        let (found, by) = match scanned.found {
            Found::Free => ("free", None),
            Found::Own => ("own", None),
            Found::Taken { by } => ("taken", Some(by.to_string())),
        };
        api::Scanned {
            address: scanned.address.to_string(),
            found: found.into(),
            by,
        }
    };
    api::Scan {
        link: link.to_string(),
        addresses: found.iter().map(address).collect(),
    }
}

/// A lease, and what the machine that has it is called.
pub fn lease(lease: &Lease, machine: Option<String>) -> api::Lease {
    let (mac, client_id, hostname) = match &lease.holder {
        Holder::Client {
            mac,
            client_id,
            hostname,
        } => (Some(mac.to_string()), client_id.clone(), hostname.clone()),
        Holder::Stranger => (None, None, None),
    };
    api::Lease {
        link: lease.link.to_string(),
        address: lease.address.to_string(),
        mac,
        client_id,
        hostname,
        machine,
        until: lease.until.to_string(),
    }
}

pub fn sighting(seen: &Sighting) -> api::Sighting {
    api::Sighting {
        mac: seen.mac.to_string(),
        link: seen.link.to_string(),
        first: seen.first.to_string(),
        last: seen.last.to_string(),
        platform: seen.arch.map(|arch| arch.to_string()),
        arch: seen.arch.map(|arch| arch.0),
        vendor: said(&seen.vendor),
        uuid: seen.uuid.map(|uuid| uuid.to_string()),
        hostname: said(&seen.hostname),
        address: seen.address.map(|address| address.to_string()),
        asked: seen.asked,
        waiting: seen.waiting,
    }
}

/// A text that is empty where there is nothing to say.
fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
