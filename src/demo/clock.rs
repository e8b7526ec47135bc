//! A clock that tells a story first, and the time afterwards.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::core::{Clock, ManualClock, SystemClock};

/// Stands in the past until the story is told, then goes with the machine's own clock.
#[derive(Debug)]
pub struct StoryClock {
    story: ManualClock,
    told: AtomicBool,
}

impl StoryClock {
    /// A clock whose story ends at `now`.
    pub fn before(now: Timestamp) -> Self {
        let start = now.checked_sub(super::story::LENGTH).unwrap_or(now);
        Self {
            story: ManualClock::at(start),
            told: AtomicBool::new(false),
        }
    }

    pub(super) fn pass(&self, time: SignedDuration) {
        self.story.advance(time);
    }

    /// Goes ahead to `moment`, never back.
    pub(super) fn reach(&self, moment: Timestamp) {
        let ahead = moment.duration_since(self.story.now());
        if ahead.is_positive() {
            self.story.advance(ahead);
        }
    }

    pub(super) fn end(&self) {
        self.told.store(true, Ordering::Release);
    }

    fn clock(&self) -> &dyn Clock {
        if self.told.load(Ordering::Acquire) {
            &SystemClock
        } else {
            &self.story
        }
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        self.clock().now()
    }

    fn new_id(&self) -> Uuid {
        self.clock().new_id()
    }
}
