//! How many machines may register by themselves: whoever invents MAC addresses fills a list, and not the store.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{Core, Refusal};

/// What one registration costs, in shares of a millisecond's earnings: at N a minute a millisecond earns N shares.
const PRICE: u64 = 60_000;

/// A bucket of tokens: full, it holds those of a minute.
#[derive(Debug, Default)]
pub(super) struct Registrations(Mutex<Option<Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    shares: u64,
    at: Timestamp,
}

impl Registrations {
    /// Whether one more fits in; if so, it is counted.
    fn take(&self, now: Timestamp, per_minute: u64) -> bool {
        let full = per_minute.saturating_mul(PRICE);
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = bucket.unwrap_or(Bucket {
            shares: full,
            at: now,
        });
        // A clock that steps back earns nothing.
        let passed = u64::try_from(now.duration_since(before.at).as_millis()).unwrap_or(0);
        let earned = passed.saturating_mul(per_minute);
        let shares = before.shares.saturating_add(earned).min(full);
        let left = shares.checked_sub(PRICE);
        *bucket = Some(Bucket {
            shares: left.unwrap_or(shares),
            at: now,
        });
        left.is_some()
    }
}

impl Core {
    /// For a machine that shows itself and is not known. A plan that is made anew is counted again.
    pub(super) fn may_register(&self, now: Timestamp) -> Result<(), Refusal> {
        const KEY: &str = "boot.registrations_per_minute";
        let per_minute = self.number(KEY)?;
        if self.inner.registrations.take(now, per_minute) {
            return Ok(());
        }
        Err(Refusal::Conflict {
            reason: format!("{per_minute} machines registered within a minute, which is the limit"),
            hint: format!(
                "it is registered when it asks again later; to let in more, raise {KEY}: dragonfly settings set {KEY} {}",
                per_minute.saturating_mul(2)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_minute_lets_in_as_many_as_it_says_and_earns_them_back_evenly() {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let registrations = Registrations::default();
        let take = |millis| registrations.take(start + SignedDuration::from_millis(millis), 120);
        let granted = (0..500).filter(|_| take(0)).count();
        assert_eq!(granted, 120);
        assert!(!take(499));
        assert!(
            take(500),
            "a hundred and twenty a minute is one in half a second"
        );
        assert!(!take(500));
        assert!(!take(0), "the clock stepped back");
        assert_eq!((0..500).filter(|_| take(120_000)).count(), 120);
    }
}
