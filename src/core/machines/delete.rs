//! The end of a machine's record. The machine itself is not touched: when it boots again, it is a new one.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::{MachineId, What};
use crate::store::Key;

use super::{conflicts, refuse_at_work, refuse_locked};

pub(in crate::core) fn plan(view: &View, id: MachineId) -> Result<Plan, Refusal> {
    let (machine, version) = view.machine(id)?;
    refuse_locked(&machine)?;
    refuse_at_work(view, &machine)?;
    let mut plan = Plan::about(&machine, version);
    plan.delete(Key::Machine(id), version);
    plan.say(What::Deleted {
        name: machine.name().to_owned(),
        mac: machine.identity.primary_mac.to_string(),
    });
    let how = format!("machine {} was deleted", machine.name());
    conflicts::review(view, &mut plan, &how, |_, holder| {
        (holder != id).then_some(holder)
    })?;
    if machine.pending.is_some() {
        plan.note("its pending edit is gone with it");
    }
    plan.note("if it boots from here again, it is registered as a new machine");
    plan.next("see the other machines", "dragonfly machine list");
    Ok(plan)
}
