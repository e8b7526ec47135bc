//! What was found in a machine, and what it said lately.

use crate::api::machine::{Disk, Hardware, LogEntry, MachineLog, NetworkInterface};
use crate::core::telemetry::Recent;
use crate::model;

/// Hardware is a list of lists; a copy is cheap beside the rest.
pub fn hardware(found: &model::Hardware) -> Hardware {
    let os = found.existing_os.as_ref();
    Hardware {
        seen_at: found.seen_at.map(|at| at.to_string()),
        vendor: found.vendor.clone(),
        product: found.product.clone(),
        serial: found.serial.clone(),
        architecture: found.architecture.clone(),
        firmware: found.firmware.clone(),
        bios_version: found.bios_version.clone(),
        secure_boot: found.secure_boot,
        bmc_address: found.bmc_address.map(|address| address.to_string()),
        cpu_model: found.cpu_model.clone(),
        cpu_cores: found.cpu_cores,
        cpu_threads: found.cpu_threads,
        memory_bytes: found.memory_bytes,
        disks: found.disks.iter().map(disk).collect(),
        network_interfaces: found.network_interfaces.iter().map(card).collect(),
        gpus: found.gpus.iter().map(|gpu| gpu.name.clone()).collect(),
        is_virtual: found.is_virtual,
        virt_platform: found.virt_platform.clone(),
        existing_os: os.map(|os| format!("{} on {}", os.name, os.device)),
        blank: found.is_blank(),
    }
}

fn disk(disk: &model::machine::Disk) -> Disk {
    let kind = disk.kind.and_then(|kind| serde_json::to_value(kind).ok());
    Disk {
        device: disk.device.clone(),
        size_bytes: disk.size_bytes,
        model: disk.model.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        kind: kind.and_then(|kind| kind.as_str().map(str::to_owned)),
        wear_percent: disk.wear_percent,
        removable: disk.removable,
        contents: disk.contents.clone(),
    }
}

fn card(card: &model::machine::NetworkInterface) -> NetworkInterface {
    NetworkInterface {
        name: card.name.clone(),
        mac: card.mac.to_string(),
        speed_mbps: card.speed_mbps,
        link_up: card.link_up,
        driver: card.driver.clone(),
    }
}

pub fn log(recent: Recent) -> MachineLog {
    let entries = recent.entries.into_iter().map(|entry| LogEntry {
        at: entry.at.to_string(),
        kind: entry.kind.as_str().into(),
        text: entry.text.into(),
    });
    MachineLog {
        entries: entries.collect(),
        dropped: recent.dropped,
    }
}
