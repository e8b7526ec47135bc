//! Drivers: every device that the kernel found says in sysfs what it is, and the pack's list knows the driver for it.
//!
//! The kernel asks for modules too, by starting modprobe, which the agent is as well. One that is there while the kernel
//! itself starts is asked for ciphers that no machine needs then, which costs an emulated one more than the rest.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::agent::clock;
use crate::agent::log::Log;
use pack::{Loader, Pack};

pub mod index;
pub mod pack;
mod settings;

/// Devices bring devices: a bus its cards, a controller its disks. More rounds than any machine is deep.
const ROUNDS: usize = 12;
/// Disks that a driver looks for in its own time have appeared when nothing changed for so long.
const QUIET: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(6);
const MOST_AT_ONCE: usize = 4;
const LOOK: Duration = Duration::from_millis(50);

const AGENT: &str = "../../init";
/// Where the kernel looks for it, as do programs.
const MODPROBE: &str = "/usr/sbin/modprobe";

/// From now on the kernel gets the modules that it asks for.
pub fn allow() -> io::Result<()> {
    match std::os::unix::fs::symlink(AGENT, MODPROBE) {
        // By an agent before this one, or whoever built the environment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Drivers of network cards and what they hang on, since the network is what takes longest.
pub fn load_for_network(sys: &Path, log: &Log) {
    let _ = with_loader(sys, log, |loader| load(sys, loader, may_be_of_network));
}

/// Everything but network cards; returns when the disks have appeared, with whether a device is left whose driver comes
/// with the rest. What a processor can do brings ciphers and sums alone, and the kernel asks for those when it needs them.
pub fn load_all(sys: &Path, log: &Log) -> bool {
    with_loader(sys, log, |loader| {
        load(sys, loader, is_other);
        settle(sys, || load(sys, loader, is_other));
    })
}

/// For devices that came since; the answer is as above.
pub fn load_new(sys: &Path, log: &Log) -> bool {
    with_loader(sys, log, |loader| load(sys, loader, is_other))
}

/// Whether a device is left whose driver comes with the rest.
fn with_loader(sys: &Path, log: &Log, act: impl FnOnce(&Loader<'_>)) -> bool {
    let acted = open().and_then(|pack| {
        let loader = pack.loader(sys, settings())?;
        act(&loader);
        Ok(loader.lacks(&aliases(sys, &is_other)))
    });
    acted.unwrap_or_else(|error| {
        log.say(format!("no drivers: {error}"));
        false
    })
}

/// The packs of this boot environment.
pub fn open() -> io::Result<Pack> {
    Pack::open(Path::new("/"))
}

/// What this kernel's command line says of modules; nothing before `/proc` is there.
pub fn settings() -> settings::Settings {
    settings::Settings::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default())
}

fn load(sys: &Path, loader: &Loader<'_>, wanted: impl Fn(&Path, &str) -> bool) {
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS {
        let found = aliases(sys, &wanted);
        let new: Vec<&String> = found.difference(&known).collect();
        if new.is_empty() {
            return;
        }
        load_each(loader, &new);
        known = found;
    }
}

/// Several at once, since a controller that looks for its disks keeps whoever loads it. Two that need the same module
/// the kernel lets wait for each other.
fn load_each(loader: &Loader<'_>, aliases: &[&String]) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(alias) = aliases.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A driver that does not want its device after all is none of this machine's.
            let _ = loader.load(alias, "");
        }
    };
    let helpers = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..helpers.min(MOST_AT_ONCE) {
            // This thread does what no other could be had for.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// What the devices say that they are, of those whose driver is wanted and not there.
fn aliases(sys: &Path, wanted: &impl Fn(&Path, &str) -> bool) -> BTreeSet<String> {
    let buses = entries(&sys.join("bus"));
    let devices = buses.iter().flat_map(|bus| entries(&bus.join("devices")));
    // The board itself is on no bus.
    let devices = devices.chain([sys.join("class/dmi/id")]);
    let mut found = BTreeSet::new();
    for folder in devices.filter(|folder| !folder.join("driver").exists()) {
        let alias = fs::read_to_string(folder.join("modalias")).unwrap_or_default();
        let alias = alias.trim();
        if !alias.is_empty() && wanted(&folder, alias) {
            found.insert(alias.to_owned());
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A card, or a device of a hypervisor's bus, which tells its own kind only to its driver.
fn may_be_of_network(folder: &Path, alias: &str) -> bool {
    let buses = ["vmbus:", "xen:", "of:NvirtioT"];
    is_network_card(folder, alias) || buses.iter().any(|bus| alias.starts_with(bus))
}

fn is_other(folder: &Path, alias: &str) -> bool {
    !alias.starts_with("cpu:") && !is_network_card(folder, alias)
}

/// A card of PCI's network class, or of virtio.
fn is_network_card(folder: &Path, alias: &str) -> bool {
    let class = fs::read_to_string(folder.join("class")).unwrap_or_default();
    class.starts_with("0x02") || alias.starts_with("virtio:d00000001v")
}

/// Waits until no disk appears any more, where one may after its driver has begun; `load` brings what new devices need.
fn settle(sys: &Path, load: impl Fn()) {
    if !may_be_late(sys) {
        return;
    }
    let until = clock::now() + LONGEST;
    let mut seen = disks(sys);
    let mut since = clock::now();
    while (since.elapsed() < QUIET || is_usb_being_asked(sys)) && clock::now() < until {
        clock::pause(LOOK);
        load();
        let now = disks(sys);
        if now != seen {
            (seen, since) = (now, clock::now());
        }
    }
}

/// The kernel waits for the disks of an AHCI or IDE controller, and of virtio, before it calls their driver loaded; not
/// for those of other controllers and hypervisors, nor for what hangs on USB.
fn may_be_late(sys: &Path) -> bool {
    let late_class = |class: &str| !entries(&sys.join("class").join(class)).is_empty();
    let waits = |host: &PathBuf| {
        let name = driver(host);
        ["ahci", "ata_", "sata_", "pata_"]
            .iter()
            .any(|driver| name.starts_with(driver))
    };
    let late_bus = |bus: &str| !entries(&sys.join("bus").join(bus).join("devices")).is_empty();
    ["nvme", "mmc_host"].into_iter().any(late_class)
        || ["usb", "xen", "vmbus"].into_iter().any(late_bus)
        || !entries(&sys.join("class/scsi_host")).iter().all(waits)
}

/// A disk on USB gets a second to itself before the kernel asks what it is.
fn is_usb_being_asked(sys: &Path) -> bool {
    let is_usb = |host: &&PathBuf| ["usb-storage", "uas"].contains(&driver(host).trim());
    let is_asked = |host: &PathBuf| {
        let found = entries(&host.join("device"));
        let mut names = found.iter().filter_map(|path| path.file_name()?.to_str());
        !names.any(|name| name.starts_with("target"))
    };
    let hosts = entries(&sys.join("class/scsi_host"));
    hosts.iter().filter(is_usb).any(is_asked)
}

/// Of a SCSI host.
fn driver(host: &Path) -> String {
    fs::read_to_string(host.join("proc_name")).unwrap_or_default()
}

fn disks(sys: &Path) -> BTreeSet<PathBuf> {
    entries(&sys.join("class/block")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use test_case::test_case;

    use super::*;

    fn device(sys: &Path, place: &str, alias: &str, class: &str, driven: bool) {
        let folder = sys.join("bus").join(place);
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
        let (card, disks) = ("pci:v00008086d00001539", "pci:v00008086d00002922");
        let net = "virtio:d00000001v00001AF4";
        device(sys, "pci/devices/0000:00:02.0", card, "0x020000", false);
        device(sys, "pci/devices/0000:00:03.0", disks, "0x010601", false);
        device(sys, "pci/devices/0000:00:04.0", "pci:v1", "0x020000", true);
        device(sys, "virtio/devices/virtio0", net, "", false);
        device(sys, "virtio/devices/virtio1", "", "", false);
        device(sys, "../class/dmi/id", "dmi:bvnX:", "", false);
        symlink(sys.join("bus"), sys.join("bus/pci/devices/loop")).unwrap();
        let all = aliases(sys, &|_: &Path, _: &str| true);
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            ["dmi:bvnX:", card, disks, net]
        );
        let network = aliases(sys, &may_be_of_network);
        assert_eq!(network.into_iter().collect::<Vec<_>>(), [card, net]);
    }

    #[test_case(&[], false; "nothing that could be")]
    #[test_case(&["class/scsi_host/host0 ahci", "class/scsi_host/host1 ata_piix"], false; "the kernel waits")]
    #[test_case(&["class/scsi_host/host0 ahci", "class/scsi_host/host1 mpt3sas"], true; "a controller of its own mind")]
    #[test_case(&["class/nvme/nvme0 -"], true; "nvme")]
    #[test_case(&["bus/usb/devices/usb1 -"], true; "a USB port")]
    #[test_case(&["bus/xen/devices/vbd-1 -", "bus/pci/devices/0 -"], true; "a hypervisor")]
    fn only_what_may_be_late_is_waited_for(hosts: &[&str], late: bool) {
        let sys = tempfile::tempdir().unwrap();
        for host in hosts {
            let (place, name) = host.split_once(' ').unwrap();
            let folder = sys.path().join(place);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("proc_name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(may_be_late(sys.path()), late);
    }

    #[test]
    fn a_disk_on_usb_is_waited_for_until_the_kernel_has_asked_it() {
        let sys = tempfile::tempdir().unwrap();
        let host = sys.path().join("class/scsi_host/host6");
        fs::create_dir_all(host.join("device/power")).unwrap();
        for (name, asked) in [("usb-storage", true), ("uas", true), ("ahci", false)] {
            fs::write(host.join("proc_name"), format!("{name}\n")).unwrap();
            assert_eq!(is_usb_being_asked(sys.path()), asked, "{name}");
        }
        fs::write(host.join("proc_name"), "usb-storage\n").unwrap();
        fs::create_dir(host.join("device/target6:0:0")).unwrap();
        assert!(!is_usb_being_asked(sys.path()));
    }

    #[test]
    fn a_disk_that_is_late_is_waited_for_and_its_driver_loaded() {
        let sys = tempfile::tempdir().unwrap();
        let block = sys.path().join("class/block");
        fs::create_dir_all(&block).unwrap();
        fs::create_dir_all(sys.path().join("class/nvme/nvme0")).unwrap();
        let looks = std::cell::Cell::new(0);
        settle(sys.path(), || {
            looks.set(looks.get() + 1);
            if looks.get() == 3 {
                fs::create_dir(block.join("sda")).unwrap();
            }
        });
        assert!(looks.get() > 6, "{} looks", looks.get());
    }
}
