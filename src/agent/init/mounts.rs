//! The file systems of the kernel itself, where every program looks for them.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// What is mounted where, in order: kind, place, options.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", "mode=0755"),
    ("devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("tmpfs", "/run", "mode=0755"),
    ("tmpfs", "/tmp", "mode=1777"),
];
const EFI: &str = "/sys/firmware/efi";
/// Folders in `/run` that programs of disks want to lock in.
const FOLDERS: &[&str] = &["/run/lock", "/run/lvm", "/run/mdadm", "/run/dragonfly"];

/// Makes them all; tells what could not be made.
pub(super) fn make_all() -> Vec<String> {
    let mut problems: Vec<String> = MOUNTS
        .iter()
        .filter_map(|wanted| make(*wanted).err())
        .collect();
    if Path::new(EFI).exists() {
        problems.extend(make(("efivarfs", "/sys/firmware/efi/efivars", "")).err());
    }
    for folder in FOLDERS {
        if let Err(error) = fs::create_dir_all(folder) {
            problems.push(format!("{folder}: {error}"));
        }
    }
    problems
}

fn make((kind, place, options): (&str, &str, &str)) -> Result<(), String> {
    // Where it cannot be made, mounting fails too, and says why.
    let _ = fs::create_dir_all(place);
    match mount(
        Some(kind),
        place,
        Some(kind),
        MsFlags::MS_NOSUID,
        Some(options),
    ) {
        // It is there already: the kernel, or an agent before this one.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(error) => Err(format!("{kind} cannot be mounted on {place}: {error}")),
    }
}
