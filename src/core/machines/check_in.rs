//! A machine shows itself: it is registered, recognised, or found to be disputed.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::identity::Resolution;
use crate::model::machine::Source;
use crate::model::{Anchor, Evidence, Machine, MachineId, What};

use super::add::{look_up, register};
use super::{conflicts, identity_diff, next_show};

pub(in crate::core) fn plan(
    view: &View,
    evidence: &Evidence,
    source: &Source,
) -> Result<Plan, Refusal> {
    match look_up(view, evidence)? {
        Resolution::New => {
            view.core.may_register(view.now)?;
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
    if machine.identity.learn(evidence) {
        plan.claim(view, &[&before.identity], &machine.identity, &[id])?;
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
