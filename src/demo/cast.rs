//! Who plays: the invented machines.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use super::chance::Chance;
use crate::model::machine::{Disk, NetworkInterface};
use crate::model::{Evidence, Hardware, MacAddr, NicEvidence, NicKind};

/// What becomes of a machine before the curtain rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Just seen; nobody has named it.
    Fresh,
    /// Named, a system chosen.
    Chosen,
    /// Its installation is under way.
    Installing,
    Running,
    /// Its installation failed, and this is why.
    Failed(&'static str),
    /// Put aside by a person.
    Aside,
}

/// One machine of the cast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Player {
    /// Host name and friendly name; empty for one that nobody has named.
    pub(super) name: &'static str,
    pub(super) model: &'static Model,
    pub(super) os: &'static str,
    pub(super) tags: &'static [&'static str],
    pub(super) fate: Fate,
}

/// A kind of hardware.
#[derive(Debug)]
pub(super) struct Model {
    oui: [u8; 3],
    cpu: &'static str,
    cores: u32,
    memory_gib: u64,
    disks: &'static [(&'static str, u64, &'static str)],
    speed: u32,
    is_virtual: bool,
}

const GB: u64 = 1_000_000_000;

static SERVER: Model = Model {
    oui: [0x3c, 0xec, 0xef],
    cpu: "AMD EPYC 7313P 16-Core Processor",
    cores: 16,
    memory_gib: 128,
    disks: &[
        ("/dev/nvme0n1", 960 * GB, "SAMSUNG MZQL2960HCJR-00A07"),
        ("/dev/nvme1n1", 3840 * GB, "SAMSUNG MZQL23T8HCLS-00A07"),
    ],
    speed: 25_000,
    is_virtual: false,
};

static STORAGE: Model = Model {
    oui: [0xd8, 0x9e, 0xf3],
    cpu: "Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz",
    cores: 10,
    memory_gib: 64,
    disks: &[
        ("/dev/sda", 480 * GB, "INTEL SSDSC2KB48"),
        ("/dev/sdb", 16_000 * GB, "ST16000NM001G-2KK103"),
        ("/dev/sdc", 16_000 * GB, "ST16000NM001G-2KK103"),
        ("/dev/sdd", 16_000 * GB, "ST16000NM001G-2KK103"),
    ],
    speed: 10_000,
    is_virtual: false,
};

static SHELF: Model = Model {
    oui: [0x1c, 0x69, 0x7a],
    cpu: "Intel(R) Core(TM) i5-8259U CPU @ 2.30GHz",
    cores: 4,
    memory_gib: 32,
    disks: &[("/dev/nvme0n1", 500 * GB, "WDC WDS500G1B0C-00S6U0")],
    speed: 1_000,
    is_virtual: false,
};

static GUEST: Model = Model {
    oui: [0xbc, 0x24, 0x11],
    cpu: "QEMU Virtual CPU version 2.5+",
    cores: 4,
    memory_gib: 8,
    disks: &[("/dev/vda", 64 * GB, "QEMU HARDDISK")],
    speed: 10_000,
    is_virtual: true,
};

const DEBIAN: &str = "debian-13";
const TALOS: &str = "talos-1.12";
const BAD_DISK: &str =
    "what was written to /dev/nvme0n1 reads back differently at 12.4 GiB: the disk may be failing";

/// The cast, in the order of their first entrance. Those whom nobody has named come last.
pub(super) const CAST: &[Player] = &[
    player(
        "topaz-control-01",
        &SERVER,
        TALOS,
        &["topaz", "control", "rack1"],
        Fate::Running,
    ),
    player(
        "topaz-control-02",
        &SERVER,
        TALOS,
        &["topaz", "control", "rack1"],
        Fate::Running,
    ),
    player(
        "topaz-control-03",
        &SERVER,
        TALOS,
        &["topaz", "control", "rack2"],
        Fate::Running,
    ),
    player(
        "topaz-worker-01",
        &SERVER,
        TALOS,
        &["topaz", "worker", "rack1"],
        Fate::Running,
    ),
    player(
        "topaz-worker-02",
        &SERVER,
        TALOS,
        &["topaz", "worker", "rack1"],
        Fate::Running,
    ),
    player(
        "topaz-worker-03",
        &SERVER,
        TALOS,
        &["topaz", "worker", "rack2"],
        Fate::Installing,
    ),
    player(
        "topaz-worker-04",
        &SERVER,
        TALOS,
        &["topaz", "worker", "rack2"],
        Fate::Failed(BAD_DISK),
    ),
    player(
        "cubefs-master-01",
        &STORAGE,
        DEBIAN,
        &["cubefs", "master", "rack3"],
        Fate::Running,
    ),
    player(
        "cubefs-data-01",
        &STORAGE,
        DEBIAN,
        &["cubefs", "data", "rack3"],
        Fate::Running,
    ),
    player(
        "cubefs-data-02",
        &STORAGE,
        DEBIAN,
        &["cubefs", "data", "rack3"],
        Fate::Running,
    ),
    player(
        "cubefs-data-03",
        &STORAGE,
        DEBIAN,
        &["cubefs", "data", "rack4"],
        Fate::Running,
    ),
    player(
        "cubefs-data-04",
        &STORAGE,
        DEBIAN,
        &["cubefs", "data", "rack4"],
        Fate::Chosen,
    ),
    player(
        "pve-01",
        &SERVER,
        "proxmox-ve-9",
        &["proxmox", "rack2"],
        Fate::Running,
    ),
    player(
        "pve-02",
        &SERVER,
        "proxmox-ve-9",
        &["proxmox", "rack2"],
        Fate::Running,
    ),
    player(
        "jellyfin",
        &SHELF,
        "ubuntu-24.04",
        &["media", "shelf"],
        Fate::Running,
    ),
    player(
        "home-assistant",
        &SHELF,
        DEBIAN,
        &["home", "shelf"],
        Fate::Running,
    ),
    player("build-01", &GUEST, "fedora-43", &["ci"], Fate::Running),
    player("build-02", &GUEST, "fedora-43", &["ci"], Fate::Chosen),
    player("gitea", &GUEST, "alpine-3.23", &["ci"], Fate::Running),
    player("old-nas", &STORAGE, DEBIAN, &["storage"], Fate::Aside),
    player("grafana", &GUEST, DEBIAN, &["monitoring"], Fate::Running),
    player("", &SHELF, "", &[], Fate::Fresh),
    player("", &SHELF, "", &[], Fate::Fresh),
    player("", &GUEST, "", &[], Fate::Fresh),
];

const fn player(
    name: &'static str,
    model: &'static Model,
    os: &'static str,
    tags: &'static [&'static str],
    fate: Fate,
) -> Player {
    Player {
        name,
        model,
        os,
        tags,
        fate,
    }
}

impl Player {
    /// Its `card`-th address; `seat` is its place in the cast.
    pub(super) fn mac(&self, seat: usize, card: u8) -> MacAddr {
        // Spread out, so that the names made from them differ in every word.
        let mut chance = Chance::new(seat as u64);
        let mut octets = [0; 6];
        octets[..3].copy_from_slice(&self.model.oui);
        octets[3..].fill_with(|| u8::try_from(chance.below(256)).unwrap_or(0));
        octets[5] ^= card;
        MacAddr::new(octets)
    }

    fn macs(&self, seat: usize) -> Vec<MacAddr> {
        let cards = if self.model.is_virtual { 1 } else { 2 };
        (0..cards).map(|card| self.mac(seat, card)).collect()
    }

    /// What it shows of itself.
    pub(super) fn evidence(&self, seat: usize) -> Evidence {
        let nics = self.macs(seat).into_iter().map(|mac| NicEvidence {
            mac,
            kind: NicKind::Fixed,
        });
        Evidence {
            primary_mac: self.mac(seat, 0),
            nics: nics.collect(),
            smbios_uuid: Some(self.uuid(seat)),
            machine_id: None,
        }
    }

    fn uuid(&self, seat: usize) -> Uuid {
        let mut bytes = *b"demo\x5e\x1f\x4b\x0c\x9a\x3d\0\0\0\0\0\0";
        bytes[10..].copy_from_slice(&self.mac(seat, 0).octets());
        Uuid::from_bytes(bytes)
    }

    pub(super) fn hardware(&self, seat: usize) -> Hardware {
        let model = self.model;
        let disks = model
            .disks
            .iter()
            .enumerate()
            .map(|(at, (device, size_bytes, name))| Disk {
                device: (*device).into(),
                size_bytes: *size_bytes,
                model: Some((*name).into()),
                serial: Some(format!("S{:04}NX{at}", 4100 + seat * 7)),
                ..Disk::default()
            });
        let cards = self
            .macs(seat)
            .into_iter()
            .enumerate()
            .map(|(at, mac)| NetworkInterface {
                name: if model.is_virtual {
                    format!("ens{}", 18 + at)
                } else {
                    format!("enp65s0f{at}")
                },
                mac,
                speed_mbps: Some(model.speed),
                link_up: Some(true),
                driver: None,
            });
        Hardware {
            cpu_model: Some(model.cpu.into()),
            cpu_cores: Some(model.cores),
            memory_bytes: Some(model.memory_gib << 30),
            disks: disks.collect(),
            network_interfaces: cards.collect(),
            is_virtual: model.is_virtual,
            virt_platform: model.is_virtual.then(|| "kvm".into()),
            ..Hardware::default()
        }
    }

    /// Its address in TEST-NET-1 of RFC 5737, which is nobody's.
    pub(super) fn address(seat: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(
            192,
            0,
            2,
            100 + u8::try_from(seat % 100).unwrap_or(0),
        ))
    }

    /// Where it stands, as labels.
    pub(super) fn labels(&self, seat: usize) -> BTreeMap<String, String> {
        let rack = self.tags.iter().find_map(|tag| tag.strip_prefix("rack"));
        let place = rack.map(|rack| {
            [
                ("rack", rack.to_owned()),
                ("slot", (seat % 12 + 1).to_string()),
            ]
        });
        let words = place.into_iter().flatten();
        words.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The place in the cast of the machine that boots from `mac`.
pub(super) fn seat_of(mac: MacAddr) -> usize {
    let seats = CAST.iter().enumerate();
    let found = seats
        .into_iter()
        .find(|(seat, player)| player.mac(*seat, 0) == mac);
    found.map_or(0, |(seat, _)| seat)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_machines_share_a_card_a_name_or_the_beginning_of_a_name() {
        let seats = || CAST.iter().enumerate();
        let macs: Vec<_> = seats()
            .flat_map(|(seat, player)| player.macs(seat))
            .collect();
        assert_eq!(macs.iter().collect::<BTreeSet<_>>().len(), macs.len());
        let names: Vec<_> = CAST
            .iter()
            .map(|player| player.name)
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(seats().all(|(seat, player)| seat_of(player.mac(seat, 0)) == seat));
    }
}
