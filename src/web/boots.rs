//! How machines boot: orders for one boot, loaders, traces, and who was seen on the wire.

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, json, list as as_list};
use super::problem::Fault;
use super::{Web, nearest, view};
use crate::api;
use crate::core::Command;
use crate::model::boot::LoaderChoice;
use crate::model::network::LinkName;
use crate::model::snippets::Server;
use crate::model::trace::{Diagnosis, Scene, Step, diagnose};
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

/// A new look into the machine at its next boot.
pub async fn inspect(ask: Ask) -> Result<Response<Body>, Fault> {
    let machine = ask.machine()?.0.id;
    ask.run(Command::LookInto { machine }).await
}

pub fn log(ask: &Ask) -> Result<Response<Body>, Fault> {
    let machine = ask.machine()?.0.id;
    let recent = ask.web.core().telemetry().recent(machine, None);
    json(&view::log(recent))
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
    trace(ask, Some(&machine), &machine.identity.all_macs)
}

/// Also of a machine that is registered: its card may have been seen before that, or be asked for alone.
pub fn trace_of_mac(ask: &Ask) -> Result<Response<Body>, Fault> {
    let mac = mac(ask)?;
    let machine = ask.web.core().machine_by_mac(mac)?;
    trace(ask, machine.as_deref(), &[mac])
}

/// The diagnosis looks at all steps that are held, also at those that the caller has.
fn trace(ask: &Ask, machine: Option<&Machine>, macs: &[MacAddr]) -> Result<Response<Body>, Fault> {
    let after = after(ask)?;
    let traces = ask.web.core().traces();
    let mut steps: Vec<_> = macs.iter().flat_map(|mac| traces.steps(*mac, 0)).collect();
    steps.sort_by_key(|(number, _)| *number);
    let all: Vec<_> = steps.iter().map(|(_, step)| step.clone()).collect();
    let found = diagnosis(&ask.web, machine, macs, &all)?;
    let state = view::state_of(&all, found.as_ref());
    let name = machine.map(|machine| machine.name().to_owned());
    let mac = macs.first().map(ToString::to_string).unwrap_or_default();
    let found = found.map(|found| {
        let name = name.as_deref().unwrap_or(&mac);
        view::diagnosis(found, name, &mac)
    });
    let fresh = steps.iter().filter(|(number, _)| *number > after);
    json(&api::Trace {
        machine_id: machine.map(|machine| machine.id.to_string()),
        macs: macs.iter().map(ToString::to_string).collect(),
        // Of a ring that was dropped or begun anew there may be nothing that comes after it.
        last: steps.last().map_or(after, |(number, _)| *number),
        steps: fresh.map(view::step).collect(),
        state: state.into(),
        diagnosis: found,
        machine: name,
    })
}

/// Why it stopped, if it did, under the rules of the network that it was seen on last.
fn diagnosis(
    web: &Web,
    machine: Option<&Machine>,
    macs: &[MacAddr],
    steps: &[Step],
) -> Result<Option<Diagnosis>, Fault> {
    let core = web.core();
    let link = steps.iter().rev().find_map(|step| step.link.as_ref());
    let network = link.map(|link| core.network(link)).transpose()?;
    let config = network.map(|(network, _)| network.config.clone());
    let server = link.and_then(|link| server(web, link));
    let scene = Scene {
        network: &config.unwrap_or_default(),
        server: server.as_ref(),
        arch: arch(web, machine, macs),
    };
    Ok(diagnose(steps, core.clock().now(), &scene))
}

/// What its firmware said last.
fn arch(web: &Web, machine: Option<&Machine>, macs: &[MacAddr]) -> Option<Arch> {
    let mut seen = macs.iter().filter_map(|mac| web.core().seen().get(*mac));
    let arch = seen.find_map(|sighting| sighting.arch);
    arch.or_else(|| machine.and_then(|machine| machine.boot.arch))
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
