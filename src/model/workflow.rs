//! A workflow: what is done to one machine, step by step, and what was seen of it.
//!
//! It is made from a template as that was at the time, and kept until long after its end. [`Workflow::handle`] is
//! all that ever changes one: a plain machine that is told what was heard and what time it is. A step that is done
//! is done: whatever agent takes the work up later begins with the first that is not.

mod drawing;
mod engine;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted};
use super::{Actor, DiskRule, MachineId, WorkflowId};

pub use drawing::{diagram, table};
pub use engine::{Input, Moved, Refused, Taking};

/// As many steps as a workflow may have.
pub const MAX_STEPS: usize = 100;
/// As many characters of what an agent tells of a step as are kept.
pub const MAX_MESSAGE: usize = 2000;
/// As many agents as may lose their lives in one step.
pub const MAX_STEP_ATTEMPTS: u32 = 3;

/// Something that is done to one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    pub id: WorkflowId,
    pub machine: MachineId,
    /// What people called the machine when it was asked for.
    pub name: String,
    pub template: Snapshot,
    /// What was given for the template's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    pub by: Actor,
    pub created_at: Timestamp,
    /// The generation of the machine's desired state that it makes true.
    pub generation: u64,
    /// Vendor and product of the machine, by which times are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    pub limits: Limits,
    pub state: State,
    /// When it came into this state.
    pub since: Timestamp,
    /// How many agents were given the work.
    #[serde(default)]
    pub attempt: u32,
    /// When the last of them was heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    pub steps: Vec<Step>,
    /// The disks that its rules pointed at when its first agent took it; later agents write to the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<ChosenDisk>,
    /// What the installed system proves itself with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<HomeKey>,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A template as it was when the workflow was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub name: String,
    pub source: String,
}

/// Seconds that it has, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For the machine to come.
    pub come: u64,
    /// For all steps together.
    pub steps: u64,
    /// For the installed system to call home after them.
    pub home: u64,
}

/// What a rule for disks came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenDisk {
    pub rule: DiskRule,
    /// The rule that finds this very disk again.
    pub pinned: DiskRule,
    /// As people tell it from others.
    pub name: String,
}

/// SHA-256 of the secret that the installed system was given, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeKey {
    pub secret_hash: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// The action's name in templates.
    pub action: String,
    pub timeout_seconds: u64,
    pub status: StepStatus,
    /// How many agents began it.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Bytes of its source that had come when it was done.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// What the agent told of it, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Step {
    pub fn new(name: impl Into<String>, action: impl Into<String>, timeout_seconds: u64) -> Self {
        Self {
            name: name.into(),
            action: action.into(),
            timeout_seconds,
            status: StepStatus::Pending,
            attempts: 0,
            started_at: None,
            ended_at: None,
            bytes: 0,
            message: None,
        }
    }

    /// Whether what is on the disks may be lost by it.
    pub fn destroys(&self) -> bool {
        let harmless = ["efibootmgr", "kexec", "poweroff", "reboot", "wait"];
        !harmless.contains(&&*self.action)
    }

    /// Whether the agent's own life ends with it.
    pub fn ends_agent(&self) -> bool {
        ["kexec", "poweroff", "reboot"].contains(&&*self.action)
    }

    /// Whether the distribution's own installer does it, and no agent.
    pub fn is_installer(&self) -> bool {
        self.action == "installer"
    }

    fn is_done(&self) -> bool {
        self.status == StepStatus::Done
    }

    /// How long it took.
    pub fn took(&self) -> Option<SignedDuration> {
        let (from, to) = (self.started_at?, self.ended_at?);
        Some(to.duration_since(from)).filter(|took| !took.is_negative())
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    Pending,
    Running,
    Done,
    Failed,
}

impl StepStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a workflow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its turn: only so many machines are at work at once.
    Queued,
    /// It waits for its machine to boot the network.
    Waiting,
    /// An agent is at work.
    Running,
    /// Every step is done; the installed system has not called home yet.
    WaitingHome,
    Success,
    Failed,
    /// A deadline passed.
    TimedOut,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Waiting,
        Self::Running,
        Self::WaitingHome,
        Self::Success,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::WaitingHome => "waiting_home",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether something may still come of it.
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Waiting | Self::Running | Self::WaitingHome
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            let reason = format!("{} is none of {known}", quoted(text));
            FieldError::new("state", reason, "running")
        })
    }
}

/// What a machine boots for a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// What it would boot without one.
    Nothing,
    Agent,
    /// The distribution's own installer.
    Installer,
    /// The system that was written.
    Disk,
}

/// What a new one is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    pub template: Snapshot,
    pub params: BTreeMap<String, String>,
    pub steps: Vec<Step>,
    /// Seconds that all steps may take together, where the template says.
    pub timeout_seconds: Option<u64>,
}

impl Blueprint {
    /// Whether what is on the machine's disks may be lost.
    pub fn destroys(&self) -> bool {
        self.steps.iter().any(Step::destroys)
    }
}

impl Workflow {
    /// Whether something may still come of it.
    pub const fn is_active(&self) -> bool {
        self.state.is_active()
    }

    /// What its machine has to boot from the network.
    pub fn wants(&self) -> Wants {
        let step = self.current().and_then(|at| self.steps.get(at));
        match (self.state, step) {
            (State::Waiting | State::Running, Some(step)) if step.is_installer() => {
                match step.status {
                    StepStatus::Running => Wants::Disk,
                    _ => Wants::Installer,
                }
            }
            (State::Waiting | State::Running, _) => Wants::Agent,
            (State::WaitingHome, _) => Wants::Disk,
            _ => Wants::Nothing,
        }
    }

    /// Whether its machine has to boot the agent.
    pub fn wants_agent(&self) -> bool {
        self.wants() == Wants::Agent
    }

    /// The first step that is not done.
    pub fn current(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.is_done())
    }

    /// The step of this name, or of this number as people count them.
    pub fn step(&self, word: &str) -> Option<usize> {
        let named = self.steps.iter().position(|step| step.name == word);
        let number = word.parse().ok().and_then(|at: usize| at.checked_sub(1));
        named.or(number).filter(|at| *at < self.steps.len())
    }

    /// Whether an installed system is to report at its end.
    pub fn calls_home(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.action == "call_home" || step.is_installer())
    }

    /// Whether the secret that it gave away may be on the disk: no later agent gives another one.
    pub fn home_written(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| match step.status {
            StepStatus::Done => step.action == "call_home" || step.is_installer(),
            StepStatus::Running => step.is_installer(),
            StepStatus::Pending | StepStatus::Failed => false,
        })
    }

    /// How long its steps took, or have been taking.
    pub fn took(&self, now: Timestamp) -> Option<SignedDuration> {
        let took = self
            .ended_at
            .unwrap_or(now)
            .duration_since(self.started_at?);
        Some(took).filter(|took| !took.is_negative())
    }
}
