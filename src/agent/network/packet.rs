//! DHCP's UDP datagrams inside IPv4 packets (RFC 791, RFC 768), for the time before the kernel has an address.
//!
//! ```text
//!  0      1      2      3
//! | 45   | tos  | total length | identification | flags, offset |
//! | ttl  | 17   | checksum     | source                         |
//! | destination                | source port    | destination port |
//! | length      | checksum     | data …
//! ```

use std::net::Ipv4Addr;

pub(super) const CLIENT: u16 = 68;
pub(super) const SERVER: u16 = 67;

const IP: usize = 20;
const UDP: usize = 8;
const PROTOCOL: u8 = 17;

/// The packet from a client to a server.
pub(super) fn wrap(from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let total = u16::try_from(IP + UDP + message.len()).unwrap_or(u16::MAX);
    let length = total - 20;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, PROTOCOL, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = !sum(&packet, 0);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(CLIENT.to_be_bytes());
    packet.extend(SERVER.to_be_bytes());
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(message);
    let check = udp_sum(&packet).unwrap_or(0);
    // RFC 768: zero says that there is none, so that a zero is sent as ones.
    let check = if check == 0 { 0xffff } else { check };
    packet[IP + 6..IP + 8].copy_from_slice(&check.to_be_bytes());
    packet
}

/// The message in a whole packet from a server to a client; none in any other.
pub(super) fn unwrap(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(number(packet, 2)?);
    let packet = packet.get(..total)?;
    let fragment = number(packet, 6)? & 0x3fff;
    if first >> 4 != 4 || header < IP || fragment != 0 || packet.get(9) != Some(&PROTOCOL) {
        return None;
    }
    if number(packet, header + 2)? != CLIENT || number(packet, header)? != SERVER {
        return None;
    }
    let length = usize::from(number(packet, header + 4)?);
    packet.get(header + UDP..header.checked_add(length)?)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

/// The checksum that belongs into a packet of ours whose field for it is zero.
fn udp_sum(packet: &[u8]) -> Option<u16> {
    let length = u16::try_from(packet.len() - IP).ok()?;
    let pseudo = u32::from(sum(packet.get(12..20)?, 0)) + u32::from(PROTOCOL) + u32::from(length);
    Some(!sum(packet.get(IP..)?, pseudo))
}

/// RFC 1071: the one's complement sum of all pairs of bytes.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = bytes.chunks(2).fold(start, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], low]))
    });
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    /// As a server would send it.
    fn answer(message: &[u8]) -> Vec<u8> {
        let mut packet = wrap(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::BROADCAST, message);
        packet[IP..IP + 4].copy_from_slice(&[0, 67, 0, 68]);
        packet
    }

    #[test_case(b"hello"; "odd")]
    #[test_case(b"even"; "even")]
    fn the_sums_of_what_is_sent_are_right(message: &[u8]) {
        let packet = wrap(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, message);
        assert_eq!(sum(&packet[..IP], 0), 0xffff);
        assert_eq!(udp_sum(&packet), Some(0));
        assert_eq!(packet.len(), 28 + message.len());
    }

    #[test]
    fn an_answer_is_read_and_what_the_link_added_is_not() {
        let mut packet = answer(b"lease");
        packet.extend([0; 18]);
        assert_eq!(unwrap(&packet), Some(&b"lease"[..]));
    }

    #[test]
    fn no_part_of_an_answer_is_taken_for_one() {
        let packet = answer(b"lease");
        for end in 0..packet.len() {
            assert_eq!(unwrap(&packet[..end]), None, "{end}");
        }
    }

    #[test_case(0, 0x65; "of another version")]
    #[test_case(6, 0x20; "a fragment")]
    #[test_case(9, 6; "TCP")]
    #[test_case(21, 80; "from another port")]
    #[test_case(23, 80; "to another port")]
    #[test_case(25, 7; "shorter than its own header")]
    #[test_case(25, 200; "longer than it is")]
    fn any_other_packet_is_none(at: usize, byte: u8) {
        let mut packet = answer(b"lease");
        packet[at] = byte;
        assert_eq!(unwrap(&packet), None);
    }
}
