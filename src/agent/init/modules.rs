//! Drivers: every device that the kernel found says in sysfs what it is, and modprobe knows the driver for it.
//!
//! The boot environment has kmod, and modprobe is made of it here. A kernel that finds modprobe while it starts asks it for
//! ciphers that no machine needs then, which costs an emulated one more than the rest of its start.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::agent::clock;
use crate::agent::log::Log;

/// Devices bring devices: a bus its cards, a controller its disks. More rounds than any machine is deep.
const ROUNDS: usize = 12;
/// Folders below each other in `/sys/devices`, at most.
const DEPTH: usize = 24;
/// Disks that a driver looks for in its own time have appeared when nothing changed for so long.
const QUIET: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(6);

const KMOD: &str = "../bin/kmod";
/// Where the kernel looks for it, as do programs.
const MODPROBE: &str = "/usr/sbin/modprobe";

/// From now on modules can be loaded, and the kernel itself gets those that it asks for.
pub fn allow() -> io::Result<()> {
    match std::os::unix::fs::symlink(KMOD, MODPROBE) {
        // By an agent before this one, or whoever built the environment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Drivers of network cards and what they hang on, since the network is what takes longest.
pub fn load_for_network(sys: &Path, log: &Log) {
    load(sys, log, is_of_network);
}

/// Everything else; returns when the disks have appeared. What a processor can do brings ciphers and sums alone, and the
/// kernel asks for those when it needs them.
pub fn load_all(sys: &Path, log: &Log) {
    load(sys, log, |_, alias| !alias.starts_with("cpu:"));
    settle(sys);
}

fn load(sys: &Path, log: &Log, wanted: impl Fn(&Path, &str) -> bool) {
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS {
        let found = aliases(sys, &wanted);
        let new: Vec<&String> = found.difference(&known).collect();
        if new.is_empty() {
            return;
        }
        let outcome = Command::new("modprobe")
            .args(["-a", "-b", "-q"])
            .args(&new)
            .output();
        if let Err(error) = outcome {
            log.say(format!("no drivers: modprobe cannot be started: {error}"));
            return;
        }
        known = found;
    }
}

/// What the devices say that they are, of those whose driver is wanted and not there.
fn aliases(sys: &Path, wanted: &impl Fn(&Path, &str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<(PathBuf, usize)> = vec![(sys.join("devices"), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Links lead to places that are visited by their own name.
            if depth < DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push((entry.path(), depth + 1));
            }
        }
        if folder.join("driver").exists() {
            continue;
        }
        let alias = fs::read_to_string(folder.join("modalias")).unwrap_or_default();
        let alias = alias.trim();
        if !alias.is_empty() && !alias.starts_with('-') && wanted(&folder, alias) {
            found.insert(alias.to_owned());
        }
    }
    found
}

/// A card of PCI's network class, a device of a hypervisor's bus, or of USB, which docks and some servers' own
/// management cards hang on.
fn is_of_network(folder: &Path, alias: &str) -> bool {
    let class = fs::read_to_string(folder.join("class")).unwrap_or_default();
    class.starts_with("0x02")
        || ["virtio:", "vmbus:", "xen:", "of:NvirtioT"]
            .iter()
            .any(|bus| alias.starts_with(bus))
}

/// Waits until no disk appears any more.
fn settle(sys: &Path) {
    let until = clock::now() + LONGEST;
    let mut seen = disks(sys);
    let mut since = clock::now();
    while since.elapsed() < QUIET && clock::now() < until {
        clock::pause(Duration::from_millis(50));
        let now = disks(sys);
        if now != seen {
            (seen, since) = (now, clock::now());
        }
    }
}

fn disks(sys: &Path) -> BTreeSet<std::ffi::OsString> {
    let entries = fs::read_dir(sys.join("class/block"))
        .into_iter()
        .flatten()
        .flatten();
    entries.map(|entry| entry.file_name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(sys: &Path, place: &str, alias: &str, class: &str, driven: bool) {
        let folder = sys.join("devices").join(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("modalias"), format!("{alias}\n")).unwrap();
        fs::write(folder.join("class"), format!("{class}\n")).unwrap();
        if driven {
            fs::create_dir(folder.join("driver")).unwrap();
        }
    }

    #[test]
    fn each_device_without_a_driver_says_what_it_is() {
        let sys = tempfile::tempdir().unwrap();
        let sys = sys.path();
        device(
            sys,
            "pci0/0000:00:02.0",
            "pci:v00008086d00001539",
            "0x020000",
            false,
        );
        device(
            sys,
            "pci0/0000:00:03.0",
            "pci:v00008086d00002922",
            "0x010601",
            false,
        );
        device(
            sys,
            "pci0/0000:00:04.0",
            "pci:v00001AF4d00001000",
            "0x020000",
            true,
        );
        device(
            sys,
            "pci0/0000:00:04.0/virtio0",
            "virtio:d00000001v00001AF4",
            "",
            false,
        );
        device(sys, "hostile", "--remove", "", false);
        std::os::unix::fs::symlink(sys.join("devices"), sys.join("devices/pci0/loop")).unwrap();
        let all = aliases(sys, &|_: &Path, _: &str| true);
        assert_eq!(
            all.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "pci:v00008086d00001539",
                "pci:v00008086d00002922",
                "virtio:d00000001v00001AF4"
            ]
        );
        let network = aliases(sys, &is_of_network);
        assert_eq!(
            network.iter().map(String::as_str).collect::<Vec<_>>(),
            ["pci:v00008086d00001539", "virtio:d00000001v00001AF4"]
        );
    }
}
