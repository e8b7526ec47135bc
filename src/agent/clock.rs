//! Time, as the agent sees it: the one place that asks for it, and the one that waits for nothing but its passing.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// The moment, by a clock that never jumps.
#[expect(clippy::disallowed_methods, reason = "this is the agent's clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// What the wall clock shows. It may be far off until the server told better.
#[expect(clippy::disallowed_methods, reason = "this is the agent's clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// Lets time pass before something is tried again.
#[expect(
    clippy::disallowed_methods,
    reason = "between two tries there is nothing else to wait for"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Sets the wall clock.
pub fn set(time: Timestamp) -> nix::Result<()> {
    let nanos = i64::from(time.subsec_nanosecond());
    clock_settime(
        ClockId::CLOCK_REALTIME,
        TimeSpec::new(time.as_second(), nanos),
    )
}

/// Pauses that double from try to try, up to an end.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            first,
            longest,
        }
    }

    /// Half a second at first, half a minute in the end: for a server that restarts.
    pub const fn of_server() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }

    /// How long to wait before the next try.
    pub fn pause(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }

    /// It went well: the next failure starts from the beginning.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_end() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(3));
        let pauses: Vec<u64> = (0..4).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 3, 3]);
        backoff.reset();
        assert_eq!(backoff.pause().as_secs(), 1);
    }
}
