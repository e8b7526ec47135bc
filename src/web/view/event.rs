//! Events as [`crate::api::Event`] shows them, each with its line for people; and receipts.

use serde::Serialize;
use serde_json::Value;

use super::Text;
use crate::api;
use crate::core::{Receipt, ReceiptStatus};
use crate::model::{Actor, ActorKind, Cursor, Event, FieldChange, Subject, What, workflow};

/// As many changes as a line names; the rest are counted.
const NAMED_CHANGES: usize = 3;

/// An event, written straight from the record.
#[derive(Debug, Serialize)]
pub struct EventView<'a> {
    cursor: Cursor,
    format: u16,
    at: Text<jiff::Timestamp>,
    /// Its `type` and `data`.
    #[serde(flatten)]
    what: &'a What,
    subject_kind: &'static str,
    subject_id: Option<String>,
    subject_version: u64,
    audit: bool,
    actor: ActorView<'a>,
    request: Text<crate::model::RequestId>,
    correlation: Text<crate::model::CorrelationId>,
    causation: Option<Cursor>,
    text: String,
}

#[derive(Debug, Serialize)]
struct ActorView<'a> {
    kind: &'static str,
    name: &'a str,
    from: &'a str,
}

impl<'a> EventView<'a> {
    /// `name` is what its subject is called now, when that is known.
    pub fn new(event: &'a Event, name: Option<&str>) -> Self {
        let (subject_kind, subject_id) = subject(&event.subject);
        Self {
            cursor: event.cursor,
            format: event.format,
            at: Text(event.at),
            what: &event.what,
            subject_kind,
            subject_id,
            subject_version: event.subject_version,
            audit: event.audit,
            actor: actor(&event.actor),
            request: Text(event.request),
            correlation: Text(event.correlation),
            causation: event.causation,
            text: line(event, name),
        }
    }
}

fn actor(actor: &Actor) -> ActorView<'_> {
    let kind = match actor.kind {
        ActorKind::Person => "person",
        ActorKind::Machine => "machine",
        ActorKind::System => "system",
    };
    ActorView {
        kind,
        name: &actor.name,
        from: &actor.from,
    }
}

fn subject(subject: &Subject) -> (&'static str, Option<String>) {
    match subject {
        Subject::Machine(id) => ("machine", Some(id.to_string())),
        Subject::Setting(key) => ("setting", Some(key.to_string())),
        Subject::Conflict(id) => ("conflict", Some(id.to_string())),
        Subject::Network(link) => ("network", Some(link.to_string())),
        Subject::Template(name) => ("template", Some(name.to_string())),
        Subject::Workflow(id) => ("workflow", Some(id.to_string())),
        Subject::Appliance => ("appliance", None),
    }
}

/// What happened, in one line for people.
pub fn line(event: &Event, name: Option<&str>) -> String {
    let id = subject(&event.subject)
        .1
        .unwrap_or_else(|| "dragonfly".into());
    let name = name.unwrap_or(&id);
    match &event.what {
        What::Registered { name, mac } => format!("{name} was registered ({mac})"),
        What::Reidentified { by, .. } => {
            format!("{name} was recognised by its {by}, and its identity brought up to date")
        }
        What::Edited { diff } => format!("{name}: an edit waits, {}", changes(diff)),
        What::Configured {
            diff, now: false, ..
        } => format!("{name}: {}", changes(diff)),
        What::Configured {
            diff, now: true, ..
        } => {
            format!(
                "{name}: {}, wanted on the running system now",
                changes(diff)
            )
        }
        What::Discarded { diff } => format!("{name}: an edit was dropped, {}", changes(diff)),
        What::StateChanged { from, to, .. } => format!("{name} went from {from} to {to}"),
        What::Locked {
            reason: Some(reason),
        } => format!("{name} was locked: {reason}"),
        What::Locked { reason: None } => format!("{name} was locked"),
        What::Unlocked {} => format!("{name} was unlocked"),
        What::Deleted { name, mac } => format!("{name} was deleted ({mac})"),
        What::Merged { absorbed, .. } => format!("{name} took in machine {absorbed}"),
        What::Split { into, .. } => format!("{name} was split: machine {into} is on its own now"),
        What::Boot { step } => format!("{name}: {}", step.text),
        What::BootOrdered { once } => format!("{name} shall boot {once} once"),
        What::BootCancelled { once } => format!("{name} shall not boot {once} any more"),
        What::BootTaken {
            once: Some(once), ..
        } => format!("{name} took the order to boot {once}"),
        What::BootTaken { once: None, .. } => format!("{name} fetched its script"),
        What::AgentLetIn { from, .. } => format!("{name}: its agent was let in, from {from}"),
        What::Inventory { diff } => format!("{name} was looked into, {}", changes(diff)),
        What::InventoryWanted {} => format!("{name} is to be looked into at its next boot"),
        What::Alarm { reason } => format!("{name}: ALARM, {reason}"),
        What::LoaderChosen { from, to } => format!("{name}: loader from {from} to {to}"),
        What::NetworkChanged { diff } => format!("network {id}: {}", changes(diff)),
        What::AddressHeld { address } => format!("network {id}: floating IP {address} is held"),
        What::AddressReleased { address } => {
            format!("network {id}: floating IP {address} was let go")
        }
        What::ConflictFound { claims } => {
            let claims: Vec<_> = claims
                .iter()
                .map(|(anchor, _)| anchor.to_string())
                .collect();
            format!("{} point at different machines", claims.join(" and "))
        }
        What::ConflictSettled { how } => format!("a conflict was settled: {how}"),
        What::CalledHome { diff } => format!("{name} called home: {}", changes(diff)),
        What::TemplateSaved { name, .. } => format!("template {name} was saved"),
        What::TemplateDeleted { name } => format!("template {name} was deleted"),
        What::SettingChanged { diff } => format!("setting {}", changes(diff)),
        What::ImageChanged { name, how } => format!("image {name}: {how}"),
        What::Trimmed { removed, .. } => format!("{removed} old events were removed"),
        What::Started { version, mode } => format!("Dragonfly {version} started ({mode})"),
        What::WorkflowStarted { .. }
        | What::WorkflowMoved { .. }
        | What::WorkflowTaken { .. }
        | What::WorkflowStep { .. }
        | What::WorkflowEnded { .. } => of_a_workflow(&event.what),
    }
}

fn of_a_workflow(what: &What) -> String {
    match what {
        What::WorkflowStarted { name, template, .. } => {
            format!("{name} is to be worked on: {template}")
        }
        What::WorkflowMoved { name, to, .. } => {
            let words = match to {
                workflow::State::Queued => "waits for its turn",
                workflow::State::Waiting => "is awaited from the network",
                workflow::State::WaitingHome => "is written; its system has to call home now",
                _ => "is being worked on",
            };
            format!("{name} {words}")
        }
        What::WorkflowTaken { name, attempt, .. } => {
            format!("{name}: agent {attempt} took the work")
        }
        What::WorkflowStep {
            name,
            step,
            number,
            count,
            status,
            message,
            ..
        } => {
            let message = message.as_ref().map(|text| format!(": {text}"));
            let message = message.unwrap_or_default();
            format!("{name}: step {number} of {count}, {step}, is {status}{message}")
        }
        What::WorkflowEnded {
            name,
            template,
            result,
            why,
            ..
        } => {
            let why = why
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            format!("{name}: {template} ended, {result}{why}")
        }
        _ => String::new(),
    }
}

fn changes(diff: &[FieldChange]) -> String {
    let told = diff.iter().take(NAMED_CHANGES).map(|change| {
        format!(
            "{} from {} to {}",
            change.field,
            words(&change.from),
            words(&change.to)
        )
    });
    let told: Vec<_> = told.collect();
    match diff.len().saturating_sub(NAMED_CHANGES) {
        0 if told.is_empty() => "nothing changed".into(),
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Object(pairs) if pairs.is_empty() => "none".into(),
        Value::Object(pairs) => {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(key, value)| format!("{key}={}", words(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// A receipt as the API shows it.
pub fn receipt(receipt: &Receipt) -> api::Receipt {
    let status = match receipt.status {
        ReceiptStatus::Accepted => "accepted",
        ReceiptStatus::Unchanged => "unchanged",
        ReceiptStatus::DryRun => "dry_run",
    };
    let (subject_kind, subject_id) = subject(&receipt.subject);
    let diff = receipt.diff.iter().map(|change| api::Change {
        field: change.field.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
    });
    let events = receipt
        .events
        .iter()
        .map(|(cursor, kind)| api::receipt::EventRef {
            cursor: cursor.to_string(),
            kind: kind.clone(),
        });
    let next = receipt.next.iter().map(|step| api::NextStep {
        label: step.label.clone(),
        command: step.command.clone(),
    });
    api::Receipt {
        format: receipt.format,
        id: receipt.id.to_string(),
        command: receipt.command.clone(),
        status: status.into(),
        subject_kind: subject_kind.into(),
        subject_id,
        version: receipt.version,
        diff: diff.collect(),
        events: events.collect(),
        next: next.collect(),
        notes: receipt.notes.clone(),
        request: receipt.request.to_string(),
        correlation: receipt.correlation.to_string(),
        causation: receipt.causation.map(|cursor| cursor.to_string()),
    }
}
