//! How machines boot: orders for one boot, loaders, traces, and who was seen on the wire.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, json, list as as_list};
use super::problem::Fault;
use super::{Web, nearest, view};
use crate::api;
use crate::core::Command;
use crate::model::boot::LoaderChoice;
use crate::model::network::{LinkName, NetworkConfig};
use crate::model::snippets::Server;
use crate::model::trace::{Scene, diagnose};
use crate::model::{Arch, MacAddr, Machine, Once};

pub async fn order(ask: Ask) -> Result<Response<Body>, Fault> {
    let once = match ask.json()? {
        api::BootOnce::Shell {} => Once::Shell,
        api::BootOnce::Chain { url } => Once::Chain { url },
        api::BootOnce::Kernel {
            kernel,
            initrds,
            cmdline,
        } => Once::Kernel {
            kernel,
            initrds,
            cmdline,
        },
    };
    let machine = ask.machine()?.0.id;
    let once = Some(once);
    ask.run(Command::BootOnce { machine, once }).await
}

pub async fn cancel(ask: Ask) -> Result<Response<Body>, Fault> {
    let machine = ask.machine()?.0.id;
    let once = None;
    ask.run(Command::BootOnce { machine, once }).await
}

pub async fn loader(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::SetLoader { loader: asked } = ask.json()?;
    let mut choices = LoaderChoice::ALL.into_iter();
    let Some(loader) = choices.find(|choice| choice.name() == asked) else {
        let known = LoaderChoice::ALL.map(LoaderChoice::name);
        let reason = nearest::unknown("the loader", &asked, &known);
        return Err(Fault::field("loader", reason, "firmware"));
    };
    let machine = ask.machine()?.0.id;
    ask.run(Command::SetLoader { machine, loader }).await
}

pub fn seen(ask: &Ask) -> Result<Response<Body>, Fault> {
    let seen = ask.web.core().seen().list();
    as_list(seen.iter().map(view::sighting).collect())
}

pub async fn approve(ask: Ask) -> Result<Response<Body>, Fault> {
    let mac = mac(&ask)?;
    ask.run(Command::Approve { mac }).await
}

pub fn trace_of_machine(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (machine, _) = ask.machine()?;
    let macs = &machine.identity.all_macs;
    trace(ask, Some(&machine), macs.iter().copied().collect())
}

/// Also of a machine that is registered: its card may have been seen before that, or be asked for alone.
pub fn trace_of_mac(ask: &Ask) -> Result<Response<Body>, Fault> {
    let mac = mac(ask)?;
    let machine = ask.web.core().machine_by_mac(mac)?;
    trace(ask, machine.as_deref(), vec![mac])
}

/// The diagnosis looks at all steps that are held, also at those that the caller has.
fn trace(
    ask: &Ask,
    machine: Option<&Machine>,
    macs: Vec<MacAddr>,
) -> Result<Response<Body>, Fault> {
    let core = ask.web.core();
    let after = after(ask)?;
    let mut steps: Vec<_> = macs
        .iter()
        .flat_map(|mac| core.traces().steps(*mac, 0))
        .collect();
    steps.sort_by_key(|(number, _)| *number);
    let all: Vec<_> = steps.iter().map(|(_, step)| step.clone()).collect();
    let link = all.iter().rev().find_map(|step| step.link.clone());
    let arch = arch(&ask.web, machine, &macs);
    let config = match &link {
        Some(link) => core.network(link)?.0.config.clone(),
        None => NetworkConfig::default(),
    };
    let server = link.as_ref().and_then(|link| server(&ask.web, link));
    let scene = Scene {
        network: &config,
        server: server.as_ref(),
        arch,
    };
    let found = diagnose(&all, core.clock().now(), &scene);
    let name: Cow<'_, str> = match (machine, macs.first()) {
        (Some(machine), _) => machine.name().into(),
        (None, Some(mac)) => mac.to_string().into(),
        (None, None) => "".into(),
    };
    let fresh: Vec<_> = steps.iter().filter(|(number, _)| *number > after).collect();
    json(&api::Trace {
        machine: machine.map(|machine| machine.name().to_owned()),
        machine_id: machine.map(|machine| machine.id.to_string()),
        macs: macs.iter().map(ToString::to_string).collect(),
        last: fresh.last().map_or(after, |(number, _)| *number),
        steps: fresh.into_iter().map(view::step).collect(),
        state: view::state_of(&all, found.as_ref()).into(),
        diagnosis: found.map(|found| view::diagnosis(found, &name, macs.first())),
    })
}

/// What its firmware said last.
fn arch(web: &Web, machine: Option<&Machine>, macs: &[MacAddr]) -> Option<Arch> {
    let seen = macs.iter().filter_map(|mac| web.core().seen().get(*mac));
    let seen = seen.filter_map(|sighting| sighting.arch).next();
    seen.or_else(|| machine.and_then(|machine| machine.boot.arch))
}

/// Where machines on this link fetch from, as snippets name it.
fn server(web: &Web, link: &LinkName) -> Option<Server> {
    let status = web.core().wire().link(link)?;
    let from = status.serving.from?;
    let host = status
        .network_of(from)
        .or_else(|| status.addresses.first().copied())?;
    Some(Server::new(from, web.about().boot_port, host))
}

fn after(ask: &Ask) -> Result<u64, Fault> {
    let Some(text) = ask.params.text("after") else {
        return Ok(0);
    };
    text.parse()
        .map_err(|_| Fault::field("after", "it is not the number of a step", "42"))
}

/// The card that the path names.
fn mac(ask: &Ask) -> Result<MacAddr, Fault> {
    let text = ask.part("mac")?;
    text.parse()
        .map_err(|error: crate::model::FieldError| Fault::field("mac", error.reason, error.example))
}
