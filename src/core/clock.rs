//! The one place that asks what time it is, so that a test can hold it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use uuid::{ContextV7, Uuid};

/// Tells the time and makes identifiers out of it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// A new UUIDv7 of this moment.
    fn new_id(&self) -> Uuid;
}

/// The machine's own clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    ids: std::sync::Mutex<ContextV7>,
}

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self {
            millis: AtomicI64::new(start.as_millisecond()),
            ids: std::sync::Mutex::new(ContextV7::new()),
        }
    }

    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn new_id(&self) -> Uuid {
        let now = self.now();
        let context = self
            .ids
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }
}
