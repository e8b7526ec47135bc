use std::net::SocketAddrV4;

use test_case::test_case;

use super::*;
use crate::net::dhcp::fixtures::*;
use crate::net::dhcp::packet::sub_option;

fn choose(model: &Model, address: Ipv4Addr) -> (Packet, Client, Instructions) {
    let packet = Packet::read(&model.message(DISCOVER, 9)).unwrap();
    let client = model.client();
    let answer = World::default().answer(&client, address);
    let instructions = Instructions::choose(&client, &answer, address).unwrap();
    (packet, client, instructions)
}

fn offer(model: &Model, rung: Rung) -> (Reply, Packet) {
    let (packet, client, instructions) = choose(model, FLOATING);
    let payload = model.message(DISCOVER, 9);
    let frame = to_all(&payload);
    let reply = World::default()
        .view(|view| proxy_offer(&packet, &client, &instructions, rung, &frame, view));
    let read = Packet::read(&reply.payload).unwrap();
    (reply, read)
}

/// N3: server and file in every place where some firmware looks for them.
#[test_case(EDK2_X64, "snponly.efi")]
#[test_case(EDK2_X64_9, "snponly.efi")]
#[test_case(EDK2_ARM64, "snp-arm64.efi")]
#[test_case(INTEL_UNDI, "undionly.kpxe")]
#[test_case(SUPERMICRO, "snponly.efi")]
#[test_case(U_BOOT, "pxelinux.0")]
#[test_case(VMWARE, "snponly.efi")]
#[test_case(IPXE_ROM, "http://192.168.1.6:3080/boot.ipxe")]
#[test_case(IPXE_POOR, "undionly.kpxe"; "a poor iPXE gets a full one")]
fn a_proxy_offer_names_server_and_file_everywhere(model: Model, file: &str) {
    let (reply, packet) = offer(&model, Rung::Proxy);
    let get = |code| packet.options.get(code);
    assert_eq!(packet.kind(), Some(Kind::Offer));
    assert_eq!(packet.xid, 9);
    assert_eq!(packet.mac(), Some(model.mac()));
    assert_eq!(packet.flags, model.flags);
    assert_eq!(
        (packet.yiaddr, packet.siaddr),
        (Ipv4Addr::UNSPECIFIED, FLOATING)
    );
    assert_eq!(
        (packet.sname.as_slice(), packet.file.as_slice()),
        (b"192.168.1.6".as_slice(), file.as_bytes())
    );
    assert_eq!(get(67), Some([file.as_bytes(), b"\0"].concat().as_slice()));
    assert_eq!(get(66), Some(b"192.168.1.6".as_slice()));
    assert_eq!(get(60), Some(b"PXEClient".as_slice()));
    assert_eq!(get(54), Some(FLOATING.octets().as_slice()));
    assert_eq!(get(43), Some([6, 1, 8, 255].as_slice()));
    assert_eq!(get(97).map(<[u8]>::to_vec), model.client().uuid_raw);
    for code in [code::LEASE_TIME, code::SUBNET_MASK, code::ROUTER, code::DNS] {
        assert_eq!(get(code), None, "no word about addresses");
    }
    assert_eq!(reply.src, SocketAddrV4::new(FLOATING, 67));
    assert_eq!(
        (reply.dst_mac, reply.dst),
        (EVERYBODY, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68))
    );
}

#[test]
fn http_boot_gets_a_url_with_an_address() {
    let (_, packet) = offer(&EDK2_HTTP, Rung::Binl);
    assert_eq!(packet.options.get(60), Some(b"HTTPClient".as_slice()));
    let url = b"http://192.168.1.6:3080/snponly.efi";
    assert_eq!(packet.file, url);
    assert_eq!(
        packet.options.get(67).unwrap(),
        [url.as_slice(), b"\0"].concat()
    );
    assert_eq!(packet.options.get(43), None);
}

#[test]
fn a_raspberry_pi_gets_the_words_that_it_looks_for() {
    let (_, packet) = offer(&RASPBERRY_PI_4, Rung::Proxy);
    let vendor = packet.options.get(43).unwrap();
    assert_eq!(&vendor[..3], [6, 1, 8]);
    let item = sub_option(vendor, 9).unwrap();
    assert_eq!(item, b"\0\0\x11Raspberry Pi Boot");
    assert_eq!(sub_option(vendor, 10), Some(b"\0PXE".as_slice()));
    assert_eq!(vendor.last(), Some(&255));
    assert_eq!(packet.siaddr, FLOATING);
}

#[test]
fn without_option_43_a_client_has_to_ask_on_4011() {
    let (_, packet) = offer(&EDK2_X64, Rung::Binl);
    assert_eq!(packet.options.get(43), None);
    assert_eq!(packet.options.get(60), Some(b"PXEClient".as_slice()));
    assert_eq!(packet.options.get(54), Some(FLOATING.octets().as_slice()));
    assert_eq!(packet.siaddr, FLOATING);
    assert!(packet.file.is_empty() && packet.options.get(67).is_none());
}

fn binl(model: &Model, kind: u8, frame: (Ipv4Addr, u16), to: Ipv4Addr) -> (Reply, Packet) {
    let (_, client, instructions) = choose(model, FLOATING);
    let client = Client {
        kind: if kind == REQUEST {
            Kind::Request
        } else {
            Kind::Discover
        },
        ..client
    };
    let payload = model.changed(kind, 9, |packet| packet.ciaddr = frame.0);
    let request = Packet::read(&payload).unwrap();
    let seen = super::super::fixtures::frame(frame, (to, 4011), &payload);
    let reply =
        World::default().view(|view| binl_answer(&request, &client, &instructions, &seen, view));
    let read = Packet::read(&reply.payload).unwrap();
    (reply, read)
}

/// Dnsmasq 2.92 sends these to 255.255.255.255:68, where nobody listens for them.
#[test_case(68; "EDK2 asks from 68")]
#[test_case(4011; "EDK2 asks from 4011")]
fn an_answer_on_4011_goes_back_to_where_the_question_came_from(port: u16) {
    let (reply, packet) = binl(&EDK2_X64, REQUEST, (LEASED, port), FLOATING);
    assert_eq!(packet.kind(), Some(Kind::Ack));
    assert_eq!(reply.dst, SocketAddrV4::new(LEASED, port));
    assert_eq!(reply.src, SocketAddrV4::new(FLOATING, 4011));
    assert_ne!(reply.dst_mac, EVERYBODY);
    assert_eq!(packet.file, b"snponly.efi");
    assert_eq!(packet.yiaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(packet.ciaddr, LEASED);
}

#[test]
fn an_answer_on_4011_comes_from_the_address_that_was_asked() {
    let (reply, _) = binl(&EDK2_X64, REQUEST, (LEASED, 68), OWN);
    assert_eq!(*reply.src.ip(), OWN);
    let (reply, packet) = binl(
        &EDK2_X64,
        DISCOVER,
        (Ipv4Addr::UNSPECIFIED, 68),
        Ipv4Addr::BROADCAST,
    );
    assert_eq!(*reply.src.ip(), FLOATING);
    assert_eq!(reply.dst, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
    assert_eq!(packet.kind(), Some(Kind::Offer));
}

#[test]
fn the_chosen_boot_item_is_echoed() {
    let (mut packet, mut client, _) = choose(&INTEL_UNDI, FLOATING);
    packet.options.set(43, [71, 4, 0, 1, 0, 0, 255]);
    client.boot_item = Client::read(&packet).unwrap().boot_item;
    let answer = World::default().answer(&client, FLOATING);
    let instructions = Instructions::choose(&client, &answer, FLOATING).unwrap();
    instructions.put_on(&mut packet);
    assert_eq!(
        packet.options.get(43),
        Some([6, 1, 8, 71, 4, 0, 1, 0, 0, 255].as_slice())
    );
}

/// RFC 2131 4.1, and RFC 3046 2.2 for the relay.
#[test_case(RELAY, Ipv4Addr::UNSPECIFIED, false, Ipv4Addr::UNSPECIFIED, (RELAY, 67); "to the relay")]
#[test_case(RELAY, LEASED, true, LEASED, (RELAY, 67); "to the relay whatever else")]
#[test_case(Ipv4Addr::UNSPECIFIED, LEASED, true, LEASED, (LEASED, 68); "to the address that it has")]
#[test_case(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, true, LEASED, (Ipv4Addr::BROADCAST, 68); "to all, as it wants")]
#[test_case(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, false, LEASED, (LEASED, 68); "to the address that it gets")]
#[test_case(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, false, Ipv4Addr::UNSPECIFIED, (Ipv4Addr::BROADCAST, 68); "to all, as it has none")]
fn a_reply_goes_where_the_client_hears_it(
    giaddr: Ipv4Addr,
    ciaddr: Ipv4Addr,
    broadcast: bool,
    yiaddr: Ipv4Addr,
    to: (Ipv4Addr, u16),
) {
    let payload = EDK2_X64.changed(DISCOVER, 9, |packet| {
        (packet.giaddr, packet.ciaddr) = (giaddr, ciaddr);
        packet.flags = if broadcast { Packet::BROADCAST } else { 0 };
    });
    let request = Packet::read(&payload).unwrap();
    let mut reply = Packet::reply_to(&request, Kind::Offer);
    reply.yiaddr = yiaddr;
    let frame = to_all(&payload);
    let (mac, dst) = destination(&reply, &request, EDK2_X64.mac(), &frame);
    assert_eq!(dst, SocketAddrV4::new(to.0, to.1));
    let expected = match to.0 {
        Ipv4Addr::BROADCAST => EVERYBODY,
        RELAY => frame.src_mac,
        _ => EDK2_X64.mac(),
    };
    assert_eq!(mac, expected);
}

#[test]
fn behind_a_relay_the_routed_address_is_named_and_option_82_goes_back_last() {
    let relay = [1, 4, b'p', b'o', b'r', b't'];
    let payload = EDK2_HTTP.changed(DISCOVER, 9, |packet| {
        packet.giaddr = RELAY;
        packet.options.set(82, relay);
    });
    let mut engine = super::super::Engine::new();
    let frame = super::super::fixtures::frame((RELAY, 67), (OWN, 67), &payload);
    let out = World::default().hear(&mut engine, frame);
    let (reply, packet) = replies(&out).remove(0);
    assert_eq!(packet.options.iter().last(), Some((82, relay.as_slice())));
    assert_eq!(packet.file, b"http://10.0.0.5:3080/snponly.efi");
    assert_eq!((packet.siaddr, *reply.src.ip()), (ROUTED, ROUTED));
    assert_eq!(packet.giaddr, RELAY);
}

#[test]
fn what_there_is_no_loader_for_is_named_with_a_remedy() {
    let bytes = EDK2_X64.changed(DISCOVER, 9, |packet| packet.options.set(93, hex("0025")));
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    let answer = World::default().answer(&client, FLOATING);
    let Err(Nothing::NoLoader(text)) = Instructions::choose(&client, &answer, FLOATING) else {
        panic!();
    };
    assert!(
        text.contains("unknown architecture 37") && text.contains("boot.loaders"),
        "{text}"
    );
}

#[test_case(24, [192, 168, 1, 255], [255, 255, 255, 0])]
#[test_case(32, [192, 168, 1, 5], [255, 255, 255, 255])]
#[test_case(0, [255, 255, 255, 255], [0, 0, 0, 0])]
#[test_case(200, [192, 168, 1, 5], [255, 255, 255, 255]; "nonsense")]
fn a_view_knows_its_network(prefix: u8, broadcast: [u8; 4], mask: [u8; 4]) {
    World::default().view(|view| {
        let view = View { prefix, ..*view };
        assert_eq!(
            (view.broadcast().octets(), view.mask().octets()),
            (broadcast, mask)
        );
    });
}
