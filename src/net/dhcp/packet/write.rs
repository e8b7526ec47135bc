//! How a message is written: bounded, padded, each name ended by a NUL.

use super::{COOKIE, FILE, HEADER, Op, Options, Packet, SNAME, code};

/// RFC 951 3: a BOOTP message has 300 bytes, and some relays and firmware drop shorter ones.
pub const MIN_PAYLOAD: usize = 300;

/// What fits into one Ethernet frame; EDK2 drops what is longer.
pub const MAX_PAYLOAD: usize = 1472;

/// The IP and UDP headers, which option 57 counts (RFC 2132 9.10 speaks of the datagram).
const DATAGRAM: usize = 28;

/// RFC 2131 2: what every client takes.
const MIN_MAX_SIZE: usize = 576;

/// The most bytes that a client with this option 57 takes on a link with this MTU.
pub fn limit(max_size: Option<u16>, mtu: u16) -> usize {
    let asked = max_size.map_or(MIN_MAX_SIZE, usize::from).max(MIN_MAX_SIZE);
    let fits = usize::from(mtu).clamp(MIN_MAX_SIZE, MAX_PAYLOAD + DATAGRAM);
    asked.min(fits) - DATAGRAM
}

/// Whether a reply means something else without it, so that it is written whatever its place.
const fn is_needed(code: u8) -> bool {
    matches!(
        code,
        code::MESSAGE_TYPE | code::SERVER_ID | code::LEASE_TIME | code::SUBNET_MASK | code::RELAY
    )
}

impl Packet {
    /// The message in at most `limit` bytes; never longer than [`MAX_PAYLOAD`]. When it does not fit, options are
    /// left out from the end, but for those that it needs: what matters less stands later. Option 82 is
    /// written as the last one (RFC 3046 2.1).
    pub fn write(&self, limit: usize) -> Vec<u8> {
        let limit = limit.clamp(MIN_PAYLOAD, MAX_PAYLOAD);
        let mut bytes = Vec::with_capacity(limit);
        self.write_header(&mut bytes);
        // The end option.
        let mut room = limit - HEADER - 1;
        let needed: usize = self.options.needed().map(|(_, data)| size(data)).sum();
        let mut spare = room.saturating_sub(needed);
        let last = self.options.iter().filter(|(code, _)| *code == code::RELAY);
        let others = self.options.iter().filter(|(code, _)| *code != code::RELAY);
        for (code, data) in others.chain(last) {
            let budget = if is_needed(code) {
                &mut room
            } else {
                &mut spare
            };
            if size(data) > *budget {
                continue;
            }
            *budget -= size(data);
            if !is_needed(code) {
                room -= size(data);
            }
            write_option(&mut bytes, code, data);
        }
        bytes.push(code::END);
        bytes.resize(bytes.len().max(MIN_PAYLOAD), code::PAD);
        bytes
    }

    fn write_header(&self, bytes: &mut Vec<u8>) {
        let op = match self.op {
            Op::Request => 1,
            Op::Reply => 2,
        };
        bytes.extend([op, self.htype, self.hlen, self.hops]);
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            bytes.extend(address.octets());
        }
        bytes.extend(self.chaddr);
        write_name(bytes, &self.sname, SNAME.len());
        write_name(bytes, &self.file, FILE.len());
        bytes.extend(COOKIE);
    }
}

impl Options {
    fn needed(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.iter().filter(|(code, _)| is_needed(*code))
    }
}

/// A name with its NUL. One that is too long is left out: half a name is another name.
fn write_name(bytes: &mut Vec<u8>, name: &[u8], length: usize) {
    let end = bytes.len() + length;
    if name.len() < length {
        bytes.extend_from_slice(name);
    }
    bytes.resize(end, 0);
}

/// As many bytes as an option takes with the headers of its pieces.
fn size(data: &[u8]) -> usize {
    data.len() + 2 * data.len().div_ceil(255).max(1)
}

/// RFC 3396 7: what is longer than 255 bytes goes in pieces, one behind the other.
fn write_option(bytes: &mut Vec<u8>, code: u8, data: &[u8]) {
    if data.is_empty() {
        bytes.extend([code, 0]);
    }
    for piece in data.chunks(255) {
        bytes.push(code);
        bytes.push(u8::try_from(piece.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(piece);
    }
}
