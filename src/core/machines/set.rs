//! `set`: a person edits. Most of it waits in `pending`; a friendly name and a confirmed MAC do not.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::edit::{CONFIRM_MAC, Settles};
use crate::model::state::Transition;
use crate::model::{Anchor, Field, FieldError, Machine, MachineId, Patch, Pending, What};

use super::{
    changed_since, configured, handle, next_pending, next_show, pending_diff, refuse_at_work,
    refuse_locked, tidy_pending,
};

pub(in crate::core) fn plan(
    view: &View,
    id: MachineId,
    patch: &Patch,
    confirmed: bool,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let (now, later) = patch.clone().split();
    settle_now(view, &mut plan, &mut machine, now, confirmed)?;
    if !later.is_empty() {
        write_pending(view, &mut plan, &mut machine, later)?;
    }
    if plan.events.is_empty() {
        plan.note("nothing was asked for that is not so already");
    } else {
        machine.metadata.updated_at = view.now;
        next_pending(&mut plan, &machine);
        plan.put_machine(machine.clone(), version);
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

/// The fields that do not wait.
fn settle_now(
    view: &View,
    plan: &mut Plan,
    machine: &mut Machine,
    patch: Patch,
    confirmed: bool,
) -> Result<(), Refusal> {
    let patch = patch.without_what_is(machine);
    if patch.is_empty() {
        return Ok(());
    }
    let before = machine.identity.clone();
    if let Some(mac) = patch.mac {
        refuse_locked(machine)?;
        refuse_at_work(view, machine)?;
        refuse_held(view, machine, mac)?;
        if !confirmed {
            return Err(Refusal::Unconfirmed {
                field: Field::Mac.as_str(),
                question: CONFIRM_MAC,
            });
        }
        plan.note(format!(
            "a machine that still uses {} will be taken for a new one",
            before.primary_mac
        ));
    }
    let diff = patch.diff(machine);
    patch.apply(machine);
    plan.claim(view, &[&before], &machine.identity, &[machine.id])?;
    configured(plan, machine, diff, false);
    tidy_pending(plan, machine);
    Ok(())
}

fn refuse_held(view: &View, machine: &Machine, mac: crate::model::MacAddr) -> Result<(), Refusal> {
    let holders = view.find(&Anchor::Mac(mac))?;
    let Some(other) = holders.into_iter().find(|id| *id != machine.id) else {
        return Ok(());
    };
    let (other, _) = view.machine(other)?;
    let (own, other) = (handle(machine), handle(&other));
    Err(Refusal::Conflict {
        reason: format!("MAC {mac} belongs to machine {other}"),
        hint: format!("if both are one machine, merge them: dragonfly machine merge {own} {other}"),
    })
}

/// The fields that wait, laid over those that wait already.
fn write_pending(
    view: &View,
    plan: &mut Plan,
    machine: &mut Machine,
    patch: Patch,
) -> Result<(), Refusal> {
    let waiting = machine.pending.take();
    let old = waiting.as_ref().map(|pending| pending.patch.clone());
    let old = old.unwrap_or_default();
    let fields = patch.fields();
    let new = old.clone().overlaid(patch).without_what_is(machine);
    let arrow = check(plan, machine, &new, &fields)?;
    let diff = pending_diff(machine, &old, &new);
    if diff.is_empty() {
        machine.pending = waiting;
        return Ok(());
    }
    let base = base_generation(view, machine, waiting.as_ref(), &fields)?;
    note_author(view, plan, waiting.as_ref());
    for field in new.fields() {
        if field.settles() == Settles::OnReimage && fields.contains(&field) {
            plan.note(format!(
                "{field} reaches the machine at its next installation"
            ));
        }
    }
    if let Some(arrow) = arrow {
        plan.note(format!("status will become {}: {}", arrow.to, arrow.impact));
    }
    machine.pending = (!new.is_empty()).then(|| Pending {
        patch: new,
        author: view.actor.name.clone(),
        at: view.now,
        base_generation: base,
    });
    plan.diff.extend(diff.iter().cloned());
    plan.say(What::Edited { diff });
    Ok(())
}

/// What the caller wrote has to be right; what waited before may have been overtaken, and is told of.
fn check(
    plan: &mut Plan,
    machine: &Machine,
    patch: &Patch,
    fresh: &[Field],
) -> Result<Option<Transition>, FieldError> {
    match patch.check(machine) {
        Err(error) if !fresh.iter().any(|field| field.as_str() == error.field) => {
            plan.note(format!("as it waits, it cannot be applied: {error}"));
            Ok(None)
        }
        checked => checked,
    }
}

fn note_author(view: &View, plan: &mut Plan, waiting: Option<&Pending>) {
    let other = waiting.filter(|pending| pending.author != view.actor.name);
    if let Some(pending) = other {
        let fields: Vec<_> = pending.patch.fields().iter().map(|f| f.as_str()).collect();
        plan.note(format!(
            "{} had a pending edit of {}: yours was laid over it",
            pending.author,
            fields.join(", ")
        ));
    }
}

/// What the whole patch may be said to be written against: the present, unless an older part of it touches
/// what was changed meanwhile and would overwrite it unseen.
fn base_generation(
    view: &View,
    machine: &Machine,
    waiting: Option<&Pending>,
    fresh: &[Field],
) -> Result<u64, Refusal> {
    let present = machine.config.generation;
    let Some(pending) = waiting else {
        return Ok(present);
    };
    let changed = changed_since(view, machine, pending.base_generation)?;
    let kept = pending.patch.fields().into_iter();
    let mut kept = kept.filter(|field| !fresh.contains(field));
    Ok(if kept.any(|field| changed.contains_key(field.as_str())) {
        pending.base_generation
    } else {
        present
    })
}
