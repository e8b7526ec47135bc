//! The default backend: one file, journalled.
//!
//! A commit is one append to a journal and one sync, shared by all who wait. Behind it a thread takes the
//! journal into a redb image in the same file, some thousand commits at a time, and reads come from the read
//! model. The layout and its invariants are told in `docs/store.md`.

mod checkpoint;
mod crc;
mod image;
mod journal;
mod layout;
mod migrate;
mod open;
mod record;
mod snapshot;
mod storage;
#[cfg(test)]
mod tests;
mod trim;
mod window;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use self::checkpoint::{Desk, Sealed};
use self::image::Image;
use self::journal::Journal;
use self::layout::Layout;
use self::storage::{Counted, FileStorage};
use self::writer::{Request, Writer};
use super::plan::Draft;
use super::read_model::ReadModel;
use super::{
    Commit, Committed, Counts, EventPage, EventQuery, Key, Page, Query, Retention, Store,
    StoreError, StoreStats, Stored, Trimmed,
};
use crate::model::{Anchor, Cursor, MachineId, Tag};

pub(super) use self::migrate::{ALIKE_SINCE, SCHEMA};
pub(super) use self::record::Record;
pub(super) use self::snapshot::{Builder, Snapshot};
pub use self::storage::Storage;

/// As many commits as wait for the writer; who comes later waits to be let in.
const WAITING: usize = 1024;

/// Where the store is and what it may use.
#[derive(Clone, Debug)]
pub struct Options {
    pub path: PathBuf,
    /// Bytes of each half of the journal; for a new store.
    pub journal_bytes: u64,
    /// As many records as one half holds before it is taken into the tables.
    pub journal_records: usize,
    /// Bytes of redb's own cache. It serves checkpoints and what the read model has no room for.
    pub cache_bytes: usize,
    /// Bytes of decoded objects in memory; the indexes come on top.
    pub body_bytes: usize,
}

impl Options {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            journal_bytes: layout::HALF_BYTES,
            journal_records: 4096,
            cache_bytes: 16 * 1024 * 1024,
            body_bytes: 256 * 1024 * 1024,
        }
    }
}

/// The state of Dragonfly in one file.
pub struct RedbStore {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Request>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the store's threads share.
struct Shared {
    options: Options,
    storage: Arc<Counted>,
    image: Image,
    model: ReadModel,
    desk: Desk,
    commits: AtomicU64,
    poison: OnceLock<StoreError>,
}

impl Shared {
    fn poisoned(&self) -> Option<StoreError> {
        self.poison.get().cloned()
    }

    fn sync_failed(&self) -> bool {
        self.storage.failed.load(Ordering::Acquire)
    }

    /// From now on nothing is written: what the disk holds is known only after a restart.
    fn poison(&self, why: &str) -> StoreError {
        let error = StoreError::Io {
            path: self.options.path.clone(),
            what: format!(
                "a write failed and nobody can tell whether it took hold ({why}); nothing more is written \
                 until Dragonfly is restarted. Look at the disk first (dmesg, smartctl, df)"
            ),
        };
        self.poison.get_or_init(|| error).clone()
    }
}

impl RedbStore {
    /// Opens the store, or makes an empty one where there is no file.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        // A link to nowhere is something: its disk may not be mounted yet.
        if options.path.symlink_metadata().is_err() {
            open::create(&options.path, options.journal_bytes)?;
        }
        let file = FileStorage::open(&options.path, true)?;
        Self::start(Arc::new(file), options)
    }

    /// Opens or makes a store on other bytes than a file's.
    #[cfg(any(test, feature = "lab"))]
    pub fn open_with(storage: Box<dyn Storage>, options: Options) -> Result<Self, StoreError> {
        let storage: Arc<dyn Storage> = storage.into();
        if open::is_blank(&*storage, &options.path)? {
            let layout = Layout::new(options.journal_bytes);
            open::create_on(&storage, &options.path, layout, |_| Ok(()))?;
        }
        Self::start(storage, options)
    }

    fn start(storage: Arc<dyn Storage>, options: Options) -> Result<Self, StoreError> {
        let opened = open::open(storage, &options)?;
        let shared = Arc::new(Shared {
            options,
            storage: opened.storage,
            image: opened.image,
            model: opened.model,
            desk: Desk::default(),
            commits: AtomicU64::new(0),
            poison: OnceLock::new(),
        });
        if !opened.sealed.is_empty() {
            let seq = opened.journal.seq - opened.journal.records.len() as u64;
            let cursor = 0;
            let records = opened.sealed;
            shared.desk.seal(Sealed {
                records,
                seq,
                cursor,
            });
        }
        let (queue, requests) = mpsc::channel(WAITING);
        let capacity = Journal::capacity(&opened.layout);
        let writer = Writer::new(shared.clone(), opened.journal, requests, capacity);
        let keeper = shared.clone();
        let threads = [
            thread("store-writer", move || writer.run()),
            thread("store-checkpoint", move || checkpoint::run(&keeper)),
        ];
        let store = Self {
            shared,
            queue: Some(queue),
            threads: Mutex::default(),
        };
        for thread in threads {
            let thread =
                thread.map_err(|error| storage::io_error(&store.shared.options.path, &error))?;
            store
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(thread);
        }
        Ok(store)
    }

    /// Hands a request to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        let sent = queue.send(request(reply)).await;
        sent.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.queue = None;
        self.shared.desk.stop();
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Store for RedbStore {
    fn describe(&self) -> String {
        format!("redb {}", self.shared.options.path.display())
    }

    fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        self.shared.model.get(key)
    }

    fn find(&self, anchor: &Anchor) -> Result<Vec<MachineId>, StoreError> {
        Ok(self.shared.model.find(anchor))
    }

    fn contested(&self) -> Result<Vec<Vec<MachineId>>, StoreError> {
        Ok(self.shared.model.contested())
    }

    fn page(&self, query: &Query) -> Result<Page, StoreError> {
        self.shared.model.page(query)
    }

    fn tags(&self) -> Result<Vec<(Tag, usize)>, StoreError> {
        Ok(self.shared.model.tags())
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.shared.model.counts())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            let draft = Draft::new(commit)?;
            self.ask(|reply| Request::Commit(draft, reply)).await
        }
        .boxed()
    }

    fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.shared.model.events(query)
    }

    fn watch(&self) -> watch::Receiver<Cursor> {
        self.shared.model.watch()
    }

    fn trim(&self, retention: Retention) -> BoxFuture<'_, Result<Trimmed, StoreError>> {
        self.ask(move |reply| Request::Trim(retention, reply))
            .boxed()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.shared.poisoned().map_or(Ok(()), Err)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            file_bytes: self.shared.storage.len().unwrap_or_default(),
            commits: self.shared.commits.load(Ordering::Relaxed),
            syncs: self.shared.storage.syncs.load(Ordering::Relaxed),
            ..self.shared.model.stats()
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(Request::Close).boxed()
    }
}
