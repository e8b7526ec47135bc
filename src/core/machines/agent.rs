//! The boot agent of a machine: which one is believed, and what is done when two say that they are it.

use crate::core::Refusal;
use crate::core::command::LetIn;
use crate::core::plan::{Plan, View};
use crate::model::state::{Cause, State, transition};
use crate::model::{Machine, MachineId, What};

use super::next_show;

/// Believes the agent that used a token of this machine.
pub(in crate::core) fn let_in(view: &View, id: MachineId, agent: &LetIn) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    believe(&mut plan, &mut machine, agent);
    if !plan.events.is_empty() {
        plan.put_machine(machine, version);
    }
    Ok(plan)
}

/// Nothing is told of one that is believed already.
pub(super) fn believe(plan: &mut Plan, machine: &mut Machine, agent: &LetIn) {
    if machine.boot.agent.key.as_ref() == Some(&agent.used.key) {
        return;
    }
    let record = &mut machine.boot.agent;
    record.let_in(agent.mac, agent.version.clone(), agent.used.clone());
    plan.say(What::AgentLetIn {
        version: agent.version.clone(),
        from: agent.from.clone(),
    });
}

/// A person wants a new look into the machine.
pub(in crate::core) fn look_into(view: &View, id: MachineId) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    machine.boot.agent.wanted = true;
    machine.boot.agent.tries = 0;
    if machine == *before {
        plan.note("nothing was asked for that is not so already");
    } else {
        plan.say(What::InventoryWanted {});
        plan.note("it is looked into when it boots from the network next");
        machine.metadata.updated_at = view.now;
        plan.put_machine(machine.clone(), version);
    }
    next_show(&mut plan, &machine);
    Ok(plan)
}

/// Believes no agent of this machine any more. Where the table of states lets it, the machine is in error from now on.
pub(in crate::core) fn alarm(view: &View, id: MachineId, reason: &str) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    machine.boot.agent.disown();
    plan.say(What::Alarm {
        reason: reason.to_owned(),
    });
    let error = State::Error {
        message: reason.to_owned(),
    };
    let (from, to) = (machine.status.state.kind(), error.kind());
    if from != to
        && let Ok(arrow) = transition(from, Cause::Failure, to)
    {
        machine.status.state = error;
        let impact = arrow.impact.to_owned();
        plan.say(What::StateChanged { from, to, impact });
    }
    machine.metadata.updated_at = view.now;
    next_show(&mut plan, &machine);
    plan.put_machine(machine, version);
    Ok(plan)
}
