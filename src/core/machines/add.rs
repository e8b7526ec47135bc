//! Registration: by a person who tells of a machine, or by the machine that shows itself.

use serde_json::json;

use crate::core::Refusal;
use crate::core::command::AddMachine;
use crate::core::plan::{Plan, View};
use crate::model::edit::check_tags;
use crate::model::identity::{MAX_NICS, Resolution, resolve, usable_uuid};
use crate::model::machine::Source;
use crate::model::state::{Cause, transition};
use crate::model::{
    Anchor, Evidence, FieldChange, FieldError, Machine, MachineId, Patch, StateKind, What,
};
use crate::store::{Expect, StoreError};

use super::{free_name, handle, next_show};

pub(in crate::core) fn plan(view: &View, add: &AddMachine) -> Result<Plan, Refusal> {
    check(add)?;
    let mut evidence = Evidence::of_macs(add.mac, add.other_macs.iter().copied());
    evidence.smbios_uuid = add.smbios_uuid.and_then(usable_uuid);
    match look_up(view, &evidence)? {
        Resolution::New => {}
        Resolution::Known { machine, by } => return Err(known(view, machine, &by)?),
        Resolution::Conflict { claims, .. } => return Err(contested(view, &claims)?),
    }
    let (mut plan, mut machine) = register(view, &evidence, Source::Manual)?;
    if add.smbios_uuid.is_some() && evidence.smbios_uuid.is_none() {
        plan.note("that SMBIOS UUID stands on many machines, so it was left out");
    }
    let patch = Patch {
        hostname: add.hostname.clone().map(Some),
        friendly_name: add.friendly_name.clone().map(Some),
        os_choice: add.os_choice.clone().map(Some),
        tags: Some(add.tags.clone()),
        ..Patch::default()
    };
    let patch = patch.without_what_is(&machine);
    if !patch.is_empty() {
        describe(&mut plan, &mut machine, patch)?;
    }
    next_show(&mut plan, &machine);
    if machine.config.os_choice.is_none() {
        let command = format!(
            "dragonfly machine set {} os_choice=debian-13",
            handle(&machine)
        );
        plan.next("choose a system", command);
    }
    plan.put_machine(machine, 0);
    Ok(plan)
}

/// Somebody registered the machine between the look-up and now: the plan has to be made anew.
fn overtaken(view: &View, evidence: &Evidence) -> Result<Option<Refusal>, Refusal> {
    let (anchor, holder) = match look_up(view, evidence)? {
        Resolution::New => return Ok(None),
        Resolution::Known { machine, by } => (by, machine),
        Resolution::Conflict { machine, claims } => match claims.into_iter().next() {
            Some((anchor, _)) => (anchor, machine),
            None => return Ok(None),
        },
    };
    Ok(Some(StoreError::Taken { anchor, holder }.into()))
}

/// A new machine with everything that it claims; its record is not in the plan yet.
pub(super) fn register(
    view: &View,
    evidence: &Evidence,
    source: Source,
) -> Result<(Plan, Machine), Refusal> {
    let id = MachineId(view.new_id());
    let name = free_name(view, evidence.primary_mac)?;
    let machine = Machine::register(id, evidence, name.clone(), source, view.now);
    let mut plan = Plan::about(&machine, 0);
    if let Err(refusal) = plan.claim(view, &[], &machine.identity, &[]) {
        return Err(overtaken(view, evidence)?.unwrap_or(refusal));
    }
    plan.expect.push(Expect::Free(Anchor::Name(name), None));
    let mac = machine.identity.primary_mac;
    plan.diff
        .push(FieldChange::new("mac", json!(null), json!(mac)));
    plan.say(What::Registered {
        name: machine.config.memorable_name.to_string(),
        mac: mac.to_string(),
    });
    Ok((plan, machine))
}

/// What a person told beside the cards. It is so from the beginning, so the generation stays the first.
fn describe(plan: &mut Plan, machine: &mut Machine, patch: Patch) -> Result<(), Refusal> {
    let diff = patch.diff(machine);
    let from = machine.status.state.kind();
    patch.apply(machine);
    plan.diff.extend(diff.iter().cloned());
    plan.say(What::Configured {
        generation: machine.config.generation,
        diff,
        now: false,
    });
    let to = machine.status.state.kind();
    if from != to {
        let arrow = transition(from, Cause::Choice, to)?;
        plan.say(What::StateChanged {
            from: StateKind::Discovered,
            to,
            impact: arrow.impact.to_owned(),
        });
    }
    Ok(())
}

fn check(add: &AddMachine) -> Result<(), FieldError> {
    check_tags(&add.tags)?;
    let cards = add.other_macs.len() + 1;
    if cards > MAX_NICS {
        let reason = format!("{cards} cards are too many, {MAX_NICS} is the limit");
        return Err(FieldError::new("other_macs", reason, "52:54:00:12:34:56"));
    }
    Ok(())
}

pub(in crate::core) fn look_up(view: &View, evidence: &Evidence) -> Result<Resolution, Refusal> {
    let mut failed = None;
    let resolution = resolve(evidence, |anchor| match view.find(anchor) {
        Ok(found) => found,
        Err(why) => {
            failed = Some(why);
            Vec::new()
        }
    });
    failed.map_or(Ok(resolution), Err)
}

pub(super) fn known(view: &View, id: MachineId, by: &Anchor) -> Result<Refusal, Refusal> {
    let (machine, _) = view.machine(id)?;
    let name = handle(&machine);
    Ok(Refusal::Conflict {
        reason: format!("{by} is known: it belongs to machine {name}"),
        hint: format!("see it with: dragonfly machine show {name}"),
    })
}

pub(super) fn contested(view: &View, claims: &[(Anchor, MachineId)]) -> Result<Refusal, Refusal> {
    let mut owners = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (anchor, id) in claims {
        let name = handle(&view.machine(*id)?.0);
        if !names.contains(&name) {
            owners.push(format!("{anchor} belongs to {name}"));
            names.push(name);
        }
    }
    Ok(Refusal::Conflict {
        reason: format!(
            "these cards belong to different machines: {}",
            owners.join(", ")
        ),
        hint: format!(
            "if they are one machine, merge them: dragonfly machine merge {}",
            names[..names.len().min(2)].join(" ")
        ),
    })
}
