//! Commands in, events out.
//!
//! Every change, through whatever door, is a [`Command`] with an actor. It is authorised by the policy table,
//! planned against what is, committed together with the events that it causes, and answered with a
//! [`Receipt`]. Nothing else writes to the store. Reads go past the commands, straight to the store's read
//! model; what is only worth knowing for a while lives in [`Telemetry`], and never on a disk.

mod answer;
pub mod clock;
pub mod command;
pub mod config;
mod images;
pub mod install;
mod leases;
mod machines;
pub mod meter;
mod networks;
mod plan;
pub mod policy;
mod rate;
pub mod read;
pub mod receipt;
mod recency;
mod retention;
mod run;
pub mod seen;
mod settings;
pub mod telemetry;
pub mod templates;
#[cfg(test)]
mod tests;
pub mod traces;
pub mod watch;
pub mod wire;
pub mod workflows;

use std::fmt;
use std::sync::Arc;

use crate::store::Store;

pub use clock::{Clock, ManualClock, SystemClock};
pub use command::{Call, Command, HomeCall, IdempotencyKey, Inventory, LetIn, MachineRef};
pub use meter::{Meter, Outcome};
pub use read::{MachineFilter, MachinePage, SettingView, Sort, SortBy};
pub use receipt::{NextStep, Receipt, ReceiptStatus, Refusal};
pub use seen::Seen;
pub use telemetry::Telemetry;
pub use traces::Traces;
pub use watch::Watch;
pub use wire::WireBoard;
pub use workflows::{Progresses, Tallies, WorkflowFilter, WorkflowPage};

// What `events`, `watch` and a refusal speak of, for rooms that know the store through this one alone.
pub use crate::store::{EventPage, EventQuery, StoreError};

/// The one that runs commands and answers questions. Clones share everything.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    seen: Seen,
    traces: Traces,
    wire: WireBoard,
    progress: Progresses,
    tallies: Tallies,
    registrations: rate::Registrations,
    meter: Meter,
    turns: run::Turns,
    closing: tokio::sync::watch::Sender<bool>,
}

impl Core {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            telemetry: Telemetry::new(Arc::clone(&clock)),
            seen: Seen::default(),
            traces: Traces::new(Arc::clone(&store)),
            wire: WireBoard::default(),
            progress: Progresses::default(),
            tallies: Tallies::default(),
            registrations: rate::Registrations::default(),
            store,
            clock,
            meter: Meter::default(),
            turns: run::Turns::default(),
            closing: tokio::sync::watch::Sender::new(false),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// On nothing that lasts, for the tests of rooms that may not know the store.
    #[cfg(test)]
    pub fn in_memory() -> Self {
        let store = crate::store::memory::MemoryStore::new();
        Self::new(Arc::new(store), Arc::new(SystemClock))
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// What machines said lately; lost in a power cut, by design.
    pub fn telemetry(&self) -> &Telemetry {
        &self.inner.telemetry
    }

    /// Who was seen on the wire and is no machine yet.
    pub fn seen(&self) -> &Seen {
        &self.inner.seen
    }

    /// What was seen of boots lately, by MAC.
    pub fn traces(&self) -> &Traces {
        &self.inner.traces
    }

    /// What happens on the wire now.
    pub fn wire(&self) -> &WireBoard {
        &self.inner.wire
    }

    /// How workflows ended since the start, for metrics.
    pub fn tallies(&self) -> &Tallies {
        &self.inner.tallies
    }

    /// How far the steps are that are at work.
    pub fn progress(&self) -> &Progresses {
        &self.inner.progress
    }

    /// How often each command had which outcome.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Ends every watch, then waits until what was accepted is durable; nothing more is taken.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.closing.send_replace(true);
        self.inner.store.close().await
    }

    fn store(&self) -> &dyn Store {
        &*self.inner.store
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("store", &self.inner.store.describe())
            .finish_non_exhaustive()
    }
}
