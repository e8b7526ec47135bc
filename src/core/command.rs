//! The changes that can be asked for, and the circumstances of asking.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::model::{
    Actor, Arch, CorrelationId, Cursor, Evidence, FriendlyName, Hardware, Hostname, ImageChange,
    ImageName, LinkName, LoaderChoice, MacAddr, MachineId, NetworkPatch, Once, OsChoice, Patch,
    RequestId, Rung, SettingKey, Tag, WorkflowId, boot::Redeemed, identity::OsMachineId,
    machine::Source, naming::Named, network::Held, trace::Step, workflow,
};

use super::policy::Permission;

/// One call from outside: who asks, for what, and how it is tied to other calls.
#[derive(Clone, Debug)]
pub struct Call {
    pub actor: Actor,
    pub command: Command,
    pub request: RequestId,
    pub correlation: CorrelationId,
    pub causation: Option<Cursor>,
    pub idempotency: Option<IdempotencyKey>,
    /// Answer with the diff alone, and change nothing.
    pub dry_run: bool,
    /// The version that the caller saw; another one now is a conflict.
    pub if_version: Option<u64>,
}

impl Call {
    /// A call that nothing led to, to be done whatever version it finds.
    pub const fn alone(actor: Actor, command: Command, id: Uuid) -> Self {
        Self {
            actor,
            command,
            request: RequestId(id),
            correlation: CorrelationId(id),
            causation: None,
            idempotency: None,
            dry_run: false,
            if_version: None,
        }
    }
}

/// The same key with the same body gets the same answer; with another body it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    /// Method and path that it was sent to.
    pub route: String,
    /// SHA-256 of the body, in hexadecimal.
    pub body_hash: String,
}

impl IdempotencyKey {
    pub const MAX: usize = 128;
    /// As many bytes as a route may have.
    pub const MAX_ROUTE: usize = 1024;
}

/// Every change there is.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A person tells of a machine.
    AddMachine(AddMachine),
    /// A machine shows itself: it is recognised, or registered.
    CheckIn {
        evidence: Evidence,
        source: Source,
    },
    /// A person edits; see [`crate::model::edit`] for what waits and what does not.
    SetMachine {
        machine: MachineId,
        patch: Patch,
        confirmed: bool,
    },
    /// The pending patch becomes desired; `now` asks for it on the running system as well.
    ApplyMachine {
        machine: MachineId,
        now: bool,
    },
    DiscardMachine {
        machine: MachineId,
    },
    TagMachine {
        machine: MachineId,
        add: BTreeSet<Tag>,
        remove: BTreeSet<Tag>,
    },
    LockMachine {
        machine: MachineId,
        reason: Option<String>,
    },
    UnlockMachine {
        machine: MachineId,
    },
    DeleteMachine {
        machine: MachineId,
    },
    /// `keep` takes over all that `absorb` was known by, and `absorb` ends.
    MergeMachines {
        keep: MachineId,
        absorb: MachineId,
    },
    /// These cards (and the UUID, when asked) become a machine of their own.
    SplitMachine {
        machine: MachineId,
        macs: BTreeSet<MacAddr>,
        uuid: bool,
    },
    /// The reverse DNS has a name for a machine that was just registered.
    NameMachine {
        machine: MachineId,
        named: Named,
    },
    /// A person lets a machine in that was seen on the wire.
    Approve {
        mac: MacAddr,
    },
    /// What a machine boots next, once; none ends an order that was not carried out yet.
    BootOnce {
        machine: MachineId,
        once: Option<Once>,
    },
    /// The machine's script was handed out, with this order in it if there was one.
    TakeBoot {
        machine: MachineId,
        given: Option<Once>,
        /// It was sent the boot agent.
        agent: bool,
        arch: Option<Arch>,
        rung: Option<Rung>,
    },
    /// The boot agent of a machine used its token.
    LetIn {
        machine: MachineId,
        agent: LetIn,
    },
    /// The boot agent tells what it found: the machine is recognised, or registered.
    RecordInventory(Box<Inventory>),
    /// A person wants the agent to look into the machine at its next boot.
    LookInto {
        machine: MachineId,
    },
    /// Somebody else may be at work in this machine's name: no agent of it is believed any more.
    Alarm {
        machine: MachineId,
        reason: String,
    },
    SetLoader {
        machine: MachineId,
        loader: LoaderChoice,
    },
    /// A milestone of a boot, for the log.
    NoteBoot {
        machine: MachineId,
        step: Step,
    },
    SetNetwork {
        link: LinkName,
        patch: NetworkPatch,
    },
    /// An address was claimed as floating IP, or let go.
    HoldAddress {
        link: LinkName,
        held: Option<Held>,
    },
    SetSetting {
        key: SettingKey,
        value: String,
    },
    ResetSetting {
        key: SettingKey,
    },
    /// Something is to be done to a machine. Confirmed, when what is on its disks may be lost by it.
    StartWorkflow {
        machine: MachineId,
        blueprint: workflow::Blueprint,
        confirmed: bool,
    },
    /// Something was heard of a workflow, or time passed.
    AdvanceWorkflow {
        workflow: WorkflowId,
        input: workflow::Input,
    },
    CancelWorkflow {
        workflow: WorkflowId,
    },
    /// Once more from a step on, or from the first that is not done.
    RetryWorkflow {
        workflow: WorkflowId,
        from: Option<usize>,
        confirmed: bool,
    },
    /// An installed system reports.
    CallHome(HomeCall),
    /// Several of the defaults in one commit; none for one that goes back to nothing.
    SetDefaults {
        changes: BTreeMap<SettingKey, Option<String>>,
    },
    /// What a person does to an image; the cache carries it out.
    ChangeImage {
        name: ImageName,
        change: ImageChange,
    },
    /// A template of a person's own, new or instead of the one of this name.
    PutTemplate {
        name: OsChoice,
        source: String,
    },
    DeleteTemplate {
        name: OsChoice,
    },
    /// Removes old events by the settings of retention.
    TrimEvents,
}

impl Command {
    /// Every command's name.
    pub const NAMES: [&str; 41] = [
        "machine.add",
        "machine.check_in",
        "machine.set",
        "machine.apply",
        "machine.discard",
        "machine.tag",
        "machine.lock",
        "machine.unlock",
        "machine.delete",
        "machine.merge",
        "machine.split",
        "machine.name",
        "machine.approve",
        "machine.boot_once",
        "machine.take_boot",
        "machine.let_in",
        "machine.record_inventory",
        "machine.look_into",
        "machine.alarm",
        "machine.set_loader",
        "machine.note_boot",
        "network.set",
        "network.hold_address",
        "setting.set",
        "setting.reset",
        "workflow.start",
        "workflow.advance",
        "workflow.cancel",
        "workflow.retry",
        "machine.call_home",
        "defaults.set",
        "image.add",
        "image.upload",
        "image.import",
        "image.pin",
        "image.unpin",
        "image.remove",
        "image.refresh",
        "template.put",
        "template.delete",
        "events.trim",
    ];

    /// The name that receipts, logs and metrics use; one of [`Self::NAMES`].
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddMachine(_) => "machine.add",
            Self::CheckIn { .. } => "machine.check_in",
            Self::SetMachine { .. } => "machine.set",
            Self::ApplyMachine { .. } => "machine.apply",
            Self::DiscardMachine { .. } => "machine.discard",
            Self::TagMachine { .. } => "machine.tag",
            Self::LockMachine { .. } => "machine.lock",
            Self::UnlockMachine { .. } => "machine.unlock",
            Self::DeleteMachine { .. } => "machine.delete",
            Self::MergeMachines { .. } => "machine.merge",
            Self::SplitMachine { .. } => "machine.split",
            Self::NameMachine { .. } => "machine.name",
            Self::Approve { .. } => "machine.approve",
            Self::BootOnce { .. } => "machine.boot_once",
            Self::TakeBoot { .. } => "machine.take_boot",
            Self::LetIn { .. } => "machine.let_in",
            Self::RecordInventory(_) => "machine.record_inventory",
            Self::LookInto { .. } => "machine.look_into",
            Self::Alarm { .. } => "machine.alarm",
            Self::SetLoader { .. } => "machine.set_loader",
            Self::NoteBoot { .. } => "machine.note_boot",
            Self::SetNetwork { .. } => "network.set",
            Self::HoldAddress { .. } => "network.hold_address",
            Self::SetSetting { .. } => "setting.set",
            Self::ResetSetting { .. } => "setting.reset",
            Self::StartWorkflow { .. } => "workflow.start",
            Self::AdvanceWorkflow { .. } => "workflow.advance",
            Self::CancelWorkflow { .. } => "workflow.cancel",
            Self::RetryWorkflow { .. } => "workflow.retry",
            Self::CallHome(_) => "machine.call_home",
            Self::SetDefaults { .. } => "defaults.set",
            Self::ChangeImage { change, .. } => match change {
                ImageChange::Add { .. } => "image.add",
                ImageChange::Upload { .. } => "image.upload",
                ImageChange::Import => "image.import",
                ImageChange::Pin => "image.pin",
                ImageChange::Unpin => "image.unpin",
                ImageChange::Remove => "image.remove",
                ImageChange::Refresh => "image.refresh",
            },
            Self::PutTemplate { .. } => "template.put",
            Self::DeleteTemplate { .. } => "template.delete",
            Self::TrimEvents => "events.trim",
        }
    }

    /// What the actor has to be allowed.
    pub const fn permission(&self) -> Permission {
        match self {
            Self::AddMachine(_) | Self::Approve { .. } => Permission::AdoptMachines,
            Self::SetMachine { .. }
            | Self::ApplyMachine { .. }
            | Self::DiscardMachine { .. }
            | Self::TagMachine { .. }
            | Self::LockMachine { .. }
            | Self::UnlockMachine { .. }
            | Self::BootOnce { .. }
            | Self::LookInto { .. }
            | Self::SetLoader { .. } => Permission::EditMachines,
            Self::SetNetwork { .. } => Permission::ChangeNetworks,
            Self::DeleteMachine { .. } | Self::MergeMachines { .. } | Self::SplitMachine { .. } => {
                Permission::RemoveMachines
            }
            Self::StartWorkflow { .. }
            | Self::CancelWorkflow { .. }
            | Self::RetryWorkflow { .. } => Permission::InstallMachines,
            Self::SetSetting { .. } | Self::ResetSetting { .. } | Self::SetDefaults { .. } => {
                Permission::ChangeSettings
            }
            Self::ChangeImage { .. } => Permission::ChangeImages,
            Self::PutTemplate { .. } | Self::DeleteTemplate { .. } => Permission::ChangeTemplates,
            Self::CheckIn { .. }
            | Self::NameMachine { .. }
            | Self::TakeBoot { .. }
            | Self::LetIn { .. }
            | Self::RecordInventory(_)
            | Self::Alarm { .. }
            | Self::NoteBoot { .. }
            | Self::HoldAddress { .. }
            | Self::AdvanceWorkflow { .. }
            | Self::CallHome(_)
            | Self::TrimEvents => Permission::Operate,
        }
    }
}

/// A boot agent that is to be believed.
#[derive(Clone, Debug, PartialEq)]
pub struct LetIn {
    /// The card that its token was for.
    pub mac: MacAddr,
    pub version: String,
    /// Where it speaks from, for the log.
    pub from: String,
    pub used: Redeemed,
}

/// What a boot agent found in its machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    pub agent: LetIn,
    pub evidence: Evidence,
    pub hardware: Hardware,
}

/// What a person tells of a new machine.
#[derive(Clone, Debug, PartialEq)]
pub struct AddMachine {
    pub mac: MacAddr,
    pub other_macs: BTreeSet<MacAddr>,
    pub smbios_uuid: Option<Uuid>,
    pub hostname: Option<Hostname>,
    pub friendly_name: Option<FriendlyName>,
    pub os_choice: Option<OsChoice>,
    pub tags: BTreeSet<Tag>,
}

/// What an installed system tells, with the hash of the secret that it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeCall {
    pub machine: MachineId,
    pub workflow: WorkflowId,
    /// SHA-256 in hexadecimal.
    pub secret_hash: String,
    pub hostname: Option<Hostname>,
    pub os: Option<String>,
    pub machine_id: Option<OsMachineId>,
    pub addresses: Vec<std::net::IpAddr>,
    /// It can make the next boot one from the network.
    pub netboot_once: bool,
}

/// How a person names a machine: by id, the beginning of an id, MAC, or any of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRef(pub String);
