//! A call home: the one proof that an installed system runs.

use jiff::SignedDuration;
use serde_json::json;

use crate::core::machines::identity_diff;
use crate::core::plan::{Plan, View};
use crate::core::{HomeCall, Refusal};
use crate::model::state::Cause;
use crate::model::workflow::Input;
use crate::model::{
    Anchor, Evidence, FieldChange, Machine, State, StateKind, Subject, What, Workflow,
};

use super::{move_machine, record};

/// A system that calls again and again, and tells nothing new, is written down once in this time.
const REFRESH: SignedDuration = SignedDuration::from_mins(30);
/// One that was silent for longer was down; what a person put aside comes back only then.
const SILENT: SignedDuration = SignedDuration::from_hours(1);

pub(in crate::core) fn plan(view: &View, call: &HomeCall) -> Result<Plan, Refusal> {
    let (before, version) = view.core.workflow(call.workflow)?;
    let key = before.home.as_ref();
    let proved = key.is_some_and(|key| key.secret_hash == call.secret_hash);
    if before.machine != call.machine || !proved {
        return Err(Refusal::NotFound {
            what: "installed system",
            name: call.workflow.to_string(),
        });
    }
    let (standing, machine_version) = view.machine(call.machine)?;
    let mut plan = Plan::new(Subject::Machine(call.machine), machine_version);
    let mut machine = Machine::clone(&standing);
    let active = view.core.active_workflow(call.machine)?;
    if before.is_active() {
        let mut workflow = Workflow::clone(&before);
        match workflow.handle(view.now, Input::HomeCalled) {
            Ok(moved) => {
                record(
                    &mut plan,
                    &mut machine,
                    &workflow,
                    version,
                    &moved,
                    view.now,
                )?;
                machine.observed.generation = Some(workflow.generation);
            }
            Err(why) => {
                plan.note(why.to_string());
                return Ok(plan);
            }
        }
    } else if active.is_none() {
        after_all(view, &mut plan, &mut machine, &before)?;
    }
    observe(view, &mut plan, &mut machine, call)?;
    if machine != *standing {
        plan.put_machine(machine, machine_version);
    }
    Ok(plan)
}

/// A system that nobody waited for any more.
fn after_all(
    view: &View,
    plan: &mut Plan,
    machine: &mut Machine,
    workflow: &Workflow,
) -> Result<(), Refusal> {
    let silent = machine.observed.called_home_at.is_none_or(|at| {
        let passed = view.now.duration_since(at);
        passed >= SILENT
    });
    let newest = view.core.newest_workflow(machine.id)?;
    let own = newest.is_some_and(|(newest, _)| newest.id == workflow.id);
    let comes = match machine.status.state.kind() {
        StateKind::Error => own && workflow.home_written(),
        StateKind::Offline => silent,
        _ => false,
    };
    if comes {
        move_machine(plan, machine, State::Provisioned, Cause::CallHome)?;
        machine.metadata.updated_at = view.now;
        machine.observed.generation = Some(workflow.generation);
    }
    Ok(())
}

/// What the system tells of itself.
fn observe(
    view: &View,
    plan: &mut Plan,
    machine: &mut Machine,
    call: &HomeCall,
) -> Result<(), Refusal> {
    let before = machine.identity.clone();
    if call.machine_id.is_some() {
        let evidence = Evidence {
            machine_id: call.machine_id.clone(),
            ..Evidence::of_macs(before.primary_mac, [])
        };
        if machine.identity.learn(&evidence) {
            plan.claim(view, &[&before], &machine.identity, &[machine.id])?;
            plan.tell(
                Subject::Machine(machine.id),
                What::Reidentified {
                    by: Anchor::Mac(before.primary_mac),
                    diff: identity_diff(&before, &machine.identity),
                },
            );
        }
    }
    let observed = &mut machine.observed;
    let old = observed.clone();
    observed.netboot_once = call.netboot_once;
    observed.hostname = call.hostname.clone().or(old.hostname.clone());
    observed.os = call.os.clone().or(old.os.clone());
    if !call.addresses.is_empty() {
        observed.addresses.clone_from(&call.addresses);
    }
    let fields = [
        (
            "observed.netboot_once",
            json!(old.netboot_once),
            json!(observed.netboot_once),
        ),
        (
            "observed.hostname",
            json!(old.hostname),
            json!(observed.hostname),
        ),
        ("observed.os", json!(old.os), json!(observed.os)),
        (
            "observed.addresses",
            json!(old.addresses),
            json!(observed.addresses),
        ),
    ];
    let diff: Vec<_> = fields
        .into_iter()
        .filter(|(_, from, to)| from != to)
        .map(|(field, from, to)| FieldChange::new(field, from, to))
        .collect();
    let due = old.called_home_at.is_none_or(|at| {
        let passed = view.now.duration_since(at);
        passed >= REFRESH || passed.is_negative()
    });
    if due || !diff.is_empty() || !plan.events.is_empty() {
        observed.called_home_at = Some(view.now);
    }
    if !diff.is_empty() {
        machine.metadata.updated_at = view.now;
        plan.diff.clone_from(&diff);
        plan.tell(Subject::Machine(machine.id), What::CalledHome { diff });
    }
    Ok(())
}
