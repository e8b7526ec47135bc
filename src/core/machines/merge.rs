//! Two records that are one machine.

use std::collections::BTreeSet;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::identity::MAX_NICS;
use crate::model::{FieldError, Machine, MachineId, Subject, What};
use crate::store::Key;

use super::{conflicts, handle, identity_diff, next_show, refuse_at_work, refuse_locked};

pub(in crate::core) fn plan(
    view: &View,
    keep: MachineId,
    absorb: MachineId,
) -> Result<Plan, Refusal> {
    if keep == absorb {
        let reason = "a machine cannot be merged into itself";
        return Err(FieldError::new("absorb", reason, "the other machine's name").into());
    }
    let (before, version) = view.machine(keep)?;
    let (gone, gone_version) = view.machine(absorb)?;
    refuse_locked(&gone)?;
    refuse_at_work(view, &before)?;
    refuse_at_work(view, &gone)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    refuse_too_many(&before, &gone)?;
    machine.identity.absorb(&gone.identity);
    machine.boot.absorb(&gone.boot);
    let holders = [keep, absorb];
    let both = [&before.identity, &gone.identity];
    plan.claim(view, &both, &machine.identity, &holders)?;
    plan.diff = identity_diff(&before.identity, &machine.identity);
    plan.say(What::Merged {
        absorbed: absorb,
        diff: plan.diff.clone(),
    });
    plan.tell(
        Subject::Machine(absorb),
        What::Deleted {
            name: gone.name().to_owned(),
            mac: gone.identity.primary_mac.to_string(),
        },
    );
    let how = format!("machine {} was merged into {}", gone.name(), machine.name());
    conflicts::review(view, &mut plan, &how, |_, holder| {
        Some(if holder == absorb { keep } else { holder })
    })?;
    note_losses(&mut plan, &gone);
    machine.metadata.updated_at = view.now;
    plan.delete(Key::Machine(absorb), gone_version);
    next_show(&mut plan, &machine);
    plan.put_machine(machine, version);
    Ok(plan)
}

fn refuse_too_many(keep: &Machine, gone: &Machine) -> Result<(), Refusal> {
    let macs = keep.identity.all_macs.iter();
    let cards = macs
        .chain(&gone.identity.all_macs)
        .collect::<BTreeSet<_>>()
        .len();
    if cards <= MAX_NICS {
        return Ok(());
    }
    Err(Refusal::Conflict {
        reason: format!("together they would have {cards} cards, {MAX_NICS} is the limit"),
        hint: format!(
            "if one of them is no real machine, delete it: dragonfly machine delete {}",
            handle(gone)
        ),
    })
}

/// What of the absorbed machine is not taken over.
fn note_losses(plan: &mut Plan, gone: &Machine) {
    let config = &gone.config;
    let name = gone.name();
    plan.note(format!("the name {name} is free again"));
    if gone.pending.is_some() {
        plan.note(format!("the pending edit of {name} is gone with it"));
    }
    if let Some(once) = &gone.boot.once {
        plan.note(format!(
            "the order of {name} to boot {once} is gone with it"
        ));
    }
    if !config.tags.is_empty() {
        let tags: Vec<_> = config.tags.iter().map(ToString::to_string).collect();
        plan.note(format!(
            "tags of {name} that are not taken over: {}",
            tags.join(", ")
        ));
    }
    if let Some(hostname) = &config.hostname {
        plan.note(format!(
            "the host name {hostname} of {name} is not taken over"
        ));
    }
}
