//! The commands about machines, one file per family, and what they share.
//!
//! | command | at once | waits | refused on a locked machine |
//! |---|---|---|---|
//! | set | friendly name, MAC (confirmed) | all else | MAC |
//! | apply | the pending patch | | with `now` |
//! | tag | tags | | |
//! | boot once | the order | | yes; its end is not |
//! | delete, split, merge away | all of it | | yes |
//!
//! While a workflow is at work on it, a machine gets no other MAC, nothing is applied, and none of the last row is done.
//!
//! A change that takes hold at once is a change of the desired state like an applied one: the generation grows
//! and `machine.configured` is told.

pub(super) mod add;
pub(super) mod agent;
pub(super) mod apply;
pub(super) mod approve;
pub(super) mod boot;
pub(super) mod check_in;
mod conflicts;
pub(super) mod delete;
pub(super) mod inventory;
pub(super) mod lock;
pub(super) mod merge;
pub(super) mod name;
pub(super) mod set;
pub(super) mod split;
pub(super) mod tag;

use std::collections::BTreeMap;

use serde_json::json;

use crate::model::{
    Anchor, Event, FieldChange, Identity, Machine, MachineId, MemorableName, Patch, Pending,
    Subject, What,
};
use crate::store::{EventQuery, MAX_PAGE};

pub(super) use self::conflicts::MAX_CLAIMANTS;

use super::plan::{Plan, View};
use super::{Refusal, workflows};

/// The refusal of an anchor that belongs to another machine.
pub(super) fn taken(view: &View, anchor: &Anchor, holder: MachineId) -> Refusal {
    let name = view
        .machine(holder)
        .map_or_else(|_| holder.to_string(), |(machine, _)| handle(&machine));
    Refusal::Conflict {
        reason: format!("{anchor} belongs to machine {name}"),
        hint: format!("see it with: dragonfly machine show {name}"),
    }
}

/// A name that can be typed into a shell as it is: the friendly one when it is plain, else the four words.
pub(super) fn handle(machine: &Machine) -> String {
    let name = machine.name();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.chars().all(plain) && !name.starts_with('-') {
        return name.to_owned();
    }
    machine.config.memorable_name.to_string()
}

pub(super) fn next_show(plan: &mut Plan, machine: &Machine) {
    let command = format!("dragonfly machine show {}", handle(machine));
    plan.next("see the machine", command);
}

/// What can be done about a pending patch, when there is one.
fn next_pending(plan: &mut Plan, machine: &Machine) {
    if machine.pending.is_some() {
        let name = handle(machine);
        plan.next("apply it", format!("dragonfly machine apply {name}"));
        plan.next("drop it", format!("dragonfly machine discard {name}"));
    }
}

/// A machine is not changed under the hands of a workflow: what the workflow makes would not be what is desired.
fn refuse_at_work(view: &View, machine: &Machine) -> Result<(), Refusal> {
    match view.core.active_workflow(machine.id)? {
        None => Ok(()),
        Some((workflow, _)) => Err(workflows::busy(machine, &workflow)),
    }
}

pub(super) fn refuse_locked(machine: &Machine) -> Result<(), Refusal> {
    match &machine.lock {
        None => Ok(()),
        Some(lock) => Err(Refusal::Locked {
            machine: machine.id,
            name: machine.name().to_owned(),
            reason: lock.reason.clone(),
        }),
    }
}

/// The first of the candidates that nobody has.
fn free_name(view: &View, mac: crate::model::MacAddr) -> Result<MemorableName, Refusal> {
    for name in MemorableName::candidates(mac) {
        if view.find(&Anchor::Name(name.clone()))?.is_empty() {
            return Ok(name);
        }
    }
    Err(Refusal::Conflict {
        reason: "every four-word name is taken".to_owned(),
        hint: "delete machines that are gone".to_owned(),
    })
}

/// Drops from the pending patch what has become true without it.
fn tidy_pending(plan: &mut Plan, machine: &mut Machine) {
    let Some(pending) = machine.pending.take() else {
        return;
    };
    let before = pending.patch.fields().len();
    let patch = pending.patch.clone().without_what_is(machine);
    if patch.fields().len() < before {
        plan.note("part of the pending edit is true already, and waits no longer");
    }
    if !patch.is_empty() {
        machine.pending = Some(Pending { patch, ..pending });
    }
}

/// The next generation of the desired state, with the event that tells of it.
fn configured(plan: &mut Plan, machine: &mut Machine, diff: Vec<FieldChange>, now: bool) {
    machine.config.generation += 1;
    if now {
        machine.config.wanted_now = Some(machine.config.generation);
    }
    plan.diff.extend(diff.iter().cloned());
    plan.say(What::Configured {
        generation: machine.config.generation,
        diff,
        now,
    });
}

/// What is different after an edit of a pending patch: from what would have become to what would become now.
fn pending_diff(machine: &Machine, old: &Patch, new: &Patch) -> Vec<FieldChange> {
    let by_field = |patch: &Patch| -> BTreeMap<String, FieldChange> {
        let diff = patch.diff(machine).into_iter();
        diff.map(|change| (change.field.clone(), change)).collect()
    };
    let (old, new) = (by_field(old), by_field(new));
    let mut diff: Vec<_> = new
        .values()
        .map(|change| match old.get(&change.field) {
            Some(waiting) => {
                FieldChange::new(&*change.field, waiting.to.clone(), change.to.clone())
            }
            None => change.clone(),
        })
        .collect();
    let dropped = old
        .values()
        .filter(|change| !new.contains_key(&change.field));
    diff.extend(
        dropped
            .map(|change| FieldChange::new(&*change.field, change.to.clone(), change.from.clone())),
    );
    diff.retain(|change| change.from != change.to);
    diff.sort_by(|a, b| a.field.cmp(&b.field));
    diff
}

/// The fields of the desired state that were changed after `generation`, each with who did it last.
///
/// Read from the log: persons' changes stay there for ever.
fn changed_since(
    view: &View,
    machine: &Machine,
    generation: u64,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut changed = BTreeMap::new();
    if machine.config.generation <= generation {
        return Ok(changed);
    }
    let mut query = EventQuery {
        newest_first: true,
        subject: Some(Subject::Machine(machine.id)),
        limit: MAX_PAGE,
        ..EventQuery::default()
    };
    loop {
        let page = view.core.events(&query)?;
        for event in &page.events {
            let Event { actor, what, .. } = event;
            if let What::Configured {
                generation: reached,
                diff,
                ..
            } = what
            {
                if *reached <= generation {
                    return Ok(changed);
                }
                for change in diff {
                    let by = changed.entry(change.field.clone());
                    by.or_insert_with(|| actor.name.clone());
                }
            }
        }
        query.from = page.next;
        if !page.more || page.next.is_none() {
            return Ok(changed);
        }
    }
}

/// What an identity's change means, field by field.
pub(super) fn identity_diff(before: &Identity, after: &Identity) -> Vec<FieldChange> {
    let fields = [
        ("mac", json!(before.primary_mac), json!(after.primary_mac)),
        ("macs", json!(before.all_macs), json!(after.all_macs)),
        (
            "smbios_uuid",
            json!(before.smbios_uuid),
            json!(after.smbios_uuid),
        ),
        (
            "machine_id",
            json!(before.machine_id),
            json!(after.machine_id),
        ),
        (
            "identity_hash",
            json!(before.identity_hash),
            json!(after.identity_hash),
        ),
    ];
    let changes = fields.into_iter().filter(|(_, from, to)| from != to);
    changes
        .map(|(field, from, to)| FieldChange::new(field, from, to))
        .collect()
}
