//! What is in the machine: read off the kernel's files, with no other program's help.
//!
//! Nothing that is read is trusted to be there, to be short, or to be text; what cannot be read is absent. Every root
//! is given, so that a test can lay out a machine of files.

pub mod contents;
mod cpu;
pub mod disks;
mod nics;
mod os;
mod pci;
mod smbios;

use std::path::{Path, PathBuf};

use crate::agent::clock;
use crate::model::{Evidence, Hardware, MacAddr};
pub use os::pretty_name;

/// Where the kernel shows itself.
#[derive(Clone, Debug)]
pub struct Places {
    pub sys: PathBuf,
    pub proc: PathBuf,
    pub dev: PathBuf,
    /// An empty folder that file systems are looked into from; none where that is not wanted.
    pub look: Option<PathBuf>,
}

impl Places {
    /// Those of a running machine.
    pub fn real() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
            dev: "/dev".into(),
            look: Some("/run/dragonfly/look".into()),
        }
    }
}

/// All of it. Reads the ends of every disk, and changes nothing.
pub fn hardware(places: &Places) -> Hardware {
    let processors = cpu::look(places);
    let board = smbios::look(&places.sys);
    let devices = pci::look(&places.sys);
    let disks = disks::look(places);
    let virtualization = smbios::virtualization(&board, processors.hypervisor, &places.sys);
    Hardware {
        cpu_model: processors.model,
        cpu_cores: processors.cores,
        cpu_threads: processors.threads,
        memory_bytes: board.memory_bytes.or_else(|| cpu::memory(&places.proc)),
        existing_os: os::find(places, &disks),
        disks,
        network_interfaces: nics::look(&places.sys),
        gpus: devices.gpus,
        is_virtual: virtualization.is_some(),
        virt_platform: virtualization,
        firmware: Some(firmware(&places.sys).into()),
        secure_boot: secure_boot(&places.sys),
        bios_version: board.bios_version,
        vendor: board.vendor,
        product: board.product,
        serial: board.serial,
        architecture: Some(architecture().into()),
        bmc_address: None,
        pci_ids: devices.ids,
        seen_at: Some(clock::wall()),
    }
}

/// What the machine is known by.
pub fn evidence(places: &Places, spoke: MacAddr) -> Evidence {
    Evidence {
        primary_mac: spoke,
        nics: nics::evidence(&places.sys),
        smbios_uuid: smbios::uuid(&places.sys),
        machine_id: None,
    }
}

fn firmware(sys: &Path) -> &'static str {
    if sys.join("firmware/efi").exists() {
        "uefi"
    } else {
        "bios"
    }
}

/// UEFI 2.10 §3.3: the variable is one byte, behind the four of its attributes.
fn secure_boot(sys: &Path) -> Option<bool> {
    let variable = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let bytes = std::fs::read(sys.join(variable)).ok()?;
    bytes.get(4).map(|byte| *byte == 1)
}

/// As Debian names it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
