//! What the stages of one run share: whether it goes on, how far it is, and what keeps it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::ImageError;
use crate::agent::http::Watch;
use crate::model::agent::Progress;

/// How the newest part of a rate weighs against the older ones.
const WEIGHT: f64 = 0.3;

#[derive(Debug, Default)]
struct State {
    finished: bool,
    phase: &'static str,
    trouble: Option<String>,
    error: Option<ImageError>,
}

#[derive(Debug)]
pub struct Run {
    stopped: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    state: Mutex<State>,
    bell: Condvar,
}

impl Run {
    pub fn new() -> Self {
        Self {
            stopped: AtomicBool::new(false),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            state: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.bell.notify_all();
    }

    /// Stops because of this. The first error is the cause; what follows from it is not told.
    pub fn fail(&self, error: ImageError) {
        let mut state = self.state();
        if !self.is_stopped() {
            state.error = Some(error);
        }
        drop(state);
        self.stop();
    }

    pub fn error(&self) -> Option<ImageError> {
        self.state().error.take()
    }

    /// A new phase, of so many bytes.
    pub fn enter(&self, phase: &'static str, total: u64) {
        self.state().phase = phase;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn finish(&self) {
        self.state().finished = true;
        self.bell.notify_all();
    }

    /// Waits so long, or until the run is finished; whether it is.
    pub fn wait_finished(&self, time: Duration) -> bool {
        let waited = self
            .bell
            .wait_timeout_while(self.state(), time, |state| !state.finished);
        waited.unwrap_or_else(PoisonError::into_inner).0.finished
    }

    /// What keeps it, in words.
    pub fn what_keeps_it(&self) -> Option<String> {
        self.state().trouble.clone()
    }
}

impl Watch for Run {
    fn stopped(&self) -> bool {
        self.is_stopped()
    }

    fn wait(&self, time: Duration) {
        let waited = self
            .bell
            .wait_timeout_while(self.state(), time, |_| !self.is_stopped());
        drop(waited);
    }

    fn trouble(&self, what: Option<String>) {
        self.state().trouble = what;
    }
}

/// Makes progress out of how far a run is.
#[derive(Debug)]
pub struct Gauge {
    last: Option<(&'static str, u64, Instant)>,
    rate: f64,
}

impl Gauge {
    pub const fn new() -> Self {
        Self {
            last: None,
            rate: 0.0,
        }
    }

    pub fn read(&mut self, run: &Run) -> Progress {
        let (phase, trouble) = {
            let state = run.state();
            (state.phase, state.trouble.clone())
        };
        let done = run.done.load(Ordering::Relaxed);
        let total = run.total.load(Ordering::Relaxed);
        let rate = self.rate(phase, done, now());
        let phase = trouble.map_or_else(|| phase.into(), |why| format!("{phase}, waiting: {why}"));
        Progress {
            bytes_done: done.min(total),
            bytes_total: total,
            bytes_per_second: rate,
            phase,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is shown, and no byte of it counted"
    )]
    fn rate(&mut self, phase: &'static str, done: u64, now: Instant) -> u64 {
        match self.last {
            Some((before, from, then)) if before == phase => {
                let seconds = now.duration_since(then).as_secs_f64().max(0.001);
                let newest = done.saturating_sub(from) as f64 / seconds;
                let first = self.rate == 0.0;
                self.rate = if first {
                    newest
                } else {
                    self.rate + WEIGHT * (newest - self.rate)
                };
            }
            _ => self.rate = 0.0,
        }
        self.last = Some((phase, done, now));
        self.rate as u64
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a rate is measured; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_cause() {
        let run = Run::new();
        run.fail(ImageError::Cancelled { waiting: None });
        run.fail(ImageError::Empty);
        assert!(run.is_stopped());
        assert!(matches!(run.error(), Some(ImageError::Cancelled { .. })));
    }

    #[test]
    fn a_rate_is_of_the_phase_that_it_stands_beside() {
        let mut gauge = Gauge::new();
        let start = now();
        let second = Duration::from_secs(1);
        assert_eq!(gauge.rate("writing", 0, start), 0);
        assert_eq!(gauge.rate("writing", 1000, start + second), 1000);
        assert_eq!(gauge.rate("writing", 3000, start + second * 2), 1300);
        assert_eq!(gauge.rate("verifying", 500, start + second * 3), 0);
    }

    #[test]
    fn what_keeps_it_is_told_until_it_goes_on() {
        let run = Run::new();
        run.enter("writing", 10);
        run.trouble(Some("192.0.2.1:80: refused".into()));
        let mut gauge = Gauge::new();
        assert_eq!(
            gauge.read(&run).phase,
            "writing, waiting: 192.0.2.1:80: refused"
        );
        run.trouble(None);
        assert_eq!(gauge.read(&run).phase, "writing");
    }
}
