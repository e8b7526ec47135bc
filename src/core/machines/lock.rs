//! Locks. Only `unlock` lifts one.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::field::readable;
use crate::model::{FieldError, Lock, Machine, MachineId, What};

use super::{handle, next_show};

pub(in crate::core) fn lock(
    view: &View,
    id: MachineId,
    reason: Option<&str>,
) -> Result<Plan, Refusal> {
    let reason = reason.map(check_reason).transpose()?;
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let standing = machine.lock.as_ref();
    if let Some(lock) = standing.filter(|lock| reason.is_none() || lock.reason == reason) {
        plan.note(format!("it was locked by {} already", lock.by));
    } else {
        if let Some(lock) = standing {
            plan.note(format!(
                "it was locked by {}; the reason is a new one",
                lock.by
            ));
        }
        machine.lock = Some(Lock {
            by: view.actor.name.clone(),
            at: view.now,
            reason: reason.clone(),
        });
        machine.metadata.updated_at = view.now;
        plan.say(What::Locked { reason });
        plan.put_machine(machine.clone(), version);
    }
    let command = format!("dragonfly machine unlock {}", handle(&machine));
    plan.next("lift the lock", command);
    next_show(&mut plan, &machine);
    Ok(plan)
}

pub(in crate::core) fn unlock(view: &View, id: MachineId) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    match machine.lock.take() {
        None => plan.note("it is not locked"),
        Some(lock) => {
            if lock.by != view.actor.name {
                plan.note(format!("it was locked by {}", lock.by));
            }
            machine.metadata.updated_at = view.now;
            plan.say(What::Unlocked {});
            plan.put_machine(machine.clone(), version);
        }
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

fn check_reason(reason: &str) -> Result<String, FieldError> {
    let reason = readable("reason", reason, Lock::MAX_REASON, "holds the only backup")?;
    Ok(reason.into())
}
