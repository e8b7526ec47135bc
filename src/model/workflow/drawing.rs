//! The states of a workflow as the documentation draws them: by asking the engine itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Input, Limits, Moved, Snapshot, State, Step, Taking, Workflow};
use crate::model::{Actor, MachineId, WorkflowId};

/// What leads from one state to another, in a person's words.
const CAUSES: &[(&str, &str)] = &[
    ("slot", "its turn has come"),
    ("take", "its machine's agent takes the work"),
    ("home due", "the last step is done"),
    (
        "done",
        "the last step is done, and no system is to call home",
    ),
    ("home", "the installed system calls home"),
    ("fail", "a step fails, or it cannot go on"),
    ("late", "a deadline passes"),
    ("cancel", "a person cancels it"),
    ("retry", "a person tries it again"),
];

/// Every change of state that the engine makes, with its cause.
fn arrows() -> Vec<(State, State, &'static str)> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![sample(true), sample(false)];
    let mut seen = Vec::new();
    while let Some(workflow) = waiting.pop() {
        for (cause, input, wait) in inputs(&workflow) {
            let mut next = workflow.clone();
            let later = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(wait);
            let Ok(moved) = next.handle(later, input) else {
                continue;
            };
            for one in moved {
                if let Moved::State { from, to } = one {
                    let at = State::ALL.iter().position(|state| *state == from);
                    let cause = match (cause, to) {
                        ("done", State::WaitingHome) => "home due",
                        (cause, _) => cause,
                    };
                    let place = CAUSES.iter().position(|(word, _)| *word == cause);
                    found.insert((at, place, from, to));
                }
            }
            let shape = (next.state, next.current(), next.calls_home());
            if !seen.contains(&shape) {
                seen.push(shape);
                waiting.push(next);
            }
        }
    }
    let named = found.into_iter().filter_map(|(_, place, from, to)| {
        let (_, words) = CAUSES.get(place?)?;
        Some((from, to, *words))
    });
    named.collect()
}

fn inputs(workflow: &Workflow) -> Vec<(&'static str, Input, i64)> {
    let attempt = workflow.attempt;
    let step = workflow.current().unwrap_or(0);
    let take = Input::AgentTook {
        attempt: attempt + 1,
        taking: Taking {
            secret_hash: Some("00".into()),
            ..Taking::default()
        },
    };
    let done = Input::StepDone {
        attempt,
        step,
        message: String::new(),
        bytes: 0,
    };
    let by = "ada".to_owned();
    let why = "so".to_owned();
    vec![
        ("slot", Input::Slot, 0),
        ("take", take, 0),
        ("done", done, 0),
        ("home", Input::HomeCalled, 0),
        ("fail", Input::Halt { why }, 0),
        ("late", Input::Tick, 1000),
        ("cancel", Input::Cancel { by }, 0),
        ("retry", Input::Retry { from: Some(0) }, 0),
    ]
}

/// One of two steps, which installs a system or does not.
pub(super) fn sample(calls_home: bool) -> Workflow {
    let action = if calls_home { "call_home" } else { "wait" };
    let at = Timestamp::UNIX_EPOCH;
    Workflow {
        id: WorkflowId(uuid::Uuid::nil()),
        machine: MachineId(uuid::Uuid::nil()),
        name: String::new(),
        template: Snapshot {
            name: String::new(),
            source: String::new(),
        },
        params: std::collections::BTreeMap::new(),
        by: Actor::system(""),
        created_at: at,
        generation: 1,
        product: None,
        limits: Limits {
            come: 1,
            steps: 1,
            home: 1,
        },
        state: State::Queued,
        since: at,
        attempt: 0,
        heard_at: None,
        started_at: None,
        ended_at: None,
        steps: vec![
            Step::new(action, action, 1),
            Step::new("reboot", "reboot", 1),
        ],
        disks: Vec::new(),
        home: None,
        error: None,
    }
}

/// The states as a Mermaid diagram.
pub fn diagram() -> String {
    let mut lines = vec![
        "stateDiagram-v2".to_owned(),
        "    [*] --> queued: it is asked for".to_owned(),
    ];
    lines.extend(
        arrows()
            .iter()
            .map(|(from, to, why)| format!("    {from} --> {to}: {why}")),
    );
    lines.join("\n") + "\n"
}

/// The same as a Markdown table.
pub fn table() -> String {
    let mut lines = vec![
        "| from | to | when |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    lines.extend(
        arrows()
            .iter()
            .map(|(from, to, why)| format!("| {from} | {to} | {why} |")),
    );
    lines.join("\n") + "\n"
}
