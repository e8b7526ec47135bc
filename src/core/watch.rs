//! Following the log of events as it grows.
//!
//! A watch holds a place and nothing else, so a slow reader costs no memory: what it has not read yet waits in
//! the store. When retention has taken events that it had not read, it is told so once and goes on from now.

use std::sync::Arc;

use crate::model::{Cursor, Event, Subject};
use crate::store::{EventQuery, Store, StoreError};

use super::Core;

/// As many events as one batch may hold: a reader's buffer stays small, and a long log is still read quickly.
pub const MAX_BATCH: usize = 256;

impl Core {
    /// A signal each time that something was committed with an event, for those who look for themselves what it was.
    pub fn moved(&self) -> tokio::sync::watch::Receiver<Cursor> {
        self.store().watch()
    }

    /// Events after `from`; without it, those that come from now on.
    pub fn watch(&self, from: Option<Cursor>) -> Watch {
        let mut moved = self.store().watch();
        let head = *moved.borrow_and_update();
        Watch {
            store: Arc::clone(&self.inner.store),
            moved,
            closing: self.inner.closing.subscribe(),
            from: from.unwrap_or(head),
            subject: None,
            audit_only: false,
            lost: from.is_some_and(|from| from > head),
        }
    }
}

/// A reader's place in the log.
pub struct Watch {
    store: Arc<dyn Store>,
    moved: tokio::sync::watch::Receiver<Cursor>,
    closing: tokio::sync::watch::Receiver<bool>,
    from: Cursor,
    subject: Option<Subject>,
    audit_only: bool,
    /// Its place lies beyond the log's end, so it was given out by another store.
    lost: bool,
}

impl Watch {
    /// Only events about `subject`.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Only events of the audit log.
    #[must_use]
    pub fn audit_only(mut self) -> Self {
        self.audit_only = true;
        self
    }

    /// Where it stands: hand it to [`Core::watch`] to go on later.
    pub fn cursor(&self) -> Cursor {
        self.from
    }

    /// Waits for the next events: at least one, at most [`MAX_BATCH`], in their order.
    ///
    /// [`StoreError::Reset`]: events were missed for good; the next call goes on from now.
    /// [`StoreError::Closed`]: the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            let head = *self.moved.borrow_and_update();
            if std::mem::take(&mut self.lost) {
                self.from = head;
                return Err(StoreError::Reset { floor: head });
            }
            if self.from < head {
                let events = self.read(head)?;
                if !events.is_empty() {
                    return Ok(events);
                }
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                moved = self.moved.changed() => moved.map_err(|_| StoreError::Closed)?,
                _ = self.closing.wait_for(|closing| *closing) => return Err(StoreError::Closed),
            }
        }
    }

    /// One batch, with the place moved behind it; empty when none of what it passed was wanted.
    fn read(&mut self, head: Cursor) -> Result<Vec<Event>, StoreError> {
        let query = EventQuery {
            from: Some(self.from),
            newest_first: false,
            subject: self.subject.clone(),
            audit_only: self.audit_only,
            follow: true,
            limit: MAX_BATCH,
        };
        match self.store.events(&query) {
            Ok(page) => {
                let last = page.events.last().map(|event| event.cursor);
                // A page that found nothing and names no place has read all that there was.
                self.from = page.next.or(last).unwrap_or(head).max(self.from);
                if page.events.is_empty() && !page.more {
                    self.from = self.from.max(head);
                }
                Ok(page.events)
            }
            Err(StoreError::Reset { floor }) => {
                self.from = *self.moved.borrow();
                Err(StoreError::Reset { floor })
            }
            Err(other) => Err(other),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("from", &self.from)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
