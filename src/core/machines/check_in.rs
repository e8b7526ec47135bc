//! A machine shows itself: it is registered, recognised, or found to be disputed.

use uuid::Uuid;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::identity::Resolution;
use crate::model::machine::Source;
use crate::model::{Anchor, Evidence, Machine, MachineId, NicEvidence, NicKind, What};

use super::add::{look_up, register};
use super::{conflicts, identity_diff, next_show};

pub(in crate::core) fn plan(
    view: &View,
    evidence: &Evidence,
    source: &Source,
) -> Result<Plan, Refusal> {
    match look_up(view, evidence)? {
        Resolution::New => {
            let (mut plan, machine) = register(view, evidence, source.clone())?;
            next_show(&mut plan, &machine);
            plan.put_machine(machine, 0);
            Ok(plan)
        }
        Resolution::Known { machine, by } => recognise(view, evidence, machine, by),
        Resolution::Conflict { machine, claims } => {
            let (best, version) = view.machine(machine)?;
            let mut plan = Plan::about(&best, version);
            conflicts::record(view, &mut plan, evidence, claims)?;
            next_show(&mut plan, &best);
            Ok(plan)
        }
    }
}

/// Nothing is written for a machine that shows nothing new.
fn recognise(view: &View, evidence: &Evidence, id: MachineId, by: Anchor) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let evidence = as_known(view, evidence, &machine)?;
    if machine.identity.learn(&evidence) {
        plan.claim(view, Some(&before.identity), &machine.identity, &[id])?;
        plan.diff = identity_diff(&before.identity, &machine.identity);
        plan.say(What::Reidentified {
            by,
            diff: plan.diff.clone(),
        });
        machine.metadata.updated_at = view.now;
        plan.put_machine(machine.clone(), version);
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

/// The evidence with what says nothing new left out: a dock's card that is another machine's anchor, and a UUID
/// that is the known one in the other byte order (SMBIOS before 2.6 left it open, so firmware and kernel differ).
fn as_known(view: &View, evidence: &Evidence, machine: &Machine) -> Result<Evidence, Refusal> {
    let mut evidence = evidence.clone();
    let card = evidence.primary_mac;
    let spoke = Anchor::Mac(card);
    let holders = view.find(&spoke)?;
    if !evidence.anchors().contains(&spoke) && holders.iter().any(|id| *id != machine.id) {
        evidence.primary_mac = machine.identity.primary_mac;
        evidence.nics.push(NicEvidence {
            mac: card,
            kind: NicKind::Removable,
        });
    }
    let swapped = |uuid: Uuid| Uuid::from_bytes(uuid.to_bytes_le());
    if evidence.smbios_uuid.map(swapped) == machine.identity.smbios_uuid {
        evidence.smbios_uuid = machine.identity.smbios_uuid;
    }
    Ok(evidence)
}
