//! Conflicts: recorded once, told of once, and settled by what a person does to the machines they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::core::plan::{Plan, View};
use crate::core::read::MAX_CONFLICTS;
use crate::core::run::events;
use crate::core::{Call, Core, Refusal};
use crate::model::{Anchor, Conflict, ConflictId, Evidence, MachineId, Subject, What};
use crate::store::{
    Commit, Expect, Index, Key, MAX_OPERATIONS, MAX_PAGE, Object, Query, StoreError,
};

/// How often a standing conflict's `last_seen` is written, so that a machine that boots over and over does not
/// fill the disk.
const SEEN_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// As many conflicts as one commit settles, at three operations each; for the rest see [`Core::settle`].
const PER_COMMIT: usize = 16;
/// What a command's own machines and its answer need of a commit after its conflicts were gone through.
const RESERVED: usize = 10;
/// As many machines as one conflict names, and as many claims: only an import brings more than a few.
pub(in crate::core) const MAX_CLAIMANTS: usize = 32;
const MAX_CLAIMS: usize = 256;

/// Records that these anchors were seen together.
pub(super) fn record(
    view: &View,
    plan: &mut Plan,
    evidence: &Evidence,
    claims: Vec<(Anchor, MachineId)>,
) -> Result<(), Refusal> {
    let claims = bounded(claims);
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
        evidence: evidence.clone().bounded(),
        claims: claims.clone(),
        first_seen: view.now,
        last_seen: view.now,
    };
    for machine in conflict.machines() {
        // It is not to name a machine that ends meanwhile.
        let (_, version) = view.machine(machine)?;
        plan.expect
            .push(Expect::Version(Key::Machine(machine), version));
    }
    plan.tell(
        Subject::Conflict(conflict.id),
        What::ConflictFound { claims },
    );
    plan.put(Object::Conflict(Arc::new(conflict)), 0);
    plan.next("see all conflicts", "dragonfly machine conflicts");
    Ok(())
}

/// Goes through the conflicts after a change: `now_holds` tells who an anchor belongs to from now on, if anybody.
/// A conflict that is left with one machine is settled. As many as fit the commit; for the rest see [`Core::settle`].
pub(super) fn review(
    view: &View,
    plan: &mut Plan,
    how: &str,
    now_holds: impl Fn(&Anchor, MachineId) -> Option<MachineId>,
) -> Result<(), Refusal> {
    let room = MAX_OPERATIONS.saturating_sub(plan.operations() + RESERVED) / 3;
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
        if touched > room.min(PER_COMMIT) {
            break;
        }
        leave(plan, &conflict, version, claims, how);
    }
    Ok(())
}

/// Writes what is left of a conflict: fewer or other claims, or none.
fn leave(
    plan: &mut Plan,
    conflict: &Conflict,
    version: u64,
    claims: Vec<(Anchor, MachineId)>,
    how: &str,
) {
    let left: BTreeSet<_> = claims.iter().map(|(_, holder)| *holder).collect();
    if left.len() > 1 {
        let conflict = Conflict {
            claims,
            ..conflict.clone()
        };
        plan.put(Object::Conflict(Arc::new(conflict)), version);
        return;
    }
    plan.delete(Key::Conflict(conflict.id), version);
    let what = What::ConflictSettled {
        how: how.to_owned(),
    };
    plan.tell(Subject::Conflict(conflict.id), what);
}

/// A recorded conflict whose claims are others now.
struct Stale {
    conflict: Arc<Conflict>,
    version: u64,
    claims: Vec<(Anchor, MachineId)>,
}

impl Core {
    /// Brings every recorded conflict up to who holds its anchors now. A command settles the few that it touches in
    /// its own commit; this takes the rest, and what came in between, so that none names a machine that is gone.
    pub(in crate::core) async fn settle(&self, call: &Call, how: &str) -> Result<usize, Refusal> {
        let mut query = Query {
            by: Index::Conflicts,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        };
        let mut settled = 0;
        loop {
            let page = self.store().page(&query)?;
            let mut stale = Vec::new();
            for stored in page.items {
                if let Object::Conflict(conflict) = stored.object {
                    let claims = self.claims_now(&conflict)?;
                    if claims != conflict.claims {
                        stale.push(Stale {
                            conflict,
                            version: stored.version,
                            claims,
                        });
                    }
                }
            }
            for some in stale.chunks(PER_COMMIT) {
                settled += self.settle_some(call, some, how).await?;
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(settled);
            }
        }
    }

    fn claims_now(&self, conflict: &Conflict) -> Result<Vec<(Anchor, MachineId)>, Refusal> {
        let mut anchors: Vec<&Anchor> = Vec::new();
        for (anchor, _) in &conflict.claims {
            if !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
        let mut claims = Vec::new();
        for anchor in anchors {
            let holders = self.store().find(anchor)?;
            claims.extend(holders.into_iter().map(|holder| (anchor.clone(), holder)));
        }
        Ok(bounded(claims))
    }

    /// A conflict that changed meanwhile keeps its fellows for the next pass.
    async fn settle_some(&self, call: &Call, some: &[Stale], how: &str) -> Result<usize, Refusal> {
        let mut plan = Plan::new(Subject::Appliance, 0);
        for stale in some {
            let claims = stale.claims.clone();
            leave(&mut plan, &stale.conflict, stale.version, claims, how);
        }
        let commit = Commit {
            events: events(call, &plan, self.clock().now()),
            expect: plan.expect,
            changes: plan.changes,
        };
        match self.store().commit(commit).await {
            Ok(_) => Ok(some.len()),
            Err(StoreError::Version { .. }) => Ok(0),
            Err(why) => Err(why.into()),
        }
    }
}

/// As many claims as one conflict holds. When there are more, some anchor has two claims among those that stay.
fn bounded(claims: Vec<(Anchor, MachineId)>) -> Vec<(Anchor, MachineId)> {
    let mut machines = BTreeSet::new();
    let mut known = |machine| {
        let room = machines.len() < MAX_CLAIMANTS;
        machines.contains(&machine) || (room && machines.insert(machine))
    };
    let claims = claims.into_iter().filter(|(_, machine)| known(*machine));
    claims.take(MAX_CLAIMS).collect()
}

fn as_set(claims: &[(Anchor, MachineId)]) -> BTreeSet<(&Anchor, MachineId)> {
    claims.iter().map(|(anchor, id)| (anchor, *id)).collect()
}
