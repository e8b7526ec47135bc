//! Networks, their floating IPs, and the leases on them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, json, list as as_list};
use super::problem::Fault;
use super::routes::LIMIT;
use super::{Web, nearest, patch, view};
use crate::api::{self, Code};
use crate::core::Command;
use crate::model::network::{Holder, Lease, Want};
use crate::model::{LinkName, NetworkPatch};

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    as_list(all(&ask.web)?)
}

/// Every network that somebody changed or that is served.
pub fn all(web: &Web) -> Result<Vec<api::Network>, Fault> {
    let links = links(web)?.into_iter();
    links.map(|link| network(web, &link)).collect()
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    // Without an `ETag`: how the link is now moves without the version.
    json(&network(&ask.web, &known(ask)?)?)
}

pub async fn set(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::SetNetwork = ask.json()?;
    let (link, patch) = (link(&ask)?, patch::network(&body.0)?);
    ask.run(Command::SetNetwork { link, patch }).await
}

pub fn floating_ips(ask: &Ask) -> Result<Response<Body>, Fault> {
    let core = ask.web.core();
    let shown = links(&ask.web)?.into_iter().map(|link| {
        let (network, _) = core.network(&link)?;
        let now = core.wire().link(&link);
        Ok::<_, Fault>(view::floating_ip(&network, now.as_ref()))
    });
    as_list(shown.collect::<Result<_, _>>()?)
}

pub async fn scan(ask: Ask) -> Result<Response<Body>, Fault> {
    let link = link(&ask)?;
    let found = ask.web.core().wire().scan(&link).await?;
    json(&view::scan(&link, &found))
}

pub async fn want(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::WantFloatingIp { want } = ask.json()?;
    let want = want.parse::<Want>();
    let want = want.map_err(|error| Fault::field("want", error.reason, error.example))?;
    set_floating(ask, want).await
}

pub async fn release(ask: Ask) -> Result<Response<Body>, Fault> {
    set_floating(ask, Want::Off).await
}

async fn set_floating(ask: Ask, want: Want) -> Result<Response<Body>, Fault> {
    let patch = NetworkPatch {
        floating: Some(want),
        ..NetworkPatch::default()
    };
    let link = link(&ask)?;
    ask.run(Command::SetNetwork { link, patch }).await
}

pub fn leases(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (core, params) = (ask.web.core(), &ask.params);
    let links = match params.text("link") {
        Some(text) => BTreeSet::from([text.parse::<LinkName>()?]),
        None => links(&ask.web)?,
    };
    let after = params.text("cursor").map(place).transpose()?;
    let limit = params.number(&LIMIT) as usize;
    let mut leases = Vec::new();
    let mut total = 0;
    for link in &links {
        let all = core.leases(link)?;
        total += all.len() as u64;
        leases.extend(all.into_iter().filter(|lease| {
            let own = (&lease.link, lease.address);
            after
                .as_ref()
                .is_none_or(|(link, address)| (link, *address) < own)
        }));
    }
    let more = leases.len() > limit;
    leases.truncate(limit);
    let last = leases.last().filter(|_| more);
    let next = last.map(|lease| format!("{}/{}", lease.address, lease.link));
    let items = leases.iter().map(|lease| {
        let machine = named(&ask.web, lease)?;
        Ok::<_, Fault>(view::lease(lease, machine))
    });
    json(&api::List {
        items: items.collect::<Result<Vec<_>, _>>()?,
        next,
        total: Some(total),
    })
}

/// What the machine that has it is called.
fn named(web: &Web, lease: &Lease) -> Result<Option<String>, Fault> {
    let Holder::Client { mac, .. } = &lease.holder else {
        return Ok(None);
    };
    let machine = web.core().machine_by_mac(*mac)?;
    Ok(machine.map(|machine| machine.name().to_owned()))
}

/// Where a list of leases goes on.
fn place(cursor: &str) -> Result<(LinkName, Ipv4Addr), Fault> {
    let parts = cursor.split_once('/');
    let place = parts.and_then(|(address, link)| Some((link.parse().ok()?, address.parse().ok()?)));
    place.ok_or_else(|| {
        let reason = "it is no place in this list";
        Fault::field("cursor", reason, "10.0.0.100/eth0")
    })
}

/// All that have something to show.
fn links(web: &Web) -> Result<BTreeSet<LinkName>, Fault> {
    let core = web.core();
    let stored = core.networks()?.into_iter();
    let stored = stored.map(|(network, _)| network.link.clone());
    let served = core.wire().links().into_iter().map(|status| status.name);
    Ok(stored.chain(served).collect())
}

fn network(web: &Web, link: &LinkName) -> Result<api::Network, Fault> {
    let (network, version) = web.core().network(link)?;
    let now = web.core().wire().link(link);
    Ok(view::network(&network, version, now.as_ref()))
}

/// The link that the path names.
fn link(ask: &Ask) -> Result<LinkName, Fault> {
    Ok(ask.part("link")?.parse()?)
}

/// The same, where it has something to show.
fn known(ask: &Ask) -> Result<LinkName, Fault> {
    let (link, all) = (link(ask)?, links(&ask.web)?);
    if all.contains(&link) {
        return Ok(link);
    }
    let names: Vec<_> = all.iter().map(LinkName::as_str).collect();
    let detail = if names.is_empty() {
        format!("there is no network {link}: none is served, and none was set up")
    } else {
        nearest::unknown("the network", link.as_str(), &names)
    };
    Err(Fault::new(Code::NotFound, detail).hint("list them: dragonfly network list"))
}
