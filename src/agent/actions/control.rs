//! What a running action tells of itself, and how it is told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ActionError;
use crate::agent::clock;
use crate::agent::http::Watch;
use crate::model::agent::Progress;

const PAUSE: Duration = Duration::from_millis(100);
/// A rate is measured over this time.
const RATE: Duration = Duration::from_secs(2);

/// The handle of one running action; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    /// The moment and the bytes that the rate was measured from.
    mark: Option<(Instant, u64)>,
}

impl Control {
    /// The action is to end as soon as it can.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::SeqCst)
    }

    /// An error once it is to stop.
    pub fn check(&self) -> Result<(), ActionError> {
        if self.is_stopped() {
            Err(ActionError::Stopped)
        } else {
            Ok(())
        }
    }

    pub fn progress(&self) -> Progress {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .progress
            .clone()
    }

    /// What it does now, where bytes say nothing.
    pub fn phase(&self, phase: &str) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.progress.phase != phase {
            state.progress = Progress {
                phase: phase.into(),
                ..Progress::default()
            };
            state.mark = None;
        }
    }

    /// How far it is; the rate is measured here.
    pub fn bytes(&self, phase: &str, done: u64, total: u64) {
        self.phase(phase);
        let now = clock::now();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.progress.bytes_done = done;
        state.progress.bytes_total = total;
        let (since, from) = *state.mark.get_or_insert((now, done));
        let passed = now.duration_since(since);
        if passed >= RATE {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            state.progress.bytes_per_second =
                done.saturating_sub(from).saturating_mul(1000) / millis;
            state.mark = Some((now, done));
        }
    }

    /// What another part measured.
    pub fn set(&self, progress: Progress) {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .progress = progress;
    }

    /// Lets so many seconds pass.
    pub fn wait(&self, seconds: u64) -> Result<String, ActionError> {
        let until = clock::now() + Duration::from_secs(seconds.min(30 * 24 * 3600));
        while clock::now() < until {
            self.check()?;
            clock::pause(PAUSE.min(until.saturating_duration_since(clock::now())));
        }
        Ok(format!("{seconds} seconds"))
    }
}

/// What is fetched for an action stops with it.
impl Watch for Control {
    fn stopped(&self) -> bool {
        self.is_stopped()
    }

    fn wait(&self, time: Duration) {
        let until = clock::now() + time;
        while !self.is_stopped() && clock::now() < until {
            clock::pause(PAUSE);
        }
    }

    fn trouble(&self, what: Option<String>) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.progress.phase = what.unwrap_or_else(|| "fetching".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_told_to() {
        let control = Control::default();
        assert_eq!(control.wait(0).unwrap(), "0 seconds");
        control.stop();
        assert!(matches!(control.wait(3600), Err(ActionError::Stopped)));
    }

    #[test]
    fn another_phase_starts_from_nothing() {
        let control = Control::default();
        control.bytes("fetching", 5, 10);
        assert_eq!(
            (
                control.progress().bytes_done,
                control.progress().bytes_total
            ),
            (5, 10)
        );
        control.phase("verifying");
        assert_eq!(control.progress().bytes_done, 0);
    }
}
