//! How long things take: from the workflows that ended to when a running one will.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::progress::Beat;
use super::read::WorkflowFilter;
use crate::core::{Core, Refusal};
use crate::model::Workflow;
use crate::model::workflow::{State, Step, StepStatus};

/// As many workflows as are looked back at.
const LAST: usize = 100;
/// As many templates as are counted apart; people write them, and a label has to end somewhere.
const MAX_TEMPLATES: usize = 200;

/// When a workflow will be done, as far as others tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub left_seconds: u64,
    /// How many workflows like it that is drawn from.
    pub runs: usize,
}

/// What the last workflows came to.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// Those that ended, newest first.
    pub ended: Vec<std::sync::Arc<Workflow>>,
}

/// Some workflows that ended, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub runs: u64,
    pub succeeded: u64,
    /// Of those that succeeded.
    pub seconds: Vec<u64>,
    /// Of the steps that fetched something.
    pub bytes_per_second: Vec<u64>,
}

impl Core {
    /// The last workflows that ended.
    pub fn timings(&self) -> Result<Timings, Refusal> {
        let mut filter = WorkflowFilter {
            limit: LAST,
            ..WorkflowFilter::default()
        };
        let mut ended = Vec::new();
        // Those that are at work stand between them.
        for _ in 0..10 {
            let page = self.workflows(&filter)?;
            let over = page.items.into_iter().filter(|(w, _)| !w.is_active());
            ended.extend(over.map(|(workflow, _)| workflow));
            filter.after = page.next;
            if filter.after.is_none() || ended.len() >= LAST {
                break;
            }
        }
        ended.truncate(LAST);
        Ok(Timings { ended })
    }
}

impl Timings {
    /// How long a workflow will go on. None while nothing like it has ended yet and it does not tell itself.
    pub fn estimate(
        &self,
        workflow: &Workflow,
        beat: Option<&Beat>,
        now: Timestamp,
    ) -> Option<Estimate> {
        if !matches!(workflow.state, State::Running | State::WaitingHome) {
            return None;
        }
        let alike = self.alike(workflow);
        let mut left = 0;
        for (at, step) in workflow.steps.iter().enumerate() {
            left += match step.status {
                StepStatus::Done => 0,
                StepStatus::Running => running(&alike, step, beat, now)?,
                _ if workflow.current() == Some(at) || step.status == StepStatus::Pending => {
                    usual(&alike, step)?
                }
                _ => 0,
            };
        }
        if workflow.calls_home() {
            let waited = match workflow.state {
                State::WaitingHome => seconds(workflow.since, now),
                _ => 0,
            };
            left += median(alike.iter().filter_map(|w| home(w)).collect())?.saturating_sub(waited);
        }
        Some(Estimate {
            left_seconds: left,
            runs: alike.len(),
        })
    }

    /// Those that did the same to the same kind of machine, or else to any.
    fn alike(&self, workflow: &Workflow) -> Vec<&Workflow> {
        let same = self.ended.iter().map(|ended| &**ended).filter(|ended| {
            ended.state == State::Success && ended.template.name == workflow.template.name
        });
        let same: Vec<_> = same.collect();
        let twins = same
            .iter()
            .filter(|ended| ended.product == workflow.product);
        let twins: Vec<_> = twins.copied().collect();
        if twins.is_empty() { same } else { twins }
    }

    /// The same ones counted, by template.
    pub fn by_template(&self) -> BTreeMap<String, Tally> {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for workflow in &self.ended {
            let name = workflow.template.name.clone();
            tallies.entry(name).or_default().add(workflow);
        }
        tallies
    }

    pub fn whole(&self) -> Tally {
        let mut tally = Tally::default();
        self.ended.iter().for_each(|workflow| tally.add(workflow));
        tally
    }
}

impl Tally {
    fn add(&mut self, workflow: &Workflow) {
        self.runs += 1;
        if workflow.state != State::Success {
            return;
        }
        self.succeeded += 1;
        self.seconds.extend(whole(workflow));
        let rates = workflow.steps.iter().filter(|step| step.bytes > 0);
        let rates = rates.filter_map(|step| step.bytes.checked_div(took(step)?));
        self.bytes_per_second.extend(rates);
    }

    pub fn median_seconds(&self) -> Option<u64> {
        median(self.seconds.clone())
    }

    pub fn median_rate(&self) -> Option<u64> {
        median(self.bytes_per_second.clone())
    }
}

/// What is left of a step that is at work: by its own rate, or else by what others took.
fn running(alike: &[&Workflow], step: &Step, beat: Option<&Beat>, now: Timestamp) -> Option<u64> {
    let told = beat.map(|beat| &beat.progress);
    let own = told.filter(|p| p.bytes_per_second > 0 && p.bytes_total > p.bytes_done);
    if let Some(progress) = own {
        return Some((progress.bytes_total - progress.bytes_done) / progress.bytes_per_second);
    }
    let passed = step.started_at.map_or(0, |at| seconds(at, now));
    Some(usual(alike, step)?.saturating_sub(passed))
}

fn usual(alike: &[&Workflow], step: &Step) -> Option<u64> {
    let others = alike.iter().flat_map(|workflow| &workflow.steps);
    let same = others.filter(|other| other.name == step.name);
    median(same.filter_map(took).collect())
}

fn took(step: &Step) -> Option<u64> {
    step.took()
        .and_then(|took| u64::try_from(took.as_secs()).ok())
}

fn whole(workflow: &Workflow) -> Option<u64> {
    Some(seconds(workflow.started_at?, workflow.ended_at?))
}

/// How long the installed system took to call home.
fn home(workflow: &Workflow) -> Option<u64> {
    let written = workflow.steps.last()?.ended_at?;
    Some(seconds(written, workflow.ended_at?))
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

/// How workflows ended since the start: how many, and the seconds that they took altogether.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<BTreeMap<(String, State), (u64, u64)>>);

impl Tallies {
    pub(in crate::core) fn count(&self, workflow: &Workflow) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (workflow.template.name.clone(), workflow.state);
        if all.len() >= MAX_TEMPLATES * 4 && !all.contains_key(&key) {
            return;
        }
        let (count, seconds) = all.entry(key).or_default();
        *count += 1;
        *seconds += whole(workflow).unwrap_or(0);
    }

    /// By template and end.
    pub fn all(&self) -> Vec<(String, State, u64, u64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = all.iter();
        rows.map(|((template, state), (count, seconds))| {
            (template.clone(), *state, *count, *seconds)
        })
        .collect()
    }
}
