//! Tags, put on and taken off at once.

use std::collections::BTreeSet;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::edit::check_tags;
use crate::model::{FieldError, Machine, MachineId, Patch, Tag};

use super::{configured, next_pending, next_show, tidy_pending};

pub(in crate::core) fn plan(
    view: &View,
    id: MachineId,
    add: &BTreeSet<Tag>,
    remove: &BTreeSet<Tag>,
) -> Result<Plan, Refusal> {
    if let Some(both) = add.intersection(remove).next() {
        let reason = format!("'{both}' is to be put on and taken off at once");
        return Err(FieldError::new("tags", reason, "web, rack2").into());
    }
    let (before, version) = view.machine(id)?;
    let mut plan = Plan::about(&before, version);
    let mut machine = Machine::clone(&before);
    let tags: BTreeSet<_> = machine.config.tags.union(add).cloned().collect();
    let tags: BTreeSet<_> = tags.difference(remove).cloned().collect();
    if tags == machine.config.tags {
        plan.note("its tags are so already");
        next_show(&mut plan, &machine);
        return Ok(plan);
    }
    // Taking off is always allowed, also from a machine that came with too many.
    if tags.len() > machine.config.tags.len() {
        check_tags(&tags)?;
    }
    let patch = Patch {
        tags: Some(tags),
        ..Patch::default()
    };
    let diff = patch.diff(&machine);
    patch.apply(&mut machine);
    configured(&mut plan, &mut machine, diff, false);
    tidy_pending(&mut plan, &mut machine);
    let pending = machine.pending.as_ref();
    if pending.is_some_and(|pending| pending.patch.tags.is_some()) {
        plan.note("a pending edit of tags waits too; it was written before this change and cannot be applied over it");
        next_pending(&mut plan, &machine);
    }
    machine.metadata.updated_at = view.now;
    next_show(&mut plan, &machine);
    plan.put_machine(machine, version);
    Ok(plan)
}
