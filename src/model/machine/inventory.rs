//! What an agent reported of a machine: cut to what is kept, told from what was known, and held against another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Hardware, NetworkInterface};
use crate::model::FieldChange;
use crate::model::identity::MAX_NICS;

/// As many disks as one machine is believed to have: a shelf of them behind one controller.
const MAX_DISKS: usize = 256;
const MAX_GPUS: usize = 64;
const MAX_PCI_IDS: usize = 512;
const MAX_LINKS: usize = 16;
const MAX_CONTENTS: usize = 64;
/// Bytes of any text in it.
const MAX_TEXT: usize = 200;

/// What boards say that were never given a number of their own.
const FILLERS: [&str; 9] = [
    "",
    "0",
    "none",
    "n/a",
    "default string",
    "not specified",
    "system serial number",
    "to be filled by o.e.m.",
    "123456789",
];

impl Hardware {
    /// The same with its texts printable and short, and its lists no longer than a machine's can be: fit to be kept.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [
            &mut self.cpu_model,
            &mut self.virt_platform,
            &mut self.firmware,
            &mut self.bios_version,
            &mut self.vendor,
            &mut self.product,
            &mut self.serial,
            &mut self.architecture,
        ];
        texts.into_iter().flatten().for_each(tidy);
        self.disks.truncate(MAX_DISKS);
        for disk in &mut self.disks {
            tidy(&mut disk.device);
            let texts = [&mut disk.model, &mut disk.serial, &mut disk.wwn];
            texts.into_iter().flatten().for_each(tidy);
            disk.links.truncate(MAX_LINKS);
            disk.links.iter_mut().for_each(tidy);
            if let Some(contents) = &mut disk.contents {
                contents.truncate(MAX_CONTENTS);
                contents.iter_mut().for_each(tidy);
            }
        }
        self.network_interfaces.truncate(MAX_NICS);
        for card in &mut self.network_interfaces {
            tidy(&mut card.name);
            card.driver.iter_mut().for_each(tidy);
        }
        self.gpus.truncate(MAX_GPUS);
        for gpu in &mut self.gpus {
            tidy(&mut gpu.name);
            gpu.vendor.iter_mut().for_each(tidy);
        }
        self.pci_ids.truncate(MAX_PCI_IDS);
        self.pci_ids.iter_mut().for_each(tidy);
        if let Some(os) = &mut self.existing_os {
            tidy(&mut os.name);
            tidy(&mut os.device);
        }
        self
    }

    /// What is different in `new`, field by field, in words that fit into a line. When somebody looked is no part of it.
    pub fn diff(&self, new: &Self) -> Vec<FieldChange> {
        let (old, new) = (self.told(), new.told());
        let both = old.into_iter().zip(new);
        let changed = both.filter(|((_, from), (_, to))| from != to);
        changed
            .map(|((field, from), (_, to))| FieldChange::new(format!("hardware.{field}"), from, to))
            .collect()
    }

    fn told(&self) -> [(&'static str, Value); 19] {
        let disks: Vec<_> = self.disks.iter().map(ToString::to_string).collect();
        let contents: Vec<_> = self.disks.iter().map(|disk| &disk.contents).collect();
        let wear: Vec<_> = self.disks.iter().map(|disk| disk.wear_percent).collect();
        let cards: Vec<_> = self.network_interfaces.iter().map(card).collect();
        let gpus: Vec<_> = self.gpus.iter().map(|gpu| &gpu.name).collect();
        let os = self.existing_os.as_ref();
        [
            ("vendor", json!(self.vendor)),
            ("product", json!(self.product)),
            ("serial", json!(self.serial)),
            ("architecture", json!(self.architecture)),
            ("cpu_model", json!(self.cpu_model)),
            ("cpu_cores", json!(self.cpu_cores)),
            ("cpu_threads", json!(self.cpu_threads)),
            ("memory_bytes", json!(self.memory_bytes)),
            ("disks", json!(disks)),
            ("disk_contents", json!(contents)),
            ("disk_wear", json!(wear)),
            ("network_interfaces", json!(cards)),
            ("gpus", json!(gpus)),
            ("virt_platform", json!(self.virt_platform)),
            ("firmware", json!(self.firmware)),
            ("secure_boot", json!(self.secure_boot)),
            ("bios_version", json!(self.bios_version)),
            ("bmc_address", json!(self.bmc_address)),
            (
                "existing_os",
                json!(os.map(|os| format!("{} on {}", os.name, os.device))),
            ),
        ]
    }

    /// Whether these are parts of the same machine: its board's serial number, or any disk that stays in it. None when
    /// there is nothing to tell by.
    pub fn shares_parts(&self, other: &Self) -> Option<bool> {
        let (ours, theirs) = (self.parts(), other.parts());
        if ours.is_empty() || theirs.is_empty() {
            return None;
        }
        Some(!ours.is_disjoint(&theirs))
    }

    fn parts(&self) -> BTreeSet<String> {
        let board = self.serial.iter().filter_map(|serial| usable(serial));
        let own = self.disks.iter().filter(|disk| !disk.removable);
        let disks = own.filter_map(|disk| disk.wwn.as_ref().or(disk.serial.as_ref()));
        board
            .map(|serial| format!("board {serial}"))
            .chain(disks.filter_map(|disk| usable(disk).map(|disk| format!("disk {disk}"))))
            .collect()
    }
}

fn card(card: &NetworkInterface) -> String {
    format!("{} {}", card.name, card.mac)
}

/// A number that tells one piece from another.
fn usable(serial: &str) -> Option<&str> {
    let serial = serial.trim();
    let filler = FILLERS
        .iter()
        .any(|filler| serial.eq_ignore_ascii_case(filler));
    (!filler).then_some(serial)
}

fn tidy(text: &mut String) {
    if text.chars().any(char::is_control) {
        *text = text.chars().filter(|c| !c.is_control()).collect();
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::model::machine::Disk;

    fn found(board: &str, disks: &[&str]) -> Hardware {
        let disk = |serial: &&str| Disk {
            device: "sda".into(),
            size_bytes: 1 << 30,
            serial: Some((*serial).into()),
            ..Disk::default()
        };
        Hardware {
            serial: Some(board.into()),
            disks: disks.iter().map(disk).collect(),
            ..Hardware::default()
        }
    }

    #[test_case(("A1", &["d1"]), ("A1", &["d2"]) => Some(true); "the board")]
    #[test_case(("A1", &["d1"]), ("A2", &["d1", "d9"]) => Some(true); "a disk")]
    #[test_case(("A1", &["d1"]), ("A2", &["d2"]) => Some(false); "nothing")]
    #[test_case(("None", &["d1"]), ("none", &["d2"]) => Some(false); "a filler is no board")]
    #[test_case(("Default string", &[]), ("A2", &["d2"]) => None; "nothing to tell by")]
    #[test_case((" ", &[]), ("", &[]) => None; "nothing at all")]
    fn parts_tell_machines_apart(one: (&str, &[&str]), other: (&str, &[&str])) -> Option<bool> {
        let (one, other) = (found(one.0, one.1), found(other.0, other.1));
        let shared = one.shares_parts(&other);
        assert_eq!(shared, other.shares_parts(&one));
        shared
    }

    #[test]
    fn what_is_kept_is_printable_and_bounded() {
        let mut hardware = found(&"\u{1b}[2Jé".repeat(100), &["d"; 300]);
        hardware.disks[0].contents = Some(vec!["x\ny".repeat(100); 100]);
        let kept = hardware.bounded();
        let serial = kept.serial.clone().unwrap();
        assert!(serial.len() <= MAX_TEXT && serial.starts_with("[2Jé["));
        assert_eq!(kept.disks.len(), MAX_DISKS);
        let contents = kept.disks[0].contents.clone().unwrap();
        assert_eq!(
            (contents.len(), contents[0].len()),
            (MAX_CONTENTS, MAX_TEXT)
        );
        assert_eq!(kept.clone().bounded(), kept);
    }

    #[test]
    fn a_diff_names_what_is_other() {
        let (old, mut new) = (found("A1", &["d1"]), found("A1", &["d1"]));
        new.seen_at = Some(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(old.diff(&new), []);
        new.disks[0].wear_percent = Some(3);
        new.secure_boot = Some(true);
        let fields: Vec<_> = old
            .diff(&new)
            .into_iter()
            .map(|change| change.field)
            .collect();
        assert_eq!(fields, ["hardware.disk_wear", "hardware.secure_boot"]);
    }
}
