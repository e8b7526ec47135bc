//! The thread that writes the image: it takes sealed halves of the journal into the tables, and trims.
//!
//! A half may be written anew only when its checkpoint is durable. When the disk is full the half stays sealed
//! and its bodies stay in memory; the thread tries again every few seconds, and whenever a writer needs the half.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Shared;
use super::trim::Job;
use crate::store::{Retention, StoreError, Trimmed};

/// How long the thread waits before it tries a full disk again of its own accord.
const RETRY: Duration = Duration::from_secs(2);
/// As many trims as wait at once; there is one caller, so more is a fault of his.
const TRIMS: usize = 16;

/// Where writer and checkpoint thread meet.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DeskState {
    sealed: Option<Arc<Sealed>>,
    trims: VecDeque<Job>,
    /// Attempts that came to an end.
    attempts: u64,
    /// How the last attempt failed.
    failed: Option<StoreError>,
    asked: bool,
    stop: bool,
}

/// A full half of the journal.
#[derive(Debug)]
pub(super) struct Sealed {
    pub records: Vec<Vec<u8>>,
    /// The number of its last record.
    pub seq: u64,
    /// The place of the last event up to then.
    pub cursor: u64,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a half over. [`Desk::free`] came before.
    pub fn seal(&self, sealed: Sealed) {
        self.lock().sealed = Some(Arc::new(sealed));
        self.changed.notify_all();
    }

    /// Waits until no half is sealed, or until an attempt has failed that ended after this call.
    pub fn free(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        let seen = state.attempts;
        state.asked = true;
        self.changed.notify_all();
        while state.sealed.is_some() && state.attempts == seen && !state.stop {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match (&state.sealed, &state.failed) {
            (None, _) => Ok(()),
            (Some(_), Some(error)) => Err(error.clone()),
            (Some(_), None) => Err(StoreError::Closed),
        }
    }

    pub fn trim(&self, retention: Retention, reply: oneshot::Sender<Result<Trimmed, StoreError>>) {
        let mut state = self.lock();
        if state.trims.len() >= TRIMS {
            let _ = reply.send(Err(StoreError::Closed));
            return;
        }
        state.trims.push_back(Job::new(retention, reply));
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }
}

/// What to do next.
enum Task {
    Checkpoint(Arc<Sealed>),
    Trim(Job),
    Stop,
}

pub(super) fn run(shared: &Shared) {
    loop {
        match next(&shared.desk) {
            Task::Stop => return,
            Task::Checkpoint(sealed) => checkpoint(shared, &sealed),
            Task::Trim(job) => {
                if let Some(job) = job.step(shared) {
                    shared.desk.lock().trims.push_front(job);
                }
            }
        }
    }
}

fn next(desk: &Desk) -> Task {
    let mut state = desk.lock();
    loop {
        if state.stop {
            return Task::Stop;
        }
        match (&state.sealed, &state.failed) {
            (Some(sealed), None) => return Task::Checkpoint(sealed.clone()),
            (Some(sealed), Some(_)) if state.asked => return Task::Checkpoint(sealed.clone()),
            (None, _) => {
                if let Some(job) = state.trims.pop_front() {
                    return Task::Trim(job);
                }
            }
            (Some(_), Some(error)) => {
                let error = error.clone();
                for job in state.trims.drain(..) {
                    job.fail(error.clone());
                }
            }
        }
        state = if state.failed.is_some() {
            let wait = desk.changed.wait_timeout(state, RETRY);
            let (mut state, waited) = wait.unwrap_or_else(PoisonError::into_inner);
            state.asked |= waited.timed_out();
            state
        } else {
            desk.changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner)
        };
    }
}

fn checkpoint(shared: &Shared, sealed: &Sealed) {
    shared.desk.lock().asked = false;
    let done = match shared.poisoned() {
        Some(error) => Err(error),
        None => shared.image.checkpoint(&sealed.records, sealed.seq),
    };
    let failed = match done {
        Ok(_) => {
            shared.model.settle(sealed.seq, sealed.cursor);
            None
        }
        Err(error) => Some(recover(shared, error)),
    };
    let mut state = shared.desk.lock();
    state.attempts += 1;
    if failed.is_none() {
        state.sealed = None;
    }
    state.failed = failed;
    shared.desk.changed.notify_all();
}

/// After a failed transaction redb refuses to go on. A full disk is no reason to give up; all else is.
pub(super) fn recover(shared: &Shared, error: StoreError) -> StoreError {
    if !matches!(error, StoreError::Full { .. }) || shared.sync_failed() {
        return shared.poison(&error.to_string());
    }
    match shared.image.reopen() {
        Ok(()) | Err(StoreError::Full { .. }) => error,
        Err(other) => shared.poison(&other.to_string()),
    }
}
