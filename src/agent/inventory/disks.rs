//! Disks: which there are, what they are called, and what is on them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Places, contents};
use crate::agent::network::sysfs::word;
use crate::agent::sys::block;
use crate::model::disk::DiskKind;
use crate::model::machine::Disk;

/// Devices that hold no disk of the machine's own.
const OTHERS: [&str; 10] = [
    "loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock", "drbd",
];
/// A system that runs has these of the disk that it was booted from.
const SYSTEM: [&str; 5] = ["/", "/usr", "/boot", "/boot/efi", "/cdrom"];

/// One part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    /// Its device's name.
    pub name: String,
    pub start_bytes: u64,
    pub size_bytes: u64,
}

/// All, by their names.
pub fn look(places: &Places) -> Vec<Disk> {
    let mounts = fs::read_to_string(places.proc.join("mounts")).unwrap_or_default();
    let all = names(places).into_iter();
    all.filter_map(|name| disk(places, &mounts, name)).collect()
}

/// The names of their devices, in order.
pub fn names(places: &Places) -> Vec<String> {
    let mut names: Vec<String> = files(&places.sys.join("block"))
        .filter(|name| !OTHERS.iter().any(|other| name.starts_with(other)))
        .filter(|name| !name.contains("boot") && !name.contains("rpmb"))
        .filter(|name| {
            word(&places.sys.join("block").join(name).join("hidden")).as_deref() != Some("1")
        })
        .collect();
    names.sort();
    names
}

fn files(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn disk(places: &Places, mounts: &str, device: String) -> Option<Disk> {
    let place = places.sys.join("block").join(&device);
    let size_bytes = size(&places.sys, &device).filter(|size| *size > 0)?;
    let field = |name: &str| {
        word(&place.join(name))
            .map(|text| tidy(&text))
            .filter(|text| !text.is_empty())
    };
    let flag = |name: &str| field(name).as_deref() == Some("1");
    let model = field("device/model").or_else(|| field("device/name"));
    let vendor = field("device/vendor").filter(|vendor| !vendor.starts_with("0x"));
    let usb = usb_device(&place);
    let serial = field("serial")
        .or_else(|| field("device/serial"))
        .or_else(|| page_80(&place))
        .or_else(|| word(&usb.as_ref()?.join("serial")).map(|text| tidy(&text)))
        .filter(|serial| !serial.is_empty());
    let wwn = field("wwid").or_else(|| field("device/wwid"));
    let names = Names {
        device: &device,
        vendor: vendor.as_deref(),
        model: model.as_deref(),
        serial: serial.as_deref(),
        wwn: wwn.as_deref(),
        on_usb: usb.is_some(),
    };
    Some(Disk {
        size_bytes,
        kind: Some(kind(&names, flag("queue/rotational"))),
        links: names.links(),
        sector_bytes: field("queue/logical_block_size").and_then(|bytes| bytes.parse().ok()),
        wear_percent: wear(places, &device),
        removable: flag("removable") || usb.is_some(),
        read_only: flag("ro"),
        booted_from: booted_from(mounts, &device),
        contents: all_contents(places, &device, size_bytes),
        model,
        serial,
        wwn,
        device,
    })
}

fn tidy(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(120)
        .collect()
}

/// Bytes of a disk or a partition. Sysfs counts in sectors of 512 whatever the disk does.
pub fn size(sys: &Path, device: &str) -> Option<u64> {
    let sectors: u64 = word(&sys.join("class/block").join(device).join("size"))
        .or_else(|| word(&sys.join("block").join(device).join("size")))?
        .parse()
        .ok()?;
    sectors.checked_mul(512)
}

/// The device on USB that a disk is in.
fn usb_device(place: &Path) -> Option<PathBuf> {
    let place = fs::canonicalize(place).ok()?;
    let mut above = place.ancestors();
    above
        .find(|folder| folder.join("idVendor").exists())
        .map(Path::to_owned)
}

/// Unit Serial Number of SCSI (SPC-5 §7.7.19), behind a header of four bytes.
fn page_80(place: &Path) -> Option<String> {
    let page = fs::read(place.join("device/vpd_pg80")).ok()?;
    let text = std::str::from_utf8(page.get(4..)?).ok()?;
    Some(tidy(text.trim_matches('\0'))).filter(|serial| !serial.is_empty())
}

/// What a disk is called by.
struct Names<'a> {
    device: &'a str,
    vendor: Option<&'a str>,
    model: Option<&'a str>,
    serial: Option<&'a str>,
    wwn: Option<&'a str>,
    on_usb: bool,
}

impl Names<'_> {
    /// As udev would link it.
    fn links(&self) -> Vec<String> {
        let model = self.model.unwrap_or_default();
        let mut links = Vec::new();
        let mut add = |text: String| {
            let name: String = text
                .chars()
                .map(|c| {
                    if c.is_whitespace() || c == '/' {
                        '_'
                    } else {
                        c
                    }
                })
                .collect();
            links.push(format!("/dev/disk/by-id/{name}"));
        };
        if let Some(serial) = self.serial {
            match (self.device, self.vendor) {
                (device, _) if device.starts_with("nvme") => add(format!("nvme-{model}_{serial}")),
                (device, _) if device.starts_with("vd") => {
                    add(format!("virtio-{}", serial.get(..20).unwrap_or(serial)));
                }
                (device, _) if device.starts_with("mmcblk") => add(format!("mmc-{model}_{serial}")),
                (_, Some("ATA")) => add(format!("ata-{model}_{serial}")),
                (_, Some(vendor)) if self.on_usb => {
                    add(format!("usb-{vendor}_{model}_{serial}-0:0"));
                }
                (_, Some(vendor)) => add(format!("scsi-0{vendor}_{model}_{serial}")),
                (_, None) => {}
            }
        }
        match self.wwn {
            Some(wwn) if wwn.starts_with("naa.") => add(format!("wwn-0x{}", &wwn[4..])),
            Some(wwn) if self.device.starts_with("nvme") => add(format!("nvme-{wwn}")),
            _ => {}
        }
        links
    }
}

fn kind(names: &Names<'_>, rotates: bool) -> DiskKind {
    let says = |word: &str| {
        [names.vendor, names.model]
            .iter()
            .flatten()
            .any(|text| text.to_uppercase().contains(word))
    };
    let starts = |prefix: &str| names.device.starts_with(prefix);
    if starts("nvme") {
        DiskKind::Nvme
    } else if starts("mmcblk") {
        DiskKind::Card
    } else if starts("vd")
        || starts("xvd")
        || ["QEMU", "VMWARE", "VBOX", "VIRTUAL"]
            .iter()
            .any(|word| says(word))
    {
        DiskKind::Virtual
    } else if rotates {
        DiskKind::Hdd
    } else {
        DiskKind::Ssd
    }
}

/// "Percentage Used" of the SMART log.
fn wear(places: &Places, device: &str) -> Option<u8> {
    const USED: usize = 5;
    if !device.starts_with("nvme") {
        return None;
    }
    let file = File::open(places.dev.join(device)).ok()?;
    block::nvme_smart(&file).ok()?.get(USED).copied()
}

fn booted_from(mounts: &str, device: &str) -> bool {
    mounts.lines().any(|line| {
        let mut words = line.split(' ');
        let (what, place) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let on_it = what
            .strip_prefix("/dev/")
            .is_some_and(|name| is_part(name, device));
        on_it && SYSTEM.contains(&place)
    })
}

/// Whether the name is that of the disk or of one of its partitions.
pub fn is_part(name: &str, disk: &str) -> bool {
    let rest = match name.strip_prefix(disk) {
        None => return false,
        Some("") => return true,
        Some(rest) if disk.ends_with(|c: char| c.is_ascii_digit()) => {
            rest.strip_prefix('p').unwrap_or("-")
        }
        Some(rest) => rest,
    };
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
}

/// The disk's own marks, and those of its partitions.
fn all_contents(places: &Places, device: &str, size_bytes: u64) -> Option<Vec<String>> {
    let read = |name: &str, size: u64| {
        let mut file = File::open(places.dev.join(name)).ok()?;
        contents::of(&mut file, size).ok()
    };
    let mut found = read(device, size_bytes)?;
    for part in partitions(&places.sys, device) {
        // A partition that cannot be read says nothing of the others.
        for kind in read(&part.name, part.size_bytes).unwrap_or_default() {
            if !found.contains(&kind) {
                found.push(kind);
            }
        }
    }
    Some(found)
}

/// The partitions of a disk as the kernel knows them, by their numbers.
pub fn partitions(sys: &Path, disk: &str) -> Vec<Part> {
    let folder = sys.join("block").join(disk);
    let mut parts: Vec<Part> = files(&folder)
        .filter_map(|name| {
            let place = folder.join(&name);
            let number = |field: &str| word(&place.join(field))?.parse::<u64>().ok();
            Some(Part {
                number: u32::try_from(number("partition")?).ok()?,
                start_bytes: number("start")?.checked_mul(512)?,
                size_bytes: number("size")?.checked_mul(512)?,
                name,
            })
        })
        .collect();
    parts.sort_by_key(|part| part.number);
    parts
}
