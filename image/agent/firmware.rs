//! Firmware that the modules may ask for, and the PCI devices whose drivers do.

use std::path::Path;

use dragonfly::model::environment::{FirmwareList, FirmwareNeed};

use super::modules::Module;
use super::{Outcome, stage};

const FOLDER: &str = "usr/lib/firmware";

/// Copies the files that the packages have, and tells whose they are. A driver for nothing on PCI is not in the list,
/// since nobody could say who needs it, and its files stay away.
pub(crate) fn stage(root: &Path, modules: &[Module], to: &Path) -> Outcome<FirmwareList> {
    let mut list = FirmwareList::default();
    for module in modules {
        let pci = module.aliases.iter().filter_map(|alias| pci_id(alias));
        let there = |name: &&String| root.join(FOLDER).join(name).exists();
        let need = FirmwareNeed {
            pci: pci.collect(),
            files: module.firmware.iter().filter(there).cloned().collect(),
        };
        if need.pci.is_empty() || need.files.is_empty() {
            continue;
        }
        for name in &need.files {
            stage::copy_with_target(root, &Path::new(FOLDER).join(name), to)?;
        }
        list.0.insert(module.name.clone(), need);
    }
    Ok(list)
}

/// `pci:v000014E4d0000164Asv…` is `14e4:164a`; `d*` is every device of the vendor. A driver for a class of devices,
/// whoever made them, needs no firmware of theirs.
fn pci_id(alias: &str) -> Option<String> {
    let (vendor, rest) = alias.strip_prefix("pci:v0000")?.split_at_checked(4)?;
    let rest = rest.strip_prefix('d')?;
    let device = match rest.strip_prefix("0000") {
        Some(device) => device.get(..4)?,
        None if rest.starts_with('*') => "*",
        None => return None,
    };
    Some(format!("{vendor}:{device}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use test_case::test_case;

    use super::*;

    #[test_case("pci:v000014E4d0000164Asv*sd*bc*sc*i*", Some("14e4:164a"))]
    #[test_case("pci:v000014C1d*sv*sd*bc02sc*i*", Some("14c1:*"); "all of a vendor")]
    #[test_case("pci:v*d*sv*sd*bc01sc08i02*", None; "a class")]
    #[test_case("usb:v0BDAp8152d*dc*dsc*dp*ic*isc*ip*in*", None; "another bus")]
    #[test_case("pci:v0000", None; "cut")]
    fn devices_are_read_off_aliases(alias: &str, id: Option<&str>) {
        assert_eq!(pci_id(alias).as_deref(), id);
    }

    #[test]
    fn a_driver_is_listed_with_what_there_is_for_it() {
        let (root, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(folder.join("bnx2")).unwrap();
        fs::write(folder.join("bnx2/a.fw"), "a").unwrap();
        fs::write(folder.join("usb.fw"), "b").unwrap();
        let module = |name: &str, alias: &str, firmware: &[&str]| Module {
            name: name.to_owned(),
            aliases: vec![alias.to_owned()],
            firmware: firmware.iter().map(|&name| name.to_owned()).collect(),
            ..Module::default()
        };
        let modules = [
            module(
                "bnx2",
                "pci:v000014E4d0000164Asv*",
                &["bnx2/a.fw", "bnx2/gone.fw"],
            ),
            module("stick", "usb:v0BDAp8152d*", &["usb.fw"]),
            module("gone", "pci:v000014E4d0000164Bsv*", &["gone.fw"]),
        ];
        let list = stage(root.path(), &modules, to.path()).unwrap();
        assert_eq!(list.0.keys().collect::<Vec<_>>(), ["bnx2"]);
        assert!(list.names_one_of(["14e4:164a"]) && !list.names_one_of(["14e4:164b"]));
        let copied = |name: &str| to.path().join(FOLDER).join(name).exists();
        assert!(copied("bnx2/a.fw") && !copied("usb.fw"));
    }
}
