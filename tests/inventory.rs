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
use site::Site;

/// Drivers find some of them in their own time, and a disk that was not waited for would not be there.
#[test]
fn a_disk_on_any_bus_is_seen_at_the_first_look() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let mut spec = VmSpec::new("many", Profile::Bios);
    let buses = [
        DiskBus::Virtio,
        DiskBus::Ahci,
        DiskBus::Nvme,
        DiskBus::Scsi,
        DiskBus::Usb,
    ];
    let disk = |bus| Disk {
        bus,
        ..Disk::new(1, DiskFormat::Raw)
    };
    spec.disks = buses.map(disk).to_vec();
    let vm = site.lab.boot(&spec).unwrap();
    let machine = site.wait_inventory(&vm);
    let disks = machine["hardware"]["disks"].as_array().unwrap();
    let mut serials: Vec<&str> = disks
        .iter()
        .map(|disk| disk["serial"].as_str().unwrap_or_default())
        .collect();
    serials.sort_unstable();
    assert_eq!(
        serials,
        ["disk0", "disk1", "disk2", "disk3", "disk4"],
        "{disks:#?}"
    );
    println!("{disks:#?}");
}
