//! The boot environments: a folder with one folder for each architecture, built by `image/agent/build`.
//!
//! What it has is looked up when it is asked for, so that an environment may be replaced while machines boot. Only
//! the files of an environment are served, whatever else lies beside them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{Missing, Name, Opened, find};
use crate::model::agent::{OLDEST_PROTOCOL, PROTOCOL};
use crate::model::boot::Platform;
use crate::model::environment::{
    ARCHITECTURES, FIRMWARE, FIRMWARE_LIST, FirmwareList, INITRD, KERNEL, MANIFEST, Manifest, PATH,
    REST,
};

/// What a machine may fetch.
const FILES: [&str; 6] = [KERNEL, INITRD, REST, FIRMWARE, FIRMWARE_LIST, MANIFEST];
/// More than any manifest or list has.
const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// Where they lie.
#[derive(Clone, Debug, Default)]
pub struct Environments {
    folder: PathBuf,
}

/// Why there is no environment for an architecture.
#[derive(Debug, thiserror::Error)]
pub enum NoEnvironment {
    #[error("there is no boot environment for {0}")]
    Platform(Platform),
    #[error("there is no boot environment at {}", .0.display())]
    Absent(PathBuf),
    #[error("{path} cannot be read: {1}", path = .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{path} is broken: {1}", path = .0.display())]
    Broken(PathBuf, #[source] serde_json::Error),
    #[error("the agent in {path} speaks protocol {1}; this Dragonfly speaks {OLDEST_PROTOCOL} to {PROTOCOL}", path = .0.display())]
    Stranger(PathBuf, u16),
    #[error("{path} is not the file that its manifest tells of: copy all files of an environment, or build it anew", path = .0.display())]
    Mixed(PathBuf),
}

/// What iPXE loads, as paths on the machine plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub kernel: String,
    pub initrds: Vec<String>,
}

impl Environments {
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What a machine of this platform loads; none where there is no environment for it. `pci_ids`, each as
    /// `14e4:164a`, are the devices that are known of it.
    pub fn load<'a>(
        &self,
        platform: Platform,
        pci_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Load, NoEnvironment> {
        let architecture = architecture(platform).ok_or(NoEnvironment::Platform(platform))?;
        self.manifest(architecture)?;
        let path = |name| format!("{PATH}{architecture}/{name}");
        let firmware = self.firmware_list(architecture)?.names_one_of(pci_ids);
        let initrds = [Some(INITRD), firmware.then_some(FIRMWARE)];
        Ok(Load {
            kernel: path(KERNEL),
            initrds: initrds.into_iter().flatten().map(path).collect(),
        })
    }

    /// What is there for this architecture, if this Dragonfly can use it.
    pub fn manifest(&self, architecture: &str) -> Result<Manifest, NoEnvironment> {
        let manifest: Manifest = self.read(architecture, MANIFEST)?;
        let (protocol, folder) = (manifest.agent.protocol, self.folder.join(architecture));
        if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&protocol) {
            return Err(NoEnvironment::Stranger(folder, protocol));
        }
        match mixed(&folder, &manifest) {
            Some(path) => Err(NoEnvironment::Mixed(path)),
            None => Ok(manifest),
        }
    }

    fn firmware_list(&self, architecture: &str) -> Result<FirmwareList, NoEnvironment> {
        self.read(architecture, FIRMWARE_LIST)
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        architecture: &str,
        name: &str,
    ) -> Result<T, NoEnvironment> {
        use std::io::Read as _;
        let folder = self.folder.join(architecture);
        let path = folder.join(name);
        let mut text = String::new();
        let read =
            fs::File::open(&path).and_then(|file| file.take(MAX_TEXT).read_to_string(&mut text));
        match read {
            Ok(_) => {
                serde_json::from_str(&text).map_err(|error| NoEnvironment::Broken(path, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(NoEnvironment::Absent(folder)),
            Err(error) => Err(NoEnvironment::Unreadable(path, error)),
        }
    }

    /// The file of that name, such as `amd64/vmlinuz`.
    pub fn open(&self, name: &str) -> Result<Opened, Missing> {
        let name: Name = name.parse()?;
        let ours = name
            .as_str()
            .split_once('/')
            .is_some_and(|(architecture, file)| {
                ARCHITECTURES.contains(&architecture) && FILES.contains(&file)
            });
        let found = if ours {
            find(&name, &[(&self.folder, name.as_str())])?
        } else {
            None
        };
        found.ok_or(Missing::Absent(name))
    }
}

/// A file that is of another environment than the manifest, by its length.
fn mixed(folder: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let is_another =
        |path: &Path, bytes: u64| !fs::metadata(path).is_ok_and(|about| about.len() == bytes);
    let files = manifest.files.iter();
    let mut files = files.map(|(name, about)| (folder.join(name), about.bytes));
    let found = files.find(|(path, bytes)| is_another(path, *bytes));
    found.map(|(path, _)| path)
}

/// The architecture whose kernel a platform starts; none where nobody builds an environment. Behind a BIOS, a 64-bit
/// processor is taken for granted.
const fn architecture(platform: Platform) -> Option<&'static str> {
    match platform {
        Platform::Bios | Platform::X64 => Some("amd64"),
        Platform::Arm64 | Platform::UBoot | Platform::RaspberryPi => Some("arm64"),
        Platform::Ia32 | Platform::Arm32 | Platform::Riscv64 | Platform::Loong64 => None,
    }
}

#[cfg(test)]
mod tests;
