//! How a machine boots the network: a person's order for one boot, its loader, and what it fetched.

use jiff::SignedDuration;
use serde_json::json;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::boot::LoaderChoice;
use crate::model::trace::Step;
use crate::model::{Arch, FieldChange, Machine, MachineId, Once, Rung, What};

use super::{handle, next_show, refuse_locked};

/// A machine that fetches its script over and over is written down once in this time.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// An order for the next boot, or the end of one.
pub(in crate::core) fn once(
    view: &View,
    id: MachineId,
    once: Option<&Once>,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    if let Some(once) = once {
        once.check()?;
        // What is booted may write to its disks.
        refuse_locked(&before)?;
    }
    let mut machine = Machine::clone(&before);
    machine.boot.once = once.cloned();
    match (before.boot.once.as_ref(), once) {
        (old, new) if old == new => plan.note("nothing was asked for that is not so already"),
        (Some(old), None) => plan.say(What::BootCancelled { once: old.clone() }),
        (old, Some(new)) => {
            if let Some(old) = old {
                plan.note(format!("it was to boot {old}; that is replaced"));
            }
            plan.say(What::BootOrdered { once: new.clone() });
            plan.note("it is given out once, when the machine boots from the network next");
        }
        (None, None) => {}
    }
    if !plan.events.is_empty() {
        let [from, to] = [&before, &machine].map(|machine| shown(machine.boot.once.as_ref()));
        plan.diff = vec![FieldChange::new("boot.once", from, to)];
        machine.metadata.updated_at = view.now;
        plan.put_machine(machine.clone(), version);
    }
    if once.is_some() {
        let command = format!("dragonfly boot trace {} --follow", handle(&machine));
        plan.next("watch it boot", command);
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

fn shown(once: Option<&Once>) -> serde_json::Value {
    json!(once.map(ToString::to_string))
}

/// What a machine's script said.
pub(in crate::core) struct Given<'a> {
    /// The order that was in it: another one that was written meanwhile is still to come.
    pub once: Option<&'a Once>,
    pub agent: bool,
}

/// The machine's script was handed out.
pub(in crate::core) fn take(
    view: &View,
    id: MachineId,
    given: &Given<'_>,
    arch: Option<Arch>,
    rung: Option<Rung>,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let boot = &mut machine.boot;
    let once = boot.once.take_if(|once| given.once == Some(once));
    boot.arch = arch.or(boot.arch);
    boot.rung = rung.or(boot.rung);
    let (old, new) = (&before.boot, &*boot);
    let fields = [
        ("boot.arch", json!(old.arch), json!(new.arch)),
        (
            "boot.once",
            shown(old.once.as_ref()),
            shown(new.once.as_ref()),
        ),
        ("boot.rung", json!(old.rung), json!(new.rung)),
    ];
    let changed = fields.into_iter().filter(|(_, from, to)| from != to);
    let diff: Vec<_> = changed
        .map(|(field, from, to)| FieldChange::new(field, from, to))
        .collect();
    let lately = old.at.is_some_and(|at| {
        let passed = view.now.duration_since(at);
        passed >= SignedDuration::ZERO && passed < AGAIN
    });
    if given.agent && !lately {
        boot.agent.tries = boot.agent.tries.saturating_add(1);
    }
    if diff.is_empty() && lately {
        plan.note("it fetched its script a moment ago");
        return Ok(plan);
    }
    boot.at = Some(view.now);
    if once.is_some() {
        machine.metadata.updated_at = view.now;
    }
    plan.diff.clone_from(&diff);
    plan.say(What::BootTaken { once, diff });
    plan.put_machine(machine, version);
    Ok(plan)
}

/// Which loader the machine gets.
pub(in crate::core) fn loader(
    view: &View,
    id: MachineId,
    loader: LoaderChoice,
) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let from = std::mem::replace(&mut machine.boot.loader, loader);
    if from == loader {
        plan.note("nothing was asked for that is not so already");
    } else {
        plan.diff = vec![FieldChange::new("boot.loader", json!(from), json!(loader))];
        plan.say(What::LoaderChosen { from, to: loader });
        machine.metadata.updated_at = view.now;
        plan.put_machine(machine.clone(), version);
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

/// A milestone of its boot, for the log alone.
pub(in crate::core) fn note(view: &View, id: MachineId, step: &Step) -> Result<Plan, Refusal> {
    let (machine, version) = view.machine(id)?;
    let mut plan = Plan::about(&machine, version);
    plan.say(What::Boot { step: step.clone() });
    Ok(plan)
}
