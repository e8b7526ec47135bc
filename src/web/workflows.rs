//! Workflows: list, show, begin, cancel, try again, and what the last came to.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, json};
use super::problem::Fault;
use super::routes::LIMIT;
use super::view;
use crate::api;
use crate::core::workflows::Timings;
use crate::core::{Command, MachineRef, WorkflowFilter};
use crate::model::workflow::State;
use crate::model::{OsChoice, Workflow};

/// The states that a list can be narrowed to.
pub const STATES: &[&str] = &[
    "queued",
    "waiting",
    "running",
    "waiting_home",
    "success",
    "failed",
    "timed_out",
    "cancelled",
];

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (core, params) = (ask.web.core(), &ask.params);
    let machine = params.text("machine").map(|name| {
        let found = core.machine(&MachineRef(name.to_owned()))?;
        Ok::<_, Fault>(found.0.id)
    });
    let page = core.workflows(&WorkflowFilter {
        machine: machine.transpose()?,
        active: params.flag("active").unwrap_or(false),
        state: params.text("state").map(str::parse::<State>).transpose()?,
        template: params.text("template").map(str::to_owned),
        limit: params.number(&LIMIT) as usize,
        after: params.text("cursor").map(crate::core::workflows::place),
    })?;
    let shown = Shown::new(ask)?;
    let items = page.items.iter();
    json(&api::List {
        items: items.map(|(w, version)| shown.of(w, *version)).collect(),
        next: page.next.map(|next| next.as_str().to_owned()),
        total: None,
    })
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (workflow, version) = found(ask)?;
    // Without an `ETag`: how far it is moves without the version.
    json(&Shown::new(ask)?.of(&workflow, version))
}

/// What all views of one answer share.
struct Shown<'a> {
    ask: &'a Ask,
    timings: Timings,
    queued: Vec<Arc<Workflow>>,
}

impl<'a> Shown<'a> {
    fn new(ask: &'a Ask) -> Result<Self, Fault> {
        let core = ask.web.core();
        let active = core.active_workflows()?.into_iter();
        let queued = active.filter(|(workflow, _)| workflow.state == State::Queued);
        Ok(Self {
            ask,
            timings: core.timings()?,
            queued: queued.map(|(workflow, _)| workflow).collect(),
        })
    }

    fn of(&self, workflow: &Workflow, version: u64) -> api::Workflow {
        let core = self.ask.web.core();
        let now = core.clock().now();
        let beat = core.progress().of(workflow);
        let left = self.timings.estimate(workflow, beat.as_ref(), now);
        let place = self.queued.iter().position(|other| other.id == workflow.id);
        view::workflow(workflow, version, beat.as_ref(), left, place, now)
    }
}

fn found(ask: &Ask) -> Result<(Arc<Workflow>, u64), Fault> {
    Ok(ask.web.core().find_workflow(ask.part("workflow")?)?)
}

pub async fn reimage(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::Reimage = ask.json()?;
    let core = ask.web.core();
    let (machine, _) = ask.machine()?;
    let named = body.os.as_deref().map(str::parse::<OsChoice>).transpose();
    let named = named.map_err(|error| Fault::field("os", error.reason, error.example))?;
    let template = core.template_for(&machine, named)?;
    let blueprint = core.blueprint(&template, body.params)?;
    let confirmed = ask.params.flag("confirm").unwrap_or(false);
    ask.run(Command::StartWorkflow {
        machine: machine.id,
        blueprint,
        confirmed,
    })
    .await
}

pub async fn cancel(ask: Ask) -> Result<Response<Body>, Fault> {
    let workflow = found(&ask)?.0.id;
    ask.run(Command::CancelWorkflow { workflow }).await
}

pub async fn retry(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::Retry { from } = ask.json()?;
    let (workflow, _) = found(&ask)?;
    let from = from.map(|word| {
        workflow.step(&word).ok_or_else(|| {
            let steps = workflow.steps.iter();
            let names: Vec<_> = steps.map(|step| step.name.as_str()).collect();
            let reason = super::nearest::unknown("the step", &word, &names);
            Fault::field("from", reason, "1")
        })
    });
    let from = from.transpose()?;
    let confirmed = ask.params.flag("confirm").unwrap_or(false);
    ask.run(Command::RetryWorkflow {
        workflow: workflow.id,
        from,
        confirmed,
    })
    .await
}

pub fn stats(ask: &Ask) -> Result<Response<Body>, Fault> {
    let timings = ask.web.core().timings()?;
    let by_template = timings.by_template();
    let by_template = by_template.iter();
    json(&api::WorkflowStats {
        whole: view::tally(&timings.whole()),
        by_template: by_template
            .map(|(name, tally)| (name.clone(), view::tally(tally)))
            .collect(),
    })
}
