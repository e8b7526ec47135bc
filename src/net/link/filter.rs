//! The program by which the kernel chooses the frames that are worth a wake-up.
//!
//! Let through are ARP and, over IPv4, whole UDP datagrams to ports 67 and 4011, and those from port 67 to port 68: what
//! other DHCP servers give out. The tag of one VLAN is passed over; the kernel takes it off before, as a rule. Fragments
//! are refused: what is asked of us fits into one frame.

use super::sys::Instruction;

/// Classic BPF (Linux `Documentation/networking/filter.rst`): A and X are its registers, jumps count from the next
/// instruction, a load outside of the frame refuses it.
mod code {
    /// A ← two bytes at k.
    pub const LOAD_HALF: u16 = 0x28;
    /// A ← the byte at k.
    pub const LOAD_BYTE: u16 = 0x30;
    /// A ← two bytes at X + k.
    pub const LOAD_HALF_X: u16 = 0x48;
    /// X ← four times the low half of the byte at k: the length of an IPv4 header.
    pub const LOAD_X_HEADER: u16 = 0xb1;
    /// Goes on by `jt` where A = k, else by `jf`.
    pub const JUMP_EQUAL: u16 = 0x15;
    /// The same where A and k have a bit in common.
    pub const JUMP_SET: u16 = 0x45;
    /// Ends: k bytes of the frame are wanted.
    pub const RETURN: u16 = 0x06;
}

const ARP: u32 = 0x0806;
const IPV4: u32 = 0x0800;
const TAGGED: u32 = 0x8100;
const UDP: u32 = 17;
/// RFC 791, section 3.1: more fragments, or an offset.
const FRAGMENT: u32 = 0x3fff;
const SERVER: u32 = 67;
const CLIENT: u32 = 68;
const BINL: u32 = 4011;
const WHOLE: u32 = 0x0004_0000;

const fn load(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Offsets of a frame without a tag; with one, all but the first are four more.
const TYPE: u32 = 12;
const IP: u32 = 14;
const TAG: u32 = 4;

/// Both halves do the same, at offsets of their own.
#[rustfmt::skip]
pub(super) const PROGRAM: [Instruction; 31] = [
    /*  0 */ load(code::LOAD_HALF, TYPE),
    /*  1 */ jump(code::JUMP_EQUAL, ARP, 27, 0),            // → 29
    /*  2 */ jump(code::JUMP_EQUAL, IPV4, 1, 0),            // → 4
    /*  3 */ jump(code::JUMP_EQUAL, TAGGED, 11, 26),        // → 15, 30
    // IPv4.
    /*  4 */ load(code::LOAD_BYTE, IP + 9),                 // protocol
    /*  5 */ jump(code::JUMP_EQUAL, UDP, 0, 24),            // → 30
    /*  6 */ load(code::LOAD_HALF, IP + 6),                 // flags and fragment offset
    /*  7 */ jump(code::JUMP_SET, FRAGMENT, 22, 0),         // → 30
    /*  8 */ load(code::LOAD_X_HEADER, IP),
    /*  9 */ load(code::LOAD_HALF_X, IP + 2),               // destination port
    /* 10 */ jump(code::JUMP_EQUAL, SERVER, 18, 0),         // → 29
    /* 11 */ jump(code::JUMP_EQUAL, BINL, 17, 0),           // → 29
    /* 12 */ jump(code::JUMP_EQUAL, CLIENT, 0, 17),         // → 30
    /* 13 */ load(code::LOAD_HALF_X, IP),                   // source port
    /* 14 */ jump(code::JUMP_EQUAL, SERVER, 14, 15),        // → 29, 30
    // Behind a tag.
    /* 15 */ load(code::LOAD_HALF, TYPE + TAG),
    /* 16 */ jump(code::JUMP_EQUAL, ARP, 12, 0),            // → 29
    /* 17 */ jump(code::JUMP_EQUAL, IPV4, 0, 12),           // → 30
    /* 18 */ load(code::LOAD_BYTE, IP + TAG + 9),
    /* 19 */ jump(code::JUMP_EQUAL, UDP, 0, 10),            // → 30
    /* 20 */ load(code::LOAD_HALF, IP + TAG + 6),
    /* 21 */ jump(code::JUMP_SET, FRAGMENT, 8, 0),          // → 30
    /* 22 */ load(code::LOAD_X_HEADER, IP + TAG),
    /* 23 */ load(code::LOAD_HALF_X, IP + TAG + 2),
    /* 24 */ jump(code::JUMP_EQUAL, SERVER, 4, 0),          // → 29
    /* 25 */ jump(code::JUMP_EQUAL, BINL, 3, 0),            // → 29
    /* 26 */ jump(code::JUMP_EQUAL, CLIENT, 0, 3),          // → 30
    /* 27 */ load(code::LOAD_HALF_X, IP + TAG),
    /* 28 */ jump(code::JUMP_EQUAL, SERVER, 0, 1),          // → 29, 30
    /* 29 */ load(code::RETURN, WHOLE),
    /* 30 */ load(code::RETURN, 0),
];

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use test_case::test_case;

    use super::*;
    use crate::model::MacAddr;
    use crate::net::{arp, frame::UdpFrame};

    const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);

    /// What the kernel does with a frame.
    fn passes(frame: &[u8]) -> bool {
        run(frame).is_some_and(|wanted| wanted > 0)
    }

    /// None where a load leaves the frame.
    fn run(frame: &[u8]) -> Option<u32> {
        let byte = |at: u32| frame.get(usize::try_from(at).ok()?).copied().map(u32::from);
        let half = |at: u32| Some(byte(at)? << 8 | byte(at + 1)?);
        let (mut a, mut x, mut next) = (0, 0, 0);
        loop {
            let Instruction { code, jt, jf, k } = PROGRAM[next];
            next += 1;
            let mut go = |taken: bool| next += usize::from(if taken { jt } else { jf });
            match code {
                code::LOAD_HALF => a = half(k)?,
                code::LOAD_BYTE => a = byte(k)?,
                code::LOAD_HALF_X => a = half(x + k)?,
                code::LOAD_X_HEADER => x = (byte(k)? & 0x0f) * 4,
                code::JUMP_EQUAL => go(a == k),
                code::JUMP_SET => go(a & k != 0),
                code::RETURN => return Some(k),
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn udp(vlan: Option<u16>, src: u16, dst: u16) -> Vec<u8> {
        let frame = UdpFrame {
            src_mac: MAC,
            dst_mac: MAC,
            vlan,
            src: SocketAddrV4::new(Ipv4Addr::LOCALHOST, src),
            dst: SocketAddrV4::new(Ipv4Addr::LOCALHOST, dst),
            payload: &[0; 300],
        };
        frame.build().unwrap()
    }

    #[test_case(68, 67, true; "a client asks")]
    #[test_case(67, 67, true; "a relay asks")]
    #[test_case(4011, 67, true; "from any port")]
    #[test_case(68, 4011, true; "a client asks for boot instructions")]
    #[test_case(67, 68, true; "another server answers")]
    #[test_case(4011, 68, false; "our own answers, reflected")]
    #[test_case(53, 68, false; "another answer to port 68")]
    #[test_case(5353, 5353, false; "mDNS")]
    #[test_case(67, 69, false; "TFTP")]
    fn of_udp_only_dhcp_passes(src: u16, dst: u16, passes: bool) {
        assert_eq!(self::passes(&udp(None, src, dst)), passes);
        assert_eq!(self::passes(&udp(Some(10), src, dst)), passes, "in a VLAN");
    }

    #[test]
    fn arp_passes() {
        let mut frame = arp::Packet::probe(MAC, Ipv4Addr::LOCALHOST).to_frame();
        assert!(passes(&frame));
        frame.splice(12..12, [0x81, 0, 0, 10]);
        assert!(passes(&frame));
    }

    #[test_case(0x86dd; "IPv6")]
    #[test_case(0x88cc; "LLDP")]
    #[test_case(0x88a8; "a provider's tag")]
    #[test_case(0x0805; "next to ARP")]
    fn no_other_type_passes(kind: u16) {
        for (vlan, at) in [(None, 12), (Some(10), 16)] {
            let mut frame = udp(vlan, 68, 67);
            frame[at..at + 2].copy_from_slice(&kind.to_be_bytes());
            assert!(!passes(&frame), "{vlan:?}");
        }
    }

    #[test_case(6, 0x20; "the first fragment")]
    #[test_case(7, 0x01; "a later fragment")]
    #[test_case(6, 0x10; "one far behind")]
    #[test_case(9, 6; "TCP")]
    fn no_fragment_and_no_other_protocol_passes(at: usize, value: u8) {
        for (vlan, ip) in [(None, 14), (Some(10), 18)] {
            let mut frame = udp(vlan, 68, 67);
            frame[ip + at] = value;
            assert!(!passes(&frame), "{vlan:?}");
        }
    }

    /// RFC 791: Don't Fragment is no fragment.
    #[test]
    fn a_packet_that_must_not_be_fragmented_passes() {
        let mut frame = udp(None, 68, 67);
        frame[20] = 0x40;
        assert!(passes(&frame));
    }

    #[test]
    fn ports_are_found_behind_ip_options() {
        for (vlan, ip) in [(None, 14), (Some(10), 18)] {
            let mut frame = udp(vlan, 68, 67);
            frame[ip] = 0x4f;
            frame.splice(ip + 20..ip + 20, [1; 40]);
            assert!(passes(&frame), "{vlan:?}");
        }
    }

    #[test]
    fn no_cut_frame_passes_that_has_lost_its_ports() {
        for (vlan, ports) in [(None, 38), (Some(10), 42)] {
            let frame = udp(vlan, 68, 67);
            for length in 0..frame.len() {
                assert_eq!(passes(&frame[..length]), length >= ports, "{length}");
            }
        }
    }

    #[test]
    fn every_jump_ends_inside_the_program() {
        for (at, instruction) in PROGRAM.iter().enumerate() {
            let furthest = at + 1 + usize::from(instruction.jt.max(instruction.jf));
            let is_jump = instruction.code & 0x07 == 0x05;
            assert!(!is_jump || furthest < PROGRAM.len(), "{at}");
        }
    }
}
