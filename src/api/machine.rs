//! Machines, as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::boot::Boot;
use super::receipt::Change;

/// A machine in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    pub id: String,
    /// Grows by one with each change; also the `ETag`.
    pub version: u64,
    /// The friendly name, or the four words.
    pub name: String,
    pub memorable_name: String,
    pub friendly_name: Option<String>,
    pub hostname: Option<String>,
    pub mac: String,
    pub macs: Vec<String>,
    pub smbios_uuid: Option<String>,
    pub machine_id: Option<String>,
    pub identity_hash: Option<String>,
    /// `discovered`, `ready`, `provisioning`, `provisioned`, `error` or `offline`.
    pub state: String,
    /// What went wrong, while the state is `error`.
    pub state_message: Option<String>,
    pub last_seen: Option<String>,
    pub os_choice: Option<String>,
    pub tags: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub static_ip: Option<String>,
    /// The VLAN that its address is in.
    pub vlan: Option<u16>,
    /// Cards that work as one, such as `802.3ad:52:54:00:12:34:56,52:54:00:12:34:57`.
    pub bond: Option<String>,
    /// The generation of the desired state.
    pub generation: u64,
    /// The generation that somebody wants on the running system at once.
    pub wanted_now: Option<u64>,
    pub pending: Option<Pending>,
    pub observed: Observed,
    pub lock: Option<Lock>,
    pub boot: Boot,
    pub bmc: Option<Bmc>,
    pub hardware: Hardware,
    /// `agent`, `proxmox`, `manual` or `demo`.
    pub source: String,
    pub created_at: String,
    pub updated_at: String,
}

/// A person's edit that waits to be applied or discarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    pub diff: Vec<Change>,
    pub author: String,
    pub at: String,
    pub base_generation: u64,
}

/// What was proved by the machine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Observed {
    pub generation: Option<u64>,
    pub hostname: Option<String>,
    pub os: Option<String>,
    pub addresses: Vec<String>,
    pub called_home_at: Option<String>,
}

/// Who locked it, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lock {
    pub by: String,
    pub at: String,
    pub reason: Option<String>,
}

/// The management controller; its password is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bmc {
    pub address: String,
    pub username: String,
    pub kind: String,
}

/// What was found in the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hardware {
    /// When an agent looked into it; everything else is empty before.
    pub seen_at: Option<String>,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub serial: Option<String>,
    /// `amd64`, `arm64`
    pub architecture: Option<String>,
    /// `bios` or `uefi`
    pub firmware: Option<String>,
    pub bios_version: Option<String>,
    pub secure_boot: Option<bool>,
    pub bmc_address: Option<String>,
    pub cpu_model: Option<String>,
    pub cpu_cores: Option<u32>,
    pub cpu_threads: Option<u32>,
    pub memory_bytes: Option<u64>,
    pub disks: Vec<Disk>,
    pub network_interfaces: Vec<NetworkInterface>,
    pub gpus: Vec<String>,
    pub is_virtual: bool,
    pub virt_platform: Option<String>,
    /// A system that was on its disks, and where.
    pub existing_os: Option<String>,
    /// No disk holds anything.
    pub blank: bool,
}

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    pub device: String,
    pub size_bytes: u64,
    pub model: Option<String>,
    pub serial: Option<String>,
    #[serde(default)]
    pub wwn: Option<String>,
    /// `nvme`, `ssd`, `hdd`, …
    #[serde(default)]
    pub kind: Option<String>,
    /// How much of its life is used; from 100 on its vendor promises nothing.
    #[serde(default)]
    pub wear_percent: Option<u8>,
    #[serde(default)]
    pub removable: bool,
    /// Partition tables and signatures on it; none where nobody looked.
    #[serde(default)]
    pub contents: Option<Vec<String>>,
}

/// One line that a machine's agent said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    pub at: String,
    /// `log`, `progress` or `packet`
    pub kind: String,
    pub text: String,
}

/// What a machine said lately. It is kept in memory alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MachineLog {
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// Entries that are not kept any more, or were said too fast.
    pub dropped: u64,
}

/// One network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkInterface {
    pub name: String,
    pub mac: String,
    pub speed_mbps: Option<u32>,
    #[serde(default)]
    pub link_up: Option<bool>,
    #[serde(default)]
    pub driver: Option<String>,
}

/// A new machine, told of by a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMachine {
    /// The card that it boots from.
    #[schema(example = "52:54:00:12:34:56")]
    pub mac: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_macs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smbios_uuid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "web01")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_choice: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// An edit: fields that are absent stay, `null` clears.
///
/// Names of fields: `mac`, `hostname`, `friendly_name`, `tags`, `labels`, `static_ip`, `vlan`, `bond`, `status`,
/// `os_choice`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct SetMachine(pub BTreeMap<String, Value>);

/// How a pending edit is to be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Apply {
    /// Ask for it on the running system as well, not at the next installation only.
    pub now: bool,
}

/// Tags to put on and take off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditTags {
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

/// Why a machine is locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LockMachine {
    pub reason: Option<String>,
}

/// The machine that ends in the one that is named in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    pub absorb: String,
}

/// What becomes a machine of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    pub macs: Vec<String>,
    /// The SMBIOS UUID goes with them.
    pub uuid: bool,
}

/// Anchors that point at different machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    pub id: String,
    /// The card that spoke when it was seen.
    pub mac: String,
    pub claims: Vec<Claim>,
    pub first_seen: String,
    pub last_seen: String,
}

/// One anchor and the machine that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Such as `MAC 52:54:00:12:34:56`.
    pub anchor: String,
    pub machine: String,
    pub machine_name: String,
}
