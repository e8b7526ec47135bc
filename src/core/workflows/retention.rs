//! Which workflows are kept after their end.

use std::collections::BTreeMap;

use crate::core::{Core, Refusal};
use crate::model::MachineId;
use crate::model::workflow::State;
use crate::store::{Change, Commit, Expect, Index, Key, MAX_PAGE, Query, StoreError};

use super::read::workflow_of;

/// As many of one machine as are kept.
const PER_MACHINE: usize = 20;
/// As many altogether.
const MAX_ENDED: usize = 1000;
/// As many as one commit drops: each needs an expectation and a change.
const PER_COMMIT: usize = 45;

/// What of a machine's was seen so far, newest first.
#[derive(Default)]
struct Seen {
    ended: usize,
    succeeded: bool,
}

impl Core {
    /// Drops old workflows that are over. The newest of a machine stays, and so does the newest that succeeded: by
    /// that one its installed system proves itself.
    pub(in crate::core) async fn drop_workflows(&self) -> Result<usize, Refusal> {
        let mut query = Query {
            by: Index::Workflows,
            after: None,
            limit: MAX_PAGE,
            descending: true,
        };
        let mut seen: BTreeMap<MachineId, Seen> = BTreeMap::new();
        let mut ended = 0;
        let mut dropped = 0;
        loop {
            let page = self.store().page(&query)?;
            let mut old = Vec::new();
            for (workflow, version) in page.items.into_iter().filter_map(workflow_of) {
                if workflow.is_active() {
                    continue;
                }
                ended += 1;
                let of = seen.entry(workflow.machine).or_default();
                of.ended += 1;
                let system = workflow.state == State::Success && !of.succeeded;
                of.succeeded |= system;
                let there = self.machine_by_id(workflow.machine).is_ok();
                let kept = there && (of.ended == 1 || system);
                if !kept && (of.ended > PER_MACHINE || ended > MAX_ENDED) {
                    old.push((Key::Workflow(workflow.id), version));
                }
            }
            for some in old.chunks(PER_COMMIT) {
                dropped += self.drop_ended(some).await?;
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(dropped);
            }
            tokio::task::yield_now().await;
        }
    }

    /// One that is tried again meanwhile keeps its fellows for the next pass.
    async fn drop_ended(&self, keys: &[(Key, u64)]) -> Result<usize, Refusal> {
        let expect = keys
            .iter()
            .map(|(key, version)| Expect::Version(key.clone(), *version));
        let changes = keys.iter().map(|(key, _)| Change::Delete(key.clone()));
        let commit = Commit {
            expect: expect.collect(),
            changes: changes.collect(),
            events: Vec::new(),
        };
        match self.store().commit(commit).await {
            Ok(_) => Ok(keys.len()),
            Err(StoreError::Version { .. }) => Ok(0),
            Err(why) => Err(why.into()),
        }
    }
}
