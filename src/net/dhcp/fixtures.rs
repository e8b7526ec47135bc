//! Messages as firmware sends them, by the layout of their fields, and the world that a test puts around them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;

use jiff::Timestamp;

use super::answer::{BootAnswer, Frame, Reply, View};
use super::classify::{Client, Firmware};
use super::engine::{Engine, Input, Output};
use super::packet::{Packet, code};
use crate::model::boot::Platform;
use crate::model::trace::Mark;
use crate::model::{Boot, Decision, LinkName, MacAddr, NetworkConfig, Rung};

pub const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 5);
pub const FLOATING: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 6);
pub const ROUTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
pub const REAL: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub const LEASED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 1);

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const RELEASE: u8 = 7;
pub const INFORM: u8 = 8;

/// What one firmware sends behind option 53, in its order: hexadecimal digits, text behind `=`, or
/// `@` for its card as option 61 has it.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub name: &'static str,
    pub mac: [u8; 6],
    pub flags: u16,
    pub options: &'static [(u8, &'static str)],
}

/// What EDK2 asks for in option 55 (`PxeBcBuildDhcp4Options`).
const EDK2_ASKS: &str =
    "010203040506 0c0d0f111216171c 28292a2b3233363a3b3c 424361 8081828384858687";
const GUID: &str = "00 4d2c1e5f8a7b4c3d9e0f112233445566";

/// OVMF: the broadcast flag, 57 = 1472, 61 and 97 by GUID, UNDI 3.16.
pub const EDK2_X64: Model = Model {
    name: "EDK2 x64 (7)",
    mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
    flags: 0x8000,
    options: &[
        (57, "05c0"),
        (55, EDK2_ASKS),
        (97, GUID),
        (94, "010310"),
        (93, "0007"),
        (60, "=PXEClient:Arch:00007:UNDI:003016"),
    ],
};

/// The same with 9 (RFC 4578's erratum), as HP's sends it.
pub const EDK2_X64_9: Model = Model {
    name: "EDK2 x64 (9)",
    mac: [0x3c, 0xec, 0xef, 0x01, 0x02, 0x03],
    options: &[
        (57, "05c0"),
        (55, EDK2_ASKS),
        (97, GUID),
        (94, "010310"),
        (93, "0009"),
        (60, "=PXEClient:Arch:00009:UNDI:003016"),
    ],
    ..EDK2_X64
};

/// OVMF's HTTP boot.
pub const EDK2_HTTP: Model = Model {
    name: "EDK2 HTTP x64 (16)",
    options: &[
        (57, "05c0"),
        (55, EDK2_ASKS),
        (97, GUID),
        (94, "010310"),
        (93, "0010"),
        (60, "=HTTPClient:Arch:00016:UNDI:003016"),
    ],
    ..EDK2_X64
};

/// AAVMF.
pub const EDK2_ARM64: Model = Model {
    name: "EDK2 arm64 (11)",
    mac: [0x52, 0x54, 0x00, 0xaa, 0x00, 0x11],
    options: &[
        (57, "05c0"),
        (55, EDK2_ASKS),
        (97, GUID),
        (94, "010310"),
        (93, "000b"),
        (60, "=PXEClient:Arch:00011:UNDI:003016"),
    ],
    ..EDK2_X64
};

/// QEMU's card under SeaBIOS is iPXE: no broadcast flag, 77 bare, 175 with its features and version.
pub const IPXE_ROM: Model = Model {
    name: "SeaBIOS iPXE ROM",
    mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x57],
    flags: 0,
    options: &[
        (57, "05c0"),
        (93, "0000"),
        (94, "010201"),
        (60, "=PXEClient:Arch:00000:UNDI:002001"),
        (77, "=iPXE"),
        (55, "010306070c0f1128 2b3c4243 80818283848586 77 af cb"),
        (
            175,
            "b105018086100e eb03011501 130101 170101 150101 220101 180101 210101 110101 120101",
        ),
        (61, "@"),
        (97, GUID),
    ],
};

/// A card's flash with an iPXE that knows TFTP alone.
pub const IPXE_POOR: Model = Model {
    name: "iPXE without HTTP",
    options: &[
        (93, "0000"),
        (94, "010201"),
        (60, "=PXEClient:Arch:00000:UNDI:002001"),
        (77, "=iPXE"),
        (175, "150101 210101"),
    ],
    ..IPXE_ROM
};

/// Intel's boot agent: Arch 0, UNDI 2.1, in the order of the PXE specification, zeros behind the end.
pub const INTEL_UNDI: Model = Model {
    name: "Intel UNDI BIOS",
    mac: [0x00, 0x1b, 0x21, 0x0a, 0x0b, 0x0c],
    flags: 0x8000,
    options: &[
        (55, "0102030506080b0c0d0f101112 2b363c43 8081828384858687"),
        (57, "04ec"),
        (97, "00 33221100554477668899aabbccddeeff"),
        (93, "0000"),
        (94, "010201"),
        (60, "=PXEClient:Arch:00000:UNDI:002001"),
    ],
};

/// Supermicro X11 and HP never merge two offers; what they ask is no different.
pub const SUPERMICRO: Model = Model {
    name: "Supermicro X11SSE-F",
    mac: [0xac, 0x1f, 0x6b, 0x01, 0x02, 0x03],
    ..EDK2_X64
};

/// The EEPROM of a Pi 4 says BIOS, and its serial number in 97.
pub const RASPBERRY_PI_4: Model = Model {
    name: "Raspberry Pi 4",
    mac: [0xdc, 0xa6, 0x32, 0x01, 0x02, 0x03],
    flags: 0,
    options: &[
        (55, "0103042b3c42438081828384858687"),
        (93, "0000"),
        (94, "010201"),
        (60, "=PXEClient:Arch:00000:UNDI:002001"),
        (97, "00 3469505214c031300102030405060708"),
    ],
};

/// U-Boot with `CONFIG_BOOTP_PXE`: a vendor class of its own beside an architecture.
pub const U_BOOT: Model = Model {
    name: "U-Boot arm64",
    mac: [0x02, 0x11, 0x22, 0x33, 0x44, 0x55],
    flags: 0,
    options: &[
        (57, "0240"),
        (93, "0016"),
        (94, "010000"),
        (60, "=U-Boot.armv8"),
        (55, "0103060c11"),
    ],
};

/// The EFI of `VMware` leaves out option 97.
pub const VMWARE: Model = Model {
    name: "VMware without option 97",
    mac: [0x00, 0x50, 0x56, 0x01, 0x02, 0x03],
    options: &[
        (57, "05c0"),
        (94, "010310"),
        (93, "0007"),
        (60, "=PXEClient:Arch:00007:UNDI:003016"),
    ],
    ..EDK2_X64
};

/// An ordinary client.
pub const UDHCPC: Model = Model {
    name: "udhcpc",
    mac: [0x02, 0x00, 0x00, 0x00, 0x00, 0x09],
    flags: 0,
    options: &[
        (61, "@"),
        (57, "0240"),
        (55, "0103060c0f1c2a"),
        (60, "=udhcp 1.35.0"),
        (12, "=laptop"),
    ],
};

/// All that ask for boot instructions.
pub const FIRMWARE: [Model; 11] = [
    EDK2_X64,
    EDK2_X64_9,
    EDK2_HTTP,
    EDK2_ARM64,
    IPXE_ROM,
    IPXE_POOR,
    INTEL_UNDI,
    SUPERMICRO,
    RASPBERRY_PI_4,
    U_BOOT,
    VMWARE,
];

impl Model {
    pub fn mac(&self) -> MacAddr {
        MacAddr::new(self.mac)
    }

    /// The same firmware on another card.
    pub fn on(self, mac: u32) -> Self {
        let [a, b, c, d] = mac.to_be_bytes();
        Self {
            mac: [0x02, 0xff, a, b, c, d],
            ..self
        }
    }

    pub fn message(&self, kind: u8, xid: u32) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0];
        bytes.extend(xid.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.flags.to_be_bytes());
        bytes.resize(28, 0);
        bytes.extend(self.mac);
        bytes.resize(236, 0);
        bytes.extend([99, 130, 83, 99, code::MESSAGE_TYPE, 1, kind]);
        for (code, data) in self.options {
            let data = match data.split_at_checked(1) {
                Some(("=", text)) => text.into(),
                Some(("@", _)) => [&[1], self.mac.as_slice()].concat(),
                _ => hex(data),
            };
            bytes.extend([*code, u8::try_from(data.len()).unwrap()]);
            bytes.extend(data);
        }
        bytes.push(code::END);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }

    /// A message that differs from the usual one.
    pub fn changed(&self, kind: u8, xid: u32, change: impl FnOnce(&mut Packet)) -> Vec<u8> {
        let mut packet = Packet::read(&self.message(kind, xid)).unwrap();
        change(&mut packet);
        packet.write(1472)
    }

    pub fn client(&self) -> Client {
        Client::read(&Packet::read(&self.message(DISCOVER, 1)).unwrap()).unwrap()
    }
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// A question to everybody, as a client without an address sends it.
pub fn to_all(payload: &[u8]) -> Frame<'_> {
    frame(
        (Ipv4Addr::UNSPECIFIED, 68),
        (Ipv4Addr::BROADCAST, 67),
        payload,
    )
}

pub fn frame(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), payload: &[u8]) -> Frame<'_> {
    Frame {
        src_mac: MacAddr::new([0x52, 0x54, 0, 0xee, 0xee, 0xee]),
        src: SocketAddrV4::new(src.0, src.1),
        dst: SocketAddrV4::new(dst.0, dst.1),
        vlan: None,
        payload,
    }
}

/// A network, and what its machines boot.
#[derive(Clone, Debug)]
pub struct World {
    pub config: NetworkConfig,
    pub version: u64,
    pub known: bool,
    pub worked: Option<Rung>,
    pub silent: bool,
    pub now: Timestamp,
}

impl Default for World {
    fn default() -> Self {
        Self {
            config: NetworkConfig::default(),
            version: 1,
            known: false,
            worked: None,
            silent: false,
            now: Timestamp::from_second(1_700_000_000).unwrap(),
        }
    }
}

static LINK: LazyLock<LinkName> = LazyLock::new(|| "eth0".parse().unwrap());

impl World {
    pub fn with(rungs: &[Rung]) -> Self {
        let mut world = Self::default();
        world.config.rungs = rungs.iter().copied().collect();
        world
    }

    pub fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let boot = |client: &Client, address| self.answer(client, address);
        look(&View {
            link: &LINK,
            own: OWN,
            prefix: 24,
            server: FLOATING,
            routed: ROUTED,
            mtu: 1500,
            config: &self.config,
            version: self.version,
            boot: &boot,
        })
    }

    pub fn answer(&self, client: &Client, address: Ipv4Addr) -> BootAnswer {
        let boot = if self.silent {
            Boot::Silence
        } else {
            Boot::Local
        };
        let file = match client.platform() {
            Some(Platform::X64) => Some("snponly.efi".to_owned()),
            Some(Platform::Bios) => Some("undionly.kpxe".to_owned()),
            Some(Platform::Arm64) => Some("snp-arm64.efi".to_owned()),
            Some(Platform::UBoot) => Some("pxelinux.0".to_owned()),
            _ => None,
        };
        let path = match client.firmware {
            Firmware::Ipxe(_) => "boot.ipxe",
            _ => "snponly.efi",
        };
        BootAnswer {
            decision: Decision {
                boot,
                why: "a test decides",
            },
            file,
            url: Some(format!("http://{address}:3080/{path}")),
            known: self.known,
            rung: self.worked,
        }
    }

    pub fn tell(&self, engine: &mut Engine, input: Input<'_>) -> Vec<Output> {
        self.view(|view| engine.handle(self.now, input, view))
    }

    pub fn hear(&self, engine: &mut Engine, frame: Frame<'_>) -> Vec<Output> {
        self.tell(engine, Input::Datagram(frame))
    }

    pub fn wait(&mut self, milliseconds: i64) {
        self.now += jiff::SignedDuration::from_millis(milliseconds);
    }
}

pub fn replies(outputs: &[Output]) -> Vec<(Reply, Packet)> {
    let read = |output: &Output| match output {
        Output::Send(reply) => Some((reply.clone(), Packet::read(&reply.payload).unwrap())),
        _ => None,
    };
    outputs.iter().filter_map(read).collect()
}

pub fn marks(outputs: &[Output]) -> Vec<Mark> {
    let mark = |output: &Output| match output {
        Output::Trace { step, .. } => Some(step.mark),
        _ => None,
    };
    outputs.iter().filter_map(mark).collect()
}

/// As many cases as a fuzz test runs: few in `make test`, millions in `make fuzz`.
pub fn fuzz_cases() -> usize {
    let asked = std::env::var("FUZZ_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}
