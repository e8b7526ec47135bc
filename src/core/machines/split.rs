//! One record that is two machines.

use std::collections::BTreeSet;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::{
    Anchor, Evidence, FieldError, MacAddr, Machine, MachineId, NicEvidence, NicKind, Subject, What,
};
use crate::store::Expect;

use super::{
    conflicts, free_name, handle, identity_diff, next_show, refuse_at_work, refuse_locked,
};

pub(in crate::core) fn plan(
    view: &View,
    id: MachineId,
    macs: &BTreeSet<MacAddr>,
    uuid: bool,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    refuse_locked(&before)?;
    refuse_at_work(view, &before)?;
    let evidence = evidence(&before, macs, uuid)?;
    let mut machine = Machine::clone(&before);
    machine.identity.give_up(macs, uuid);
    machine.metadata.updated_at = view.now;
    let new = MachineId(view.new_id());
    let name = free_name(view, evidence.primary_mac)?;
    let source = before.metadata.source.clone();
    let other = Machine::register(new, &evidence, name.clone(), source, view.now);

    let mut plan = Plan::about(&before, version);
    plan.claim(view, &[&before.identity], &machine.identity, &[id])?;
    plan.claim(view, &[&before.identity], &other.identity, &[id])?;
    plan.expect.push(Expect::Free(Anchor::Name(name), None));
    plan.diff = identity_diff(&before.identity, &machine.identity);
    plan.say(What::Split {
        into: new,
        diff: plan.diff.clone(),
    });
    plan.tell(
        Subject::Machine(new),
        What::Registered {
            name: other.name().to_owned(),
            mac: other.identity.primary_mac.to_string(),
        },
    );
    let moved: BTreeSet<_> = other.identity.anchors().collect();
    let stays: BTreeSet<_> = machine.identity.anchors().collect();
    let how = format!("machine {} was split off {}", other.name(), machine.name());
    conflicts::review(view, &mut plan, &how, |anchor, holder| {
        if holder != id || stays.contains(anchor) {
            Some(holder)
        } else {
            moved.contains(anchor).then_some(new)
        }
    })?;
    next_show(&mut plan, &other);
    next_show(&mut plan, &machine);
    plan.next(
        "undo it",
        format!(
            "dragonfly machine merge {} {}",
            handle(&machine),
            handle(&other)
        ),
    );
    plan.put_machine(machine, version);
    plan.put_machine(other, 0);
    Ok(plan)
}

/// What the new machine is known by: the cards, the best of them first, and the UUID when it goes with them.
fn evidence(
    machine: &Machine,
    macs: &BTreeSet<MacAddr>,
    uuid: bool,
) -> Result<Evidence, FieldError> {
    let identity = &machine.identity;
    let example = || {
        let other = identity.all_macs.iter();
        let mut other = other.filter(|mac| **mac != identity.primary_mac);
        other.next().unwrap_or(&identity.primary_mac).to_string()
    };
    let wrong = |reason: String| Err(FieldError::new("macs", reason, example()));
    if let Some(stranger) = macs.iter().find(|mac| !identity.all_macs.contains(mac)) {
        return wrong(format!("{stranger} is no card of this machine"));
    }
    if macs.contains(&identity.primary_mac) {
        return wrong(format!(
            "{} is its primary card, which stays; split the others off, or change the MAC first",
            identity.primary_mac
        ));
    }
    let anchored = |mac: &&MacAddr| !identity.unanchored.contains(mac);
    let Some(first) = macs.iter().find(anchored).or(macs.first()) else {
        return wrong("the new machine needs one card at least".to_owned());
    };
    if uuid && identity.smbios_uuid.is_none() {
        let reason = "this machine has no SMBIOS UUID to give away";
        return Err(FieldError::new("uuid", reason, "false"));
    }
    let nics = macs.iter().map(|mac| NicEvidence {
        mac: *mac,
        kind: if identity.unanchored.contains(mac) {
            NicKind::Removable
        } else {
            NicKind::Unknown
        },
    });
    Ok(Evidence {
        primary_mac: *first,
        nics: nics.collect(),
        smbios_uuid: identity.smbios_uuid.filter(|_| uuid),
        machine_id: None,
    })
}
