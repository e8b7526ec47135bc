//! The machine: what it is, what it should be, what a person is about to change, and what was proved.

mod inventory;

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::boot::BootRecord;
use super::disk::DiskKind;
use super::edit::Pending;
use super::field::{Bond, FriendlyName, Hostname, Labels, OsChoice, StaticIp, Tag, VlanId};
use super::identity::Identity;
use super::{Evidence, MacAddr, MachineId, MemorableName, State, WorkflowId};

/// A physical or virtual machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub id: MachineId,
    pub identity: Identity,
    pub status: Status,
    #[serde(default)]
    pub hardware: Hardware,
    /// Desired: what the next installation makes true.
    pub config: Config,
    /// A person's patch that is neither applied nor discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Proved by a finished workflow or a call home.
    #[serde(default)]
    pub observed: Observed,
    /// How it boots the network.
    #[serde(default, skip_serializing_if = "BootRecord::is_empty")]
    pub boot: BootRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    pub metadata: Metadata,
}

impl Machine {
    /// A machine that was just met.
    pub fn register(
        id: MachineId,
        evidence: &Evidence,
        memorable_name: MemorableName,
        source: Source,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            identity: evidence.identity(),
            status: Status::new(),
            hardware: Hardware::default(),
            config: Config::new(memorable_name),
            pending: None,
            observed: Observed::default(),
            boot: BootRecord::default(),
            lock: None,
            metadata: Metadata {
                created_at: now,
                updated_at: now,
                source,
            },
        }
    }

    /// The name that people see: the friendly one, or the four words.
    pub fn name(&self) -> &str {
        match &self.config.friendly_name {
            Some(name) => name.as_str(),
            None => self.config.memorable_name.as_str(),
        }
    }
}

/// Where the machine stands and when it was last heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_workflow: Option<WorkflowId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_workflow_result: Option<WorkflowResult>,
}

impl Status {
    fn new() -> Self {
        Self {
            state: State::Discovered,
            last_seen: None,
            current_workflow: None,
            last_workflow_result: None,
        }
    }
}

/// How the last workflow ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum WorkflowResult {
    Success { completed_at: Timestamp },
    Failed { error: String, failed_at: Timestamp },
}

/// What was found in the machine. Empty until somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_threads: Option<u32>,
    pub disks: Vec<Disk>,
    pub network_interfaces: Vec<NetworkInterface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    pub is_virtual: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virt_platform: Option<String>,
    /// `bios` or `uefi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Whether the firmware checks signatures; none where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The architecture as Debian names it: `amd64`, `arm64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc_address: Option<IpAddr>,
    /// `8086:1539` and the like: what firmware files its drivers may want.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pci_ids: Vec<String>,
    /// A system that was found on one of the disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_os: Option<ExistingOs>,
    /// When somebody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
}

impl Hardware {
    /// Whether no disk holds anything: no partition table, no signature of a file system, RAID or LVM. A machine
    /// without disks, or whose disks nobody looked at, is not blank.
    pub fn is_blank(&self) -> bool {
        let mut own = self
            .disks
            .iter()
            .filter(|disk| !disk.booted_from)
            .peekable();
        own.peek().is_some() && own.all(|disk| disk.contents.as_deref() == Some(&[]))
    }

    /// Why it is not blank, in a person's words; none of one that is.
    pub fn holds(&self) -> Option<String> {
        if self.is_blank() {
            return None;
        }
        let own = self.disks.iter().filter(|disk| !disk.booted_from);
        let told = own.filter_map(|disk| match disk.contents.as_deref() {
            Some([]) => None,
            Some(kinds) => Some(format!("{} holds {}", disk.device, kinds.join(", "))),
            None => Some(format!("{} could not be read", disk.device)),
        });
        let told: Vec<String> = told.collect();
        Some(if told.is_empty() {
            "it has no disk".to_owned()
        } else {
            told.join("; ")
        })
    }
}

/// A graphics card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
}

/// A system that was on a disk before us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingOs {
    pub name: String,
    /// The partition that it was found on, without `/dev/`.
    pub device: String,
}

/// One disk, as its machine names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name without `/dev/`.
    pub device: String,
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiskKind>,
    /// Bytes of a logical sector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_bytes: Option<u32>,
    /// How much of its life is used, in percent; from 100 on its vendor promises nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wear_percent: Option<u8>,
    /// Other names of its device, such as `/dev/disk/by-id/…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub removable: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// The machine runs from it just now.
    #[serde(default, skip_serializing_if = "is_false")]
    pub booted_from: bool,
    /// What was found on it: `gpt`, `mbr`, `ext4`, `mdraid`, `lvm` and the like; empty when it is blank, none when
    /// nobody looked or could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Vec<String>>,
}

impl Disk {
    /// Whether a system may be written to it.
    pub const fn is_usable(&self) -> bool {
        !self.removable && !self.read_only && !self.booted_from && self.size_bytes > 0
    }
}

impl std::fmt::Display for Disk {
    /// `sda (QEMU HARDDISK, serial A1, 20.0 GiB)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (", self.device)?;
        if let Some(model) = &self.model {
            write!(f, "{model}, ")?;
        }
        if let Some(serial) = &self.serial {
            write!(f, "serial {serial}, ")?;
        }
        let tenths = self.size_bytes.saturating_mul(10) >> 30;
        write!(f, "{}.{} GiB)", tenths / 10, tenths % 10)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// One network card, as its machine names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterface {
    pub name: String,
    pub mac: MacAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
    /// Whether a cable was in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_up: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// What the machine should be. `generation` grows with each change that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub generation: u64,
    /// The generation that a person wants on the running system now, not at the next installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_now: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    pub memorable_name: MemorableName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<FriendlyName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_choice: Option<OsChoice>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_ip: Option<StaticIp>,
    /// The VLAN that its address is in; frames of it carry the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
    /// Cards that work as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcConfig>,
}

impl Config {
    fn new(memorable_name: MemorableName) -> Self {
        Self {
            generation: 1,
            wanted_now: None,
            hostname: None,
            memorable_name,
            friendly_name: None,
            os_choice: None,
            tags: BTreeSet::new(),
            labels: Labels::default(),
            static_ip: None,
            vlan: None,
            bond: None,
            bmc: None,
        }
    }
}

/// The way to the machine's management controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcConfig {
    pub address: String,
    pub username: String,
    pub password_encrypted: Sealed,
    pub bmc_type: BmcType,
}

/// The language that a management controller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BmcType {
    Ipmi,
    Redfish,
    ProxmoxApi,
}

/// A secret in its encrypted form. It is stored, and neither logged nor shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(sealed)")
    }
}

/// What a finished workflow or a call home proved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// The generation of `config` that the running system was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// The installed system can make the next boot one from the network, when it is asked.
    #[serde(skip_serializing_if = "is_false")]
    pub netboot_once: bool,
    /// When the installed system last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_home_at: Option<Timestamp>,
}

/// While it stands, the machine cannot be reimaged, powered off or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub by: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Lock {
    pub const MAX_REASON: usize = 200;
}

/// When the record came into being and through which door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub source: Source,
}

/// Who told us of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// It booted from us.
    Agent,
    /// A Proxmox cluster listed it.
    Proxmox {
        cluster: String,
        node: String,
        vmid: u32,
    },
    /// A person added it.
    Manual,
    /// Invented, for the demo.
    Demo,
}
