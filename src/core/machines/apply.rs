//! `apply` makes the pending patch desired; `discard` drops it.
//!
//! A patch that was written against an older generation is applied, with a note of what changed meanwhile. When
//! the same field was changed meanwhile it is refused: whoever wrote the patch did not see that value, and it
//! would be overwritten in silence. Writing the field again, or discarding, settles it.

use serde_json::json;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::state::{Cause, transition};
use crate::model::{FieldChange, Machine, MachineId, Patch, Pending, StateKind, What};

use super::{
    changed_since, configured, handle, next_show, pending_diff, refuse_at_work, refuse_locked,
};

pub(in crate::core) fn plan(view: &View, id: MachineId, now: bool) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    if machine.pending.is_some() || now {
        refuse_at_work(view, &machine)?;
    }
    if now {
        refuse_locked(&machine)?;
        refuse_without_system(&machine)?;
    }
    match machine.pending.take() {
        Some(pending) => apply(view, &mut plan, &mut machine, &pending, now)?,
        None => want_now(&mut plan, &mut machine, now),
    }
    if !plan.events.is_empty() {
        machine.metadata.updated_at = view.now;
        plan.put_machine(machine.clone(), version);
        plan.next("watch what happens", "dragonfly events tail");
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

/// Drops the pending patch.
pub(in crate::core) fn discard(view: &View, id: MachineId) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    match machine.pending.take() {
        None => plan.note("nothing is pending"),
        Some(pending) => {
            let diff = pending_diff(&machine, &pending.patch, &Patch::default());
            if pending.author != view.actor.name {
                plan.note(format!("the edit was written by {}", pending.author));
            }
            plan.diff.clone_from(&diff);
            plan.say(What::Discarded { diff });
            machine.metadata.updated_at = view.now;
            plan.put_machine(machine.clone(), version);
        }
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

fn apply(
    view: &View,
    plan: &mut Plan,
    machine: &mut Machine,
    pending: &Pending,
    now: bool,
) -> Result<(), Refusal> {
    let patch = pending.patch.clone().without_what_is(machine);
    patch.check(machine)?;
    meanwhile(view, plan, machine, pending)?;
    if pending.author != view.actor.name {
        plan.note(format!("the edit was written by {}", pending.author));
    }
    let diff = patch.diff(machine);
    let from = machine.status.state.kind();
    let by_hand = patch.status.is_some();
    patch.apply(machine);
    configured(plan, machine, diff, now);
    let to = machine.status.state.kind();
    if from != to {
        moved(plan, from, to, by_hand)?;
    }
    let unproved = machine.observed.generation != Some(machine.config.generation);
    if !now && unproved && machine.observed.called_home_at.is_some() {
        plan.note("the running system keeps what it has until its next installation; --now asks it to follow");
    }
    Ok(())
}

/// A state that changed by hand, or because a system was chosen or the choice taken back.
fn moved(plan: &mut Plan, from: StateKind, to: StateKind, by_hand: bool) -> Result<(), Refusal> {
    let cause = if by_hand {
        Cause::Person
    } else {
        Cause::Choice
    };
    let arrow = transition(from, cause, to)?;
    if !by_hand {
        plan.diff
            .push(FieldChange::new("status", json!(from), json!(to)));
    }
    plan.note(format!("status is {to} now: {}", arrow.impact));
    plan.say(What::StateChanged {
        from,
        to,
        impact: arrow.impact.to_owned(),
    });
    Ok(())
}

/// What was changed between the writing of the patch and now.
fn meanwhile(
    view: &View,
    plan: &mut Plan,
    machine: &Machine,
    pending: &Pending,
) -> Result<(), Refusal> {
    let changed = changed_since(view, machine, pending.base_generation)?;
    let fields = pending.patch.fields();
    let clash = fields
        .iter()
        .find_map(|field| changed.get(field.as_str()).map(|by| (field, by)));
    if let Some((field, by)) = clash {
        let name = handle(machine);
        return Err(Refusal::Conflict {
            reason: format!(
                "{by} changed {field} of {name} after {} wrote the pending edit of it",
                pending.author
            ),
            hint: format!(
                "set {field} again if you still want it, or drop the edit: dragonfly machine discard {name}"
            ),
        });
    }
    for (field, by) in changed {
        plan.note(format!("{by} changed {field} since the edit was written"));
    }
    Ok(())
}

/// Nothing waits, but what was applied before may be wanted on the running system.
fn want_now(plan: &mut Plan, machine: &mut Machine, now: bool) {
    let generation = machine.config.generation;
    let wanted = machine.config.wanted_now == Some(generation);
    let proved = machine.observed.generation == Some(generation);
    if !now {
        plan.note("nothing is pending");
    } else if proved {
        plan.note("nothing is pending, and the running system is what it should be");
    } else if wanted {
        plan.note("nothing is pending, and the running system was asked to follow already");
    } else {
        machine.config.wanted_now = Some(generation);
        plan.note("nothing was pending; the running system is asked for what was applied before");
        plan.say(What::Configured {
            generation,
            diff: Vec::new(),
            now: true,
        });
    }
}

fn refuse_without_system(machine: &Machine) -> Result<(), Refusal> {
    if machine.observed.called_home_at.is_some() {
        return Ok(());
    }
    let name = handle(machine);
    Err(Refusal::Conflict {
        reason: format!(
            "no installed system of machine {name} has ever called home, so nothing can be changed on it now"
        ),
        hint: format!("apply it for the next installation: dragonfly machine apply {name}"),
    })
}
