//! A DHCP message, read and written.
//!
//! The codec is our own since what comes from firmware has to be kept as it came: every option with its order,
//! the ones before a malformed tail, and every architecture of option 93.

mod write;

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use crate::model::MacAddr;

pub use write::{MAX_PAYLOAD, MIN_PAYLOAD, limit};

/// The options that are spoken of here (RFC 2132, 3046, 4578; 175 is iPXE's own).
pub mod code {
    pub const PAD: u8 = 0;
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOSTNAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const BROADCAST: u8 = 28;
    pub const VENDOR: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL: u8 = 58;
    pub const REBINDING: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const USER_CLASS: u8 = 77;
    pub const RELAY: u8 = 82;
    pub const ARCH: u8 = 93;
    pub const UNDI: u8 = 94;
    pub const UUID: u8 = 97;
    pub const IPXE: u8 = 175;
    pub const END: u8 = 255;
}

/// Whether a message goes to servers or to clients (RFC 2131 2, `op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Request,
    Reply,
}

/// Option 53 (RFC 2132 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];

    fn read(value: u8) -> Option<Self> {
        let at = usize::from(value).checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    pub const fn value(self) -> u8 {
        self as u8 + 1
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "DISCOVER",
            Self::Offer => "OFFER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Ack => "ACK",
            Self::Nak => "NAK",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
        }
    }
}

/// Why bytes are no DHCP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("length {0}, a message has at least {HEADER}")]
    Short(usize),
    #[error("op {0}, neither a request nor a reply")]
    Op(u8),
    #[error("hardware length {0}, the field holds 16")]
    HardwareLength(u8),
    #[error("no magic cookie: BOOTP without options")]
    Cookie,
}

/// The fixed fields and the cookie.
const HEADER: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;

/// A message (RFC 2131 2).
///
/// ```text
///    0                   1                   2                   3
///    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///   +---------------+---------------+---------------+---------------+
/// 0 |     op        |    htype      |     hlen      |     hops      |
///   +---------------+---------------+---------------+---------------+
/// 4 |                              xid                              |
///   +-------------------------------+-------------------------------+
/// 8 |             secs              |B|           flags             |
///   +-------------------------------+-------------------------------+
///12 |             ciaddr, yiaddr, siaddr, giaddr: 4 each            |
///   +---------------------------------------------------------------+
///28 |                          chaddr (16)                          |
///   +---------------------------------------------------------------+
///44 |                          sname (64)                           |
///   +---------------------------------------------------------------+
///108|                          file (128)                           |
///   +---------------------------------------------------------------+
///236|                     99, 130, 83, 99                           |
///   +---------------------------------------------------------------+
///240|                 options: code, length, data ...               |
///   +---------------------------------------------------------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub op: Op,
    pub htype: u8,
    pub hlen: u8,
    pub hops: u8,
    pub xid: u32,
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: [u8; 16],
    /// Up to its first NUL; empty where it held options (RFC 2132 9.3).
    pub sname: Vec<u8>,
    /// The same.
    pub file: Vec<u8>,
    pub options: Options,
    /// The options ended in the midst of one: the ones before it are here.
    pub truncated: bool,
}

impl Packet {
    /// The broadcast flag (RFC 2131 2, figure 2).
    pub const BROADCAST: u16 = 0x8000;

    pub fn read(bytes: &[u8]) -> Result<Self, PacketError> {
        let Some((header, area)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(PacketError::Short(bytes.len()));
        };
        let op = match header[0] {
            1 => Op::Request,
            2 => Op::Reply,
            other => return Err(PacketError::Op(other)),
        };
        if header[2] > 16 {
            return Err(PacketError::HardwareLength(header[2]));
        }
        if header[236..] != COOKIE {
            return Err(PacketError::Cookie);
        }
        let mut packet = Self::header(op, header);
        packet.read_options(area, &header[SNAME], &header[FILE]);
        Ok(packet)
    }

    fn header(op: Op, bytes: &[u8; HEADER]) -> Self {
        let address = |at: usize| Ipv4Addr::from(four(bytes, at));
        let mut chaddr = [0; 16];
        chaddr.copy_from_slice(&bytes[28..44]);
        Self {
            op,
            htype: bytes[1],
            hlen: bytes[2],
            hops: bytes[3],
            xid: u32::from_be_bytes(four(bytes, 4)),
            secs: u16::from_be_bytes([bytes[8], bytes[9]]),
            flags: u16::from_be_bytes([bytes[10], bytes[11]]),
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            chaddr,
            sname: Vec::new(),
            file: Vec::new(),
            options: Options::default(),
            truncated: false,
        }
    }

    /// RFC 3396 5: the areas are one text in the order options, file, sname; what repeats is concatenated.
    fn read_options(&mut self, area: &[u8], sname: &[u8], file: &[u8]) {
        let mut whole = self.options.read(area);
        let overload = self.options.take(code::OVERLOAD);
        let overload = overload.and_then(|data| data.first().copied()).unwrap_or(0);
        if overload & 1 != 0 {
            whole &= self.options.read(file);
        } else {
            self.file = until_nul(file).to_vec();
        }
        if overload & 2 != 0 {
            whole &= self.options.read(sname);
        } else {
            self.sname = until_nul(sname).to_vec();
        }
        // An area of options holds no second word about areas.
        self.options.take(code::OVERLOAD);
        self.truncated = !whole;
    }

    /// The answer to a request: its transaction, its hardware address, its relay and nothing else.
    pub fn reply_to(request: &Self, kind: Kind) -> Self {
        let mut options = Options::default();
        options.set(code::MESSAGE_TYPE, [kind.value()]);
        Self {
            op: Op::Reply,
            hops: 0,
            secs: 0,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            sname: Vec::new(),
            file: Vec::new(),
            options,
            truncated: false,
            ..*request
        }
    }

    pub fn kind(&self) -> Option<Kind> {
        let data = self.options.get(code::MESSAGE_TYPE)?;
        Kind::read(*data.first()?)
    }

    /// The client's card; none when it is no Ethernet (or the like) or belongs to no single one.
    pub fn mac(&self) -> Option<MacAddr> {
        let mac = MacAddr::new(*self.chaddr.first_chunk()?);
        (self.hlen == 6 && mac.is_unicast()).then_some(mac)
    }

    pub const fn wants_broadcast(&self) -> bool {
        self.flags & Self::BROADCAST != 0
    }
}

fn four(bytes: &[u8; HEADER], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// Options in their order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        let found = self.0.iter().find(|(own, _)| *own == code);
        found.map(|(_, data)| data.as_slice())
    }

    /// The first address in an option; none where it is shorter.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let data = self.get(code)?.first_chunk::<4>()?;
        Some(Ipv4Addr::from(*data))
    }

    pub fn number(&self, code: u8) -> Option<u32> {
        self.address(code).map(u32::from)
    }

    /// Puts the data in the place of what the option held, or at the end.
    pub fn set(&mut self, code: u8, data: impl Into<Vec<u8>>) {
        match self.0.iter_mut().find(|(own, _)| *own == code) {
            Some((_, old)) => *old = data.into(),
            None => self.0.push((code, data.into())),
        }
    }

    pub fn take(&mut self, code: u8) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(own, _)| *own == code)?;
        Some(self.0.remove(at).1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, data)| (*code, data.as_slice()))
    }

    /// Reads one area (RFC 2132 2). Returns whether it ended where an option may end; firmware that leaves
    /// out the end option is believed.
    fn read(&mut self, mut area: &[u8]) -> bool {
        while let Some((code, rest)) = area.split_first() {
            area = rest;
            match *code {
                code::PAD => {}
                code::END => return true,
                code => {
                    let Some((length, rest)) = area.split_first() else {
                        return false;
                    };
                    let Some((data, rest)) = rest.split_at_checked(usize::from(*length)) else {
                        return false;
                    };
                    area = rest;
                    self.append(code, data);
                }
            }
        }
        true
    }

    fn append(&mut self, code: u8, data: &[u8]) {
        match self.0.iter_mut().find(|(own, _)| *own == code) {
            Some((_, old)) => old.extend_from_slice(data),
            None => self.0.push((code, data.to_vec())),
        }
    }
}

/// The options inside of another one (43 and 175 hold such); a malformed tail is left out.
pub fn sub_options(data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        loop {
            let (code, tail) = rest.split_first()?;
            rest = tail;
            match *code {
                code::PAD => {}
                code::END => return None,
                code => {
                    let (length, tail) = rest.split_first()?;
                    let (data, tail) = tail.split_at_checked(usize::from(*length))?;
                    rest = tail;
                    return Some((code, data));
                }
            }
        }
    })
}

pub fn sub_option(data: &[u8], code: u8) -> Option<&[u8]> {
    sub_options(data).find_map(|(own, data)| (own == code).then_some(data))
}
