//! The thread that commits. Commits that wait together are planned together and share one frame and one sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::checkpoint::Sealed;
use super::journal::{Fault, Journal};
use super::record::encode_commit;
use super::storage::io_error;
use crate::store::plan::{Batch, Draft, Planned};
use crate::store::{Committed, Retention, StoreError, Trimmed};

/// As many commits as share one sync at most, so that none waits for more than a few milliseconds of planning.
const GROUP: usize = 128;

/// What the store is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Commit(Draft, oneshot::Sender<Result<Committed, StoreError>>),
    Trim(Retention, oneshot::Sender<Result<Trimmed, StoreError>>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

type Reply = (
    oneshot::Sender<Result<Committed, StoreError>>,
    Result<Committed, StoreError>,
);

pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    queue: mpsc::Receiver<Request>,
    /// As many bytes as one commit may have here.
    limit: usize,
    /// As many bytes as one record may have.
    capacity: usize,
    closed: bool,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        journal: Journal,
        queue: mpsc::Receiver<Request>,
        capacity: usize,
    ) -> Self {
        /// Beside its encoded objects and events, a commit of [`crate::store::MAX_OPERATIONS`] has so much.
        const FRAMING: usize = 8 * 1024;
        Self {
            shared,
            journal,
            queue,
            limit: (capacity - FRAMING).min(crate::store::MAX_COMMIT_BYTES),
            capacity,
            closed: false,
        }
    }

    pub fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut drafts = Vec::new();
            let mut next = Some(first);
            while let Some(Request::Commit(draft, reply)) = next {
                drafts.push((draft, reply));
                next = if drafts.len() < GROUP {
                    self.queue.try_recv().ok()
                } else {
                    None
                };
            }
            if !drafts.is_empty() {
                self.group(drafts);
            }
            match next {
                Some(Request::Trim(retention, reply)) => self.trim(retention, reply),
                Some(Request::Close(reply)) => {
                    let _ = reply.send(self.close());
                }
                Some(Request::Commit(..)) | None => {}
            }
        }
    }

    fn group(&mut self, drafts: Vec<(Draft, oneshot::Sender<Result<Committed, StoreError>>)>) {
        let refusal = self.refusal();
        let mut replies: Vec<Reply> = Vec::with_capacity(drafts.len());
        let mut plans = Vec::with_capacity(drafts.len());
        if let Some(error) = refusal {
            replies.extend(
                drafts
                    .into_iter()
                    .map(|(_, reply)| (reply, Err(error.clone()))),
            );
        } else {
            let state = self.shared.model.read();
            let mut batch = Batch::new(&state);
            for (draft, reply) in drafts {
                let planned = batch.plan(&state, draft, self.limit);
                replies.push((
                    reply,
                    planned
                        .as_ref()
                        .map(|p| p.committed.clone())
                        .map_err(Clone::clone),
                ));
                plans.extend(planned);
            }
        }
        let (mut durable, failed) = self.write(plans);
        for (reply, answer) in replies {
            let answer = match (&failed, answer) {
                (Some(_), Ok(committed)) if durable > 0 => {
                    durable -= 1;
                    Ok(committed)
                }
                // A refusal may rest on what a commit before it was to leave.
                (Some(error), _) => Err(error.clone()),
                (None, answer) => answer,
            };
            let _ = reply.send(answer);
        }
    }

    fn refusal(&self) -> Option<StoreError> {
        if self.closed {
            return Some(StoreError::Closed);
        }
        self.shared.poisoned()
    }

    /// Makes plans durable and then visible, as many at once as fit one record. Returns how many are durable, and
    /// why no more are.
    fn write(&mut self, plans: Vec<Planned>) -> (usize, Option<StoreError>) {
        let mut durable = 0;
        let mut record = Vec::new();
        let mut ready = Vec::new();
        for planned in plans {
            let before = record.len();
            encode_commit(&planned, &mut record);
            if record.len() > self.capacity && before > 0 {
                let rest = record.split_off(before);
                let full = std::mem::replace(&mut record, rest);
                let count = ready.len();
                if let Err(error) = self.append(full, std::mem::take(&mut ready)) {
                    return (durable, Some(error));
                }
                durable += count;
            }
            ready.push(planned);
        }
        if ready.is_empty() {
            return (durable, None);
        }
        let count = ready.len();
        match self.append(record, ready) {
            Ok(()) => (durable + count, None),
            Err(error) => (durable, Some(error)),
        }
    }

    fn append(&mut self, record: Vec<u8>, plans: Vec<Planned>) -> Result<(), StoreError> {
        if !record.is_empty() {
            let full = self.journal.records.len() >= self.shared.options.journal_records;
            if full || !self.journal.has_room(record.len()) {
                self.turn()?;
            }
            self.journal.append(record).map_err(|fault| match fault {
                Fault::Undone(error) => io_error(&self.shared.options.path, &error),
                Fault::Unknown(error) => self.shared.poison(&error.to_string()),
            })?;
        }
        let commits = plans.len() as u64;
        self.shared.model.apply(plans, self.journal.seq);
        self.shared.commits.fetch_add(commits, Ordering::Relaxed);
        Ok(())
    }

    /// Hands the half over that was written to, and goes on in the other one.
    fn turn(&mut self) -> Result<(), StoreError> {
        self.shared.desk.free()?;
        let cursor = self.shared.model.read().last_cursor();
        let sealed = Sealed {
            records: self.journal.turn(),
            seq: self.journal.seq,
            cursor,
        };
        self.shared.desk.seal(sealed);
        Ok(())
    }

    /// Everything goes into the tables first, so that the trim sees all events there are.
    fn trim(&mut self, retention: Retention, reply: oneshot::Sender<Result<Trimmed, StoreError>>) {
        let flushed = match self.refusal() {
            Some(error) => Err(error),
            None if self.journal.records.is_empty() => Ok(()),
            None => self.turn(),
        };
        match flushed {
            Ok(()) => self.shared.desk.trim(retention, reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.closed = true;
        if let Some(error) = self.shared.poisoned() {
            return Err(error);
        }
        if !self.journal.records.is_empty() {
            self.turn()?;
        }
        self.shared.desk.free()
    }
}
