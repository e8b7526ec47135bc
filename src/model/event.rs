//! Domain events: what happened, to what, by whom, and because of what.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::boot::{LoaderChoice, Once};
use super::field::{FieldError, OsChoice, quoted};
use super::trace::Step;
use super::{
    Anchor, ConflictId, CorrelationId, ImageName, LinkName, MachineId, RequestId, SettingKey,
    StateKind, WorkflowId, workflow,
};

/// The layout of an event's record; grows when its meaning changes.
pub const EVENT_FORMAT: u16 = 1;

/// A place in the order of all events. Opaque outside: it can be compared, kept and handed back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(u64);

impl Cursor {
    /// Before every event.
    pub const START: Self = Self(0);

    /// For stores alone: the place that a backend gave to an event.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// For stores alone.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{:013x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let digits = text
            .strip_prefix('e')
            .filter(|digits| (1..=16).contains(&digits.len()));
        let plain = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        plain
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| {
                FieldError::new(
                    "cursor",
                    format!("{} is not a cursor that was given out here", quoted(text)),
                    Self(1).to_string(),
                )
            })
    }
}

impl TryFrom<String> for Cursor {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

/// Who did it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    pub name: String,
    /// The door and the address behind it, such as `unix uid 1000` or `http 127.0.0.1`.
    pub from: String,
}

impl Actor {
    pub fn person(name: impl Into<String>, from: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Person,
            name: name.into(),
            from: from.into(),
        }
    }

    /// A part of Dragonfly itself.
    pub fn system(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::System,
            name: name.into(),
            from: "dragonfly".into(),
        }
    }
}

/// What sort of actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Person,
    /// A machine on the wire.
    Machine,
    System,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Subject {
    Machine(MachineId),
    Setting(SettingKey),
    Conflict(ConflictId),
    Network(LinkName),
    Workflow(WorkflowId),
    Template(OsChoice),
    /// Dragonfly as a whole.
    Appliance,
}

/// One change of one field, secrets left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub field: String,
    pub from: Value,
    pub to: Value,
}

impl FieldChange {
    pub fn new(field: impl Into<String>, from: Value, to: Value) -> Self {
        Self {
            field: field.into(),
            from,
            to,
        }
    }
}

/// One event, as it is kept and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Given by the store at commit.
    pub cursor: Cursor,
    pub format: u16,
    pub at: Timestamp,
    pub subject: Subject,
    /// The version that the subject had after this commit; 0 for a subject without one.
    pub subject_version: u64,
    pub what: What,
    /// Kept for ever, whatever the retention of other events.
    pub audit: bool,
    pub actor: Actor,
    pub request: RequestId,
    pub correlation: CorrelationId,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Cursor>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum What {
    #[serde(rename = "machine.registered")]
    Registered { name: String, mac: String },
    /// A machine was found again by another anchor than its hash, and its identity was brought up to date.
    #[serde(rename = "machine.reidentified")]
    Reidentified { by: Anchor, diff: Vec<FieldChange> },
    /// A person wrote a patch that waits.
    #[serde(rename = "machine.edited")]
    Edited { diff: Vec<FieldChange> },
    /// Desired state changed.
    #[serde(rename = "machine.configured")]
    Configured {
        generation: u64,
        diff: Vec<FieldChange>,
        now: bool,
    },
    #[serde(rename = "machine.discarded")]
    Discarded { diff: Vec<FieldChange> },
    #[serde(rename = "machine.state_changed")]
    StateChanged {
        from: StateKind,
        to: StateKind,
        impact: String,
    },
    #[serde(rename = "machine.locked")]
    Locked { reason: Option<String> },
    #[serde(rename = "machine.unlocked")]
    Unlocked {},
    #[serde(rename = "machine.deleted")]
    Deleted { name: String, mac: String },
    #[serde(rename = "machine.merged")]
    Merged {
        absorbed: MachineId,
        diff: Vec<FieldChange>,
    },
    #[serde(rename = "machine.split")]
    Split {
        into: MachineId,
        diff: Vec<FieldChange>,
    },
    /// A milestone of a boot; the rest of its trace is telemetry.
    #[serde(rename = "machine.boot")]
    Boot { step: Step },
    /// A person said what the machine boots next, once.
    #[serde(rename = "machine.boot_ordered")]
    BootOrdered { once: Once },
    #[serde(rename = "machine.boot_cancelled")]
    BootCancelled { once: Once },
    /// The machine fetched its script; with the order that was in it, if there was one.
    #[serde(rename = "machine.boot_taken")]
    BootTaken {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<Once>,
        diff: Vec<FieldChange>,
    },
    #[serde(rename = "machine.loader_chosen")]
    LoaderChosen {
        from: LoaderChoice,
        to: LoaderChoice,
    },
    /// The boot agent of the machine used its token and is believed from now on.
    #[serde(rename = "machine.agent_let_in")]
    AgentLetIn { version: String, from: String },
    /// The agent looked into the machine, and found what was not known.
    #[serde(rename = "machine.inventory")]
    Inventory { diff: Vec<FieldChange> },
    #[serde(rename = "machine.inventory_wanted")]
    InventoryWanted {},
    /// Somebody else may be at work in this machine's name.
    #[serde(rename = "machine.alarm")]
    Alarm { reason: String },
    #[serde(rename = "network.changed")]
    NetworkChanged { diff: Vec<FieldChange> },
    /// The floating IP of a network was claimed.
    #[serde(rename = "network.address_held")]
    AddressHeld { address: Ipv4Addr },
    #[serde(rename = "network.address_released")]
    AddressReleased { address: Ipv4Addr },
    #[serde(rename = "conflict.found")]
    ConflictFound { claims: Vec<(Anchor, MachineId)> },
    #[serde(rename = "conflict.settled")]
    ConflictSettled { how: String },
    /// An installed system told something new of itself.
    #[serde(rename = "machine.called_home")]
    CalledHome { diff: Vec<FieldChange> },
    /// A workflow was asked for; `name` is the machine's.
    #[serde(rename = "workflow.started")]
    WorkflowStarted {
        machine: MachineId,
        name: String,
        template: String,
        generation: u64,
    },
    #[serde(rename = "workflow.moved")]
    WorkflowMoved {
        machine: MachineId,
        name: String,
        from: workflow::State,
        to: workflow::State,
    },
    /// An agent was given the work.
    #[serde(rename = "workflow.taken")]
    WorkflowTaken {
        machine: MachineId,
        name: String,
        attempt: u32,
    },
    #[serde(rename = "workflow.step")]
    WorkflowStep {
        machine: MachineId,
        name: String,
        step: String,
        number: usize,
        count: usize,
        status: workflow::StepStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    #[serde(rename = "workflow.ended")]
    WorkflowEnded {
        machine: MachineId,
        name: String,
        template: String,
        result: workflow::State,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A template of a person's own was kept; `digest` is its text's.
    #[serde(rename = "template.saved")]
    TemplateSaved { name: OsChoice, digest: String },
    #[serde(rename = "template.deleted")]
    TemplateDeleted { name: OsChoice },
    #[serde(rename = "setting.changed")]
    SettingChanged { diff: Vec<FieldChange> },
    /// A person did something to an image; `how` tells it in words.
    #[serde(rename = "image.changed")]
    ImageChanged { name: ImageName, how: String },
    /// Events were removed by retention; the log is whole again after `floor`.
    #[serde(rename = "events.trimmed")]
    Trimmed { removed: u64, floor: Cursor },
    #[serde(rename = "appliance.started")]
    Started { version: String, mode: String },
}

impl What {
    /// The event's name, as it is written in the record.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "machine.registered",
            Self::Reidentified { .. } => "machine.reidentified",
            Self::Edited { .. } => "machine.edited",
            Self::Configured { .. } => "machine.configured",
            Self::Discarded { .. } => "machine.discarded",
            Self::StateChanged { .. } => "machine.state_changed",
            Self::Locked { .. } => "machine.locked",
            Self::Unlocked {} => "machine.unlocked",
            Self::Deleted { .. } => "machine.deleted",
            Self::Merged { .. } => "machine.merged",
            Self::Split { .. } => "machine.split",
            Self::Boot { .. } => "machine.boot",
            Self::BootOrdered { .. } => "machine.boot_ordered",
            Self::BootCancelled { .. } => "machine.boot_cancelled",
            Self::BootTaken { .. } => "machine.boot_taken",
            Self::LoaderChosen { .. } => "machine.loader_chosen",
            Self::AgentLetIn { .. } => "machine.agent_let_in",
            Self::Inventory { .. } => "machine.inventory",
            Self::InventoryWanted {} => "machine.inventory_wanted",
            Self::Alarm { .. } => "machine.alarm",
            Self::NetworkChanged { .. } => "network.changed",
            Self::AddressHeld { .. } => "network.address_held",
            Self::AddressReleased { .. } => "network.address_released",
            Self::ConflictFound { .. } => "conflict.found",
            Self::ConflictSettled { .. } => "conflict.settled",
            Self::CalledHome { .. } => "machine.called_home",
            Self::WorkflowStarted { .. } => "workflow.started",
            Self::WorkflowMoved { .. } => "workflow.moved",
            Self::WorkflowTaken { .. } => "workflow.taken",
            Self::WorkflowStep { .. } => "workflow.step",
            Self::WorkflowEnded { .. } => "workflow.ended",
            Self::TemplateSaved { .. } => "template.saved",
            Self::TemplateDeleted { .. } => "template.deleted",
            Self::SettingChanged { .. } => "setting.changed",
            Self::ImageChanged { .. } => "image.changed",
            Self::Trimmed { .. } => "events.trimmed",
            Self::Started { .. } => "appliance.started",
        }
    }

    /// Whether it belongs to the audit log whoever did it: who a machine is, and whether somebody tried to be it.
    pub const fn is_audit(&self) -> bool {
        matches!(
            self,
            Self::Alarm { .. } | Self::Reidentified { .. } | Self::AgentLetIn { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::model::trace::{Mark, Stage};

    #[test_case(0, "e0000000000000")]
    #[test_case(255, "e00000000000ff")]
    #[test_case(u64::MAX, "effffffffffffffff")]
    fn a_cursor_is_one_opaque_word(raw: u64, text: &str) {
        assert_eq!(Cursor::from_raw(raw).to_string(), text);
        assert_eq!(text.parse::<Cursor>().unwrap().raw(), raw);
    }

    #[test_case(""; "empty")]
    #[test_case("e"; "nothing behind the letter")]
    #[test_case("12"; "a bare number")]
    #[test_case("e+12"; "a sign")]
    #[test_case("e12345678901234567"; "too long")]
    #[test_case("eé"; "not hexadecimal")]
    fn what_was_never_given_out_is_no_cursor(text: &str) {
        let error = text.parse::<Cursor>().unwrap_err();
        assert!(error.example.parse::<Cursor>().is_ok());
    }

    fn one_of_each() -> Vec<What> {
        let id = MachineId(uuid::Uuid::from_u128(7));
        let diff = vec![FieldChange::new("hostname", Value::Null, "web01".into())];
        let by = Anchor::SmbiosUuid(uuid::Uuid::from_u128(9));
        let (name, mac) = ("Ada".to_owned(), "52:54:00:12:34:56".to_owned());
        vec![
            What::Registered {
                name: name.clone(),
                mac: mac.clone(),
            },
            What::Reidentified {
                by: by.clone(),
                diff: diff.clone(),
            },
            What::Edited { diff: diff.clone() },
            What::Configured {
                generation: 2,
                diff: diff.clone(),
                now: true,
            },
            What::Discarded { diff: diff.clone() },
            What::StateChanged {
                from: StateKind::Ready,
                to: StateKind::Offline,
                impact: "so".into(),
            },
            What::Locked { reason: None },
            What::Unlocked {},
            What::Deleted { name, mac },
            What::Merged {
                absorbed: id,
                diff: diff.clone(),
            },
            What::Split {
                into: id,
                diff: diff.clone(),
            },
            What::ConflictFound {
                claims: vec![(by, id)],
            },
            What::ConflictSettled {
                how: "merged".into(),
            },
            What::TemplateSaved {
                name: "debian-13".parse().unwrap(),
                digest: "sha256:00".into(),
            },
            What::TemplateDeleted {
                name: "debian-13".parse().unwrap(),
            },
            What::SettingChanged { diff: diff.clone() },
            What::ImageChanged {
                name: "debian-13.raw".parse().unwrap(),
                how: "pinned".into(),
            },
            What::Trimmed {
                removed: 3,
                floor: Cursor::from_raw(3),
            },
            What::Started {
                version: "0.1.0".into(),
                mode: "demo".into(),
            },
        ]
        .into_iter()
        .chain(of_the_network_boot(diff))
        .chain(of_a_workflow(id))
        .collect()
    }

    fn of_a_workflow(machine: MachineId) -> Vec<What> {
        let name = || "Ada".to_owned();
        let template = "debian-13".to_owned();
        vec![
            What::CalledHome { diff: Vec::new() },
            What::WorkflowStarted {
                machine,
                name: name(),
                template: template.clone(),
                generation: 2,
            },
            What::WorkflowMoved {
                machine,
                name: name(),
                from: workflow::State::Queued,
                to: workflow::State::Waiting,
            },
            What::WorkflowTaken {
                machine,
                name: name(),
                attempt: 1,
            },
            What::WorkflowStep {
                machine,
                name: name(),
                step: "write".into(),
                number: 1,
                count: 4,
                status: workflow::StepStatus::Done,
                message: None,
            },
            What::WorkflowEnded {
                machine,
                name: name(),
                template,
                result: workflow::State::TimedOut,
                why: Some("so".into()),
                seconds: Some(9),
            },
        ]
    }

    fn of_the_network_boot(diff: Vec<FieldChange>) -> Vec<What> {
        let once = Once::Chain {
            url: "http://10.0.0.1/x.ipxe".into(),
        };
        let step = Step {
            at: Timestamp::UNIX_EPOCH,
            stage: Stage::Script,
            mark: Mark::ScriptGiven,
            link: Some("eth0".parse().unwrap()),
            text: "auto.ipxe".into(),
            why: "a person asked for this boot".into(),
        };
        let address = Ipv4Addr::new(10, 0, 0, 2);
        vec![
            What::Boot { step },
            What::BootOrdered { once: once.clone() },
            What::BootCancelled { once: once.clone() },
            What::BootTaken {
                once: Some(once),
                diff: diff.clone(),
            },
            What::BootTaken {
                once: None,
                diff: diff.clone(),
            },
            What::LoaderChosen {
                from: LoaderChoice::Auto,
                to: LoaderChoice::Full,
            },
            What::AgentLetIn {
                version: "0.2.0".into(),
                from: "10.0.0.9".into(),
            },
            What::Inventory { diff: diff.clone() },
            What::InventoryWanted {},
            What::Alarm {
                reason: "its token was used twice".into(),
            },
            What::NetworkChanged { diff },
            What::AddressHeld { address },
            What::AddressReleased { address },
        ]
    }

    #[test]
    fn every_event_is_written_under_its_name_and_reads_back() {
        let subjects = [
            Subject::Machine(MachineId(uuid::Uuid::from_u128(7))),
            Subject::Setting("site.name".parse().unwrap()),
            Subject::Conflict(ConflictId(uuid::Uuid::from_u128(8))),
            Subject::Network("eth0".parse().unwrap()),
            Subject::Workflow(WorkflowId(uuid::Uuid::from_u128(9))),
            Subject::Template("debian-13".parse().unwrap()),
            Subject::Appliance,
        ];
        for (what, subject) in one_of_each().into_iter().zip(subjects.into_iter().cycle()) {
            let event = Event {
                cursor: Cursor::from_raw(5),
                format: EVENT_FORMAT,
                at: Timestamp::UNIX_EPOCH,
                subject,
                subject_version: 1,
                what,
                audit: true,
                actor: Actor::person("ada", "http 127.0.0.1"),
                request: RequestId(uuid::Uuid::from_u128(1)),
                correlation: CorrelationId(uuid::Uuid::from_u128(2)),
                causation: None,
            };
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["what"]["type"], event.what.name());
            assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        }
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn cursors_read_back_and_keep_their_order(one: u64, other: u64) {
                let [a, b] = [one, other].map(Cursor::from_raw);
                prop_assert_eq!(a.to_string().parse::<Cursor>().unwrap(), a);
                prop_assert_eq!(a < b, one < other);
            }
        }
    }
}
