//! Which loader a machine gets, and what is done when one leads to nothing.
//!
//! A plain table, platform by choice, of file names: those of Debian's package `ipxe`, and those that only a person
//! can supply (ia32, arm32, and the signed chain for Secure Boot). On the wire a loader is named by the folder of its
//! platform, `x64/snponly.efi`, by TFTP and below `/boot/` by HTTP alike; [`super::files`] finds it.

mod memory;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::MacAddr;
use crate::model::boot::{Arch, LoaderChoice, Platform};
use crate::model::network::Oui;

pub use memory::LoaderMemory;

/// The script that every iPXE fetches first.
pub const ENTRY: &str = "ipxe/boot.ipxe";
/// What iPXE looks for beside itself when nobody told it of a script.
pub const AUTOEXEC: &str = "autoexec.ipxe";
/// The folder of the signed chain. What its shim asks for next comes out of the same folder.
pub const SIGNED: &str = "signed";

/// Who supplies a loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplier {
    /// Debian's package `ipxe`, of trixie or later.
    Package,
    /// The person, into the data folder.
    Person,
}

/// The loaders of one platform. Where one file does for both builds, the names are equal.
#[derive(Debug)]
struct Row {
    platform: Platform,
    folder: &'static str,
    /// Speaks through the firmware's own driver, and so to the one card that it came from.
    firmware: &'static str,
    /// Brings iPXE's drivers.
    full: &'static str,
    /// The shim for Secure Boot.
    signed: Option<&'static str>,
    from: Supplier,
}

const fn row(
    (platform, folder): (Platform, &'static str),
    (firmware, full): (&'static str, &'static str),
    signed: Option<&'static str>,
    from: Supplier,
) -> Row {
    Row {
        platform,
        folder,
        firmware,
        full,
        signed,
        from,
    }
}

#[rustfmt::skip]
const TABLE: [Row; 8] = {
    use Supplier::{Package, Person};
    [
        row((Platform::Bios, "bios"), ("undionly.kpxe", "ipxe.pxe"), None, Package),
        row((Platform::X64, "x64"), ("snponly.efi", "ipxe.efi"), Some("shimx64.efi"), Package),
        row((Platform::Arm64, "arm64"), ("ipxe-arm64.efi", "ipxe-arm64.efi"), Some("shimaa64.efi"), Package),
        row((Platform::Riscv64, "riscv64"), ("ipxe-riscv64.efi", "ipxe-riscv64.efi"), None, Package),
        row((Platform::Loong64, "loong64"), ("ipxe-loong64.efi", "ipxe-loong64.efi"), None, Package),
        row((Platform::Ia32, "ia32"), ("ipxe-i386.efi", "ipxe-i386.efi"), None, Person),
        row((Platform::Arm32, "arm32"), ("ipxe-arm32.efi", "ipxe-arm32.efi"), None, Person),
        // Its EEPROM asks by names of its own, in a folder of its serial number first, and heeds ours in no version.
        row((Platform::RaspberryPi, "rpi"), ("start4.elf", "start4.elf"), None, Person),
    ]
};

/// The folders in which loaders are named on the wire.
pub fn folders() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.folder).chain([SIGNED])
}

/// Who asks, as far as its loader depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub mac: MacAddr,
    /// What it is; a board may be known by its card, whatever it says.
    pub platform: Option<Platform>,
    /// What it said.
    pub arch: Option<Arch>,
    /// Present when iPXE itself asks.
    pub ipxe: Option<Ipxe>,
}

/// What a running iPXE can do, from its option 175.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipxe {
    pub http: bool,
    /// It starts kernels: bzImage (0x18) or EFI (0x24).
    pub kernels: bool,
}

impl Ipxe {
    /// Whether our scripts run in it. One that cannot is given a whole one first.
    const fn is_enough(self) -> bool {
        self.http && self.kernels
    }
}

/// The build of a loader, to tell what was tried from what is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Build {
    Firmware,
    Full,
    Signed,
}

/// What a client is told to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// The name by TFTP: `x64/snponly.efi`.
    pub tftp_name: String,
    /// The path by HTTP: `/boot/x64/snponly.efi`.
    pub http_path: String,
    /// None for the script that an iPXE gets.
    pub build: Option<Build>,
}

impl Loader {
    fn script() -> Self {
        Self {
            tftp_name: ENTRY.to_owned(),
            http_path: format!("/{ENTRY}"),
            build: None,
        }
    }

    fn file(name: String, build: Build) -> Self {
        Self {
            http_path: format!("/boot/{name}"),
            tftp_name: name,
            build: Some(build),
        }
    }
}

/// Which choice holds for a machine: its own, else that of its card's vendor on this network.
pub fn choice(
    own: LoaderChoice,
    mac: MacAddr,
    vendors: &BTreeMap<Oui, LoaderChoice>,
) -> LoaderChoice {
    match own {
        LoaderChoice::Auto => vendors.get(&Oui(mac.oui())).copied().unwrap_or_default(),
        pinned => pinned,
    }
}

/// What this client fetches first; none where its architecture has no loader, which is to be told.
///
/// `present` says whether a file can be served by its name on the wire.
pub fn plan(
    client: Client,
    choice: LoaderChoice,
    memory: &LoaderMemory,
    now: Timestamp,
    present: impl Fn(&str) -> bool,
) -> Option<Loader> {
    if let Some(ipxe) = client.ipxe {
        // One whole loader is tried; an iPXE that is no better after it runs what it can.
        if ipxe.is_enough() || memory.fetched_lately(client.mac, now) {
            return Some(Loader::script());
        }
    }
    let row = row_of(client)?;
    let builds = builds(row, choice);
    let there = |build: &Build| present(&name(row, *build));
    let usable: Vec<Build> = builds.iter().copied().filter(there).collect();
    let build = match usable[..] {
        // Named all the same: the request for it shows in the trace what is missing.
        [] => *builds.first()?,
        _ => memory.next(client.mac, &usable, now)?,
    };
    Some(Loader::file(name(row, build), build))
}

fn row_of(client: Client) -> Option<&'static Row> {
    let platform = match (client.platform?, client.arch) {
        // U-Boot starts EFI programs; which, only its number tells: 32-bit ARM, else 64-bit.
        (Platform::UBoot, Some(Arch(21 | 23))) => Platform::Arm32,
        (Platform::UBoot, _) => Platform::Arm64,
        (platform, _) => platform,
    };
    TABLE.iter().find(|row| row.platform == platform)
}

/// What may be tried, in this order. A pin is heeded even where it leads to nothing; a choice that the platform does
/// not have is as none.
fn builds(row: &Row, choice: LoaderChoice) -> Vec<Build> {
    match choice {
        LoaderChoice::Signed if row.signed.is_some() => vec![Build::Signed],
        LoaderChoice::Firmware => vec![Build::Firmware],
        LoaderChoice::Full => vec![Build::Full],
        LoaderChoice::Auto | LoaderChoice::Signed if row.firmware == row.full => {
            vec![Build::Firmware]
        }
        LoaderChoice::Auto | LoaderChoice::Signed => vec![Build::Firmware, Build::Full],
    }
}

fn name(row: &Row, build: Build) -> String {
    match (build, row.signed) {
        (Build::Signed, Some(shim)) => format!("{SIGNED}/{shim}"),
        (Build::Full, _) => format!("{}/{}", row.folder, row.full),
        (Build::Firmware | Build::Signed, _) => format!("{}/{}", row.folder, row.firmware),
    }
}

/// The build that a loader is, by its name on the wire; none for what is no loader, such as what a shim fetches next.
pub fn build(name: &str) -> Option<Build> {
    let builds = |row| [Build::Firmware, Build::Full, Build::Signed].map(|build| (row, build));
    let mut all = TABLE.iter().flat_map(builds);
    let found = all.find(|(row, build)| self::name(row, *build) == name);
    found.map(|(_, build)| build)
}

/// A loader that should be there, or could be, and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub platform: Platform,
    /// Its name on the wire.
    pub name: String,
    pub from: Supplier,
    /// What a person does about it.
    pub remedy: String,
}

/// Which loaders are not there, for `dragonfly doctor` and the status. `own` is the person's folder, for the remedy.
pub fn lacks(own: &std::path::Path, present: impl Fn(&str) -> bool) -> Vec<Lack> {
    let mut lacks = Vec::new();
    for row in &TABLE {
        let mut builds = builds(row, LoaderChoice::Auto);
        builds.extend(row.signed.map(|_| Build::Signed));
        let gone = builds
            .into_iter()
            .filter(|build| !present(&name(row, *build)));
        lacks.extend(gone.map(|build| lack(row, build, own)));
    }
    lacks
}

fn lack(row: &Row, build: Build, own: &std::path::Path) -> Lack {
    let name = name(row, build);
    let place = own.join(&name);
    let (platform, place) = (row.platform, place.display());
    let (from, remedy) = match (build, row.from) {
        (Build::Signed, _) => (
            Supplier::Person,
            format!(
                "for Secure Boot on {platform}, put the signed shim at {place} and its iPXE beside it"
            ),
        ),
        (_, Supplier::Person) => (
            Supplier::Person,
            format!("to boot {platform}, put a loader of your own at {place}"),
        ),
        (_, Supplier::Package) => (
            Supplier::Package,
            format!("install Debian's package ipxe (trixie or later), or put the file at {place}"),
        ),
    };
    Lack {
        platform,
        name,
        from,
        remedy,
    }
}

#[cfg(test)]
mod tests;
