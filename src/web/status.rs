//! How Dragonfly is, in one answer.

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, json};
use super::problem::Fault;
use super::{Ready, Web, view};
use crate::api::Status;

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    json(&status(&ask.web)?)
}

pub fn status(web: &Web) -> Result<Status, Fault> {
    let (core, about) = (web.core(), web.about());
    let (counts, stats) = (core.counts()?, core.stats());
    let by_state = counts.by_state.iter();
    Ok(Status {
        version: about.version.clone(),
        site_name: site_name(web)?,
        mode: about.mode.as_str().into(),
        installed_by: about.installed_by.clone(),
        banner: about.mode.banner().map(str::to_owned),
        started_at: about.started_at.to_string(),
        ready: *about.ready.borrow() == Ready::Yes,
        store: core.store_name(),
        machines: counts.machines as u64,
        machines_by_state: by_state
            .map(|(kind, n)| (kind.to_string(), *n as u64))
            .collect(),
        conflicts: counts.conflicts as u64,
        events: stats.events,
        cursor: stats.cursor.to_string(),
        store_bytes: stats.file_bytes,
        store_memory_bytes: stats.memory_bytes,
        ports: about.ports.clone(),
        links: core.wire().links().iter().map(view::link).collect(),
        seen: core.seen().len() as u64,
        waiting: core.seen().waiting() as u64,
    })
}

/// What this place is called.
fn site_name(web: &Web) -> Result<String, Fault> {
    let settings = web.core().settings()?;
    let own = settings
        .into_iter()
        .find(|setting| setting.spec.key == "site.name");
    Ok(own.map_or_else(|| "Dragonfly".into(), |setting| setting.value))
}
