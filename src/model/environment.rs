//! The boot environment: the files that a machine runs the agent from, what they were made of, and which machines
//! need a file of their card's vendor beside them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Digest;

/// The files of one architecture, as they lie in its folder and are fetched below [`PATH`].
pub const KERNEL: &str = "vmlinuz";
pub const INITRD: &str = "initrd.zst";
/// Tools, and modules that few machines need at once; the agent fetches it by itself.
pub const REST: &str = "rest.tar.zst";
pub const FIRMWARE: &str = "firmware.zst";
pub const FIRMWARE_LIST: &str = "firmware.json";
pub const MANIFEST: &str = "manifest.json";

/// Where the machine plane serves the folders.
pub const PATH: &str = "/agent/";

/// The architectures that there is an environment for, as Debian names them.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// What an environment was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub architecture: String,
    /// The kernel's release, as `uname -r` tells it.
    pub kernel: String,
    pub agent: AgentAbout,
    /// Debian's packages and their versions.
    pub packages: BTreeMap<String, String>,
    /// By name in the folder; this file itself is not among them.
    pub files: BTreeMap<String, FileAbout>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAbout {
    pub version: String,
    pub protocol: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAbout {
    pub bytes: u64,
    pub digest: Digest,
}

/// Which devices have a driver that asks for firmware, by driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FirmwareList(pub BTreeMap<String, FirmwareNeed>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareNeed {
    /// `14e4:164a`, or `14e4:*` for all devices of a vendor.
    pub pci: BTreeSet<String>,
    /// Those that the driver may ask for and the environment has.
    pub files: BTreeSet<String>,
}

impl FirmwareList {
    /// Whether one of these devices, each as `14e4:164a`, has a driver that asks for firmware.
    pub fn names_one_of<'a>(&self, pci_ids: impl IntoIterator<Item = &'a str>) -> bool {
        let mut ids = pci_ids.into_iter().map(str::to_ascii_lowercase);
        ids.any(|id| {
            let vendor = id.split_once(':').map(|(vendor, _)| format!("{vendor}:*"));
            let mut needs = self.0.values();
            needs.any(|need| {
                need.pci.contains(&id) || vendor.as_ref().is_some_and(|all| need.pci.contains(all))
            })
        })
    }
}

/// The PCI id in iPXE's `${netX/busid:hexraw}`: a type, which is 1 for PCI, vendor and device (`0114e4164a`).
pub fn pci_id_of_bus(text: &str) -> Option<String> {
    let id = text.strip_prefix("01")?;
    let hex = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| format!("{}:{}", &id[..4], &id[4..]).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn list() -> FirmwareList {
        serde_json::from_str(
            r#"{"bnx2": {"pci": ["14e4:1639", "14e4:164a"], "files": ["bnx2/a.fw"]},
                "myri10ge": {"pci": ["14c1:*"], "files": []}}"#,
        )
        .unwrap()
    }

    #[test_case(&["8086:1539", "14e4:164a"], true; "one of two")]
    #[test_case(&["14E4:164A"], true; "in capitals")]
    #[test_case(&["14c1:0008"], true; "any of a vendor")]
    #[test_case(&["14e4:1657"], false; "another of a vendor")]
    #[test_case(&["1af4:1000"], false; "none")]
    #[test_case(&["", "14e4"], false; "no id")]
    #[test_case(&[], false; "nothing known")]
    fn firmware_is_for_those_whose_driver_asks(ids: &[&str], needed: bool) {
        assert_eq!(list().names_one_of(ids.iter().copied()), needed);
    }

    #[test_case("0114e4164a", Some("14e4:164a"))]
    #[test_case("0114E4164A", Some("14e4:164a"); "in capitals")]
    #[test_case("0214e4164a", None; "another bus")]
    #[test_case("0114e4164", None; "too short")]
    #[test_case("0114e4164az", None; "too long")]
    #[test_case("0114e4ü64a", None; "no digits")]
    #[test_case("", None; "nothing")]
    fn a_card_is_known_by_what_ipxe_tells_of_its_bus(text: &str, id: Option<&str>) {
        assert_eq!(pci_id_of_bus(text).as_deref(), id);
    }
}
