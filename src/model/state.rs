//! The states of a machine and the one table of what may follow what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted};

/// Where a machine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    /// Just registered, nothing chosen for it.
    Discovered,
    /// A system is chosen; it can be installed.
    Ready,
    /// A workflow is at work on it.
    Provisioning,
    /// Its installed system has called home.
    Provisioned,
    /// Something failed; `message` says what.
    Error { message: String },
    /// Put aside by a person.
    Offline,
}

impl State {
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::Discovered => StateKind::Discovered,
            Self::Ready => StateKind::Ready,
            Self::Provisioning => StateKind::Provisioning,
            Self::Provisioned => StateKind::Provisioned,
            Self::Error { .. } => StateKind::Error,
            Self::Offline => StateKind::Offline,
        }
    }
}

/// A state's name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    Discovered,
    Ready,
    Provisioning,
    Provisioned,
    Error,
    Offline,
}

impl StateKind {
    pub const ALL: [Self; 6] = [
        Self::Discovered,
        Self::Ready,
        Self::Provisioning,
        Self::Provisioned,
        Self::Error,
        Self::Offline,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Ready => "ready",
            Self::Provisioning => "provisioning",
            Self::Provisioned => "provisioned",
            Self::Error => "error",
            Self::Offline => "offline",
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StateKind {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let lower = text.trim().to_lowercase();
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == lower)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                FieldError::new(
                    "status",
                    format!("{} is none of {known}", quoted(text)),
                    "offline",
                )
            })
    }
}

/// What moves a machine from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A system was chosen for it, or the choice was taken back.
    Choice,
    /// A person set the status by hand.
    Person,
    /// A workflow took it on.
    Workflow,
    /// A workflow failed, or its deadline passed.
    Failure,
    /// The installed system reported to us with its own credential.
    CallHome,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Choice => "choice of a system",
            Self::Person => "person",
            Self::Workflow => "workflow",
            Self::Failure => "failure",
            Self::CallHome => "call home",
        })
    }
}

/// One arrow of the table.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    pub from: StateKind,
    pub cause: Cause,
    pub to: StateKind,
    /// What it means for the machine, in a person's words.
    pub impact: &'static str,
}

/// Every arrow there is. `Provisioned` is reached from an installation by a call home alone; a person may
/// return to it only from `Offline` or `Error`, and only for a machine that once called home.
pub const TRANSITIONS: &[Transition] = {
    use Cause::{CallHome, Choice, Failure, Person, Workflow};
    use StateKind::{Discovered, Error, Offline, Provisioned, Provisioning, Ready};

    const fn arrow(
        from: StateKind,
        cause: Cause,
        to: StateKind,
        impact: &'static str,
    ) -> Transition {
        Transition {
            from,
            cause,
            to,
            impact,
        }
    }

    &[
        arrow(Discovered, Choice, Ready, "it can be installed now"),
        arrow(
            Discovered,
            Workflow,
            Provisioning,
            "its disk will be written",
        ),
        arrow(
            Discovered,
            Failure,
            Error,
            "something failed before its disk was touched",
        ),
        arrow(Discovered, Person, Ready, "it can be installed now"),
        arrow(
            Discovered,
            Person,
            Offline,
            "it is put aside and is offered no work",
        ),
        arrow(
            Ready,
            Choice,
            Discovered,
            "no system is chosen for it any more",
        ),
        arrow(Ready, Workflow, Provisioning, "its disk will be written"),
        arrow(
            Ready,
            Failure,
            Error,
            "something failed before its disk was touched",
        ),
        arrow(
            Ready,
            Person,
            Discovered,
            "it waits for a choice again; the chosen system is kept",
        ),
        arrow(
            Ready,
            Person,
            Offline,
            "it is put aside and is offered no work",
        ),
        arrow(Provisioning, CallHome, Provisioned, "its new system is up"),
        arrow(
            Provisioning,
            Workflow,
            Ready,
            "the work is done, and it held nothing that would call home",
        ),
        arrow(
            Provisioning,
            Failure,
            Error,
            "its installation failed; its disk may be half written",
        ),
        arrow(
            Provisioned,
            Workflow,
            Provisioning,
            "its disk will be written again",
        ),
        arrow(
            Provisioned,
            Failure,
            Error,
            "something failed on the running machine",
        ),
        arrow(
            Provisioned,
            Person,
            Ready,
            "it counts as not installed; its disk is not touched",
        ),
        arrow(
            Provisioned,
            Person,
            Offline,
            "it is put aside and is offered no work",
        ),
        arrow(Error, CallHome, Provisioned, "its system is up after all"),
        arrow(
            Error,
            Workflow,
            Provisioning,
            "its disk will be written again",
        ),
        arrow(
            Error,
            Person,
            Ready,
            "the error is cleared; it can be installed again",
        ),
        arrow(
            Error,
            Person,
            Provisioned,
            "the error is cleared; its system is trusted as it is",
        ),
        arrow(
            Error,
            Person,
            Offline,
            "it is put aside and is offered no work",
        ),
        arrow(Offline, CallHome, Provisioned, "its system reported again"),
        arrow(Offline, Person, Discovered, "it waits for a choice again"),
        arrow(Offline, Person, Ready, "it can be installed again"),
        arrow(
            Offline,
            Person,
            Provisioned,
            "its system is trusted as it is",
        ),
    ]
};

/// The arrow from one state to another for this cause, or what could be done instead.
pub fn transition(from: StateKind, cause: Cause, to: StateKind) -> Result<Transition, FieldError> {
    let found = TRANSITIONS
        .iter()
        .find(|t| t.from == from && t.cause == cause && t.to == to);
    found.copied().ok_or_else(|| {
        let open: Vec<_> = TRANSITIONS
            .iter()
            .filter(|t| t.from == from && t.cause == cause)
            .map(|t| t.to.as_str())
            .collect();
        let way = match open.as_slice() {
            [] => format!("a machine that is {from} cannot be moved by hand"),
            _ => format!("a machine that is {from} can become {}", open.join(" or ")),
        };
        let example = open.first().copied().unwrap_or("offline");
        FieldError::new(
            "status",
            format!("{from} cannot become {to}: {way}"),
            example,
        )
    })
}

/// The table as a Mermaid diagram, for the documentation.
pub fn diagram() -> String {
    let mut lines = vec![
        "stateDiagram-v2".to_owned(),
        "    [*] --> discovered: registration".to_owned(),
    ];
    lines.extend(
        TRANSITIONS
            .iter()
            .map(|t| format!("    {} --> {}: {}", t.from, t.to, t.cause)),
    );
    lines.join("\n") + "\n"
}

/// The same as a Markdown table, with what each arrow means.
pub fn table() -> String {
    let mut lines = vec![
        "| from | to | by | what it means |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    lines.extend(
        TRANSITIONS
            .iter()
            .map(|t| format!("| {} | {} | {} | {} |", t.from, t.to, t.cause, t.impact)),
    );
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
