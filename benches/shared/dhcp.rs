//! What firmware says to DHCP, as far as a bench says it (RFC 2131, section 2): x86-64 UEFI that wants its answers as
//! broadcasts.

#![allow(dead_code, reason = "each bench uses its part")]

use std::net::Ipv4Addr;

const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// Where the options begin, behind the cookie.
const OPTIONS: usize = 240;

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 2 is an offer, 5 an acknowledgement.
    pub kind: u8,
    pub number: u32,
    pub address: Ipv4Addr,
    pub server: Ipv4Addr,
}

pub fn discover(mac: [u8; 6], number: u32) -> Vec<u8> {
    ask(mac, number, 1, &[])
}

/// For what was offered.
pub fn request(mac: [u8; 6], offer: &Answer) -> Vec<u8> {
    let mut more = vec![50, 4];
    more.extend(offer.address.octets());
    more.extend([54, 4]);
    more.extend(offer.server.octets());
    ask(mac, offer.number, 3, &more)
}

fn ask(mac: [u8; 6], number: u32, kind: u8, more: &[u8]) -> Vec<u8> {
    let mut packet = vec![1, 1, 6, 0];
    packet.extend(number.to_be_bytes());
    packet.extend([0, 0, 0x80, 0]);
    packet.extend([0; 16]);
    packet.extend(mac);
    packet.extend([0; 10 + 64 + 128]);
    packet.extend(COOKIE);
    packet.extend([
        53, 1, kind, 93, 2, 0, 7, 94, 3, 1, 3, 16, 55, 4, 1, 3, 66, 67,
    ]);
    packet.extend([60, 32]);
    packet.extend(b"PXEClient:Arch:00007:UNDI:003016");
    packet.extend(more);
    packet.push(255);
    packet
}

pub fn answer(packet: &[u8]) -> Option<Answer> {
    let four = |from: usize| packet.get(from..from + 4)?.try_into().ok();
    let mut answer = Answer {
        kind: 0,
        number: u32::from_be_bytes(four(4)?),
        address: <[u8; 4]>::into(four(16)?),
        server: Ipv4Addr::UNSPECIFIED,
    };
    let mut rest = packet.get(OPTIONS..)?;
    while let [code, length, more @ ..] = rest {
        let value = more.get(..usize::from(*length))?;
        match (code, value) {
            (53, [kind]) => answer.kind = *kind,
            (54, [a, b, c, d]) => answer.server = Ipv4Addr::new(*a, *b, *c, *d),
            _ => {}
        }
        rest = &more[value.len()..];
    }
    Some(answer)
}
