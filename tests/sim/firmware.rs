//! The kinds of clients, by what is known of them: what they say, how long they wait, and which offers they take.

use serde::Deserialize;

/// What kind of machine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// UEFI's PXE: gathers offers, merges them, probes the file's size and stops.
    Edk2,
    /// UEFI's HTTP boot.
    Edk2Http,
    /// The iPXE of a card's flash, which speaks no HTTP.
    IpxeRom,
    /// What is loaded from us, or lies on a stick: a whole iPXE.
    Ipxe,
    /// Takes the first offer with an address, and boots from that or not at all.
    FirstOffer,
    /// Gathers offers and boots from one that has address and file, or not at all.
    NeverMerges,
    /// Hears proxies only when they send it to port 4011 (some builds of EDK2).
    BinlOnly,
    /// The board's own ROM.
    RaspberryPi,
    UBoot,
    /// A phone, a printer, an installed system: it wants an address.
    Plain,
}

/// Which of several offers is taken, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picks {
    /// At the end of each wait, by EDK2's order; with or without offers of proxies.
    Best { proxies: Proxies },
    /// The first one with an address, at once.
    First,
    /// The first address, when a proxy was heard or two seconds went by.
    Ipxe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    All,
    BinlAlone,
    None,
}

/// How a kind behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Option 60.
    pub vendor: Option<&'static str>,
    /// Option 93.
    pub arch: Option<u16>,
    pub oui: [u8; 3],
    pub broadcast: bool,
    /// Seconds between two questions.
    pub waits: &'static [u64],
    pub picks: Picks,
    /// What it asks of TFTP.
    pub block: u16,
    pub window: Option<u16>,
    /// It asks for the size first and breaks off (EDK2).
    pub probes: bool,
    /// Option 175.
    pub features: &'static [u8],
}

const EDK2_WAITS: &[u64] = &[4, 8, 16, 32];
const IPXE_WAITS: &[u64] = &[1, 2, 4, 8];

/// HTTP, bzImage, EFI: each number is followed by its length and by 1.
const WHOLE_IPXE: &[u8] = &[0x13, 1, 1, 0x18, 1, 1, 0x24, 1, 1, 0x15, 1, 1];
const ROM_IPXE: &[u8] = &[0x18, 1, 1, 0x15, 1, 1, 0x21, 1, 1];

const EDK2: Manner = Manner {
    vendor: Some("PXEClient:Arch:00007:UNDI:003016"),
    arch: Some(7),
    oui: [0x3c, 0xec, 0xef],
    broadcast: true,
    waits: EDK2_WAITS,
    picks: Picks::Best {
        proxies: Proxies::All,
    },
    block: 1468,
    window: Some(4),
    probes: true,
    features: &[],
};

const IPXE: Manner = Manner {
    vendor: Some("PXEClient:Arch:00007:UNDI:003010"),
    broadcast: false,
    waits: IPXE_WAITS,
    picks: Picks::Ipxe,
    block: 1432,
    window: None,
    probes: false,
    features: WHOLE_IPXE,
    ..EDK2
};

const ROM: Manner = Manner {
    vendor: Some("PXEClient:Arch:00000:UNDI:002001"),
    arch: Some(0),
    oui: [0xa0, 0x36, 0x9f],
    block: 1456,
    window: None,
    probes: false,
    ..EDK2
};

impl Kind {
    pub const fn manner(self) -> Manner {
        match self {
            Self::Edk2 => EDK2,
            Self::Edk2Http => Manner {
                vendor: Some("HTTPClient:Arch:00016:UNDI:003001"),
                arch: Some(16),
                ..EDK2
            },
            Self::Ipxe => IPXE,
            Self::IpxeRom => Manner {
                vendor: Some("PXEClient:Arch:00000:UNDI:002001"),
                arch: Some(0),
                oui: [0x52, 0x54, 0x00],
                features: ROM_IPXE,
                ..IPXE
            },
            Self::FirstOffer => Manner {
                picks: Picks::First,
                ..ROM
            },
            Self::NeverMerges => Manner {
                picks: Picks::Best {
                    proxies: Proxies::None,
                },
                ..ROM
            },
            Self::BinlOnly => Manner {
                oui: [0xac, 0x1f, 0x6b],
                picks: Picks::Best {
                    proxies: Proxies::BinlAlone,
                },
                ..EDK2
            },
            Self::RaspberryPi => Manner {
                oui: [0xdc, 0xa6, 0x32],
                block: 1024,
                ..ROM
            },
            Self::UBoot => Manner {
                vendor: Some("U-Boot.armv8"),
                arch: Some(22),
                oui: [0x00, 0x04, 0x9f],
                broadcast: false,
                waits: IPXE_WAITS,
                picks: Picks::Ipxe,
                block: 1468,
                window: None,
                probes: false,
                features: &[],
            },
            Self::Plain => Manner {
                vendor: None,
                arch: None,
                oui: [0x00, 0x1b, 0x63],
                broadcast: false,
                waits: EDK2_WAITS,
                picks: Picks::First,
                ..ROM
            },
        }
    }

    /// Whether it boots the network.
    pub const fn boots(self) -> bool {
        !matches!(self, Self::Plain)
    }
}
