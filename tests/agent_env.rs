//! The boot environment as it was built: small enough, with the tools and drivers that a machine cannot do without, and
//! the same bytes when it is built again. Where none was built, these tests say that they are skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly::agent::init::modules::index::{INDEX, Index, PACKS, Part};
use dragonfly::agent::init::rest::SUM;
use dragonfly::model::agent::PROTOCOL;
use dragonfly::model::digest::{Digest, DigestKind};
use dragonfly::model::environment::{
    ARCHITECTURES, FIRMWARE, FIRMWARE_LIST, FirmwareList, INITRD, KERNEL, MANIFEST, Manifest, REST,
};
use sha2::{Digest as _, Sha256};

/// Kernel, initramfs and the rest together.
const MOST_BYTES: u64 = 60_000_000;

/// What the kernel unpacks; the agent fetches the rest.
const BASE: [&str; 6] = ["init", "dev/console", "dev/null", PACKS[0], INDEX, SUM];
const TOOLS: [&str; 14] = [
    "usr/bin/busybox",
    "usr/bin/btrfs",
    "usr/sbin/mke2fs",
    "usr/sbin/resize2fs",
    "usr/sbin/e2fsck",
    "usr/sbin/mkfs.xfs",
    "usr/sbin/xfs_growfs",
    "usr/sbin/mkfs.vfat",
    "usr/sbin/mkfs.btrfs",
    "usr/sbin/mkswap",
    "usr/sbin/mdadm",
    "usr/sbin/lvm",
    "usr/sbin/vgcreate",
    "etc/lvm/lvm.conf",
];

/// Cards, disks, file systems and keyboards of common machines, real and not.
const MODULES: &str = "e1000 e1000e igb igc ixgbe i40e ice tg3 bnx2 bnx2x bnxt_en mlx4_en mlx5_core cxgb4 qede sfc \
    r8169 virtio_net ena xhci-hcd ahci nvme mpt3sas virtio_blk virtio_scsi usb-storage sd_mod \
    ext4 xfs btrfs vfat efivarfs raid1 dm-mod bonding 8021q usbhid hid-generic";
/// What only machines with amd64 have.
const MODULES_OF_AMD64: &str = "vmxnet3 hv_netvsc hv_storvsc xen-netfront xen-blkfront megaraid_sas aacraid hpsa vmw_pvscsi ata_piix";

/// Those that were built, by architecture.
fn built() -> Vec<(&'static str, PathBuf)> {
    let place = std::env::var_os("DRAGONFLY_BOOT_AGENT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("build/agent"),
        PathBuf::from,
    );
    let all = ARCHITECTURES.map(|architecture| (architecture, place.join(architecture)));
    let there: Vec<_> = all
        .into_iter()
        .filter(|(_, folder)| folder.join(MANIFEST).exists())
        .collect();
    if there.is_empty() {
        // Past the harness, which swallows what a test that passes prints.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a test of the boot environment: there is none at {}; make agent-env builds it",
            place.display()
        );
    }
    there
}

fn manifest(folder: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(folder.join(MANIFEST)).unwrap()).unwrap()
}

/// What is in an initramfs: mode and content by name.
fn listing(archive: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let told = Command::new("zstd")
        .arg("-dcq")
        .arg(archive)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", archive.display());
    let (bytes, mut at, mut names) = (told.stdout, 0, BTreeMap::new());
    while let Some(head) = bytes.get(at..at + 110) {
        assert_eq!(&head[..6], b"070701", "at byte {at}");
        let number = |field: usize| {
            let text = std::str::from_utf8(&head[6 + 8 * field..14 + 8 * field]).unwrap();
            usize::from_str_radix(text, 16).unwrap()
        };
        let (mode, size, name_size) = (number(1), number(6), number(11));
        let name = &bytes[at + 110..at + 109 + name_size];
        let data = (at + 110 + name_size).next_multiple_of(4);
        names.insert(
            String::from_utf8_lossy(name).into_owned(),
            (
                u32::try_from(mode).unwrap(),
                bytes[data..data + size].to_vec(),
            ),
        );
        at = (data + size).next_multiple_of(4);
    }
    assert!(names.remove("TRAILER!!!").is_some());
    names
}

/// What is in the rest, by name.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(archive).unwrap());
    let mut found = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (name, mut content) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        found.insert(name, content);
    }
    found
}

#[test]
fn an_environment_is_small_and_what_its_manifest_says() {
    for (architecture, folder) in built() {
        let manifest = manifest(&folder);
        assert_eq!(manifest.architecture, architecture);
        assert_eq!(manifest.agent.protocol, PROTOCOL);
        for (name, about) in &manifest.files {
            let content = fs::read(folder.join(name)).unwrap();
            assert_eq!(about.bytes, content.len() as u64, "{name}");
            let digest = Digest::of(DigestKind::Sha256, &Sha256::digest(&content));
            assert_eq!(Some(&about.digest), digest.as_ref(), "{name}");
        }
        let bytes = [KERNEL, INITRD, REST]
            .map(|name| manifest.files[name].bytes)
            .iter()
            .sum::<u64>();
        assert!(bytes <= MOST_BYTES, "{architecture}: {bytes} bytes");
    }
}

#[test]
fn an_environment_has_what_machines_cannot_do_without() {
    for (architecture, folder) in built() {
        let names = listing(&folder.join(INITRD));
        for file in BASE {
            assert!(names.contains_key(file), "{architecture} has no {file}");
        }
        let (mode, content) = &names["init"];
        assert!(
            mode & 0o111 == 0o111 && !content.is_empty(),
            "init is no program"
        );
        let rest = fs::read(folder.join(REST)).unwrap();
        let sum = Digest::of(DigestKind::Sha256, &Sha256::digest(&rest)).unwrap();
        assert_eq!(names[SUM].1, format!("{}\n", sum.hex()).as_bytes());
        let rest = unpacked(&rest);
        for tool in TOOLS {
            assert!(rest.contains_key(tool), "{architecture} has no {tool}");
        }
        let list = std::str::from_utf8(&names[INDEX].1).unwrap();
        let index = Index::parse(list).unwrap();
        let further = match architecture {
            "amd64" => MODULES_OF_AMD64,
            _ => "",
        };
        for module in MODULES.split_whitespace().chain(further.split_whitespace()) {
            let found = index.find(module);
            assert_eq!(found.len(), 1, "{architecture}: {module}");
            let place = usize::try_from(found[0].offset).unwrap();
            let packed = match found[0].part {
                Part::First => &names[PACKS[0]].1[place..],
                Part::Rest => &rest[PACKS[1]][place..],
            };
            assert!(
                packed.starts_with(b"\xfd7zXZ"),
                "{architecture}: {module} is not where its list says"
            );
        }
        for left in ["iwlwifi", "snd", "i915", "bluetooth"] {
            assert!(index.find(left).is_empty(), "{architecture} has {left}");
        }
        // No card has to be waited for, nor a disk as most machines have it.
        for early in [
            "igb",
            "r8169",
            "virtio_net",
            "ahci",
            "nvme",
            "virtio_blk",
            "sd_mod",
            "usb-storage",
            "ext4",
            "vfat",
            "crc32c_generic",
        ] {
            assert_eq!(
                index.find(early)[0].part,
                Part::First,
                "{architecture}: {early}"
            );
        }
        // Nor does one that is early want another.
        for entry in index.iter().filter(|entry| entry.part == Part::First) {
            for word in entry.before.iter().chain(&entry.after) {
                let found = index.find(word);
                let is_there = found.iter().any(|wanted| wanted.part == Part::First);
                assert!(
                    found.is_empty() || is_there,
                    "{architecture}: {} wants {word}",
                    entry.name
                );
            }
        }
        // Every board that could have one says so, and none is installed from it.
        assert!(index.find("acpi:PNP0700:").is_empty(), "{architecture}");
        // A card of virtio, and the file system that the kernel asks for by this name.
        for (word, name) in [
            ("virtio:d00000001v00001AF4", "virtio_net"),
            ("fs-ext4", "ext4"),
        ] {
            let found: Vec<&str> = index.find(word).iter().map(|entry| entry.name).collect();
            assert_eq!(found, [name], "{architecture}");
        }
    }
}

#[test]
fn firmware_is_there_for_the_devices_that_are_listed() {
    for (architecture, folder) in built() {
        let list: FirmwareList =
            serde_json::from_slice(&fs::read(folder.join(FIRMWARE_LIST)).unwrap()).unwrap();
        assert!(list.names_one_of(["14e4:164a"]), "{architecture}: bnx2");
        assert!(!list.names_one_of(["1af4:1000", "8086:100e"]));
        let names = listing(&folder.join(FIRMWARE));
        for file in list.0.values().flat_map(|need| &need.files) {
            let path = format!("usr/lib/firmware/{file}");
            assert!(names.contains_key(&path), "{architecture} has no {file}");
        }
    }
}

#[test]
#[ignore = "builds the agent and fetches the packages anew: minutes"]
fn long_the_same_packages_and_sources_make_the_same_bytes() {
    let Some((_, folder)) = built().into_iter().find(|(name, _)| *name == "amd64") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let again = tempfile::tempdir_in(root.join("build")).unwrap();
    let told = Command::new(root.join("image/agent/build"))
        .env("OUT", again.path())
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let (first, second) = (manifest(&folder), manifest(&again.path().join("amd64")));
    assert_eq!(
        first.packages, second.packages,
        "the mirror has other packages than build/agent was made of; make agent-env AGAIN=1"
    );
    assert_eq!(first, second);
}
