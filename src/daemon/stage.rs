//! The demo's stage: each act is one commit to the store, with its event.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::core::Clock;
use crate::demo::{Act, DemoError, Stage};
use crate::model::{CorrelationId, RequestId, Subject};
use crate::store::{Change, Commit, Expect, Key, NewEvent, Object, Store, StoreError};

/// Plays into a store, by a clock.
pub(super) struct StoreStage {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Stage for StoreStage {
    fn play(&self, act: Act) -> BoxFuture<'_, Result<(), DemoError>> {
        async move {
            let commit = self.commit(act)?;
            self.store
                .commit(commit)
                .await
                .map(drop)
                .map_err(|error| broken(&error))
        }
        .boxed()
    }
}

impl StoreStage {
    fn commit(&self, act: Act) -> Result<Commit, DemoError> {
        let key = Key::Machine(act.machine);
        let found = self.store.get(&key).map_err(|error| broken(&error))?;
        let Some((Object::Machine(machine), version)) =
            found.map(|stored| (stored.object, stored.version))
        else {
            return Err(DemoError::Stage(format!("machine {} is gone", act.machine)));
        };
        let mut machine = Arc::unwrap_or_clone(machine);
        let now = self.clock.now();
        let what = (act.change)(&mut machine)?;
        machine.metadata.updated_at = now;
        let id = self.clock.new_id();
        let event = what.map(|what| NewEvent {
            at: now,
            subject: Subject::Machine(act.machine),
            what,
            audit: false,
            actor: act.actor,
            request: RequestId(id),
            correlation: CorrelationId(id),
            causation: None,
        });
        Ok(Commit {
            expect: vec![Expect::Version(key, version)],
            changes: vec![Change::Put(Object::Machine(Arc::new(machine)))],
            events: event.into_iter().collect(),
        })
    }
}

fn broken(error: &StoreError) -> DemoError {
    DemoError::Stage(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::{Core, MachineFilter, Sort, SystemClock};
    use crate::demo::{self, StoryClock};
    use crate::model::Machine;
    use crate::store::memory::MemoryStore;

    async fn curtain() -> (Core, Arc<StoreStage>) {
        let now = SystemClock.now();
        let clock = Arc::new(StoryClock::before(now));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let core = Core::new(Arc::clone(&store), clock.clone());
        let stage = Arc::new(StoreStage {
            store,
            clock: clock.clone(),
        });
        demo::tell(&core, &*stage, &clock, now).await.unwrap();
        assert!(core.clock().now() >= now, "the story ends in the future");
        (core, stage)
    }

    type Seen = (Arc<Machine>, u64);

    fn cast(core: &Core) -> Vec<Seen> {
        let all = core.machines(&MachineFilter::default(), Sort::default(), 100, None);
        all.unwrap().items
    }

    #[tokio::test(start_paused = true)]
    async fn machines_move_by_themselves_and_those_in_a_persons_hands_do_not() {
        let (core, stage) = curtain().await;
        let before = cast(&core);
        let hour = Duration::from_hours(1);
        let ended = tokio::time::timeout(hour, demo::live(core.clone(), stage)).await;
        assert!(ended.is_err(), "the play ended: {ended:?}");
        let after = cast(&core);
        assert_eq!(after.len(), before.len());
        let moved = |(old, new): &(&Seen, &Seen)| old.1 != new.1;
        let both = before.iter().zip(&after);
        assert!(both.clone().filter(moved).count() > 5);
        let held = both.filter(|(old, _)| old.0.lock.is_some() || old.0.pending.is_some());
        assert_eq!(held.clone().count(), 2);
        assert_eq!(held.filter(moved).count(), 0);
    }
}
