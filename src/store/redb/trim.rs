//! Retention: old events go out of the tables in small transactions, between checkpoints.

use serde::Deserialize;
use tokio::sync::oneshot;

use jiff::Timestamp;

use super::Shared;
use super::checkpoint::recover;
use super::image::{EVENTS, Meta, SUBJECTS, put_meta};
use super::record::{subject_row, unseal};
use crate::model::{Cursor, Subject};
use crate::store::read_model::SubjectKey;
use crate::store::{Retention, StoreError, Trimmed};

/// As many events as one transaction removes.
const BATCH: usize = 1000;

/// What a trim looks at in an event.
#[derive(Deserialize)]
struct Glance {
    at: Timestamp,
    subject: Subject,
    audit: bool,
}

/// A trim on its way.
#[derive(Debug)]
pub(super) struct Job {
    retention: Retention,
    reply: oneshot::Sender<Result<Trimmed, StoreError>>,
    from: u64,
    removed: u64,
    /// As many events as there are too many; known once they were counted.
    surplus: Option<u64>,
}

impl Job {
    pub fn new(retention: Retention, reply: oneshot::Sender<Result<Trimmed, StoreError>>) -> Self {
        Self {
            retention,
            reply,
            from: 0,
            removed: 0,
            surplus: None,
        }
    }

    pub fn fail(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }

    /// Removes one batch; returns itself when there may be more.
    pub fn step(mut self, shared: &Shared) -> Option<Self> {
        let done = match shared.poisoned() {
            Some(error) => Err(error),
            None => self.batch(shared),
        };
        match done {
            Ok(true) => return Some(self),
            Ok(false) => {
                let trimmed = Trimmed {
                    removed: self.removed,
                    floor: shared.model.floor(),
                };
                let _ = self.reply.send(Ok(trimmed));
            }
            Err(error) => self.fail(recover(shared, error)),
        }
        None
    }

    fn batch(&mut self, shared: &Shared) -> Result<bool, StoreError> {
        shared.image.mend()?;
        let reader = shared.image.reader()?;
        let mut meta = reader.meta()?;
        let mut surplus = match self.surplus {
            Some(surplus) => surplus,
            None => (meta.events - reader.audit_count()?).saturating_sub(self.retention.max_count),
        };
        let mut gone = Vec::new();
        let mut rows = Vec::new();
        reader.each_event(self.from, |cursor, value| {
            let glance = unseal(&cursor.to_be_bytes(), value)
                .and_then(|json| serde_json::from_slice(json).map_err(|e| e.to_string()));
            let glance: Glance = glance.map_err(|what| {
                reader.damaged(format!("event {}: {what}", Cursor::from_raw(cursor)))
            })?;
            self.from = cursor + 1;
            if glance.audit {
                return Ok(true);
            }
            if surplus > 0 || glance.at < self.retention.before {
                gone.push(cursor);
                rows.push(subject_row(SubjectKey::from(&glance.subject), cursor));
            }
            surplus = surplus.saturating_sub(1);
            Ok(gone.len() < BATCH)
        })?;
        self.surplus = Some(surplus);
        let Some(last) = gone.last() else {
            return Ok(false);
        };
        meta.floor = meta.floor.max(*last);
        meta.events -= gone.len() as u64;
        drop(reader);
        remove(shared, &gone, &mut rows, &meta)?;
        shared.model.trimmed(&gone, meta.floor);
        self.removed += gone.len() as u64;
        Ok(gone.len() >= BATCH)
    }
}

fn remove(
    shared: &Shared,
    gone: &[u64],
    rows: &mut [[u8; 25]],
    meta: &Meta,
) -> Result<(), StoreError> {
    rows.sort_unstable();
    shared.image.write(|txn| {
        let mut events = txn.open_table(EVENTS)?;
        for cursor in gone {
            events.remove(*cursor)?;
        }
        let mut subjects = txn.open_table(SUBJECTS)?;
        for row in rows.iter() {
            subjects.remove(row)?;
        }
        put_meta(txn, meta)
    })
}
