//! When something is sent again, and when it is given up.

use std::time::Duration;

/// Before anything was measured. A client on the same segment answers within a few milliseconds.
const FIRST: Duration = Duration::from_millis(250);
/// Shorter than this, a client that is busy with its disk or screen would be sent everything twice.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
/// A client that never acknowledged anything: a forged address, or one that asked again from another port.
const HALF_OPEN: Duration = Duration::from_secs(6);
/// A client that got every block and did not say so: some firmware starts what it has got at once.
const LAST_BLOCK: Duration = Duration::from_secs(8);
/// EDK2 tries six times with four seconds between; a switch port may be blocked that long by spanning tree.
const RUNNING: Duration = Duration::from_secs(30);
/// As many of the client's own intervals are waited for at least.
const TRIES: u32 = 5;

/// How far a transfer is, as far as patience differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    HalfOpen,
    Running,
    LastBlock,
}

/// The retransmission timer of one transfer (RFC 6298), or the client's own interval (RFC 2349).
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    agreed: Option<Duration>,
    smoothed: Option<Duration>,
    variation: Duration,
    /// How often the interval was doubled since something was measured. An answer to what was sent twice is no reason to
    /// go back: where all answers have become slow, nothing would ever be measured (RFC 6298 section 5).
    doubled: u32,
}

impl Patience {
    pub(super) fn new(agreed: Option<Duration>) -> Self {
        Self {
            agreed,
            smoothed: None,
            variation: Duration::ZERO,
            doubled: 0,
        }
    }

    /// How long the answer to what is sent now is waited for.
    pub(super) fn interval(&self) -> Duration {
        if let Some(agreed) = self.agreed {
            return agreed;
        }
        let first = self.smoothed.map_or(FIRST, |smoothed| {
            (smoothed + 4 * self.variation).clamp(SHORTEST, LONGEST)
        });
        (first * 2_u32.pow(self.doubled.min(8))).min(LONGEST)
    }

    /// An answer came after so long, to something that was sent once (Karn's rule).
    pub(super) fn measured(&mut self, trip: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = trip / 2;
                trip
            }
            Some(smoothed) => {
                self.variation = (3 * self.variation + smoothed.abs_diff(trip)) / 4;
                (7 * smoothed + trip) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.doubled = 0;
    }

    /// None came in time.
    pub(super) fn missed(&mut self) {
        self.doubled = self.doubled.saturating_add(1);
    }

    /// Whether an answer can only be meant for what was sent last: half a trip ago it cannot have come.
    pub(super) fn is_new(&self, since_sent: Duration) -> bool {
        self.smoothed
            .is_none_or(|smoothed| since_sent * 2 >= smoothed)
    }

    /// How long a client may be silent before it is given up.
    pub(super) fn end(&self, phase: Phase) -> Duration {
        let own = match phase {
            Phase::HalfOpen => HALF_OPEN,
            Phase::Running => RUNNING,
            Phase::LastBlock => LAST_BLOCK,
        };
        self.agreed.map_or(own, |agreed| own.max(agreed * TRIES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn follows_the_trips_that_were_measured() {
        let mut patience = Patience::new(None);
        assert_eq!(patience.interval(), FIRST);
        patience.measured(ms(100));
        assert_eq!(patience.interval(), ms(300));
        for _ in 0..50 {
            patience.measured(ms(100));
        }
        assert!(patience.interval() < ms(110), "{:?}", patience.interval());
        for _ in 0..50 {
            patience.measured(ms(1));
        }
        assert_eq!(patience.interval(), SHORTEST);
    }

    #[test]
    fn doubles_up_to_the_longest_until_something_is_measured() {
        let mut patience = Patience::new(None);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(patience.interval());
            patience.missed();
        }
        assert_eq!(seen, [ms(250), ms(500), ms(1000), ms(2000), ms(2000)]);
        patience.measured(ms(8));
        assert_eq!(patience.interval(), ms(24));
    }

    #[test]
    fn the_clients_own_interval_is_kept_to() {
        let mut patience = Patience::new(Some(Duration::from_secs(3)));
        patience.measured(ms(1));
        patience.missed();
        assert_eq!(patience.interval(), Duration::from_secs(3));
        assert_eq!(patience.end(Phase::HalfOpen), Duration::from_secs(15));
    }
}
