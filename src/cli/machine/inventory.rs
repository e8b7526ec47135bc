//! What was found in a machine, as `machine show` tells it.

use crate::api::machine::{Disk, Hardware, NetworkInterface};
use crate::cli::out::sections::Section;
use crate::cli::out::text::{clean, size};
use crate::cli::out::{Tone, time};

/// From here on a disk should be looked after.
const WORN: u8 = 80;

pub fn hardware(hardware: &Hardware, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Hardware");
    let product = joined(&[&hardware.vendor, &hardware.product], " ");
    section
        .maybe("product", product.as_deref())
        .maybe("serial", hardware.serial.as_deref())
        .maybe("architecture", hardware.architecture.as_deref());
    let firmware = joined(&[&hardware.firmware, &hardware.bios_version], ", ");
    section.maybe("firmware", firmware.as_deref());
    if let Some(on) = hardware.secure_boot {
        section.add("Secure Boot", if on { "on" } else { "off" });
    }
    section.maybe("BMC", hardware.bmc_address.as_deref());
    if let Some(model) = &hardware.cpu_model {
        section.add("CPU", format!("{}{}", clean(model), cores(hardware)));
    }
    if let Some(bytes) = hardware.memory_bytes {
        section.add("memory", size(bytes));
    }
    for found in &hardware.disks {
        let name = format!("disk {}", clean(&found.device));
        let worn = found.wear_percent.is_some_and(|wear| wear >= WORN);
        let tone = if worn { Tone::Notice } else { Tone::Plain };
        section.add_toned(name, tone, disk(found));
    }
    for found in &hardware.network_interfaces {
        section.add(format!("card {}", clean(&found.name)), card(found));
    }
    for gpu in &hardware.gpus {
        section.add("GPU", clean(gpu));
    }
    section.maybe("system", hardware.existing_os.as_deref());
    if hardware.is_virtual {
        let platform = hardware.virt_platform.as_deref().map(clean);
        section.add(
            "virtual",
            platform.map_or_else(|| "yes".into(), std::borrow::Cow::into_owned),
        );
    }
    if let Some(at) = &hardware.seen_at {
        section.add("looked into", time::both(now, at));
    }
    section
}

fn cores(hardware: &Hardware) -> String {
    match (hardware.cpu_cores, hardware.cpu_threads) {
        (Some(cores), Some(threads)) if threads != cores => {
            format!(", {cores} cores, {threads} threads")
        }
        (Some(cores), _) => format!(", {cores} cores"),
        (None, Some(threads)) => format!(", {threads} threads"),
        (None, None) => String::new(),
    }
}

/// `20.0 GiB, QEMU HARDDISK, A1, nvme, 3 % worn, blank`
fn disk(disk: &Disk) -> String {
    let mut words = vec![size(disk.size_bytes).clone()];
    let texts = [&disk.model, &disk.serial, &disk.kind];
    words.extend(
        texts
            .into_iter()
            .flatten()
            .map(|text| clean(text).into_owned()),
    );
    words.extend(disk.wear_percent.map(|wear| format!("{wear} % worn")));
    words.extend(disk.removable.then(|| "removable".into()));
    words.extend(contents(disk));
    words.join(", ")
}

/// What lies on a disk, where somebody looked.
pub fn contents(disk: &Disk) -> Option<String> {
    let found = disk.contents.as_ref()?;
    Some(if found.is_empty() {
        "blank".into()
    } else {
        format!("holds {}", clean(&found.join(" ")))
    })
}

fn card(card: &NetworkInterface) -> String {
    let mut words = vec![clean(&card.mac).into_owned()];
    words.extend(card.speed_mbps.map(|speed| format!("{speed} Mbit/s")));
    let cable = |up| if up { "cable in" } else { "no cable" };
    words.extend(card.link_up.map(|up| cable(up).to_owned()));
    words.extend(
        card.driver
            .as_deref()
            .map(|driver| clean(driver).into_owned()),
    );
    words.join(", ")
}

fn joined(words: &[&Option<String>], between: &str) -> Option<String> {
    let words: Vec<_> = words
        .iter()
        .copied()
        .flatten()
        .map(String::as_str)
        .collect();
    (!words.is_empty()).then(|| words.join(between))
}
