//! Waiting for conditions: the only place of the lab that looks at a clock. Each wait has a deadline,
//! and says what was awaited when that passes or when a person interrupts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::LabError;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Ends all waits of a lab early, once a person has asked for it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Looks until `look` finds something; its own errors end the wait at once.
    pub fn until<T>(
        &self,
        awaited: &str,
        within: Duration,
        mut look: impl FnMut() -> Result<Option<T>, LabError>,
    ) -> Result<T, LabError> {
        let clock = Stopwatch::start();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if self.is_set() {
                return Err(LabError::Interrupted {
                    awaited: awaited.to_owned(),
                });
            }
            if clock.elapsed() >= within {
                return Err(LabError::Late {
                    awaited: awaited.to_owned(),
                    seconds: within.as_secs(),
                    hint: String::new(),
                });
            }
            pause();
        }
    }
}

/// How long something took, to be told to a person.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the lab measures the real world")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// One step between two looks at a condition that has a deadline.
#[expect(
    clippy::disallowed_methods,
    reason = "what is looked at cannot wake us"
)]
pub(crate) fn pause() {
    std::thread::sleep(BETWEEN_LOOKS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_awaited_when_the_deadline_passes() {
        let late =
            Stop::default()
                .until::<()>("a lease for 52:54:00:00:00:01", Duration::ZERO, || Ok(None));
        assert_eq!(
            late.unwrap_err().to_string(),
            "a lease for 52:54:00:00:00:01: not within 0 s"
        );
    }

    #[test]
    fn ends_early_when_a_person_interrupts() {
        let stop = Stop::default();
        stop.now();
        let ended = stop.until::<()>("the end", Duration::from_mins(1), || Ok(None));
        assert_eq!(ended.unwrap_err().to_string(), "the end: interrupted");
    }
}
