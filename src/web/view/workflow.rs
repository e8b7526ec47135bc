//! Workflows, as [`crate::api::workflow`] shows them.

use jiff::{SignedDuration, Timestamp};

use crate::api::workflow as api;
use crate::core::workflows::{Beat, Estimate, Tally};
use crate::model::Workflow;
use crate::model::workflow::{State, Step};

/// A workflow with its version and how far it is. `place` is its own among those that wait for their turn.
pub fn workflow(
    workflow: &Workflow,
    version: u64,
    beat: Option<&Beat>,
    left: Option<Estimate>,
    place: Option<usize>,
    now: Timestamp,
) -> api::Workflow {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    api::Workflow {
        id: workflow.id.to_string(),
        version,
        machine: workflow.machine.to_string(),
        name: workflow.name.clone(),
        template: workflow.template.name.clone(),
        by: workflow.by.name.clone(),
        state: workflow.state.to_string(),
        active: workflow.is_active(),
        since: workflow.since.to_string(),
        created_at: workflow.created_at.to_string(),
        started_at: text(workflow.started_at),
        ended_at: text(workflow.ended_at),
        attempt: workflow.attempt,
        generation: workflow.generation,
        steps: workflow.steps.iter().map(step).collect(),
        disks: workflow
            .disks
            .iter()
            .map(|disk| disk.name.clone())
            .collect(),
        error: workflow.error.clone(),
        progress: beat.map(progress),
        left_seconds: left.map(|left| left.left_seconds),
        before_it: place.map(|place| place as u64),
        took_seconds: workflow.took(now).map(whole),
        now: doing(workflow),
    }
}

fn step(step: &Step) -> api::WorkflowStep {
    api::WorkflowStep {
        name: step.name.clone(),
        action: step.action.clone(),
        status: step.status.to_string(),
        attempts: step.attempts,
        started_at: step.started_at.map(|at| at.to_string()),
        ended_at: step.ended_at.map(|at| at.to_string()),
        seconds: step.took().map(whole),
        message: step.message.clone(),
    }
}

fn progress(beat: &Beat) -> api::WorkflowProgress {
    let told = &beat.progress;
    api::WorkflowProgress {
        step: beat.step as u64 + 1,
        bytes_done: told.bytes_done,
        bytes_total: told.bytes_total,
        bytes_per_second: told.bytes_per_second,
        phase: told.phase.clone(),
        at: beat.at.to_string(),
    }
}

/// What it waits for, or does.
fn doing(workflow: &Workflow) -> String {
    let step = workflow.current().and_then(|at| workflow.steps.get(at));
    match (workflow.state, step) {
        (State::Queued, _) => "it waits for its turn".into(),
        (State::Waiting, _) => "it waits for its machine to boot the network".into(),
        (State::Running, Some(step)) => step.name.clone(),
        (State::Running, None) => "its steps are done".into(),
        (State::WaitingHome, _) => "it waits for the installed system to call home".into(),
        (State::Success, _) => "it succeeded".into(),
        (State::Failed, _) => "it failed".into(),
        (State::TimedOut, _) => "it took too long".into(),
        (State::Cancelled, _) => "it was cancelled".into(),
    }
}

fn whole(took: SignedDuration) -> u64 {
    u64::try_from(took.as_secs()).unwrap_or(0)
}

pub fn tally(tally: &Tally) -> api::WorkflowTally {
    api::WorkflowTally {
        runs: tally.runs,
        succeeded: tally.succeeded,
        failed: tally.runs - tally.succeeded,
        median_seconds: tally.median_seconds(),
        bytes_per_second: tally.median_rate(),
    }
}
