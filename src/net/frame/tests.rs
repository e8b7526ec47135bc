use test_case::test_case;

use super::*;

const CLIENT: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
const SERVER: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 2]);

/// Offsets in an untagged frame.
const IP: usize = ETHERNET_HEADER;
const UDP: usize = IP + IPV4_HEADER;

fn discover(vlan: Option<u16>, payload: &[u8]) -> UdpFrame<'_> {
    UdpFrame {
        src_mac: CLIENT,
        dst_mac: BROADCAST,
        vlan,
        src: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        dst: to_everybody(67),
        payload,
    }
}

fn unicast(payload: &[u8]) -> UdpFrame<'_> {
    UdpFrame {
        src_mac: SERVER,
        dst_mac: CLIENT,
        vlan: None,
        src: "192.168.77.2:4011".parse().unwrap(),
        dst: "192.168.77.100:68".parse().unwrap(),
        payload,
    }
}

fn parse(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    Frame::parse(bytes, None, Checksum::Verify)
}

/// Makes the IPv4 header's checksum right again after a change.
fn mend(bytes: &mut [u8]) {
    Ipv4Packet::new_unchecked(&mut bytes[IP..]).fill_checksum();
}

#[test_case(discover(None, b"hello"); "broadcast")]
#[test_case(discover(Some(10), b"hello"); "in a VLAN")]
#[test_case(discover(Some(4094), &[7; 548]); "a long one in the last VLAN")]
#[test_case(unicast(&[1; 301]); "to one client, of odd length")]
#[test_case(unicast(&[]); "empty")]
fn what_was_built_reads_the_same(frame: UdpFrame<'_>) {
    let bytes = frame.build().unwrap();
    assert!(bytes.len() >= MIN);
    assert_eq!(parse(&bytes), Ok(Frame::Udp(frame)));
}

#[test]
fn padding_is_no_payload() {
    let bytes = discover(None, b"x").build().unwrap();
    assert_eq!(bytes.len(), MIN);
    let Ok(Frame::Udp(frame)) = parse(&bytes) else {
        panic!("it did not parse");
    };
    assert_eq!(frame.payload, b"x");
}

#[test]
fn a_tag_that_the_kernel_took_off_counts() {
    let bytes = discover(None, b"x").build().unwrap();
    // Priority 5, VLAN 10.
    let read = Frame::parse(&bytes, Some(0xa00a), Checksum::Verify);
    assert_eq!(read, Ok(Frame::Udp(discover(Some(10), b"x"))));
}

#[test]
fn a_tag_that_only_tells_a_priority_is_no_vlan() {
    let bytes = discover(None, b"x").build().unwrap();
    let read = Frame::parse(&bytes, Some(0xa000), Checksum::Verify);
    assert_eq!(read, Ok(Frame::Udp(discover(None, b"x"))));
}

#[test]
fn two_tags_are_refused_wherever_they_stand() {
    let bytes = discover(Some(10), b"x").build().unwrap();
    let twice = Frame::parse(&bytes, Some(20), Checksum::Verify);
    assert_eq!(twice, Err(FrameError::TwoTags));
    let mut bytes = bytes;
    bytes.splice(12..12, [0x81, 0, 0, 20]);
    assert_eq!(parse(&bytes), Err(FrameError::TwoTags));
}

/// An address of one VLAN says nothing about the same address in another.
#[test]
fn arp_of_a_vlan_is_not_that_of_the_link() {
    let bytes = arp::Packet::probe(CLIENT, Ipv4Addr::new(10, 0, 0, 1)).to_frame();
    assert!(parse(&bytes).is_ok());
    let read = Frame::parse(&bytes, Some(10), Checksum::Verify);
    assert_eq!(read, Err(FrameError::OtherType(0x0806)));
}

#[test]
fn every_cut_of_a_frame_is_refused() {
    for (frame, header) in [
        (discover(None, &[9; 40]), 14),
        (discover(Some(3), &[9; 40]), 18),
    ] {
        let bytes = frame.build().unwrap();
        for length in 0..bytes.len() {
            let error = parse(&bytes[..length]).unwrap_err();
            if length < header {
                assert_eq!(error, FrameError::TooShort(length));
            } else {
                assert_eq!(error, FrameError::Ipv4, "{length}");
            }
        }
    }
}

#[test_case(|b| b[12] = 0x86, FrameError::OtherType(0x8600); "of another type")]
#[test_case(|b| b[IP] = 0x65, FrameError::Ipv4; "of IP version 6")]
#[test_case(|b| b[IP] = 0x44, FrameError::Ipv4; "with a header of 16 bytes")]
#[test_case(|b| b[IP + 3] = 19, FrameError::Ipv4; "that ends inside its header")]
#[test_case(|b| b[IP + 2] = 2, FrameError::Ipv4; "longer than its frame")]
#[test_case(|b| b[IP + 8] ^= 1, FrameError::Ipv4Checksum; "with another checksum")]
#[test_case(|b| { b[IP + 6] = 0x20; mend(b); }, FrameError::Fragment; "with fragments to come")]
#[test_case(|b| { b[IP + 7] = 1; mend(b); }, FrameError::Fragment; "that is a later fragment")]
#[test_case(|b| { b[IP + 9] = 6; mend(b); }, FrameError::NotUdp(6); "with TCP")]
#[test_case(|b| b[UDP + 4] = 9, FrameError::Udp; "with UDP longer than its packet")]
#[test_case(|b| { b[UDP + 5] = 7; b[UDP + 4] = 0; }, FrameError::Udp; "with UDP shorter than its header")]
#[test_case(|b| b[UDP + 9] ^= 1, FrameError::UdpChecksum; "with a changed payload")]
#[test_case(|b| b[IP + 15] ^= 1, FrameError::Ipv4Checksum; "with another sender")]
fn a_frame_is_refused(change: fn(&mut [u8]), error: FrameError) {
    let mut bytes = discover(None, &[9; 40]).build().unwrap();
    change(&mut bytes);
    assert_eq!(parse(&bytes), Err(error));
}

#[test]
fn a_datagram_without_a_checksum_is_taken() {
    let mut bytes = discover(None, b"hello").build().unwrap();
    bytes[UDP + 6..UDP + 8].fill(0);
    assert!(parse(&bytes).is_ok());
}

#[test]
fn a_checksum_that_a_card_would_have_filled_in_is_not_asked_for() {
    let mut bytes = discover(None, b"hello").build().unwrap();
    bytes[UDP + 6] ^= 1;
    assert!(Frame::parse(&bytes, None, Checksum::NotReady).is_ok());
}

#[test]
fn ip_options_are_passed_over() {
    let mut bytes = discover(None, b"hello").build().unwrap();
    bytes.splice(UDP..UDP, [1, 1, 1, 0]);
    bytes[IP] = 0x46;
    bytes[IP + 3] += 4;
    mend(&mut bytes);
    assert_eq!(parse(&bytes), Ok(Frame::Udp(discover(None, b"hello"))));
}

#[test]
fn more_than_a_datagram_holds_is_refused() {
    let most = vec![0; UdpFrame::MAX_PAYLOAD];
    assert!(discover(None, &most).build().is_ok());
    let more = vec![0; UdpFrame::MAX_PAYLOAD + 1];
    let error = discover(None, &more).build().unwrap_err();
    assert_eq!(error, FrameError::PayloadTooLong(more.len()));
}

#[test]
fn fuzz_frame_parse() {
    bolero::check!()
        .with_iterations(fuzz_cases())
        .for_each(|bytes: &[u8]| {
            for checksum in [Checksum::Verify, Checksum::NotReady] {
                if let Ok(Frame::Udp(frame)) = Frame::parse(bytes, None, checksum) {
                    let built = frame.build().unwrap();
                    assert_eq!(parse(&built), Ok(Frame::Udp(frame)));
                }
            }
        });
}

/// Random bytes rarely get past the headers: here they are right, and what they say is not.
#[test]
fn fuzz_frame_damaged() {
    bolero::check!()
        .with_type::<(Vec<u8>, Vec<(u8, u8)>, bool)>()
        .with_iterations(fuzz_cases())
        .for_each(|(payload, damage, tagged)| {
            let mut bytes = discover(tagged.then_some(7), payload).build().unwrap();
            for (at, byte) in damage {
                let at = usize::from(*at) % bytes.len().min(64);
                bytes[at] = *byte;
            }
            let header = if *tagged { 18 } else { 14 };
            if usize::from(bytes[header] & 0x0f) * 4 <= bytes.len() - header {
                Ipv4Packet::new_unchecked(&mut bytes[header..]).fill_checksum();
            }
            if let Ok(Frame::Udp(frame)) = Frame::parse(&bytes, None, Checksum::NotReady) {
                assert!(frame.payload.len() <= bytes.len());
            }
        });
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_datagram_survives_the_wire(
            payload in proptest::collection::vec(any::<u8>(), 0..1500),
            vlan in proptest::option::of(1..4095_u16),
            src: (u32, u16),
            dst: (u32, u16),
        ) {
            let frame = UdpFrame {
                src_mac: CLIENT,
                dst_mac: SERVER,
                vlan,
                src: SocketAddrV4::new(Ipv4Addr::from_bits(src.0), src.1),
                dst: SocketAddrV4::new(Ipv4Addr::from_bits(dst.0), dst.1),
                payload: &payload,
            };
            let bytes = frame.build().unwrap();
            prop_assert_eq!(parse(&bytes), Ok(Frame::Udp(frame)));
        }
    }
}
