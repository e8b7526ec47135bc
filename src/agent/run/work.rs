//! One workflow, step by step: each is begun, watched and told of, and what became of it is told until it was heard.
//!
//! A step runs in a thread of its own, so that its time is kept whatever it waits for. One that does not end even when
//! it is told to may still write to a disk; then only a restart makes it safe to go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::session::Teller;
use crate::agent::actions::{ActionError, Control};
use crate::agent::client::CallError;
use crate::agent::clock;
use crate::agent::console::{Bar, Console, Mark, Step};
use crate::agent::log::Log;
use crate::model::Action;
use crate::model::agent::{Heard, Report, StepNews, Work, WorkStep};

/// Progress is shown so often, and told so often.
const TICK: Duration = Duration::from_millis(250);
const TELL: Duration = Duration::from_secs(1);
/// Where nothing is new, that is told so often: by the answer a cancelled step stops.
const TELL_ANYWAY: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 15 });
/// A step that was told to stop has this long to do so.
const GRACE: Duration = Duration::new(60, 0);

/// How a workflow ended, as far as this agent goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Finished,
    Failed,
    Stopped(String),
    /// A step neither ended nor stopped.
    Stuck,
    /// A step that was not begun: the machine has to start anew before it, and this is why.
    Anew(String),
    Leave(Leave),
}

/// How the agent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Restart,
    PowerOff,
    /// Into the kernel that was loaded.
    Loaded,
}

/// What does an action.
pub(super) type Act = Arc<dyn Fn(&Action, &Control) -> Result<String, ActionError> + Send + Sync>;

/// Does all steps that are not done.
pub(super) fn perform<T: Teller>(
    work: &Work,
    teller: &T,
    console: &Console,
    log: &Log,
    act: &Act,
) -> Result<Outcome, CallError> {
    let running = Running {
        work,
        teller,
        console,
        log,
        act: Arc::clone(act),
    };
    running.show_all();
    for (number, step) in (0_u32..).zip(&work.steps).filter(|(_, step)| !step.done) {
        if let Some(outcome) = running.step(number, step)? {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Finished)
}

struct Running<'a, T> {
    work: &'a Work,
    teller: &'a T,
    console: &'a Console,
    log: &'a Log,
    act: Act,
}

/// How the thread of a step ended.
enum Ended {
    Well(String),
    Badly(String),
    /// The server wants no more of this workflow.
    Unwanted(String),
    Anew(String),
    Never(String),
}

impl<T: Teller> Running<'_, T> {
    /// None when the next step is to follow.
    fn step(&self, number: u32, step: &WorkStep) -> Result<Option<Outcome>, CallError> {
        self.log.say(format!("step {}: {}", number + 1, step.name));
        self.mark(number, Mark::Running);
        let heard = self
            .teller
            .insist(&self.report(number, StepNews::Started))?;
        if !heard.go_on {
            return Ok(Some(Outcome::Stopped(heard.why)));
        }
        let (news, outcome) = match self.watch(number, step) {
            Ended::Well(message) => {
                self.log
                    .say(format!("step {} is done: {message}", number + 1));
                self.mark(number, Mark::Done);
                (
                    StepNews::Done { message },
                    leave(&step.action).map(Outcome::Leave),
                )
            }
            Ended::Badly(error) => (self.failed(number, error), Some(Outcome::Failed)),
            Ended::Never(error) => (self.failed(number, error), Some(Outcome::Stuck)),
            Ended::Unwanted(why) => return Ok(Some(Outcome::Stopped(why))),
            Ended::Anew(why) => return Ok(Some(Outcome::Anew(why))),
        };
        let heard = self.teller.insist(&self.report(number, news))?;
        Ok(match outcome {
            None if !heard.go_on => Some(Outcome::Stopped(heard.why)),
            outcome => outcome,
        })
    }

    fn failed(&self, number: u32, error: String) -> StepNews {
        self.log.say(format!("step {} failed: {error}", number + 1));
        self.mark(number, Mark::Failed);
        self.console
            .update(|status| status.error = Some(error.clone()));
        StepNews::Failed { error }
    }

    /// Runs the step in a thread of its own.
    fn watch(&self, number: u32, step: &WorkStep) -> Ended {
        let control = Control::default();
        let (tell, told) = sync_channel(1);
        let (act, action, inner) = (Arc::clone(&self.act), step.action.clone(), control.clone());
        let thread = std::thread::Builder::new()
            .name("step".into())
            .spawn(move || {
                let done = catch_unwind(AssertUnwindSafe(|| act(&action, &inner)));
                // A panic is a failure of this step, not of the agent.
                let done = done.unwrap_or(Err(ActionError::Panicked));
                let _ = tell.send(done);
            });
        match thread {
            Ok(_) => self.follow(number, step, &control, &told),
            Err(error) => Ended::Badly(format!("no thread for the step: {error}")),
        }
    }

    fn follow(
        &self,
        number: u32,
        step: &WorkStep,
        control: &Control,
        told: &Receiver<Result<String, ActionError>>,
    ) -> Ended {
        let deadline =
            clock::now() + Duration::from_secs(step.timeout_seconds.clamp(1, 30 * 24 * 3600));
        let mut last = (clock::now(), None);
        loop {
            match told.recv_timeout(TICK) {
                Ok(Ok(message)) => return Ended::Well(message),
                Ok(Err(ActionError::Anew(why))) => return Ended::Anew(why),
                Ok(Err(error)) => return Ended::Badly(error.to_string()),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ended::Badly("the step's thread is gone".into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if clock::now() >= deadline {
                let error = format!("it did not end within its {} seconds", step.timeout_seconds);
                return wind_up(control, told, Ended::Badly(error));
            }
            if let Some(Heard { go_on: false, why }) = self.progress(number, control, &mut last) {
                return wind_up(control, told, Ended::Unwanted(why));
            }
        }
    }

    /// Shows how far it is, and tells it where there is something new to tell.
    fn progress(
        &self,
        number: u32,
        control: &Control,
        last: &mut (Instant, Option<crate::model::agent::Progress>),
    ) -> Option<Heard> {
        let progress = control.progress();
        self.console.update(|status| {
            status.bar = Some(Bar {
                done: progress.bytes_done,
                total: progress.bytes_total,
                per_second: progress.bytes_per_second,
                phase: progress.phase.clone(),
            });
        });
        let is_told = last.1.as_ref() == Some(&progress);
        let pause = if is_told { TELL_ANYWAY } else { TELL };
        if last.0.elapsed() < pause {
            return None;
        }
        *last = (clock::now(), Some(progress.clone()));
        self.teller
            .mention(&self.report(number, StepNews::Progress(progress)))
    }

    const fn report(&self, step: u32, what: StepNews) -> Report {
        Report {
            workflow: self.work.workflow,
            attempt: self.work.attempt,
            step,
            what,
        }
    }

    fn show_all(&self) {
        let steps: Vec<Step> = self
            .work
            .steps
            .iter()
            .map(|step| Step {
                name: step.name.clone(),
                mark: if step.done { Mark::Done } else { Mark::Waiting },
            })
            .collect();
        self.console.update(|status| {
            status.name.clone_from(&self.work.name);
            status.state = format!("installing {}", self.work.template);
            status.why = String::new();
            status.error = None;
            status.bar = None;
            status.steps = steps;
        });
    }

    fn mark(&self, number: u32, mark: Mark) {
        let all = self.work.steps.len();
        self.console.update(|status| {
            status.why = format!("step {} of {all}", number + 1);
            status.bar = None;
            if let Some(step) = usize::try_from(number)
                .ok()
                .and_then(|number| status.steps.get_mut(number))
            {
                step.mark = mark;
            }
        });
    }
}

/// Tells the step to stop, and waits until it has.
fn wind_up(control: &Control, told: &Receiver<Result<String, ActionError>>, ended: Ended) -> Ended {
    control.stop();
    match (told.recv_timeout(GRACE), ended) {
        (Err(RecvTimeoutError::Timeout), Ended::Badly(why) | Ended::Unwanted(why)) => {
            Ended::Never(format!("{why}, and it does not stop"))
        }
        // What it waited for all the time is the cause.
        (Ok(Err(error)), Ended::Badly(why)) if !matches!(error, ActionError::Stopped) => {
            Ended::Badly(format!("{why}: {error}"))
        }
        (_, ended) => ended,
    }
}

/// How the agent goes once the server knows that the step is done.
const fn leave(action: &Action) -> Option<Leave> {
    match action {
        Action::Reboot(_) => Some(Leave::Restart),
        Action::Poweroff(_) => Some(Leave::PowerOff),
        Action::Kexec(_) => Some(Leave::Loaded),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
