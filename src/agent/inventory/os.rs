//! A system that is on a disk already: its own name for itself.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Places, contents, disks};
use crate::model::machine::{Disk, ExistingOs};

/// A file that tells a name is this long at most.
const LONGEST: u64 = 64 * 1024;
/// As many partitions are looked into.
const MOST: usize = 64;
/// Where a file system keeps its root: itself, or the subvolumes that distributions make on btrfs.
const ROOTS: [&str; 4] = ["", "@", "root", "@rootfs"];

/// The first system on any disk, a partition after the other.
pub(super) fn find(places: &Places, found: &[Disk]) -> Option<ExistingOs> {
    let look = places.look.as_deref()?;
    std::fs::create_dir_all(look).ok()?;
    let partitions = found.iter().flat_map(|disk| {
        let parts = disks::partitions(&places.sys, &disk.device);
        // A file system may fill a disk without partitions.
        if parts.is_empty() {
            vec![disk.device.clone()]
        } else {
            parts.into_iter().map(|part| part.name).collect()
        }
    });
    let mut windows = None;
    for device in partitions.take(MOST) {
        match name_on(places, look, &device) {
            Some(name) if name == WINDOWS => {
                windows = windows.or(Some(ExistingOs { name, device }));
            }
            Some(name) => return Some(ExistingOs { name, device }),
            None => {}
        }
    }
    windows
}

const WINDOWS: &str = "Windows";

fn name_on(places: &Places, look: &Path, device: &str) -> Option<String> {
    let size = disks::size(&places.sys, device)?;
    let mut file = File::open(places.dev.join(device)).ok()?;
    let kinds = contents::of(&mut file, size).ok()?;
    drop(file);
    // Without replaying a journal: not even a system that crashed is written to.
    let (kind, options) = match kinds.first()?.as_str() {
        kind @ ("ext4" | "ext3" | "ext2") => {
            (if kind == "ext2" { "ext2" } else { "ext4" }, "noload")
        }
        "xfs" => ("xfs", "norecovery"),
        "btrfs" => ("btrfs", "rescue=nologreplay"),
        "vfat" => ("vfat", ""),
        _ => return None,
    };
    let options = if kind == "ext2" { "" } else { options };
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some(&places.dev.join(device)),
        look,
        Some(kind),
        flags,
        Some(options),
    )
    .ok()?;
    let name = name_in(look);
    let _ = umount2(look, MntFlags::MNT_DETACH);
    name
}

/// The name of the system whose root, or whose EFI system partition, this is.
pub(super) fn name_in(root: &Path) -> Option<String> {
    for inside in ROOTS {
        for file in ["usr/lib/os-release", "etc/os-release"] {
            let text = read(&root.join(inside).join(file)).unwrap_or_default();
            if let Some(name) = pretty_name(&text) {
                return Some(name);
            }
        }
    }
    root.join("EFI/Microsoft/Boot/bootmgfw.efi")
        .exists()
        .then(|| WINDOWS.into())
}

/// A plain file, and no more of it than it should have: a pipe would keep us waiting for ever.
fn read(path: &Path) -> Option<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .ok()?;
    let is_plain = file.metadata().is_ok_and(|about| about.is_file());
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .ok()
        .filter(|_| is_plain)?;
    Some(text)
}

/// `PRETTY_NAME` of an os-release(5).
pub fn pretty_name(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    let name: String = value
        .chars()
        .filter(|c| !c.is_control())
        .take(120)
        .collect();
    (!name.is_empty()).then_some(name)
}
