//! Ethernet frames with UDP or ARP in them, built and parsed. Offsets and checksums are `smoltcp`'s.
//!
//! Parsing is the edge: what comes out is an ARP packet or a whole UDP datagram, and nothing else does.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr,
    UdpPacket, UdpRepr,
};

use super::arp::{self, ArpError};
use crate::model::MacAddr;

pub const BROADCAST: MacAddr = MacAddr::new([0xff; 6]);
/// Destination, source, type.
pub const ETHERNET_HEADER: usize = 14;
/// The shortest frame that may stand on a wire, without its check sequence.
pub const MIN: usize = 60;

/// A tag's type and its content: priority and VLAN.
const TAG: usize = 4;
const TAGGED: u16 = 0x8100;
const VLAN_MASK: u16 = 0x0fff;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Arp(arp::Packet),
    Udp(UdpFrame<'a>),
}

/// A whole UDP datagram over IPv4, with the cards that it went between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpFrame<'a> {
    pub src_mac: MacAddr,
    pub dst_mac: MacAddr,
    /// The VLAN of its tag; none for one without a tag, or with one that only tells a priority.
    pub vlan: Option<u16>,
    pub src: SocketAddrV4,
    pub dst: SocketAddrV4,
    pub payload: &'a [u8],
}

/// Whether a UDP checksum can be right already. It cannot in a frame from this very machine, where the
/// card would have filled it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Verify,
    NotReady,
}

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {0} bytes ends inside its Ethernet header")]
    TooShort(usize),
    #[error("frame of type {0:#06x} is neither ARP nor IPv4")]
    OtherType(u16),
    #[error("frame has more than one VLAN tag")]
    TwoTags,
    #[error(transparent)]
    Arp(#[from] ArpError),
    /// RFC 791, section 3.1.
    #[error("IPv4 header is damaged or longer than its frame")]
    Ipv4,
    #[error("IPv4 checksum is wrong")]
    Ipv4Checksum,
    /// RFC 791, section 3.2: what is asked of us fits into one frame.
    #[error("IPv4 packet is a fragment")]
    Fragment,
    #[error("IPv4 packet of protocol {0} is not UDP")]
    NotUdp(u8),
    /// RFC 768.
    #[error("UDP length does not fit its packet")]
    Udp,
    #[error("UDP checksum is wrong")]
    UdpChecksum,
    #[error("payload of {0} bytes is longer than a UDP datagram can be")]
    PayloadTooLong(usize),
}

impl<'a> Frame<'a> {
    /// Reads a frame as it came off the link; `stripped` is the tag that the kernel took off, if it did.
    pub fn parse(
        bytes: &'a [u8],
        stripped: Option<u16>,
        checksum: Checksum,
    ) -> Result<Self, FrameError> {
        let frame =
            EthernetFrame::new_checked(bytes).map_err(|_| FrameError::TooShort(bytes.len()))?;
        let (kind, tag, inner) = untag(frame.ethertype().into(), frame.payload())?;
        let tag = match (stripped, tag) {
            (Some(_), Some(_)) => return Err(FrameError::TwoTags),
            (stripped, tag) => stripped.or(tag),
        };
        // IEEE 802.1Q: VLAN 0 is a priority, and no VLAN.
        let vlan = tag.map(|tag| tag & VLAN_MASK).filter(|vlan| *vlan != 0);
        match EthernetProtocol::from(kind) {
            EthernetProtocol::Arp if vlan.is_none() => Ok(Self::Arp(arp::Packet::parse(inner)?)),
            EthernetProtocol::Ipv4 => {
                let (src, dst, payload) = datagram(inner, checksum)?;
                Ok(Self::Udp(UdpFrame {
                    src_mac: MacAddr::new(frame.src_addr().0),
                    dst_mac: MacAddr::new(frame.dst_addr().0),
                    vlan,
                    src,
                    dst,
                    payload,
                }))
            }
            other => Err(FrameError::OtherType(other.into())),
        }
    }
}

/// Takes one tag off: type, tag and what it stood before.
fn untag(kind: u16, inner: &[u8]) -> Result<(u16, Option<u16>, &[u8]), FrameError> {
    if kind != TAGGED {
        return Ok((kind, None, inner));
    }
    let short = FrameError::TooShort(ETHERNET_HEADER + inner.len());
    let (tag, rest) = inner.split_first_chunk::<TAG>().ok_or(short)?;
    let [control_high, control_low, kind_high, kind_low] = *tag;
    let kind = u16::from_be_bytes([kind_high, kind_low]);
    if kind == TAGGED {
        return Err(FrameError::TwoTags);
    }
    let control = u16::from_be_bytes([control_high, control_low]);
    Ok((kind, Some(control), rest))
}

/// What a whole IPv4 packet with UDP in it carries.
fn datagram(
    bytes: &[u8],
    checksum: Checksum,
) -> Result<(SocketAddrV4, SocketAddrV4, &[u8]), FrameError> {
    let packet = Ipv4Packet::new_checked(bytes).map_err(|_| FrameError::Ipv4)?;
    if packet.version() != 4 || usize::from(packet.header_len()) < IPV4_HEADER {
        return Err(FrameError::Ipv4);
    }
    if !packet.verify_checksum() {
        return Err(FrameError::Ipv4Checksum);
    }
    if packet.more_frags() || packet.frag_offset() != 0 {
        return Err(FrameError::Fragment);
    }
    if packet.next_header() != IpProtocol::Udp {
        return Err(FrameError::NotUdp(packet.next_header().into()));
    }
    let udp = UdpPacket::new_checked(packet.payload()).map_err(|_| FrameError::Udp)?;
    let (src, dst) = (packet.src_addr(), packet.dst_addr());
    let verify = checksum == Checksum::Verify;
    if verify && !udp.verify_checksum(&IpAddress::Ipv4(src), &IpAddress::Ipv4(dst)) {
        return Err(FrameError::UdpChecksum);
    }
    let src = SocketAddrV4::new(src, udp.src_port());
    let dst = SocketAddrV4::new(dst, udp.dst_port());
    Ok((src, dst, udp.payload()))
}

impl UdpFrame<'_> {
    /// What one datagram can carry at most (RFC 791: a packet has 65,535 bytes).
    pub const MAX_PAYLOAD: usize = 65_535 - IPV4_HEADER - UDP_HEADER;

    /// The bytes for the link, checksums and padding included.
    pub fn build(&self) -> Result<Vec<u8>, FrameError> {
        let length = self.payload.len();
        if length > Self::MAX_PAYLOAD {
            return Err(FrameError::PayloadTooLong(length));
        }
        let mut bytes = start(
            self.dst_mac,
            self.src_mac,
            self.vlan,
            EthernetProtocol::Ipv4,
        );
        let header = bytes.len();
        bytes.resize(header + IPV4_HEADER + UDP_HEADER + length, 0);
        let checksums = ChecksumCapabilities::default();
        let (src, dst) = (*self.src.ip(), *self.dst.ip());
        let ip = Ipv4Repr {
            src_addr: src,
            dst_addr: dst,
            next_header: IpProtocol::Udp,
            payload_len: UDP_HEADER + length,
            hop_limit: HOP_LIMIT,
        };
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[header..]);
        ip.emit(&mut packet, &checksums);
        let udp = UdpRepr {
            src_port: self.src.port(),
            dst_port: self.dst.port(),
        };
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &src.into(),
            &dst.into(),
            length,
            |payload| payload.copy_from_slice(self.payload),
            &checksums,
        );
        Ok(pad(bytes))
    }
}

/// The Ethernet header, with a tag where there is a VLAN.
pub(super) fn start(
    to: MacAddr,
    from: MacAddr,
    vlan: Option<u16>,
    kind: EthernetProtocol,
) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_HEADER];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress(to.octets()));
    frame.set_src_addr(EthernetAddress(from.octets()));
    frame.set_ethertype(if vlan.is_some() { TAGGED.into() } else { kind });
    if let Some(vlan) = vlan {
        bytes.extend((vlan & VLAN_MASK).to_be_bytes());
        bytes.extend(u16::from(kind).to_be_bytes());
    }
    bytes
}

pub(super) fn pad(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < MIN {
        bytes.resize(MIN, 0);
    }
    bytes
}

/// How many inputs a fuzz test of this room tries.
#[cfg(test)]
pub(super) fn fuzz_cases() -> usize {
    let asked = std::env::var("FUZZ_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

/// The addresses of a datagram that goes to everybody on a link.
pub const fn to_everybody(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, port)
}

#[cfg(test)]
mod tests;
