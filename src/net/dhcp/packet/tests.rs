use test_case::test_case;

use super::*;
use crate::net::dhcp::fixtures::*;

fn raw(options: &[u8]) -> Vec<u8> {
    let mut bytes = UDHCPC.message(DISCOVER, 7);
    bytes.truncate(240);
    bytes.extend_from_slice(options);
    bytes
}

fn listed(packet: &Packet) -> Vec<(u8, Vec<u8>)> {
    let pairs = packet.options.iter();
    pairs.map(|(code, data)| (code, data.to_vec())).collect()
}

#[test_case(&[], PacketError::Short(0); "nothing")]
#[test_case(&[1; 239], PacketError::Short(239); "no cookie's worth")]
#[test_case(&[0; 300], PacketError::Op(0); "no op")]
fn what_is_no_message_is_named(bytes: &[u8], error: PacketError) {
    assert_eq!(Packet::read(bytes), Err(error));
}

#[test]
fn a_hardware_length_beyond_its_field_is_refused() {
    let mut bytes = UDHCPC.message(DISCOVER, 7);
    bytes[2] = 17;
    assert_eq!(Packet::read(&bytes), Err(PacketError::HardwareLength(17)));
    bytes[2] = 16;
    let packet = Packet::read(&bytes).unwrap();
    assert_eq!(packet.mac(), None, "sixteen bytes are no Ethernet address");
}

#[test]
fn plain_bootp_is_refused() {
    let mut bytes = UDHCPC.message(DISCOVER, 7);
    bytes[236] = 0;
    assert_eq!(Packet::read(&bytes), Err(PacketError::Cookie));
}

#[test]
fn options_keep_their_order_and_what_repeats_is_one() {
    let packet = Packet::read(&raw(&[
        43, 2, 1, 2, 0, 0, 12, 1, 65, 43, 1, 3, 255, 66, 1, 1,
    ]));
    let packet = packet.unwrap();
    assert_eq!(listed(&packet), [(43, vec![1, 2, 3]), (12, vec![65])]);
    assert!(!packet.truncated);
}

#[test_case(&[53, 1, 1, 60, 9, 80], true; "data cut off")]
#[test_case(&[53, 1, 1, 60], true; "length cut off")]
#[test_case(&[53, 1, 1], false; "no end option")]
#[test_case(&[53, 1, 1, 255, 60, 99], false; "rubbish behind the end")]
fn a_malformed_tail_loses_nothing_before_it(options: &[u8], truncated: bool) {
    let packet = Packet::read(&raw(options)).unwrap();
    assert_eq!(packet.kind(), Some(Kind::Discover));
    assert_eq!(packet.truncated, truncated);
    assert_eq!(packet.options.get(60), None);
}

/// RFC 3396 5: an option that began in the options goes on in file, then in sname.
#[test]
fn options_go_on_in_file_and_sname() {
    let mut bytes = raw(&[52, 1, 3, 67, 1, b'a', 255]);
    bytes[108..112].copy_from_slice(&[67, 1, b'b', 255]);
    bytes[44..51].copy_from_slice(&[67, 1, b'c', 66, 1, b's', 255]);
    let packet = Packet::read(&bytes).unwrap();
    assert_eq!(
        listed(&packet),
        [(67, b"abc".to_vec()), (66, b"s".to_vec())]
    );
    assert!(packet.file.is_empty() && packet.sname.is_empty());
}

#[test]
fn names_end_at_their_nul_or_with_their_field() {
    let mut bytes = raw(&[255]);
    bytes[44..108].fill(b's');
    bytes[108..113].copy_from_slice(b"f\0xyz");
    let packet = Packet::read(&bytes).unwrap();
    assert_eq!(
        (packet.sname.len(), packet.file.as_slice()),
        (64, b"f".as_slice())
    );
}

#[test]
fn a_message_is_padded_and_ended() {
    let bytes = Packet::read(&raw(&[53, 1, 1])).unwrap().write(548);
    assert_eq!(bytes.len(), MIN_PAYLOAD);
    assert_eq!(&bytes[240..246], [53, 1, 1, 255, 0, 0]);
}

#[test]
fn names_that_do_not_fit_with_their_nul_are_left_out() {
    let mut packet = Packet::read(&raw(&[53, 1, 2])).unwrap();
    packet.file = vec![b'f'; 128];
    packet.sname = vec![b's'; 63];
    let read = Packet::read(&packet.write(548)).unwrap();
    assert!(read.file.is_empty());
    assert_eq!(read.sname.len(), 63);
}

#[test]
fn a_long_option_goes_in_pieces() {
    let mut packet = Packet::read(&raw(&[53, 1, 2])).unwrap();
    let long: Vec<u8> = (0..=255).cycle().take(600).collect();
    packet.options.set(43, long.clone());
    let bytes = packet.write(MAX_PAYLOAD);
    assert_eq!(&bytes[243..245], [43, 255]);
    assert_eq!(
        Packet::read(&bytes).unwrap().options.get(43),
        Some(long.as_slice())
    );
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end_but_for_what_is_needed() {
    let mut packet = Packet::read(&raw(&[53, 1, 2])).unwrap();
    packet.options.set(code::RELAY, [1; 40]);
    packet.options.set(60, *b"PXEClient");
    packet.options.set(67, [b'x'; 250]);
    packet.options.set(code::SERVER_ID, [1, 2, 3, 4]);
    let bytes = packet.write(limit(None, 1500));
    assert!(bytes.len() <= 548);
    let codes: Vec<u8> = Packet::read(&bytes)
        .unwrap()
        .options
        .iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(
        codes,
        [53, 60, code::SERVER_ID, code::RELAY],
        "the relay's is last"
    );
}

#[test_case(None, 1500, 548; "what every client takes")]
#[test_case(Some(1472), 1500, 1444; "EDK2")]
#[test_case(Some(9000), 9000, MAX_PAYLOAD; "never beyond one frame")]
#[test_case(Some(1500), 1400, 1372; "a tunnel")]
#[test_case(Some(12), 0, 548; "nonsense")]
fn a_message_is_as_long_as_client_and_link_take(asked: Option<u16>, mtu: u16, bytes: usize) {
    assert_eq!(limit(asked, mtu), bytes);
}

#[test]
fn sub_options_stop_at_what_is_malformed() {
    let found: Vec<_> = sub_options(&[6, 1, 8, 0, 71, 4, 0, 1]).collect();
    assert_eq!(found, [(6, [8].as_slice())]);
    assert_eq!(sub_option(&[6, 1, 8, 255, 71, 1, 1], 71), None);
}

/// The peer's decoder gives what ours gives, and reads what we write.
#[test]
fn dhcproto_reads_what_firmware_sends_as_we_do() {
    use dhcproto::{Decodable, Decoder};
    for model in FIRMWARE.iter().chain([&UDHCPC]) {
        let bytes = model.message(DISCOVER, 0x1234_5678);
        let ours = Packet::read(&bytes).unwrap();
        for bytes in [bytes, ours.write(1472)] {
            let theirs = dhcproto::v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
            assert_eq!(theirs.xid(), ours.xid, "{}", model.name);
            assert_eq!(theirs.chaddr(), model.mac);
            let class = theirs.opts().get(dhcproto::v4::OptionCode::ClassIdentifier);
            let dhcproto::v4::DhcpOption::ClassIdentifier(class) = class.unwrap() else {
                panic!("{}", model.name);
            };
            assert_eq!(Some(class.as_slice()), ours.options.get(60));
            let codes: std::collections::BTreeSet<u8> = theirs
                .opts()
                .iter()
                .map(|(code, _)| u8::from(*code))
                .collect();
            let own = ours.options.iter().map(|(code, _)| code);
            assert_eq!(codes, own.collect(), "{}", model.name);
        }
    }
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_reads_the_same(
            options in vec((1..=254_u8, vec(any::<u8>(), 0..300)), 0..6),
            sname in "[a-z.]{0,63}",
            file in "[a-z./]{0,127}",
            fields: (u32, u16, u16),
        ) {
            let mut packet = Packet::read(&raw(&[53, 1, 2])).unwrap();
            (packet.xid, packet.secs, packet.flags) = fields;
            (packet.sname, packet.file) = (sname.into_bytes(), file.into_bytes());
            for (code, data) in options {
                if !matches!(code, code::OVERLOAD | code::RELAY | code::MESSAGE_TYPE) {
                    packet.options.set(code, data);
                }
            }
            let bytes = packet.write(MAX_PAYLOAD);
            prop_assert!((MIN_PAYLOAD..=MAX_PAYLOAD).contains(&bytes.len()));
            let read = Packet::read(&bytes).unwrap();
            let total: usize = packet.options.iter().map(|(_, data)| data.len() + 4).sum();
            if total + 241 <= MAX_PAYLOAD {
                prop_assert_eq!(read, packet);
            }
        }
    }
}

#[test]
fn fuzz_dhcp_packets_neither_panic_nor_grow() {
    bolero::check!()
        .with_iterations(fuzz_cases())
        .for_each(|bytes: &[u8]| {
            let mut whole = UDHCPC.message(DISCOVER, 7);
            whole.truncate(240);
            whole.extend_from_slice(bytes);
            for bytes in [bytes, &whole] {
                let Ok(packet) = Packet::read(bytes) else {
                    continue;
                };
                let kept: usize = packet.options.iter().map(|(_, data)| data.len()).sum();
                assert!(kept <= bytes.len());
                assert!(packet.write(576).len() <= 576);
            }
        });
}
