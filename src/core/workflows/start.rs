//! The beginning of a workflow, and of another try.

use jiff::SignedDuration;
use serde_json::json;

use crate::core::Refusal;
use crate::core::machines::{handle, refuse_locked};
use crate::core::plan::{Plan, View};
use crate::model::workflow::{Blueprint, Input, Limits, MAX_STEPS, State, Step};
use crate::model::{
    FieldChange, FieldError, Machine, MachineId, StateKind, Subject, What, Workflow, WorkflowId,
};

use super::{busy, next_watch, record, refused};

/// What a person is asked before something is destroyed.
const QUESTION: &str = "what is on the machine's disks may be lost";

/// An installed system that did not call for longer is not counted on. What it tells is written down every half hour.
const LIVELY: SignedDuration = SignedDuration::from_hours(1);

pub(in crate::core) fn plan(
    view: &View,
    id: MachineId,
    blueprint: &Blueprint,
    confirmed: bool,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    check(blueprint)?;
    refuse(view, &before)?;
    confirm(blueprint.destroys(), confirmed)?;
    let new = WorkflowId(view.new_id());
    let workflow = Workflow::new(
        new,
        &before,
        blueprint.clone(),
        limits(view)?,
        view.actor.clone(),
        view.now,
    );
    let mut machine = Machine::clone(&before);
    machine.status.current_workflow = Some(new);
    machine.metadata.updated_at = view.now;
    let mut plan = Plan::new(Subject::Workflow(new), 0);
    plan.diff = vec![FieldChange::new(
        "workflow",
        json!(null),
        json!(workflow.template.name),
    )];
    plan.say(What::WorkflowStarted {
        machine: id,
        name: workflow.name.clone(),
        template: workflow.template.name.clone(),
        generation: workflow.generation,
    });
    note(view, &mut plan, &machine);
    record(&mut plan, &mut machine, &workflow, 0, &[], view.now)?;
    next_watch(&mut plan, &machine);
    plan.put_machine(machine, version);
    Ok(plan)
}

/// Only the newest of a machine's workflows: what an older one left on its disks is there no more.
pub(in crate::core) fn retry(
    view: &View,
    id: WorkflowId,
    from: Option<usize>,
    confirmed: bool,
) -> Result<Plan, Refusal> {
    let (before, version) = view.core.workflow(id)?;
    let (standing, machine_version) = view.machine(before.machine)?;
    let mut workflow = Workflow::clone(&before);
    workflow
        .handle(view.now, Input::Retry { from })
        .map_err(|why| refused(&before, &why))
        .and_then(|moved| {
            refuse(view, &standing)?;
            let newest = view.core.newest_workflow(standing.id)?;
            if newest.is_some_and(|(newest, _)| newest.id != id) {
                return Err(Refusal::Conflict {
                    reason: format!(
                        "machine {} has had another workflow since",
                        handle(&standing)
                    ),
                    hint: format!("begin anew: dragonfly reimage {}", handle(&standing)),
                });
            }
            let left = workflow.current().unwrap_or_default();
            confirm(workflow.steps[left..].iter().any(Step::destroys), confirmed)?;
            let mut machine = Machine::clone(&standing);
            let mut plan = Plan::new(Subject::Workflow(id), version);
            plan.diff = vec![FieldChange::new(
                "state",
                json!(before.state),
                json!(State::Queued),
            )];
            record(
                &mut plan,
                &mut machine,
                &workflow,
                version,
                &moved,
                view.now,
            )?;
            note(view, &mut plan, &machine);
            next_watch(&mut plan, &machine);
            plan.put_machine(machine, machine_version);
            Ok(plan)
        })
}

fn check(blueprint: &Blueprint) -> Result<(), FieldError> {
    let count = blueprint.steps.len();
    if (1..=MAX_STEPS).contains(&count) {
        return Ok(());
    }
    let reason = format!("it has {count} steps, and a workflow has 1 to {MAX_STEPS}");
    Err(FieldError::new("template", reason, "debian-13"))
}

fn refuse(view: &View, machine: &Machine) -> Result<(), Refusal> {
    refuse_locked(machine)?;
    if let Some((workflow, _)) = view.core.active_workflow(machine.id)? {
        return Err(busy(machine, &workflow));
    }
    let kind = machine.status.state.kind();
    if kind == StateKind::Offline {
        let name = handle(machine);
        return Err(Refusal::Conflict {
            reason: format!("machine {name} was put aside: its status is offline"),
            hint: format!(
                "take it back: dragonfly machine set {name} status=ready, then dragonfly machine apply {name}"
            ),
        });
    }
    Ok(())
}

fn confirm(destroys: bool, confirmed: bool) -> Result<(), Refusal> {
    if !destroys || confirmed {
        return Ok(());
    }
    Err(Refusal::Unconfirmed {
        field: "reimage",
        question: QUESTION,
    })
}

fn limits(view: &View) -> Result<Limits, Refusal> {
    let seconds = |key| Ok::<_, Refusal>(view.core.number(key)?.saturating_mul(60));
    Ok(Limits {
        come: seconds("provision.come_minutes")?,
        steps: seconds("provision.steps_minutes")?,
        home: seconds("provision.home_minutes")?,
    })
}

/// How the machine comes to boot the network.
fn note(view: &View, plan: &mut Plan, machine: &Machine) {
    if machine.pending.is_some() {
        plan.note("its pending edit is not applied, and is no part of it");
    }
    let lately = |at| view.now.duration_since(at) < LIVELY;
    let alive = machine.observed.called_home_at.is_some_and(lately);
    if machine.observed.netboot_once && alive {
        plan.note(
            "when its turn has come, its running system is asked to restart into the network",
        );
    } else {
        plan.note(
            "it begins when the machine boots the network: reboot it yourself, network first",
        );
    }
}
