//! What a machine is found to have when it is looked into for the first time, by its own drivers.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;

use dragonfly::lab::{Disk, DiskBus, DiskFormat, Profile, VmSpec};
use lab::one_at_a_time;
use serde_json::{Value, json};
use site::{BOOTS_WITHIN, Site};

/// Drivers find some of them in their own time, and a disk that was not waited for would not be there; the driver of the
/// last is not in the initramfs.
#[test]
fn a_disk_on_any_bus_is_seen_at_the_first_look_and_a_later_one_too() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let mut spec = VmSpec::new("many", Profile::Bios);
    let buses = [
        DiskBus::Virtio,
        DiskBus::Ahci,
        DiskBus::Nvme,
        DiskBus::Scsi,
        DiskBus::Usb,
        DiskBus::Raid,
    ];
    let disk = |bus| Disk {
        bus,
        ..Disk::new(1, DiskFormat::Raw)
    };
    spec.disks = buses.map(disk).to_vec();
    let vm = site.lab.boot(&spec).unwrap();
    let machine = site.wait_inventory(&vm);
    let mut seen = serials(&machine);
    seen.sort_unstable();
    let all = ["disk0", "disk1", "disk2", "disk3", "disk4", "disk5"];
    assert_eq!(seen, all, "{:#}", machine["hardware"]["disks"]);

    let disk =
        json!({ "driver": "null-co", "node-name": "late", "size": 1 << 30, "read-zeroes": true });
    vm.qmp("blockdev-add", &disk).unwrap();
    let stick =
        json!({ "driver": "usb-storage", "bus": "usb4.0", "drive": "late", "serial": "late" });
    vm.qmp("device_add", &stick).unwrap();
    site.until("the disk that was plugged in", BOOTS_WITHIN, || {
        let there = serials(&site.machine(&vm.mac)).contains(&"late".to_owned());
        Ok(there.then_some(()))
    });
}

fn serials(machine: &Value) -> Vec<String> {
    let disks = machine["hardware"]["disks"].as_array().unwrap();
    let serial = |disk: &Value| disk["serial"].as_str().unwrap_or_default().to_owned();
    disks.iter().map(serial).collect()
}
