//! Workflows, as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that is done to a machine, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workflow {
    #[schema(example = "0199f3a0-5b7c-7e21-8d44-2a1b3c4d5e6f")]
    pub id: String,
    pub version: u64,
    /// The machine's id.
    pub machine: String,
    /// What the machine was called when it began.
    pub name: String,
    pub template: String,
    /// Who asked for it.
    pub by: String,
    /// `queued`, `waiting`, `running`, `waiting_home`, `success`, `failed`, `timed_out` or `cancelled`.
    #[schema(example = "running")]
    pub state: String,
    /// Whether something may still come of it.
    pub active: bool,
    /// When it came into this state.
    pub since: String,
    pub created_at: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    /// How many agents were given the work.
    pub attempt: u32,
    /// The generation of the machine's desired state that it makes true.
    pub generation: u64,
    pub steps: Vec<WorkflowStep>,
    /// The disks that it writes to.
    pub disks: Vec<String>,
    /// Why it did not end well.
    pub error: Option<String>,
    /// How far the step is that is at work; absent where nothing was told.
    pub progress: Option<WorkflowProgress>,
    /// Seconds until its end, as others like it tell; absent where nothing tells.
    pub left_seconds: Option<u64>,
    /// How many wait for their turn before it, while it waits for its own.
    pub before_it: Option<u64>,
    /// Seconds since it began, or that it took.
    pub took_seconds: Option<u64>,
    /// What it waits for or does now, in words.
    pub now: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowStep {
    pub name: String,
    pub action: String,
    /// `pending`, `running`, `done` or `failed`.
    pub status: String,
    /// How many agents began it.
    pub attempts: u32,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub seconds: Option<u64>,
    pub message: Option<String>,
}

/// How far a step is. Zero for what is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowProgress {
    /// Its number, counted from 1.
    pub step: u64,
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub bytes_per_second: u64,
    pub phase: String,
    pub at: String,
}

/// What a machine is to become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reimage {
    /// The template; where it is absent, the one that is chosen for the machine, or for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "debian-13")]
    pub os: Option<String>,
    /// Values for the template's parameters. They are kept with the workflow: no place for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
}

/// From where a workflow is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// A step by its name or number; where it is absent, the first that is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "image2disk")]
    pub from: Option<String>,
}

/// What the last workflows came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowStats {
    /// Of all of the last hundred that ended.
    pub whole: WorkflowTally,
    pub by_template: BTreeMap<String, WorkflowTally>,
}

/// Some workflows that ended, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowTally {
    pub runs: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// The median of those that succeeded.
    pub median_seconds: Option<u64>,
    /// The median of their steps that fetched something.
    pub bytes_per_second: Option<u64>,
}
