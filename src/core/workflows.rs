//! Workflows: begun by a person or a mode, moved on by what agents and installed systems report, and by time.
//!
//! A workflow and its machine change in one commit, so no crash leaves a machine that is being installed by nothing.
//! Only so many machines are at work at once: `Core::tend`, the one that gives out turns, is called again and again
//! by the daemon, and whatever it finds due after a restart it does then.

pub(super) mod advance;
mod blueprint;
mod hear;
pub(super) mod home;
mod progress;
mod read;
mod retention;
pub(super) mod start;
mod tend;
mod timings;

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::machine::WorkflowResult;
use crate::model::state::{Cause, transition};
use crate::model::workflow::{Moved, Refused, State};
use crate::model::{FieldError, Machine, StateKind, Subject, What, Workflow};
use crate::store::Object;

pub use progress::{Beat, Progresses};
pub use read::{WorkflowFilter, WorkflowPage, place};
pub use timings::{Estimate, Tallies, Tally, Timings};

use super::machines::handle;
use super::plan::Plan;
use super::{Refusal, machines};

/// The refusal of what cannot be done to a machine under a workflow's hands.
pub(super) fn busy(machine: &Machine, workflow: &Workflow) -> Refusal {
    let name = handle(machine);
    Refusal::Conflict {
        reason: format!(
            "workflow {} ({}, {}) is at work on machine {name}",
            workflow.id, workflow.template.name, workflow.state
        ),
        hint: format!(
            "wait for its end: dragonfly workflow watch {name}, or end it: dragonfly workflow cancel {name}"
        ),
    }
}

/// The refusal of what its engine did not take.
fn refused(workflow: &Workflow, why: &Refused) -> Refusal {
    Refusal::Conflict {
        reason: why.to_string(),
        hint: format!("see it with: dragonfly workflow show {}", workflow.id),
    }
}

/// Writes a workflow that moved, tells of it, and lets its machine follow. The machine is put by whoever planned it.
fn record(
    plan: &mut Plan,
    machine: &mut Machine,
    workflow: &Workflow,
    version: u64,
    moved: &[Moved],
    now: Timestamp,
) -> Result<(), Refusal> {
    for one in moved {
        plan.tell(Subject::Workflow(workflow.id), told(workflow, one, now));
        if let Moved::State { to, .. } = one {
            follow(plan, machine, workflow, *to, now)?;
        }
    }
    plan.put(Object::Workflow(Arc::new(workflow.clone())), version);
    Ok(())
}

/// A move as the log tells of it.
fn told(workflow: &Workflow, moved: &Moved, now: Timestamp) -> What {
    let machine = workflow.machine;
    let name = workflow.name.clone();
    match moved {
        Moved::Taken { attempt } => What::WorkflowTaken {
            machine,
            name,
            attempt: *attempt,
        },
        Moved::Step { step, status } => {
            let known = workflow.steps.get(*step);
            What::WorkflowStep {
                machine,
                name,
                step: known.map(|step| step.name.clone()).unwrap_or_default(),
                number: step + 1,
                count: workflow.steps.len(),
                status: *status,
                message: known.and_then(|step| step.message.clone()),
            }
        }
        Moved::State { from, to } if to.is_active() => What::WorkflowMoved {
            machine,
            name,
            from: *from,
            to: *to,
        },
        Moved::State { to, .. } => What::WorkflowEnded {
            machine,
            name,
            template: workflow.template.name.clone(),
            result: *to,
            why: workflow.error.clone(),
            seconds: workflow
                .took(now)
                .and_then(|took| u64::try_from(took.as_secs()).ok()),
        },
    }
}

/// What a workflow's new state means for its machine.
fn follow(
    plan: &mut Plan,
    machine: &mut Machine,
    workflow: &Workflow,
    to: State,
    now: Timestamp,
) -> Result<(), FieldError> {
    use crate::model::State as Machines;
    let kind = machine.status.state.kind();
    let at_work = kind == StateKind::Provisioning;
    match to {
        State::Queued => machine.status.current_workflow = Some(workflow.id),
        State::Waiting | State::WaitingHome => {}
        State::Running if at_work => {}
        State::Running => move_machine(plan, machine, Machines::Provisioning, Cause::Workflow)?,
        State::Success => {
            end(machine, WorkflowResult::Success { completed_at: now });
            if at_work && workflow.calls_home() {
                move_machine(plan, machine, Machines::Provisioned, Cause::CallHome)?;
            } else if at_work {
                move_machine(plan, machine, Machines::Ready, Cause::Workflow)?;
            }
        }
        State::Failed | State::TimedOut | State::Cancelled => {
            let error = workflow.error.clone().unwrap_or_default();
            end(
                machine,
                WorkflowResult::Failed {
                    error: error.clone(),
                    failed_at: now,
                },
            );
            // One that could not be begun, too: whoever looks at a machine without a system is to see why.
            let without = matches!(kind, StateKind::Discovered | StateKind::Ready);
            let failed = to == State::Failed;
            let to = Machines::Error { message: error };
            if at_work || (failed && without) {
                move_machine(plan, machine, to, Cause::Failure)?;
            } else if failed && kind == StateKind::Error {
                // It is the newest error that has to be mended.
                machine.status.state = to;
            }
        }
    }
    machine.metadata.updated_at = now;
    Ok(())
}

fn end(machine: &mut Machine, result: WorkflowResult) {
    machine.status.current_workflow = None;
    machine.status.last_workflow_result = Some(result);
}

/// Along the table of states alone.
fn move_machine(
    plan: &mut Plan,
    machine: &mut Machine,
    to: crate::model::State,
    cause: Cause,
) -> Result<(), FieldError> {
    let from = machine.status.state.kind();
    let arrow = transition(from, cause, to.kind())?;
    plan.tell(
        Subject::Machine(machine.id),
        What::StateChanged {
            from,
            to: to.kind(),
            impact: arrow.impact.to_owned(),
        },
    );
    machine.status.state = to;
    Ok(())
}

fn next_watch(plan: &mut Plan, machine: &Machine) {
    let name = handle(machine);
    plan.next("watch it", format!("dragonfly workflow watch {name}"));
    plan.next("end it", format!("dragonfly workflow cancel {name}"));
    machines::next_show(plan, machine);
}
