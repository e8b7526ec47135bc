//! How often each command had which outcome: plain counters, for metrics.
//!
//! Both labels come from the closed sets of this file, never from a caller.

use std::sync::atomic::{AtomicU64, Ordering};

use super::command::Command;
use super::receipt::{Receipt, ReceiptStatus, Refusal};

/// What became of one call, as a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Unchanged,
    DryRun,
    Forbidden,
    NotFound,
    Invalid,
    Unconfirmed,
    Locked,
    Conflict,
    Contended,
    Store,
}

impl Outcome {
    pub const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Unchanged,
        Self::DryRun,
        Self::Forbidden,
        Self::NotFound,
        Self::Invalid,
        Self::Unconfirmed,
        Self::Locked,
        Self::Conflict,
        Self::Contended,
        Self::Store,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unchanged => "unchanged",
            Self::DryRun => "dry_run",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Unconfirmed => "unconfirmed",
            Self::Locked => "locked",
            Self::Conflict => "conflict",
            Self::Contended => "contended",
            Self::Store => "store",
        }
    }

    pub(super) const fn of(result: &Result<Receipt, Refusal>) -> Self {
        match result {
            Ok(receipt) => match receipt.status {
                ReceiptStatus::Accepted => Self::Accepted,
                ReceiptStatus::Unchanged => Self::Unchanged,
                ReceiptStatus::DryRun => Self::DryRun,
            },
            Err(refusal) => match refusal {
                Refusal::Forbidden { .. } => Self::Forbidden,
                Refusal::NotFound { .. } => Self::NotFound,
                Refusal::Field(_) | Refusal::Ambiguous { .. } | Refusal::Template(_) => {
                    Self::Invalid
                }
                Refusal::Unconfirmed { .. } => Self::Unconfirmed,
                Refusal::Locked { .. } => Self::Locked,
                Refusal::Stale { .. } | Refusal::Conflict { .. } | Refusal::KeyReused { .. } => {
                    Self::Conflict
                }
                Refusal::Contended => Self::Contended,
                Refusal::Store(_) => Self::Store,
            },
        }
    }
}

/// One counter for each pair of command and outcome.
#[derive(Debug)]
pub struct Meter {
    counts: [[AtomicU64; Outcome::ALL.len()]; Command::NAMES.len()],
}

impl Default for Meter {
    fn default() -> Self {
        let row = |_| std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            counts: std::array::from_fn(row),
        }
    }
}

impl Meter {
    pub(super) fn count(&self, command: &Command, outcome: Outcome) {
        let place = Command::NAMES
            .iter()
            .position(|name| *name == command.name());
        if let Some(row) = place.and_then(|place| self.counts.get(place)) {
            row[outcome as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Command, outcome and count, for each pair that occurred.
    pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
        let rows = Command::NAMES.iter().zip(&self.counts);
        let cells = rows.flat_map(|(name, row)| {
            let outcomes = Outcome::ALL.iter().zip(row);
            outcomes
                .map(|(outcome, count)| (*name, outcome.as_str(), count.load(Ordering::Relaxed)))
        });
        cells.filter(|(.., count)| *count > 0).collect()
    }
}
