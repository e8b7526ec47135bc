//! What moves a workflow on: reports of its agent, time, and a person who ends it.

use serde_json::json;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::workflow::{Input, State};
use crate::model::{FieldChange, Machine, StateKind, Subject, Workflow, WorkflowId};

use super::{next_watch, record, refused};
use crate::core::machines::next_show;

pub(in crate::core) fn plan(view: &View, id: WorkflowId, input: &Input) -> Result<Plan, Refusal> {
    let (before, version) = view.core.workflow(id)?;
    let (standing, machine_version) = view.machine(before.machine)?;
    if let Input::AgentTook { .. } = input {
        refuse_full(view, &before)?;
    }
    let mut workflow = Workflow::clone(&before);
    let moved = workflow
        .handle(view.now, input.clone())
        .map_err(|why| refused(&before, &why))?;
    if workflow.attempt == 1 && before.attempt == 0 {
        // What is desired now is what the first agent is given.
        workflow.generation = standing.config.generation;
    }
    let mut plan = Plan::new(Subject::Workflow(id), version);
    if workflow == *before {
        plan.note("it was so already");
        return Ok(plan);
    }
    let mut machine = Machine::clone(&standing);
    if before.state != workflow.state {
        let change = FieldChange::new("state", json!(before.state), json!(workflow.state));
        plan.diff = vec![change];
    }
    record(
        &mut plan,
        &mut machine,
        &workflow,
        version,
        &moved,
        view.now,
    )?;
    if machine != *standing {
        plan.put_machine(machine, machine_version);
    }
    Ok(plan)
}

/// A machine that comes long after its turn was given to it waits for another one.
fn refuse_full(view: &View, workflow: &Workflow) -> Result<(), Refusal> {
    if workflow.state != State::Waiting {
        return Ok(());
    }
    let limit = view.core.number("provision.at_once")?;
    let active = view.core.active_workflows()?;
    let running = active
        .iter()
        .filter(|(workflow, _)| workflow.state == State::Running);
    if (running.count() as u64) < limit {
        return Ok(());
    }
    Err(Refusal::Conflict {
        reason: format!("{limit} machines are at work, which is the limit"),
        hint: "raise it: dragonfly settings set provision.at_once NUMBER".into(),
    })
}

/// A person ends it.
pub(in crate::core) fn cancel(view: &View, id: WorkflowId) -> Result<Plan, Refusal> {
    let input = Input::Cancel {
        by: view.actor.name.clone(),
    };
    let mut plan = plan(view, id, &input)?;
    let (workflow, _) = view.core.workflow(id)?;
    let (machine, _) = view.machine(workflow.machine)?;
    if machine.status.state.kind() == StateKind::Provisioning {
        plan.note("its disk may be half written; the agent stops when it reports next");
        next_watch(&mut plan, &machine);
    } else {
        plan.note("nothing of it was begun");
        next_show(&mut plan, &machine);
    }
    Ok(plan)
}
