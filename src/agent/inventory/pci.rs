//! What is plugged into PCI: the numbers that firmware files go by, and graphics cards.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::agent::network::sysfs::word;
use crate::model::machine::Gpu;

/// As many devices as one machine is believed to have.
const MOST: usize = 1024;
const DISPLAY: &str = "0x03";

#[derive(Debug, Default)]
pub(super) struct Devices {
    pub(super) ids: Vec<String>,
    pub(super) gpus: Vec<Gpu>,
}

pub(super) fn look(sys: &Path) -> Devices {
    let entries = fs::read_dir(sys.join("bus/pci/devices"))
        .into_iter()
        .flatten()
        .flatten();
    let mut places: Vec<_> = entries.take(MOST).map(|entry| entry.path()).collect();
    places.sort();
    let mut ids = BTreeSet::new();
    let mut gpus = Vec::new();
    for place in places {
        let number = |name: &str| word(&place.join(name)).and_then(|text| hex(&text));
        let (Some(vendor), Some(device)) = (number("vendor"), number("device")) else {
            continue;
        };
        let id = format!("{vendor:04x}:{device:04x}");
        if word(&place.join("class")).is_some_and(|class| class.starts_with(DISPLAY)) {
            gpus.push(gpu(vendor, &id));
        }
        ids.insert(id);
    }
    Devices {
        ids: ids.into_iter().collect(),
        gpus,
    }
}

fn hex(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn gpu(vendor: u16, id: &str) -> Gpu {
    let vendor = match vendor {
        0x1002 => Some("AMD"),
        0x10de => Some("NVIDIA"),
        0x8086 => Some("Intel"),
        0x1a03 => Some("ASPEED"),
        0x102b => Some("Matrox"),
        0x1234 => Some("QEMU"),
        0x1af4 | 0x1b36 => Some("Red Hat"),
        0x15ad => Some("VMware"),
        0x1013 => Some("Cirrus Logic"),
        _ => None,
    };
    Gpu {
        name: vendor.map_or_else(|| id.to_owned(), |vendor| format!("{vendor} {id}")),
        vendor: vendor.map(str::to_owned),
    }
}
