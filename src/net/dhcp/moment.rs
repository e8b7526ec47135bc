//! The time of timers: it only goes forward, whatever happens to the clock of the house.

use std::time::Duration;

use jiff::Timestamp;

/// A moment since the engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// How long ago `earlier` was; nothing when it is still to come.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Makes moments of timestamps. A step back of the clock counts as no time at all, so that no timer waits for it
/// to be made up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metronome {
    seen: Option<Timestamp>,
    now: Moment,
}

impl Metronome {
    pub fn moment(&mut self, now: Timestamp) -> Moment {
        let passed = self.seen.map_or(Duration::ZERO, |seen| between(seen, now));
        self.seen = Some(now);
        self.now = self.now.after(passed);
        self.now
    }

    /// When a moment comes, by the clock as it was last seen.
    pub fn timestamp(&self, moment: Moment) -> Option<Timestamp> {
        let seen = self.seen?;
        Some(later(seen, moment.since(self.now)))
    }
}

/// The time from one moment to a later one; nothing when it is not later.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// A timestamp that much later; the last one there is where it would be beyond it.
pub fn later(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_step_back_of_the_clock_stops_no_timer() {
        let mut metronome = Metronome::default();
        let start = metronome.moment(at(10_000));
        let deadline = start.after(Duration::from_secs(2));
        assert_eq!(metronome.moment(at(5)), start);
        assert_eq!(metronome.timestamp(deadline), Some(at(7)));
        assert_eq!(metronome.moment(at(7)), deadline);
    }

    #[test]
    fn the_ends_of_time_are_no_end_of_us() {
        let mut metronome = Metronome::default();
        let first = metronome.moment(Timestamp::MIN);
        let last = metronome.moment(Timestamp::MAX);
        assert!(last > first);
        let never = last.after(Duration::MAX);
        assert_eq!(metronome.timestamp(never), Some(Timestamp::MAX));
        assert_eq!(between(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }
}
