//! Virtual machines by profile: what a bare machine of that kind is, its disks, its one cable, its serial
//! line and its power button.

mod qemu;
mod qmp;
mod serial;

use std::{
    fmt, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Lab, LabError, accel::Accelerator, error::Doing, net, process::Process, state::check_name,
    wait::Stop,
};

pub(super) use qemu::firmware_dirs;
pub use serial::{Serial, plain};

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const SHEET: &str = "vm.json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// SeaBIOS; its network boot is the iPXE ROM of QEMU's card.
    Bios,
    /// OVMF with its own driver, PXE first.
    Uefi,
    /// OVMF with PXE taken out, so that HTTP boot is what remains.
    UefiHttp,
    /// AAVMF with its own driver, PXE first, in software.
    Arm64,
}

impl Profile {
    pub const ALL: [Profile; 4] = [
        Profile::Bios,
        Profile::Uefi,
        Profile::UefiHttp,
        Profile::Arm64,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Profile::Bios => "bios",
            Profile::Uefi => "uefi",
            Profile::UefiHttp => "uefi-http",
            Profile::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        let found = Profile::ALL
            .into_iter()
            .find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            format!(
                "expected one of {}",
                Profile::ALL.map(Profile::name).join(", ")
            )
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    Qcow2,
    /// Sparse.
    Raw,
}

impl DiskFormat {
    const fn name(self) -> &'static str {
        match self {
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Raw => "raw",
        }
    }
}

/// What a disk hangs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    #[default]
    Virtio,
    /// Of the board's own controller, which has six ports.
    Ahci,
    Nvme,
    Scsi,
    Usb,
    /// A RAID card of LSI.
    Raid,
}

/// A blank disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub gib: u32,
    pub format: DiskFormat,
    #[serde(default)]
    pub bus: DiskBus,
}

impl Disk {
    /// On virtio, as most virtual machines have them.
    pub const fn new(gib: u32, format: DiskFormat) -> Disk {
        let bus = DiskBus::Virtio;
        Disk { gib, format, bus }
    }
}

impl FromStr for Disk {
    type Err = String;

    /// `8G`, or `8G:raw`.
    fn from_str(text: &str) -> Result<Disk, String> {
        let (size, format) = text.split_once(':').unwrap_or((text, "qcow2"));
        let format = match format {
            "qcow2" => DiskFormat::Qcow2,
            "raw" => DiskFormat::Raw,
            other => return Err(format!("disk format {other}: expected qcow2 or raw")),
        };
        let gib = size
            .strip_suffix('G')
            .and_then(|number| number.parse().ok())
            .filter(|gib| *gib > 0);
        gib.map(|gib| Disk::new(gib, format))
            .ok_or_else(|| format!("disk {text}: expected a size in GiB, for example 8G or 8G:raw"))
    }
}

/// A machine to be switched on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSpec {
    pub name: String,
    pub profile: Profile,
    pub memory_mb: u32,
    pub cpus: u32,
    pub disks: Vec<Disk>,
    /// Six bytes with colons; without it, one made from the lab's and the machine's names.
    pub mac: Option<String>,
    /// What its board says in SMBIOS; without it, one made likewise.
    pub uuid: Option<uuid::Uuid>,
    /// What the serial numbers of its disks begin with, a number behind it; without it `disk`, as in every machine.
    pub serials: Option<String>,
}

impl VmSpec {
    /// One blank disk of 8 GiB, two processors, 512 MiB.
    pub fn new(name: impl Into<String>, profile: Profile) -> VmSpec {
        VmSpec {
            name: name.into(),
            profile,
            memory_mb: 512,
            cpus: 2,
            disks: vec![Disk::new(8, DiskFormat::Qcow2)],
            mac: None,
            uuid: None,
            serials: None,
        }
    }
}

/// What is written down of a machine, for other processes.
#[derive(Deserialize)]
struct Sheet {
    profile: Profile,
    mac: String,
}

/// A virtual machine that has been switched on at least once.
#[derive(Clone, Debug)]
pub struct Vm {
    pub name: String,
    pub profile: Profile,
    /// Lower case, with colons.
    pub mac: String,
    /// Its disks, its firmware's variables, its serial log.
    pub dir: PathBuf,
    pub process: Process,
    stop: Stop,
}

impl Vm {
    /// Switches it on: with blank disks the first time, with the ones it has thereafter.
    pub(super) fn boot(lab: &Lab, spec: &VmSpec) -> Result<Vm, LabError> {
        check_name(&spec.name)?;
        if Vm::open(lab, &spec.name).is_ok_and(|vm| vm.process.is_alive()) {
            return Err(LabError::Taken {
                kind: "VM",
                name: spec.name.clone(),
            });
        }
        let dir = lab.record.path("vm").join(&spec.name);
        fs::create_dir_all(&dir).doing(|| format!("create {}", dir.display()))?;
        let mac = spec
            .mac
            .clone()
            .unwrap_or_else(|| mac_of(lab.name(), &spec.name))
            .to_ascii_lowercase();
        let written = json!({ "profile": spec.profile, "mac": mac }).to_string();
        let sheet = dir.join(SHEET);
        fs::write(&sheet, written).doing(|| format!("write {}", sheet.display()))?;

        let accelerator = match spec.profile {
            Profile::Arm64 => Accelerator::Software,
            _ => Accelerator::probe(&lab.tools, lab.dir().parent().unwrap_or(lab.dir()))?,
        };
        let tap = format!("tap-{}", spec.name);
        net::remove_tap(&lab.tools, &lab.wire(), &tap);
        net::add_tap(&lab.tools, &lab.wire(), &tap)?;
        let machine = qemu::Machine {
            spec,
            accelerator,
            dir: &dir,
            tap: &tap,
            mac: &mac,
            uuid: spec.uuid.unwrap_or_else(|| uuid_of(lab.name(), &spec.name)),
        };
        machine.prepare(&lab.tools)?;
        let command: Command = machine.command(&lab.tools)?;
        let process = lab.spawn_in(&process_name(&spec.name), &lab.wire(), &command)?;
        let vm = Vm {
            name: spec.name.clone(),
            profile: spec.profile,
            mac,
            dir,
            process,
            stop: lab.stop.clone(),
        };
        lab.until(
            &format!("an answer of {}'s QEMU", vm.name),
            ANSWERS_WITHIN,
            || {
                vm.process.expect_alive()?;
                Ok(vm.qmp("query-status", &json!({})).ok())
            },
        )?;
        Ok(vm)
    }

    pub(super) fn open(lab: &Lab, name: &str) -> Result<Vm, LabError> {
        let have = lab.vms();
        if !have.iter().any(|vm| vm == name) {
            return Err(LabError::Unknown {
                kind: "VM",
                name: name.to_owned(),
                have,
            });
        }
        let dir = lab.record.path("vm").join(name);
        let path = dir.join(SHEET);
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        let Sheet { profile, mac } =
            serde_json::from_str(&text).map_err(|error| LabError::Damaged {
                path,
                said: error.to_string(),
            })?;
        let process = lab.process(&process_name(name))?;
        Ok(Vm {
            name: name.to_owned(),
            profile,
            mac,
            dir,
            process,
            stop: lab.stop.clone(),
        })
    }

    pub fn serial(&self) -> Serial {
        Serial::new(&self.name, &self.dir, self.stop.clone())
    }

    /// Waits for `text` on the serial line, as long as the machine runs.
    pub fn wait_serial(&self, text: &str, within: Duration) -> Result<String, LabError> {
        self.serial()
            .wait(text, within, || self.process.expect_alive())
    }

    /// Pulls the plug. The disks stay, and [`Lab::boot`] with the same name switches it on again.
    pub fn power_off(&self) -> Result<(), LabError> {
        self.process.end()
    }

    /// Presses the power button, as a person does, and leaves the rest to the operating system.
    pub fn press_power(&self) -> Result<(), LabError> {
        self.qmp("system_powerdown", &json!({})).map(drop)
    }

    pub fn reset(&self) -> Result<(), LabError> {
        self.qmp("system_reset", &json!({})).map(drop)
    }

    /// Plugs or pulls the cable at the machine's end.
    pub fn set_link(&self, up: bool) -> Result<(), LabError> {
        self.qmp("set_link", &json!({ "name": qemu::NIC, "up": up }))
            .map(drop)
    }

    /// What its screen shows, as a PNG.
    pub fn screenshot(&self, to: &Path) -> Result<(), LabError> {
        let file = std::path::absolute(to).doing(|| format!("find {}", to.display()))?;
        self.qmp("screendump", &json!({ "filename": file, "format": "png" }))
            .map(drop)
    }

    /// A command of QEMU's own protocol, and what it returned.
    pub fn qmp(
        &self,
        command: &str,
        arguments: &serde_json::Value,
    ) -> Result<serde_json::Value, LabError> {
        qmp::ask(&self.dir.join(qemu::QMP_SOCKET), command, arguments)
    }

    /// The address that its machine holds by this lease.
    pub fn wait_lease(&self, lab: &Lab, within: Duration) -> Result<Ipv4Addr, LabError> {
        Ok(lab.foreign()?.wait_lease(lab, &self.mac, within)?.address)
    }
}

fn process_name(vm: &str) -> String {
    format!("vm-{vm}")
}

fn fingerprint(lab: &str, vm: &str) -> [u8; 32] {
    Sha256::digest(format!("{lab}/{vm}")).into()
}

/// 52:54:00 is QEMU's own; the rest tells machines of all labs apart.
fn mac_of(lab: &str, vm: &str) -> String {
    let [a, b, c, ..] = fingerprint(lab, vm);
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

/// The UUID in SMBIOS: as a board's own, the same at every start.
fn uuid_of(lab: &str, vm: &str) -> uuid::Uuid {
    let print = fingerprint(lab, vm);
    uuid::Builder::from_random_bytes(std::array::from_fn(|at| print[16 + at])).into_uuid()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("8G", Some((8, DiskFormat::Qcow2)))]
    #[test_case("20G:raw", Some((20, DiskFormat::Raw)))]
    #[test_case("8", None; "no unit")]
    #[test_case("0G", None; "nothing")]
    #[test_case("8G:vmdk", None; "another format")]
    fn a_disk_is_a_size_and_perhaps_a_format(text: &str, is: Option<(u32, DiskFormat)>) {
        let disk = text.parse::<Disk>().ok();
        assert_eq!(disk.map(|disk| (disk.gib, disk.format)), is);
    }

    #[test]
    fn a_machine_keeps_its_mac_and_uuid() {
        assert_eq!(mac_of("lab1", "c1"), mac_of("lab1", "c1"));
        assert_ne!(mac_of("lab1", "c1"), mac_of("lab2", "c1"));
        assert_ne!(uuid_of("lab1", "c1"), uuid_of("lab1", "c2"));
        assert_eq!(uuid_of("lab1", "c1").get_version_num(), 4);
    }
}
