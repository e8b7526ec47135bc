//! What the boot agent can be told to do to a machine, with every value known.
//!
//! An action is written in a template with variables in its texts; rendering puts typed values in their places and
//! reads the result as one of these, so that what reaches a machine cannot be anything else. Every action can be done
//! twice: an agent that lost its power in the middle begins the same action anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checksums::Checksums;
use super::digest::Digest;
use super::disk::DiskRule;

/// As many bytes as the content of a file, or a script, may have.
pub const MAX_CONTENT: usize = 256 * 1024;

/// Seconds that most actions may take.
pub const DEFAULT_TIMEOUT: u64 = 300;

/// One thing to do. The word in `action` is its name in templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Partition a disk anew and make its file systems. Everything on it is lost.
    Partition(Partition),
    /// Write an image, raw or qcow2, compressed or not, over a whole disk.
    Image2disk(WriteImage),
    /// Unpack an archive into a file system of the disk.
    Archive2disk(Unpack),
    /// Write one file into a file system of the disk.
    Writefile(WriteFile),
    /// Run a command inside the system on the disk.
    Chroot(Chroot),
    /// Grow the last partition, and the file system on it, to the end of the disk.
    Growroot(GrowRoot),
    /// Make the disk start on this firmware: GRUB for BIOS, the removable path for UEFI.
    Bootloader(Bootloader),
    /// The firmware's boot order (UEFI): the disk before the network.
    Efibootmgr(EfiBoot),
    /// The unit by which the installed system tells that it runs, and takes orders.
    CallHome(CallHome),
    /// Make a disk forget what was on it.
    Erase(Erase),
    /// Start the kernel of the system on the disk without going through the firmware.
    Kexec(Kexec),
    Wait(Wait),
    Reboot(Reboot),
    Poweroff(Poweroff),
    /// The distribution's own installer, straight from iPXE. No agent carries it out; it can only be the first.
    Installer(Installer),
}

impl Action {
    /// Its name in templates.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Image2disk(_) => "image2disk",
            Self::Archive2disk(_) => "archive2disk",
            Self::Writefile(_) => "writefile",
            Self::Chroot(_) => "chroot",
            Self::Growroot(_) => "growroot",
            Self::Bootloader(_) => "bootloader",
            Self::Efibootmgr(_) => "efibootmgr",
            Self::CallHome(_) => "call_home",
            Self::Erase(_) => "erase",
            Self::Kexec(_) => "kexec",
            Self::Wait(_) => "wait",
            Self::Reboot(_) => "reboot",
            Self::Poweroff(_) => "poweroff",
            Self::Installer(_) => "installer",
        }
    }

    /// The names of those for which [`Self::ends_agent`] holds.
    pub const ENDING: [&'static str; 3] = ["kexec", "reboot", "poweroff"];

    /// Whether the agent's own life ends with it, so that its success is only known later.
    pub const fn ends_agent(&self) -> bool {
        matches!(self, Self::Kexec(_) | Self::Reboot(_) | Self::Poweroff(_))
    }

    /// Seconds that it may take where its template does not say.
    pub const fn default_timeout(&self) -> u64 {
        match self {
            Self::Image2disk(_) | Self::Archive2disk(_) => 3600,
            Self::Erase(_) => 24 * 3600,
            Self::Chroot(_) => 1800,
            Self::Installer(_) => 2 * 3600,
            _ => DEFAULT_TIMEOUT,
        }
    }
}

/// How an image or an archive arrives and is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteImage {
    /// `http://…`, or `image:NAME` for one that Dragonfly keeps; rendering makes the latter the former.
    pub url: String,
    /// Over the bytes that are fetched, before they are unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Digest>,
    /// Where its vendor tells its checksum; for us alone, no agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    #[serde(default)]
    pub disk: DiskRule,
    /// Read off the first bytes where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Read back what was written and compare.
    #[serde(default)]
    pub verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    Raw,
    Qcow2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpack {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Digest>,
    /// As of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    #[serde(flatten)]
    pub place: Place,
    /// The folder that it is unpacked into.
    #[serde(default = "root_folder")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

fn root_folder() -> String {
    "/".into()
}

/// A file system: which disk, which partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    #[serde(default)]
    pub disk: DiskRule,
    /// Its number on the disk; where it is absent, the one that holds an installed system's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// A device that is no partition of the disk, such as `/dev/md0` or `/dev/vg0/root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What it is mounted as; found out where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteFile {
    #[serde(flatten)]
    pub place: Place,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The same in base64, for what is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_b64: Option<String>,
    /// In octal, as a text: `0644`.
    #[serde(default = "file_mode")]
    pub mode: String,
    /// Of folders that have to be made.
    #[serde(default = "folder_mode")]
    pub dir_mode: String,
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
}

fn file_mode() -> String {
    "0644".into()
}

fn folder_mode() -> String {
    "0755".into()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chroot {
    #[serde(flatten)]
    pub place: Place,
    /// Program and arguments; no shell stands between.
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowRoot {
    #[serde(default)]
    pub disk: DiskRule,
    /// The partition that grows; the one that holds the root where it is absent. It has to be the last on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bootloader {
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfiBoot {
    #[serde(default)]
    pub disk: DiskRule,
    /// The network before the disk instead: Dragonfly then sends the machine to its disk itself.
    #[serde(default)]
    pub set_pxe_first: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What the installed system calls home with. Where and who are filled in when the order is given, never by a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallHome {
    #[serde(flatten)]
    pub place: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
}

/// The server as the installed system knows it, and its own secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Home {
    /// Address and port of the machine plane's TLS.
    pub server: std::net::SocketAddr,
    /// SHA-256 of the server's public key, in hexadecimal.
    pub pin: String,
    pub machine: super::MachineId,
    pub workflow: uuid::Uuid,
    pub secret: String,
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home")
            .field("server", &self.server)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    #[serde(default)]
    pub disk: DiskRule,
    /// Overwrite everything, by the disk's own command where it has one; without, only what makes the disk readable.
    #[serde(default)]
    pub secure: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kexec {
    #[serde(flatten)]
    pub place: Place,
    /// Inside that file system; found where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    #[serde(default)]
    pub seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Seconds before it.
    #[serde(default)]
    pub delay: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poweroff {}

/// What a distribution's installer is started with, and in which manner it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installer {
    pub kernel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// Of the installer's kernel; where its answers are is added to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    pub answers: Answers,
    /// Where its packages come from: a mirror, a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The release, where an installer has to be told: `trixie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Packages beside those that the installation needs, with spaces between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub packages: String,
    #[serde(default)]
    pub disk: DiskRule,
}

/// In which language an installer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// Debian's installer.
    Preseed,
    /// Anaconda: Fedora, Red Hat and their kin.
    Kickstart,
    /// Ubuntu's subiquity.
    Autoinstall,
    /// SUSE's `YaST`.
    Autoyast,
    /// Fedora `CoreOS` and Flatcar.
    Ignition,
}

impl Answers {
    pub const ALL: [Self; 5] = [
        Self::Preseed,
        Self::Kickstart,
        Self::Autoinstall,
        Self::Autoyast,
        Self::Ignition,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Preseed => "preseed",
            Self::Kickstart => "kickstart",
            Self::Autoinstall => "autoinstall",
            Self::Autoyast => "autoyast",
            Self::Ignition => "ignition",
        }
    }
}

/// A disk's new layout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    #[serde(default)]
    pub disk: DiskRule,
    #[serde(default)]
    pub layout: Layout,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efi_bytes: Option<u64>,
    /// A partition for swap behind the root; none without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<u64>,
    /// File system of the root: `ext4` or `xfs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_type: Option<String>,
    /// Further disks, for a mirror of the root (RAID 1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<DiskRule>,
    /// Put the root on LVM, in a volume group of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lvm: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// EFI system partition, then the root.
    #[default]
    #[serde(rename = "gpt-efi")]
    GptEfi,
    /// GRUB's own small partition, then the root.
    #[serde(rename = "gpt-bios")]
    GptBios,
    /// The root alone.
    #[serde(rename = "single")]
    Single,
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(r#"{"action":"image2disk","url":"http://10.0.0.1/x"}"#)]
    #[test_case(r#"{"action":"writefile","path":"/etc/hostname","content":"web01\n"}"#)]
    #[test_case(
        r#"{"action":"writefile","disk":{"serial":"A1"},"partition":2,"path":"/x","content":""}"#
    )]
    #[test_case(r#"{"action":"chroot","command":["update-grub"]}"#)]
    #[test_case(r#"{"action":"partition","layout":"gpt-bios"}"#)]
    #[test_case(r#"{"action":"efibootmgr"}"#)]
    #[test_case(r#"{"action":"call_home"}"#)]
    #[test_case(r#"{"action":"reboot"}"#)]
    #[test_case(r#"{"action":"installer","kernel":"http://10.0.0.1/linux","answers":"preseed"}"#)]
    fn an_action_is_told_by_its_word(json: &str) {
        let action: Action = serde_json::from_str(json).unwrap();
        let word = format!(r#""action":"{}""#, action.name());
        assert!(json.contains(&word), "{word}");
        let again = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&again).unwrap(), action);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let home = Home {
            server: "10.0.0.1:3081".parse().unwrap(),
            pin: String::new(),
            machine: super::super::MachineId(uuid::Uuid::nil()),
            workflow: uuid::Uuid::nil(),
            secret: "do not tell".into(),
        };
        assert!(!format!("{home:?}").contains("do not tell"));
    }
}
