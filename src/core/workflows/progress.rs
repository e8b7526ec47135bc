//! How far steps are: telemetry, in memory alone.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::core::recency::Recency;
use crate::model::agent::Progress;
use crate::model::{Workflow, WorkflowId};

/// As many workflows as are remembered, at about 200 bytes each.
const MAX_WORKFLOWS: usize = 10_000;

/// What was told last of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    pub attempt: u32,
    pub step: usize,
    pub progress: Progress,
    pub at: Timestamp,
}

/// The last beat of each workflow.
#[derive(Debug)]
pub struct Progresses(Mutex<Recency<WorkflowId, Beat>>);

impl Default for Progresses {
    fn default() -> Self {
        Self(Mutex::new(Recency::new(MAX_WORKFLOWS)))
    }
}

impl Progresses {
    pub(super) fn note(
        &self,
        workflow: &Workflow,
        step: usize,
        progress: &Progress,
        at: Timestamp,
    ) {
        let beat = Beat {
            attempt: workflow.attempt,
            step,
            progress: progress.clone(),
            at,
        };
        self.with(|beats| beats.touch(workflow.id, || beat.clone(), |last| *last = beat.clone()));
    }

    /// What was told last, if it is of the step that is at work.
    pub fn of(&self, workflow: &Workflow) -> Option<Beat> {
        let beat = self.with(|beats| beats.get(workflow.id).cloned())?;
        let same = beat.attempt == workflow.attempt && workflow.current() == Some(beat.step);
        same.then_some(beat)
    }

    /// Bytes of a step's source that had come when it told last.
    pub(super) fn bytes(&self, workflow: WorkflowId, step: usize) -> u64 {
        let beat = self.with(|beats| beats.get(workflow).cloned());
        let beat = beat.filter(|beat| beat.step == step);
        beat.map_or(0, |beat| beat.progress.bytes_done)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Recency<WorkflowId, Beat>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
