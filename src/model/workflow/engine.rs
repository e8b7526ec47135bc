//! What a workflow does about what it hears: a plain machine, told what time it is.

use jiff::{SignedDuration, Timestamp};

use super::{
    Blueprint, ChosenDisk, HomeKey, Limits, MAX_MESSAGE, MAX_STEP_ATTEMPTS, State, Step,
    StepStatus, Workflow,
};
use crate::model::{Actor, Machine, WorkflowId};

/// What the agent's own clock and the way of its report may add to a step's time.
const GRACE: i64 = 60;
/// Seconds that an agent may be silent between two steps, or before the first.
const SILENCE: i64 = 600;

/// Something that was heard, or asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is its turn.
    Slot,
    /// An agent is given the work.
    AgentTook {
        attempt: u32,
        taking: Taking,
    },
    StepStarted {
        attempt: u32,
        step: usize,
    },
    StepDone {
        attempt: u32,
        step: usize,
        message: String,
        bytes: u64,
    },
    StepFailed {
        attempt: u32,
        step: usize,
        error: String,
    },
    /// The agent that was at work ended, and another has taken its place in the same boot.
    AgentLost {
        why: String,
    },
    /// The installed system called, and proved itself.
    HomeCalled,
    /// Time passed.
    Tick,
    Cancel {
        by: String,
    },
    /// It cannot go on.
    Halt {
        why: String,
    },
    /// Once more, from this step on or from the first that is not done.
    Retry {
        from: Option<usize>,
    },
}

/// What the work came to when an agent was given it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// SHA-256 of the secret for the system that is installed.
    pub secret_hash: Option<String>,
    /// The steps for this very machine: a template may leave some out. None stands for those that there are.
    pub steps: Vec<(String, String, u64)>,
    pub disks: Vec<ChosenDisk>,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// An agent of this number took the work.
    Taken {
        attempt: u32,
    },
    Step {
        step: usize,
        status: StepStatus,
    },
    State {
        from: State,
        to: State,
    },
}

/// Why an input was not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("workflow is over: {state}{}", .why.as_ref().map(|why| format!(", {why}")).unwrap_or_default())]
    Over { state: State, why: Option<String> },
    #[error("report is of attempt {told}, and attempt {now} has the work")]
    OtherAttempt { told: u32, now: u32 },
    #[error("workflow is {state}, so {what}")]
    NotNow { state: State, what: &'static str },
    #[error("step {} was told of, and step {} is not done yet", .told + 1, .next + 1)]
    OutOfOrder { told: usize, next: usize },
    #[error("there is no step {}: there are {count}", .told + 1)]
    NoStep { told: usize, count: usize },
    #[error("every step is done: say which to begin with")]
    NothingLeft,
    #[error("workflow is {state}, and only one that is over can be tried again")]
    NotOver { state: State },
}

type Outcome = Result<Vec<Moved>, Refused>;

impl Workflow {
    /// One that was just asked for.
    pub fn new(
        id: WorkflowId,
        machine: &Machine,
        blueprint: Blueprint,
        limits: Limits,
        by: Actor,
        now: Timestamp,
    ) -> Self {
        let hardware = &machine.hardware;
        let words = [&hardware.vendor, &hardware.product].into_iter().flatten();
        let product: Vec<_> = words.map(String::as_str).collect();
        Self {
            id,
            machine: machine.id,
            name: machine.name().to_owned(),
            template: blueprint.template,
            params: blueprint.params,
            by,
            created_at: now,
            generation: machine.config.generation,
            product: (!product.is_empty()).then(|| product.join(" ")),
            limits: Limits {
                steps: blueprint.timeout_seconds.unwrap_or(limits.steps),
                ..limits
            },
            state: State::Queued,
            since: now,
            attempt: 0,
            heard_at: None,
            started_at: None,
            ended_at: None,
            steps: blueprint.steps,
            disks: Vec::new(),
            home: None,
            error: None,
        }
    }

    /// Takes in what was heard. What it was told twice changes nothing the second time.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Outcome {
        if let Input::Retry { from } = input {
            return self.retry(now, from);
        }
        if let Some(repeated) = self.repeated(&input) {
            return Ok(repeated);
        }
        if !self.is_active() {
            return Err(Refused::Over {
                state: self.state,
                why: self.error.clone(),
            });
        }
        match input {
            Input::Slot => self.slot(now),
            Input::AgentTook { attempt, taking } => self.take(now, attempt, taking),
            Input::StepStarted { attempt, step } => {
                self.at_work(attempt, step)?;
                Ok(self.start(now, step))
            }
            Input::StepDone {
                attempt,
                step,
                message,
                bytes,
            } => {
                self.at_work(attempt, step)?;
                self.steps[step].bytes = bytes;
                self.steps[step].message = Some(cut(&message)).filter(|text| !text.is_empty());
                let mut moved = self.finish(now, step);
                self.advance(now, &mut moved);
                Ok(moved)
            }
            Input::StepFailed {
                attempt,
                step,
                error,
            } => {
                self.at_work(attempt, step)?;
                let why = format!("{}: {}", self.steps[step].name, cut(&error));
                Ok(self.end(now, State::Failed, why))
            }
            Input::AgentLost { why } => {
                if let Some(at) = self.current().filter(|at| self.left_behind(*at)) {
                    self.steps[at].message = Some(cut(&why));
                }
                Ok(Vec::new())
            }
            Input::HomeCalled => self.home(now),
            Input::Tick => Ok(self.tick(now)),
            Input::Cancel { by } => {
                Ok(self.end(now, State::Cancelled, format!("cancelled by {by}")))
            }
            Input::Halt { why } => Ok(self.end(now, State::Failed, cut(&why))),
            Input::Retry { .. } => Ok(Vec::new()),
        }
    }

    /// When time alone changes something next, and what that will be said of it.
    pub fn deadline(&self) -> Option<(Timestamp, String)> {
        let after = |from: Timestamp, seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let due = from.checked_add(SignedDuration::from_secs(seconds));
            due.unwrap_or(Timestamp::MAX)
        };
        match self.state {
            State::Waiting => {
                let why = format!(
                    "its machine did not come within {}",
                    words(self.limits.come)
                );
                Some((after(self.since, self.limits.come), why))
            }
            State::Running => {
                let began = self.started_at.unwrap_or(self.since);
                let all = format!("its steps took longer than {}", words(self.limits.steps));
                let whole = (after(began, self.limits.steps), all);
                Some(
                    self.step_deadline()
                        .map_or(whole.clone(), |step| step.min(whole)),
                )
            }
            State::WaitingHome => {
                let last = self.steps.last().map_or("its end", |step| &step.name);
                let why = format!(
                    "its installed system did not call home within {} after {last}",
                    words(self.limits.home)
                );
                Some((after(self.since, self.limits.home), why))
            }
            State::Queued | State::Success | State::Failed | State::TimedOut | State::Cancelled => {
                None
            }
        }
    }

    fn step_deadline(&self) -> Option<(Timestamp, String)> {
        let step = self.steps.get(self.current()?)?;
        let add = |at: Timestamp, seconds: i64| {
            at.checked_add(SignedDuration::from_secs(seconds))
                .unwrap_or(Timestamp::MAX)
        };
        if step.status == StepStatus::Running {
            let allowed = i64::try_from(step.timeout_seconds).unwrap_or(i64::MAX);
            let due = add(step.started_at?, allowed.saturating_add(GRACE));
            let limit = words(step.timeout_seconds);
            return Some((due, format!("{}: took longer than {limit}", step.name)));
        }
        let why = format!(
            "the agent was not heard of for {} before {}",
            words(SILENCE.unsigned_abs()),
            step.name
        );
        Some((add(self.heard_at?, SILENCE), why))
    }

    /// What was told already.
    fn repeated(&self, input: &Input) -> Option<Vec<Moved>> {
        let (attempt, step, status) = match input {
            Input::StepStarted { attempt, step } => {
                let known = self.steps.get(*step)?.status != StepStatus::Pending;
                return (*attempt == self.attempt && known && self.is_active()).then(Vec::new);
            }
            Input::StepDone { attempt, step, .. } => (attempt, step, StepStatus::Done),
            Input::StepFailed { attempt, step, .. } => (attempt, step, StepStatus::Failed),
            Input::HomeCalled if self.state == State::Success => return Some(Vec::new()),
            Input::Slot if matches!(self.state, State::Waiting | State::Running) => {
                return Some(Vec::new());
            }
            Input::Tick if !self.is_active() => return Some(Vec::new()),
            _ => return None,
        };
        let known = self.steps.get(*step)?.status == status;
        (*attempt == self.attempt && known).then(Vec::new)
    }

    fn slot(&mut self, now: Timestamp) -> Outcome {
        if self.state != State::Queued {
            return Err(self.not_now("it is nobody's turn"));
        }
        Ok(vec![self.go(now, State::Waiting)])
    }

    fn take(&mut self, now: Timestamp, attempt: u32, taking: Taking) -> Outcome {
        match self.state {
            State::Waiting | State::Running => {}
            State::Queued => return Err(self.not_now("it is not its turn yet")),
            _ => return Err(self.not_now("no agent has anything to do")),
        }
        if attempt != self.attempt + 1 {
            return Err(Refused::OtherAttempt {
                told: attempt,
                now: self.attempt,
            });
        }
        self.heard_at = Some(now);
        let mut moved = Vec::new();
        if let Some(at) = self.current().filter(|at| self.left_behind(*at)) {
            if self.steps[at].ends_agent() {
                // That an agent is here again shows that the step was carried out.
                moved = self.finish(now, at);
                self.advance(now, &mut moved);
                if self.state != State::Running {
                    return Ok(moved);
                }
            } else if self.steps[at].attempts >= MAX_STEP_ATTEMPTS {
                let step = &self.steps[at];
                let last = step.message.as_ref();
                let why = format!(
                    "{}: {MAX_STEP_ATTEMPTS} agents were lost in it, one after the other{}",
                    step.name,
                    last.map(|why| format!("; of the last: {why}"))
                        .unwrap_or_default()
                );
                return Ok(self.end(now, State::Failed, why));
            } else {
                self.steps[at].status = StepStatus::Pending;
            }
        }
        if !self.fit(&taking.steps) {
            let why =
                "its template gives other steps for this machine now than those that are done";
            moved.extend(self.end(now, State::Failed, why.to_owned()));
            return Ok(moved);
        }
        self.attempt = attempt;
        for chosen in taking.disks {
            if !self.disks.iter().any(|known| known.rule == chosen.rule) {
                self.disks.push(chosen);
            }
        }
        if !self.home_written() {
            self.home = taking
                .secret_hash
                .map(|secret_hash| HomeKey { secret_hash });
        }
        self.started_at.get_or_insert(now);
        moved.push(Moved::Taken { attempt });
        if self.state == State::Waiting {
            moved.push(self.go(now, State::Running));
        }
        Ok(moved)
    }

    /// Takes over the steps that are not done yet; those that are have to be the same.
    fn fit(&mut self, steps: &[(String, String, u64)]) -> bool {
        if steps.is_empty() {
            return true;
        }
        let done = self.current().unwrap_or(self.steps.len());
        let fits = |(old, (name, action, _)): (&Step, &(String, String, u64))| {
            old.name == *name && old.action == *action
        };
        if steps.len() < done || !self.steps[..done].iter().zip(steps).all(fits) {
            return false;
        }
        let old = self.steps.split_off(done);
        for (name, action, seconds) in &steps[done..] {
            let mut step = Step::new(name, action, *seconds);
            let known = old.iter().find(|old| old.name == *name);
            step.attempts = known.map_or(0, |known| known.attempts);
            self.steps.push(step);
        }
        true
    }

    /// Whether an agent began the step and told of no end.
    fn left_behind(&self, at: usize) -> bool {
        self.steps[at].status == StepStatus::Running
    }

    /// Whether a report is of the agent that has the work, and of the step that is next.
    fn at_work(&self, attempt: u32, step: usize) -> Result<(), Refused> {
        if self.state != State::Running {
            return Err(self.not_now("no agent has anything to report"));
        }
        if attempt != self.attempt {
            return Err(Refused::OtherAttempt {
                told: attempt,
                now: self.attempt,
            });
        }
        let count = self.steps.len();
        let next = self.current().unwrap_or(count);
        if step >= count {
            return Err(Refused::NoStep { told: step, count });
        }
        if step != next {
            return Err(Refused::OutOfOrder { told: step, next });
        }
        Ok(())
    }

    fn start(&mut self, now: Timestamp, at: usize) -> Vec<Moved> {
        self.heard_at = Some(now);
        let step = &mut self.steps[at];
        step.attempts += 1;
        step.started_at = Some(now);
        step.ended_at = None;
        step.message = None;
        step.status = StepStatus::Running;
        vec![Moved::Step {
            step: at,
            status: StepStatus::Running,
        }]
    }

    fn finish(&mut self, now: Timestamp, at: usize) -> Vec<Moved> {
        self.heard_at = Some(now);
        let step = &mut self.steps[at];
        step.started_at.get_or_insert(now);
        step.ended_at = Some(now);
        step.status = StepStatus::Done;
        vec![Moved::Step {
            step: at,
            status: StepStatus::Done,
        }]
    }

    /// What follows when a step was the last.
    fn advance(&mut self, now: Timestamp, moved: &mut Vec<Moved>) {
        if self.current().is_some() {
            return;
        }
        if self.calls_home() {
            moved.push(self.go(now, State::WaitingHome));
        } else {
            moved.push(self.succeed(now));
        }
    }

    /// A call proves that the step which ends the agent was carried out, even when nobody could tell of it.
    fn home(&mut self, now: Timestamp) -> Outcome {
        let mut moved = Vec::new();
        if self.state == State::Running
            && let Some(at) = self.current()
        {
            let leaves = self.steps[at].ends_agent() || self.steps[at].is_installer();
            let last = at + 1 == self.steps.len() && leaves;
            if !last || !self.home_written() {
                return Err(self.not_now("its system is not whole yet"));
            }
            moved = self.finish(now, at);
        } else if self.state != State::WaitingHome {
            return Err(self.not_now("no system of it can run yet"));
        }
        moved.push(self.succeed(now));
        Ok(moved)
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Moved> {
        match self.deadline() {
            Some((due, why)) if now >= due => self.end(now, State::TimedOut, why),
            _ => Vec::new(),
        }
    }

    fn succeed(&mut self, now: Timestamp) -> Moved {
        self.ended_at = Some(now);
        self.go(now, State::Success)
    }

    /// Ends without success; a step that was at work failed of the same.
    fn end(&mut self, now: Timestamp, to: State, why: String) -> Vec<Moved> {
        let mut moved = Vec::new();
        if self.state == State::Running
            && let Some(at) = self.current()
        {
            let step = &mut self.steps[at];
            step.status = StepStatus::Failed;
            step.ended_at = Some(now);
            step.message = Some(why.clone());
            moved.push(Moved::Step {
                step: at,
                status: StepStatus::Failed,
            });
        }
        self.error = Some(why);
        self.ended_at = Some(now);
        moved.push(self.go(now, to));
        moved
    }

    fn retry(&mut self, now: Timestamp, from: Option<usize>) -> Outcome {
        if self.is_active() || self.state == State::Success {
            return Err(Refused::NotOver { state: self.state });
        }
        let next = self.current();
        let from = from.or(next).ok_or(Refused::NothingLeft)?;
        let count = self.steps.len();
        if from >= count {
            return Err(Refused::NoStep { told: from, count });
        }
        if let Some(next) = next.filter(|next| from > *next) {
            return Err(Refused::OutOfOrder { told: from, next });
        }
        for step in &mut self.steps[from..] {
            *step = Step::new(&*step.name, &*step.action, step.timeout_seconds);
        }
        self.error = None;
        self.started_at = None;
        self.ended_at = None;
        self.heard_at = None;
        Ok(vec![self.go(now, State::Queued)])
    }

    fn go(&mut self, now: Timestamp, to: State) -> Moved {
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        Moved::State { from, to }
    }

    fn not_now(&self, what: &'static str) -> Refused {
        Refused::NotNow {
            state: self.state,
            what,
        }
    }
}

/// As much of a text as is kept.
fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A length of time as a person says it.
fn words(seconds: u64) -> String {
    let of = |count: u64, unit: &str| match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    };
    match seconds {
        0..120 => of(seconds, "second"),
        120..7200 => of(seconds / 60, "minute"),
        _ => of(seconds / 3600, "hour"),
    }
}
