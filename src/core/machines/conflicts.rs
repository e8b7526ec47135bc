//! Conflicts: recorded once, told of once, and settled by what a person does to the machines they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::core::read::MAX_CONFLICTS;
use crate::model::{Anchor, Conflict, ConflictId, Evidence, MachineId, Subject, What};
use crate::store::{Key, Object};

/// How often a standing conflict's `last_seen` is written, so that a machine that boots over and over does not
/// fill the disk.
const SEEN_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// As many conflicts as one command settles, at three operations each; others of the machine stand until their
/// other side is settled, and show a machine that is gone.
const PER_COMMAND: usize = 16;

/// Records that these anchors were seen together.
pub(super) fn record(
    view: &View,
    plan: &mut Plan,
    evidence: &Evidence,
    claims: Vec<(Anchor, MachineId)>,
) -> Result<(), Refusal> {
    let known = view.conflicts()?;
    let same = |conflict: &Conflict| as_set(&conflict.claims) == as_set(&claims);
    if let Some((conflict, version)) = known.iter().find(|(conflict, _)| same(conflict)) {
        plan.note("the conflict was known already and waits for a person");
        if view.now.duration_since(conflict.last_seen) >= SEEN_AGAIN {
            let mut conflict = Conflict::clone(conflict);
            conflict.last_seen = view.now;
            plan.put(Object::Conflict(Arc::new(conflict)), *version);
        }
        return Ok(());
    }
    if known.len() >= MAX_CONFLICTS {
        plan.note(format!(
            "{MAX_CONFLICTS} conflicts wait already; this one is not recorded until some are settled"
        ));
        return Ok(());
    }
    let conflict = Conflict {
        id: ConflictId(view.new_id()),
        evidence: evidence.clone(),
        claims: claims.clone(),
        first_seen: view.now,
        last_seen: view.now,
    };
    plan.tell(
        Subject::Conflict(conflict.id),
        What::ConflictFound { claims },
    );
    plan.put(Object::Conflict(Arc::new(conflict)), 0);
    plan.next("see all conflicts", "dragonfly machine conflicts");
    Ok(())
}

/// Goes through the conflicts after a change: `now_holds` tells who an anchor belongs to from now on, if anybody.
/// A conflict that is left with one machine is settled.
pub(super) fn review(
    view: &View,
    plan: &mut Plan,
    how: &str,
    now_holds: impl Fn(&Anchor, MachineId) -> Option<MachineId>,
) -> Result<(), Refusal> {
    let mut touched = 0;
    for (conflict, version) in view.conflicts()? {
        let claims: Vec<_> = conflict
            .claims
            .iter()
            .filter_map(|(anchor, holder)| {
                now_holds(anchor, *holder).map(|holder| (anchor.clone(), holder))
            })
            .collect();
        if claims == conflict.claims {
            continue;
        }
        touched += 1;
        if touched > PER_COMMAND {
            plan.note("more conflicts name this machine than one command settles: do it for the other machines too");
            break;
        }
        let left: BTreeSet<_> = claims.iter().map(|(_, holder)| *holder).collect();
        if left.len() > 1 {
            let mut conflict = Conflict::clone(&conflict);
            conflict.claims = claims;
            plan.put(Object::Conflict(Arc::new(conflict)), version);
            continue;
        }
        plan.delete(Key::Conflict(conflict.id), version);
        let what = What::ConflictSettled {
            how: how.to_owned(),
        };
        plan.tell(Subject::Conflict(conflict.id), what);
    }
    Ok(())
}

fn as_set(claims: &[(Anchor, MachineId)]) -> BTreeSet<(&Anchor, MachineId)> {
    claims.iter().map(|(anchor, id)| (anchor, *id)).collect()
}
