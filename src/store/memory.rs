//! The backend that keeps nothing: the read model alone, for the demo and for tests.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::plan::{Batch, Draft};
use super::read_model::ReadModel;
use super::{
    Commit, Committed, Counts, EventPage, EventQuery, Key, MAX_COMMIT_BYTES, Page, Query,
    Retention, Store, StoreError, StoreStats, Stored, Trimmed,
};
use crate::model::{Anchor, Cursor, MachineId, Tag};

/// Holds everything in memory, and loses it when it is dropped.
pub struct MemoryStore {
    model: ReadModel,
    /// Held by the one that writes.
    writer: Mutex<()>,
    commits: AtomicU64,
    closed: AtomicBool,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self {
            model: ReadModel::whole(),
            writer: Mutex::new(()),
            commits: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    fn write(&self, commit: Commit) -> Result<Committed, StoreError> {
        let draft = Draft::new(commit)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let planned = {
            let state = self.model.read();
            Batch::new(&state).plan(&state, draft, MAX_COMMIT_BYTES)?
        };
        let committed = planned.committed.clone();
        self.model.apply(vec![planned], 0);
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(committed)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.model.get(key)
    }

    fn find(&self, anchor: &Anchor) -> Result<Vec<MachineId>, StoreError> {
        Ok(self.model.find(anchor))
    }

    fn contested(&self) -> Result<Vec<Vec<MachineId>>, StoreError> {
        Ok(self.model.contested())
    }

    fn page(&self, query: &Query) -> Result<Page, StoreError> {
        self.model.page(query)
    }

    fn tags(&self) -> Result<Vec<(Tag, usize)>, StoreError> {
        Ok(self.model.tags())
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.model.counts())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move { self.write(commit) }.boxed()
    }

    fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.model.events(query)
    }

    fn watch(&self) -> watch::Receiver<Cursor> {
        self.model.watch()
    }

    fn trim(&self, retention: Retention) -> BoxFuture<'_, Result<Trimmed, StoreError>> {
        async move {
            let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if self.closed.load(Ordering::Acquire) {
                return Err(StoreError::Closed);
            }
            Ok(self.model.trim(retention))
        }
        .boxed()
    }

    fn health(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            commits: self.commits.load(Ordering::Relaxed),
            ..self.model.stats()
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            self.closed.store(true, Ordering::Release);
            Ok(())
        }
        .boxed()
    }
}
