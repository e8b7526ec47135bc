//! A new machine gets the name that its address has in the reverse DNS. A name that a person gave stays.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::edit::check_tags;
use crate::model::naming::Named;
use crate::model::{Machine, MachineId, Patch};

use super::{configured, next_show};

pub(in crate::core) fn plan(view: &View, id: MachineId, named: &Named) -> Result<Plan, Refusal> {
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    // The first generation is the one that nobody touched.
    if before.config.generation != 1 || before.config.hostname.is_some() || before.pending.is_some()
    {
        plan.note("somebody was at it before, so it keeps what it has");
        return Ok(plan);
    }
    let mut machine = Machine::clone(&before);
    let tags: std::collections::BTreeSet<_> =
        machine.config.tags.union(&named.tags).cloned().collect();
    check_tags(&tags)?;
    let patch = Patch {
        hostname: Some(Some(named.hostname.clone())),
        tags: Some(tags),
        ..Patch::default()
    };
    let patch = patch.without_what_is(&machine);
    let diff = patch.diff(&machine);
    patch.apply(&mut machine);
    configured(&mut plan, &mut machine, diff, false);
    machine.metadata.updated_at = view.now;
    next_show(&mut plan, &machine);
    plan.put_machine(machine, version);
    Ok(plan)
}
