//! What a boot agent found: whose machine it is in, and what is new of it.
//!
//! Identity goes by the order of anchors (`model::identity`). Beside it stands what anchors cannot tell: a card that was
//! moved into another machine, and two machines with one UUID, look like one machine whose board or card was replaced.
//! The serial numbers of its board and disks tell them apart. Who shares none of them gets a record of its own, by what
//! nobody else claims, and the next look at the two is a conflict that a person settles.

use crate::core::command::Inventory;
use crate::core::plan::{Plan, View};
use crate::core::{Core, Refusal};
use crate::model::identity::{NicKind, Resolution};
use crate::model::machine::Source;
use crate::model::{Anchor, Evidence, Hardware, Machine, MachineId, NicEvidence, What};

use super::add::{look_up, register};
use super::{agent, conflicts, identity_diff, next_show};

/// Whose machine an agent is in.
enum Whose {
    Nobodys,
    /// It is this one, by that anchor.
    Known(MachineId, Anchor),
    /// It looks like that one, and has no part in common with it.
    Another,
    Disputed {
        best: MachineId,
        claims: Vec<(Anchor, MachineId)>,
        /// Its parts say that it is the best one, and so does the card that it booted from.
        proved: bool,
    },
}

impl Core {
    /// The machine that an agent is in, as far as that is beyond dispute.
    pub fn machine_of(&self, inventory: &Inventory) -> Result<Option<MachineId>, Refusal> {
        let actor = crate::model::Actor::system("agent");
        let view = View {
            core: self,
            actor: &actor,
            now: self.clock().now(),
        };
        Ok(match whose(&view, inventory)? {
            Whose::Known(machine, _) => Some(machine),
            Whose::Disputed { best, proved, .. } => proved.then_some(best),
            Whose::Nobodys | Whose::Another => None,
        })
    }
}

fn whose(view: &View, inventory: &Inventory) -> Result<Whose, Refusal> {
    let Inventory {
        agent,
        evidence,
        hardware,
    } = inventory;
    Ok(match look_up(view, evidence)? {
        Resolution::New => Whose::Nobodys,
        Resolution::Known { machine, by } => {
            let (known, _) = view.machine(machine)?;
            if is_another(&known, &by, evidence, hardware) {
                Whose::Another
            } else {
                Whose::Known(machine, by)
            }
        }
        Resolution::Conflict { machine, claims } => {
            let (best, _) = view.machine(machine)?;
            let card = best.identity.all_macs.contains(&agent.mac);
            let parts = best.hardware.shares_parts(hardware) == Some(true);
            Whose::Disputed {
                best: machine,
                claims,
                proved: card && parts,
            }
        }
    })
}

/// A hash with a card in it and a UUID with the card beside it are believed; a UUID alone, or a card beside another UUID, is held against
/// the parts.
fn is_another(known: &Machine, by: &Anchor, evidence: &Evidence, hardware: &Hardware) -> bool {
    let doubtful = match by {
        Anchor::SmbiosUuid(_) => true,
        Anchor::Mac(_) => known.identity.is_other(evidence.smbios_uuid),
        Anchor::Hash(_) => !evidence.hashes_cards(),
        Anchor::Name(_) => false,
    };
    doubtful && known.hardware.shares_parts(hardware) == Some(false)
}

pub(in crate::core) fn plan(view: &View, inventory: &Inventory) -> Result<Plan, Refusal> {
    let (mut plan, mut machine, version) = match whose(view, inventory)? {
        Whose::Nobodys => new(view, &inventory.evidence)?,
        Whose::Another => new(view, &unclaimed(view, &inventory.evidence)?)?,
        Whose::Known(machine, by) => known(view, inventory, machine, by)?,
        Whose::Disputed {
            best,
            claims,
            proved,
        } => {
            let (before, version) = view.machine(best)?;
            let mut plan = Plan::about(&before, version);
            conflicts::record(view, &mut plan, &inventory.evidence, claims)?;
            if !proved {
                next_show(&mut plan, &before);
                return Ok(plan);
            }
            (plan, Machine::clone(&before), version)
        }
    };
    let changed = plan
        .events
        .iter()
        .any(|(subject, _)| *subject == plan.subject);
    let written = learn(view, &mut plan, &mut machine, inventory);
    next_show(&mut plan, &machine);
    if changed || written || version == 0 {
        plan.put_machine(machine, version);
    }
    Ok(plan)
}

fn new(view: &View, evidence: &Evidence) -> Result<(Plan, Machine, u64), Refusal> {
    view.core.may_register(view.now)?;
    let (plan, machine) = register(view, evidence, Source::Agent)?;
    Ok((plan, machine, 0))
}

fn known(
    view: &View,
    inventory: &Inventory,
    id: MachineId,
    by: Anchor,
) -> Result<(Plan, Machine, u64), Refusal> {
    let evidence = &inventory.evidence;
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    if machine.identity.learn(evidence) {
        hold_still(&before, inventory)?;
        plan.claim(view, &[&before.identity], &machine.identity, &[id])?;
        plan.diff = identity_diff(&before.identity, &machine.identity);
        plan.say(What::Reidentified {
            by,
            diff: plan.diff.clone(),
        });
        machine.metadata.updated_at = view.now;
    }
    Ok((plan, machine, version))
}

/// While a workflow runs, a machine may show more of itself, and does not become another: its secrets go to nobody who
/// was taken for it only now.
fn hold_still(before: &Machine, inventory: &Inventory) -> Result<(), Refusal> {
    let card = before.identity.all_macs.contains(&inventory.agent.mac);
    let other = before.identity.is_other(inventory.evidence.smbios_uuid);
    if before.status.current_workflow.is_none() || card && !other {
        return Ok(());
    }
    Err(Refusal::Conflict {
        reason: "it shows another identity than the machine that its workflow was begun for".into(),
        hint: "see what was changed in it; then start the workflow again".into(),
    })
}

/// What is new of its parts, and the agent that tells it.
fn learn(view: &View, plan: &mut Plan, machine: &mut Machine, inventory: &Inventory) -> bool {
    let before = machine.clone();
    agent::believe(plan, machine, &inventory.agent);
    machine.boot.agent.tries = 0;
    machine.boot.agent.wanted = false;
    let diff = machine.hardware.diff(&inventory.hardware);
    let as_told = Hardware {
        seen_at: machine.hardware.seen_at,
        ..inventory.hardware.clone()
    };
    if machine.hardware.seen_at.is_none() || machine.hardware != as_told {
        machine.hardware = Hardware {
            seen_at: Some(view.now),
            ..as_told
        };
    }
    if !diff.is_empty() {
        plan.diff.extend(diff.iter().cloned());
        plan.say(What::Inventory { diff });
        machine.metadata.updated_at = view.now;
    }
    *machine != before
}

/// The evidence without what others are known by: their UUID is left out, and their cards are kept without being looked
/// for.
fn unclaimed(view: &View, evidence: &Evidence) -> Result<Evidence, Refusal> {
    let mut own = evidence.clone().bounded();
    if let Some(uuid) = own.smbios_uuid
        && !view.find(&Anchor::SmbiosUuid(uuid))?.is_empty()
    {
        own.smbios_uuid = None;
    }
    for nic in &mut own.nics {
        if !view.find(&Anchor::Mac(nic.mac))?.is_empty() {
            *nic = NicEvidence {
                kind: NicKind::Removable,
                ..*nic
            };
        }
    }
    Ok(own)
}
