//! Address resolution (RFC 826), built and parsed; the messages of RFC 5227 by their names.
//!
//! [`Prober`] asks who has an address, for the scan of a link and for the DHCP server's look before it leases.

mod prober;

use std::net::Ipv4Addr;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use super::frame::{self, ETHERNET_HEADER};
use crate::model::MacAddr;

pub use prober::{Answer, Pace, Prober};

/// An ARP packet for IPv4 over Ethernet.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |       hardware type = 1       |    protocol type = 0x0800     |
/// +---------------+---------------+-------------------------------+
/// |  hw len = 6   | proto len = 4 |           operation           |
/// +---------------+---------------+-------------------------------+
/// |                   sender hardware address                     |
/// +                               +-------------------------------+
/// |                               |   sender protocol address     |
/// +-------------------------------+-------------------------------+
/// |              …                |                               |
/// +-------------------------------+                               +
/// |                   target hardware address                     |
/// +---------------------------------------------------------------+
/// |                   target protocol address                     |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub operation: Operation,
    pub sender_mac: MacAddr,
    pub sender: Ipv4Addr,
    /// Of no meaning in a request.
    pub target_mac: MacAddr,
    pub target: Ipv4Addr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Request,
    Reply,
}

const NOBODY: MacAddr = MacAddr::new([0; 6]);

/// Why bytes are no ARP packet that concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArpError {
    #[error("ARP packet of {0} bytes is too short; one for IPv4 over Ethernet has 28")]
    TooShort(usize),
    #[error("ARP packet is for other addresses than IPv4 over Ethernet")]
    OtherAddresses,
    #[error("ARP operation {0} is neither a request nor a reply")]
    UnknownOperation(u16),
    #[error("ARP sender {0} is no address of a single card")]
    SenderNotUnicast(MacAddr),
}

impl Packet {
    /// Without the Ethernet header.
    pub const LENGTH: usize = 28;

    /// RFC 5227, section 1.1: asks who has an address, without claiming anything.
    pub fn probe(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, address)
    }

    /// RFC 5227, section 1.1: says that an address is now in use here.
    pub fn announcement(mac: MacAddr, address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }

    pub fn request(mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender,
            target_mac: NOBODY,
            target,
        }
    }

    pub fn reply(mac: MacAddr, sender: Ipv4Addr, to: MacAddr, target: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender,
            target_mac: to,
            target,
        }
    }

    /// A request that claims no address of its own.
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender.is_unspecified()
    }

    /// Reads what follows the Ethernet header; padding behind it is left alone.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArpError> {
        let too_short = ArpError::TooShort(bytes.len());
        if bytes.len() < Self::LENGTH {
            return Err(too_short);
        }
        let packet = ArpPacket::new_checked(bytes).map_err(|_| ArpError::OtherAddresses)?;
        let operation = match packet.operation() {
            ArpOperation::Request => Operation::Request,
            ArpOperation::Reply => Operation::Reply,
            ArpOperation::Unknown(other) => return Err(ArpError::UnknownOperation(other)),
        };
        let ArpRepr::EthernetIpv4 {
            source_hardware_addr,
            source_protocol_addr,
            target_hardware_addr,
            target_protocol_addr,
            ..
        } = ArpRepr::parse(&packet).map_err(|_| ArpError::OtherAddresses)?
        else {
            return Err(ArpError::OtherAddresses);
        };
        let sender_mac = MacAddr::new(source_hardware_addr.0);
        if !sender_mac.is_unicast() {
            return Err(ArpError::SenderNotUnicast(sender_mac));
        }
        Ok(Self {
            operation,
            sender_mac,
            sender: source_protocol_addr,
            target_mac: MacAddr::new(target_hardware_addr.0),
            target: target_protocol_addr,
        })
    }

    /// The whole frame: a request goes to everybody, a reply to the one who asked.
    pub fn to_frame(&self) -> Vec<u8> {
        let to = match self.operation {
            Operation::Request => frame::BROADCAST,
            Operation::Reply => self.target_mac,
        };
        let mut bytes = frame::start(to, self.sender_mac, None, EthernetProtocol::Arp);
        bytes.resize(ETHERNET_HEADER + Self::LENGTH, 0);
        let repr = ArpRepr::EthernetIpv4 {
            operation: match self.operation {
                Operation::Request => ArpOperation::Request,
                Operation::Reply => ArpOperation::Reply,
            },
            source_hardware_addr: EthernetAddress(self.sender_mac.octets()),
            source_protocol_addr: self.sender,
            target_hardware_addr: EthernetAddress(self.target_mac.octets()),
            target_protocol_addr: self.target,
        };
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_HEADER..]));
        frame::pad(bytes)
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::net::frame::{Checksum, Frame};

    const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 3);
    const ASKER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 9);

    /// As tcpdump shows it on the wire.
    const PROBE: [u8; 60] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1, 0x08, 0x06, // Ethernet
        0, 1, 0x08, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
        0x52, 0x54, 0, 0, 0, 1, 0, 0, 0, 0, // sender
        0, 0, 0, 0, 0, 0, 192, 168, 77, 3, // target
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // padding
    ];

    #[test]
    fn a_probe_is_these_bytes() {
        assert_eq!(Packet::probe(MAC, ADDRESS).to_frame(), PROBE);
    }

    #[test_case(Packet::probe(MAC, ADDRESS), true; "probe")]
    #[test_case(Packet::announcement(MAC, ADDRESS), false; "announcement")]
    #[test_case(Packet::request(MAC, ASKER, ADDRESS), false; "request")]
    #[test_case(Packet::reply(MAC, ADDRESS, OTHER, ASKER), false; "reply")]
    fn what_was_built_reads_the_same(packet: Packet, is_probe: bool) {
        assert_eq!(packet.is_probe(), is_probe);
        assert_eq!(
            Packet::parse(&packet.to_frame()[ETHERNET_HEADER..]),
            Ok(packet)
        );
    }

    #[test]
    fn a_request_goes_to_everybody_and_a_reply_to_the_one_who_asked() {
        let to = |packet: Packet| packet.to_frame()[..6].to_vec();
        assert_eq!(to(Packet::announcement(MAC, ADDRESS)), [0xff; 6]);
        assert_eq!(
            to(Packet::reply(MAC, ADDRESS, OTHER, ASKER)),
            OTHER.octets()
        );
    }

    #[test]
    fn one_byte_less_is_too_short() {
        for length in 0..Packet::LENGTH {
            let cut = &PROBE[ETHERNET_HEADER..ETHERNET_HEADER + length];
            assert_eq!(Packet::parse(cut), Err(ArpError::TooShort(length)));
        }
        assert!(Packet::parse(&PROBE[ETHERNET_HEADER..ETHERNET_HEADER + Packet::LENGTH]).is_ok());
    }

    #[test_case(0, 6, ArpError::OtherAddresses; "not over Ethernet")]
    #[test_case(2, 0x86, ArpError::OtherAddresses; "not for IPv4")]
    #[test_case(4, 8, ArpError::OtherAddresses; "long hardware addresses")]
    #[test_case(5, 16, ArpError::OtherAddresses; "long protocol addresses")]
    #[test_case(4, 255, ArpError::OtherAddresses; "addresses longer than the packet")]
    #[test_case(7, 3, ArpError::UnknownOperation(3); "reverse request")]
    #[test_case(8, 0xff, ArpError::SenderNotUnicast(MacAddr::new([0xff, 0x54, 0, 0, 0, 1])); "a group as sender")]
    fn what_does_not_concern_us_is_refused(at: usize, byte: u8, error: ArpError) {
        let mut bytes = PROBE[ETHERNET_HEADER..].to_vec();
        bytes[at] = byte;
        assert_eq!(Packet::parse(&bytes), Err(error));
    }

    #[test]
    fn fuzz_arp_parse() {
        bolero::check!()
            .with_iterations(frame::fuzz_cases())
            .for_each(|bytes: &[u8]| {
                if let Ok(packet) = Packet::parse(bytes) {
                    let frame = packet.to_frame();
                    let again = Frame::parse(&frame, None, Checksum::Verify);
                    assert_eq!(again, Ok(Frame::Arp(packet)));
                }
            });
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn every_packet_survives_the_wire(sender: [u8; 4], target: [u8; 4], mac: [u8; 5], to: [u8; 6], reply: bool) {
                let packet = Packet {
                    operation: if reply { Operation::Reply } else { Operation::Request },
                    sender_mac: MacAddr::new([2, mac[0], mac[1], mac[2], mac[3], mac[4]]),
                    sender: sender.into(),
                    target_mac: MacAddr::new(to),
                    target: target.into(),
                };
                let frame = packet.to_frame();
                prop_assert_eq!(frame.len(), frame::MIN);
                prop_assert_eq!(Packet::parse(&frame[ETHERNET_HEADER..]), Ok(packet));
            }
        }
    }
}
