//! `dragonfly workflow …` and `dragonfly reimage`: what is done to machines, step by step.

mod bar;
mod list;
mod reimage;
mod show;
mod watch;

use hyper::Method;
use serde_json::json;

use super::args::workflow::{RetryWorkflow, WorkflowCommand};
use super::change;
use super::client::{Ask, Client};
use super::failure::{Failure, Sort};
use super::out::text::clean;
use super::out::{Screen, Tone};
use crate::api;

pub use reimage::run as reimage;

const WORKFLOWS: &str = "/api/v1/workflows";

pub async fn run(
    command: WorkflowCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        WorkflowCommand::List(args) => list::run(&args, client, screen).await,
        WorkflowCommand::Show { workflow } => show::run(&workflow, client, screen).await,
        WorkflowCommand::Watch { workflow } => watch::run(&workflow, client, screen).await,
        WorkflowCommand::Cancel(args) => {
            let path = format!("{}/cancel", path_of(&args.workflow)?);
            let ask = Ask::new(Method::POST, path);
            change::one(
                ask,
                &args.change,
                ("workflow", &args.workflow),
                client,
                screen,
            )
            .await
            .map(drop)
        }
        WorkflowCommand::Retry(args) => retry(args, client, screen).await,
        WorkflowCommand::Stats => list::stats(client, screen).await,
    }
}

fn path_of(workflow: &str) -> Result<String, Failure> {
    let all = "`dragonfly workflow list` shows their machines";
    change::path_of(WORKFLOWS, workflow, "workflow's name", all)
}

async fn retry(
    args: RetryWorkflow,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let path = path_of(&args.workflow)?;
    if !args.yes && !args.change.dry_run {
        let workflow: api::Workflow = client.read(Ask::get(&path)).await?;
        let machine = format!("{}/{}", super::machine::MACHINES, workflow.machine);
        let machine: api::Machine = client.read(Ask::get(&machine)).await?;
        super::machine::confirm_by_name(screen, &machine, "loses what is on its disks")?;
    }
    let body = json!(api::Retry { from: args.from });
    let ask = Ask::new(Method::POST, format!("{path}/retry")).body(body);
    let ask = ask.query("confirm", "true");
    change::one(
        ask,
        &args.change,
        ("workflow", &args.workflow),
        client,
        screen,
    )
    .await?;
    if args.watch && !args.change.dry_run {
        return watch::run(&args.workflow, client, screen).await;
    }
    Ok(())
}

/// The colour of a state, or of a step's.
fn tone_of(state: &str) -> Tone {
    match state {
        "success" | "done" => Tone::Good,
        "running" => Tone::Busy,
        "waiting_home" | "waiting" => Tone::Name,
        "failed" | "timed_out" => Tone::Bad,
        "cancelled" => Tone::Notice,
        _ => Tone::Faint,
    }
}

/// A state as people read it.
fn words(state: &str) -> String {
    clean(&state.replace('_', " ")).into_owned()
}

/// How an end is told by the exit code.
fn verdict(workflow: &api::Workflow) -> Result<(), Failure> {
    if workflow.active || workflow.state == "success" {
        return Ok(());
    }
    let why = workflow.error.as_deref().unwrap_or(&workflow.now);
    let told = format!("workflow is {}: {why}", words(&workflow.state));
    let name = super::out::text::shell_word(&workflow.name);
    Err(Failure::new(Sort::Failed, told).hint(format!(
        "when the cause is gone: dragonfly workflow retry {name}"
    )))
}
