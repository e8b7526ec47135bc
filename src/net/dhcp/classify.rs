//! Who asks: the firmware, the architecture and the names in a client's message.
//!
//! Whoever does not say that it boots the network is [`Firmware::Plain`], and is none of our business beside
//! another server.

pub mod ipxe;

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use uuid::Uuid;

use super::packet::{Kind, Packet, code};
use crate::model::boot::Platform;
use crate::model::{Arch, MacAddr};

pub use ipxe::Ipxe;

/// What kind of program asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// It boots its own disk and wants an address.
    Plain,
    /// A PXE ROM or UEFI's PXE (`PXEClient` in option 60).
    Pxe,
    /// UEFI's HTTP boot (`HTTPClient`).
    HttpClient,
    Ipxe(Ipxe),
    UBoot,
    RaspberryPi,
}

impl Firmware {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain DHCP",
            Self::Pxe => "PXE",
            Self::HttpClient => "HTTP boot",
            Self::Ipxe(_) => "iPXE",
            Self::UBoot => "U-Boot",
            Self::RaspberryPi => "Raspberry Pi",
        }
    }
}

/// A client, as its message tells of it. Texts are escaped and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub mac: MacAddr,
    pub kind: Kind,
    pub xid: u32,
    pub secs: u16,
    pub firmware: Firmware,
    /// Option 93, whole; a client may boot in several ways.
    pub archs: Vec<Arch>,
    /// Option 97 where it holds one (RFC 4578 2.3).
    pub uuid: Option<Uuid>,
    /// Option 97 as it came, which is echoed.
    pub uuid_raw: Option<Vec<u8>>,
    /// Option 60.
    pub vendor: String,
    pub hostname: Option<String>,
    /// Option 61.
    pub client_id: Option<Vec<u8>>,
    /// Option 55.
    pub parameters: Vec<u8>,
    /// Option 43.71: the boot item that a client chose (PXE 2.1, 2.4.5).
    pub boot_item: Option<Vec<u8>>,
    /// Option 57.
    pub max_size: Option<u16>,
    pub ciaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
}

/// The vendor's half of the addresses of Raspberry Pi boards.
const RASPBERRY: [[u8; 3]; 6] = [
    [0xb8, 0x27, 0xeb],
    [0xdc, 0xa6, 0x32],
    [0xe4, 0x5f, 0x01],
    [0x28, 0xcd, 0xc1],
    [0xd8, 0x3a, 0xdd],
    [0x2c, 0xcf, 0x67],
];

/// As many characters of a name are kept; with escapes it may be longer by a factor.
const MAX_TEXT: usize = 64;
/// Options beyond these lengths are no identifiers; a lease keeps them.
const MAX_CLIENT_ID: usize = 64;
const MAX_UUID: usize = 32;
/// RFC 4578 2.1 has no bound; a machine has few architectures.
const MAX_ARCHS: usize = 16;

impl Client {
    /// Reads who asks; none when the message is no request of a client, or has no card's address.
    pub fn read(packet: &Packet) -> Option<Self> {
        let kind = packet.kind()?;
        let asks = !matches!(kind, Kind::Offer | Kind::Ack | Kind::Nak);
        if !asks || packet.op != super::packet::Op::Request {
            return None;
        }
        let options = &packet.options;
        let mac = packet.mac()?;
        let vendor = options.get(code::VENDOR_CLASS).unwrap_or_default();
        let archs = architectures(options.get(code::ARCH).unwrap_or_default(), vendor);
        let uuid_raw = options
            .get(code::UUID)
            .filter(|data| data.len() <= MAX_UUID);
        let client_id = options.get(code::CLIENT_ID);
        let client_id = client_id.filter(|data| (2..=MAX_CLIENT_ID).contains(&data.len()));
        Some(Self {
            mac,
            kind,
            xid: packet.xid,
            secs: packet.secs,
            firmware: firmware(packet, mac, vendor, &archs),
            archs,
            uuid: uuid_raw.and_then(uuid),
            uuid_raw: uuid_raw.map(<[u8]>::to_vec),
            vendor: text(vendor),
            hostname: options
                .get(code::HOSTNAME)
                .map(text)
                .filter(|name| !name.is_empty()),
            client_id: client_id.map(<[u8]>::to_vec),
            parameters: options.get(code::PARAMETERS).unwrap_or_default().to_vec(),
            boot_item: boot_item(options.get(code::VENDOR).unwrap_or_default()),
            max_size: max_size(options.get(code::MAX_SIZE)),
            ciaddr: packet.ciaddr,
            giaddr: packet.giaddr,
        })
    }

    /// Whether it asks for boot instructions at all.
    pub const fn boots(&self) -> bool {
        !matches!(self.firmware, Firmware::Plain)
    }

    pub const fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// The first architecture for which there is a platform; else the first that it named.
    pub fn arch(&self) -> Option<Arch> {
        let known = self.archs.iter().find(|arch| arch.platform().is_some());
        known.or(self.archs.first()).copied()
    }

    /// What the machine is, as far as loaders differ. A board is known by its card, whatever it says.
    pub fn platform(&self) -> Option<Platform> {
        match self.firmware {
            Firmware::RaspberryPi => Some(Platform::RaspberryPi),
            _ => self.arch().and_then(Arch::platform),
        }
    }

    /// What a person calls it: `UEFI x64 (PXE)`.
    pub fn describe(&self) -> String {
        let firmware = self.firmware.name();
        match (self.platform(), self.arch()) {
            (Some(Platform::RaspberryPi), _) | (None, None) => firmware.to_owned(),
            (Some(platform), _) => format!("{platform} ({firmware})"),
            (None, Some(arch)) => format!("{arch} ({firmware})"),
        }
    }
}

fn firmware(packet: &Packet, mac: MacAddr, vendor: &[u8], archs: &[Arch]) -> Firmware {
    if let Some(ipxe) = Ipxe::read(&packet.options) {
        return Firmware::Ipxe(ipxe);
    }
    if vendor.starts_with(b"HTTPClient") {
        return Firmware::HttpClient;
    }
    let platform = archs.iter().find_map(|arch| arch.platform());
    let pxe = vendor.starts_with(b"PXEClient");
    // U-Boot takes the first offer that it sees. One that does not name its architecture asked for an address alone.
    let asks = pxe || packet.options.get(code::ARCH).is_some();
    if asks && (vendor.starts_with(b"U-Boot") || (pxe && platform == Some(Platform::UBoot))) {
        return Firmware::UBoot;
    }
    if !pxe {
        return Firmware::Plain;
    }
    // The Pi's own ROM says BIOS; UEFI on a Pi says what it is.
    let board = RASPBERRY.contains(&mac.oui()) && matches!(platform, None | Some(Platform::Bios));
    if board || platform == Some(Platform::RaspberryPi) {
        return Firmware::RaspberryPi;
    }
    Firmware::Pxe
}

/// Option 93 (RFC 4578 2.1); where it is missing, what option 60 says (`PXEClient:Arch:00007:UNDI:003016`), and for a
/// PXE client that says neither, BIOS, which is all there was when clients did so.
fn architectures(option: &[u8], vendor: &[u8]) -> Vec<Arch> {
    let pairs = option.as_chunks::<2>().0.iter();
    let named: Vec<_> = pairs
        .map(|pair| Arch(u16::from_be_bytes(*pair)))
        .take(MAX_ARCHS)
        .collect();
    if !named.is_empty() {
        return named;
    }
    let said = std::str::from_utf8(vendor).ok().and_then(|vendor| {
        let (_, rest) = vendor.split_once(":Arch:")?;
        rest.get(..5)?.parse().ok().map(Arch)
    });
    let bios = vendor.starts_with(b"PXEClient").then_some(Arch(0));
    said.or(bios).into_iter().collect()
}

/// RFC 4578 2.3: type 0 and sixteen bytes. Firmware sends a GUID's first three fields little-endian, as SMBIOS has
/// them, or not: no rule holds, so the bytes are taken in their order.
fn uuid(data: &[u8]) -> Option<Uuid> {
    let (kind, rest) = data.split_first()?;
    let bytes = <[u8; 16]>::try_from(rest).ok()?;
    (*kind == 0).then(|| Uuid::from_bytes(bytes))
}

fn boot_item(vendor: &[u8]) -> Option<Vec<u8>> {
    let item = super::packet::sub_option(vendor, 71)?;
    (item.len() == 4).then(|| item.to_vec())
}

fn max_size(data: Option<&[u8]>) -> Option<u16> {
    data.and_then(|data| data.first_chunk::<2>())
        .map(|size| u16::from_be_bytes(*size))
}

/// Bytes of the wire as a person may read them: printable ASCII as it is, all else escaped.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    bytes[..end]
        .iter()
        .take(MAX_TEXT)
        .copied()
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect()
}
