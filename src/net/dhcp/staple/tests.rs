use std::net::Ipv4Addr;

use test_case::test_case;

use super::*;
use crate::model::Rung;
use crate::model::trace::Mark;
use crate::net::dhcp::engine::{Engine, Input, Output};
use crate::net::dhcp::fixtures::*;

fn world() -> World {
    World::with(&[Rung::Staple])
}

/// What the real server answers to a relayed message.
fn server_says(kind: Kind, relayed: &Packet, address: Ipv4Addr) -> Vec<u8> {
    let mut packet = Packet::reply_to(relayed, kind);
    packet.yiaddr = address;
    packet.siaddr = REAL;
    packet.file = b"its own file".to_vec();
    packet.options.set(code::SERVER_ID, REAL.octets());
    packet.options.set(code::LEASE_TIME, [0, 0, 14, 16]);
    packet.options.set(code::ROUTER, REAL.octets());
    packet.options.set(119, *b"\x03lab\0");
    packet.options.set(code::SUBNET_MASK, [255, 255, 255, 0]);
    packet.write(548)
}

fn to_us(payload: &[u8]) -> Frame<'_> {
    frame((REAL, 67), (OWN, 67), payload)
}

/// One message in, one out.
fn one(world: &World, engine: &mut Engine, frame: Frame<'_>) -> (Reply, Packet) {
    let out = world.hear(engine, frame);
    let mut all = replies(&out);
    assert_eq!(all.len(), 1, "{out:?}");
    all.remove(0)
}

/// DISCOVER, relayed, OFFER, stapled.
fn offered(world: &World, engine: &mut Engine, model: &Model, xid: u32) -> (Reply, Packet) {
    let (_, relayed) = one(world, engine, to_all(&model.message(DISCOVER, xid)));
    one(
        world,
        engine,
        to_us(&server_says(Kind::Offer, &relayed, LEASED)),
    )
}

fn request(model: &Model, xid: u32) -> Vec<u8> {
    model.changed(REQUEST, xid, |packet| {
        packet.options.set(code::SERVER_ID, FLOATING.octets());
        packet.options.set(code::REQUESTED_ADDRESS, LEASED.octets());
    })
}

#[test]
fn a_discover_goes_to_the_real_server_as_a_relay_sends_it() {
    let (reply, packet) = one(
        &world(),
        &mut Engine::new(),
        to_all(&EDK2_X64.message(DISCOVER, 5)),
    );
    assert_eq!(
        (reply.dst_mac, *reply.dst.ip(), reply.dst.port()),
        (EVERYBODY, Ipv4Addr::BROADCAST, 67)
    );
    assert_eq!((*reply.src.ip(), reply.src.port()), (OWN, 67));
    assert_eq!(
        (packet.op, packet.giaddr, packet.hops, packet.xid),
        (Op::Request, OWN, 1, 5)
    );
    assert_eq!(packet.mac(), Some(EDK2_X64.mac()));
    for code in TAKEN_OUT {
        assert_eq!(packet.options.get(code), None, "option {code}");
    }
    assert!(packet.options.get(code::PARAMETERS).is_some());
}

#[test_case(EDK2_X64, "snponly.efi")]
#[test_case(SUPERMICRO, "snponly.efi")]
#[test_case(INTEL_UNDI, "undionly.kpxe")]
#[test_case(IPXE_ROM, "http://192.168.1.6:3080/boot.ipxe")]
fn an_offer_keeps_all_of_the_servers_but_its_identifier(model: Model, file: &str) {
    let (reply, packet) = offered(&world(), &mut Engine::new(), &model, 5);
    assert_eq!(packet.kind(), Some(Kind::Offer));
    assert_eq!((packet.yiaddr, packet.siaddr), (LEASED, FLOATING));
    assert_eq!(
        (packet.flags, packet.giaddr),
        (model.flags, Ipv4Addr::UNSPECIFIED)
    );
    let get = |code| packet.options.get(code).unwrap();
    assert_eq!(get(code::SERVER_ID), FLOATING.octets());
    assert_eq!(get(code::LEASE_TIME), [0, 0, 14, 16]);
    assert_eq!(get(code::ROUTER), REAL.octets());
    assert_eq!(get(119), b"\x03lab\0");
    assert_eq!(get(code::VENDOR), [6, 1, 8, 255]);
    assert_eq!(packet.file, file.as_bytes());
    let ipxe = model.name == IPXE_ROM.name;
    let expected = ipxe.then_some([0xb0, 1, 1].as_slice());
    assert_eq!(packet.options.get(code::IPXE), expected);
    let to = if model.flags == 0 {
        LEASED
    } else {
        Ipv4Addr::BROADCAST
    };
    assert_eq!((*reply.dst.ip(), *reply.src.ip()), (to, FLOATING));
}

#[test]
fn no_acknowledgement_of_ours_goes_before_the_real_one() {
    let world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    let (_, relayed) = one(&world, &mut engine, to_all(&request(&EDK2_X64, 5)));
    assert_eq!(relayed.kind(), Some(Kind::Request));
    assert_eq!(
        relayed.options.address(code::SERVER_ID),
        Some(REAL),
        "its own identifier again"
    );
    assert_eq!(
        relayed.options.address(code::REQUESTED_ADDRESS),
        Some(LEASED)
    );
    let ack = server_says(Kind::Ack, &relayed, LEASED);
    let (_, packet) = one(&world, &mut engine, to_us(&ack));
    assert_eq!(packet.kind(), Some(Kind::Ack));
    assert_eq!(packet.options.address(code::SERVER_ID), Some(FLOATING));
    assert_eq!(packet.file, b"snponly.efi");
    assert_eq!(world.hear(&mut engine, to_us(&ack)), [], "once");
}

#[test]
fn an_acknowledgement_that_nobody_asked_for_is_left_alone() {
    let world = world();
    let mut engine = Engine::new();
    let (_, relayed) = one(&world, &mut engine, to_all(&EDK2_X64.message(DISCOVER, 5)));
    for (kind, xid) in [(Kind::Ack, 5), (Kind::Nak, 5), (Kind::Offer, 6)] {
        let mut other = relayed.clone();
        other.xid = xid;
        let payload = server_says(kind, &other, LEASED);
        assert_eq!(world.hear(&mut engine, to_us(&payload)), []);
    }
}

#[test]
fn a_refusal_is_passed_on_and_the_offer_forgotten() {
    let world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    let (_, relayed) = one(&world, &mut engine, to_all(&request(&EDK2_X64, 5)));
    let (reply, packet) = one(
        &world,
        &mut engine,
        to_us(&server_says(Kind::Nak, &relayed, Ipv4Addr::UNSPECIFIED)),
    );
    assert_eq!(packet.kind(), Some(Kind::Nak));
    assert_eq!(packet.options.address(code::SERVER_ID), Some(FLOATING));
    assert_eq!(packet.options.get(code::VENDOR), None);
    assert!(reply.dst.ip().is_broadcast());
    let (_, next) = one(&world, &mut engine, to_all(&EDK2_X64.message(DISCOVER, 6)));
    assert_eq!(next.op, Op::Request, "only relayed");
}

/// Firmware that takes the first offer hears the bare one of the real server before ours can be there.
#[test]
fn the_offer_of_the_last_attempt_is_sent_at_once() {
    let mut world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &SUPERMICRO, 5);
    world.wait(90_000);
    let out = world.hear(&mut engine, to_all(&SUPERMICRO.message(DISCOVER, 6)));
    let all = replies(&out);
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].1.kind(), all[0].1.xid, all[0].1.yiaddr),
        (Some(Kind::Offer), 6, LEASED)
    );
    assert_eq!(all[1].1.kind(), Some(Kind::Discover));
    let again = server_says(Kind::Offer, &all[1].1, LEASED);
    assert_eq!(world.hear(&mut engine, to_us(&again)), [], "it was told");
    let (_, relayed) = one(&world, &mut engine, to_all(&request(&SUPERMICRO, 6)));
    assert_eq!(relayed.options.address(code::SERVER_ID), Some(REAL));
}

#[test]
fn an_old_offer_is_worth_nothing() {
    let mut world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &SUPERMICRO, 5);
    world.wait(11 * 60_000);
    let (_, relayed) = one(
        &world,
        &mut engine,
        to_all(&SUPERMICRO.message(DISCOVER, 6)),
    );
    assert_eq!(relayed.kind(), Some(Kind::Discover));
}

#[test]
fn a_client_that_asks_again_is_offered_again() {
    let world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 5)));
    let kinds: Vec<_> = replies(&out)
        .iter()
        .map(|(_, packet)| packet.kind())
        .collect();
    assert_eq!(kinds.last(), Some(&Some(Kind::Discover)));
    let relayed = &replies(&out).pop().unwrap().1;
    let offer = server_says(Kind::Offer, relayed, LEASED);
    let told = replies(&world.hear(&mut engine, to_us(&offer))).len() + kinds.len();
    assert_eq!(told, 2, "one offer, from memory or from the server");
}

/// The client believes that we are its server, so it asks us alone at half of its time.
#[test]
fn a_renewal_that_comes_to_us_goes_to_the_real_server() {
    let world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    let renewal = Model {
        mac: EDK2_X64.mac,
        ..UDHCPC
    }
    .changed(REQUEST, 9, |packet| packet.ciaddr = LEASED);
    let (_, relayed) = one(
        &world,
        &mut engine,
        frame((LEASED, 68), (FLOATING, 67), &renewal),
    );
    assert_eq!((relayed.ciaddr, relayed.giaddr), (LEASED, OWN));
    let (reply, packet) = one(
        &world,
        &mut engine,
        to_us(&server_says(Kind::Ack, &relayed, LEASED)),
    );
    assert_eq!((*reply.dst.ip(), reply.dst_mac), (LEASED, EDK2_X64.mac()));
    assert_eq!(packet.options.address(code::SERVER_ID), Some(FLOATING));
    assert_eq!(
        packet.options.get(code::VENDOR_CLASS),
        None,
        "it boots no more"
    );
}

#[test]
fn a_renewal_of_a_lease_that_was_not_stapled_is_none_of_ours() {
    let renewal = UDHCPC.changed(REQUEST, 9, |packet| packet.ciaddr = LEASED);
    let asked = frame((LEASED, 68), (FLOATING, 67), &renewal);
    assert_eq!(world().hear(&mut Engine::new(), asked), []);
}

#[test_case(RELEASE)]
#[test_case(DECLINE)]
fn what_is_given_up_is_given_up_at_the_real_server(kind: u8) {
    let world = world();
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    let payload = EDK2_X64.changed(kind, 7, |packet| {
        packet.options.set(code::SERVER_ID, FLOATING.octets());
    });
    let (_, relayed) = one(
        &world,
        &mut engine,
        frame((LEASED, 68), (FLOATING, 67), &payload),
    );
    assert_eq!(relayed.options.address(code::SERVER_ID), Some(REAL));
    assert_eq!(
        world.hear(&mut engine, frame((LEASED, 68), (FLOATING, 67), &payload)),
        []
    );
}

#[test]
fn after_a_restart_a_request_asks_whoever_gave_the_lease() {
    let (_, relayed) = one(&world(), &mut Engine::new(), to_all(&request(&EDK2_X64, 5)));
    assert_eq!(relayed.options.get(code::SERVER_ID), None);
    assert_eq!(
        relayed.options.address(code::REQUESTED_ADDRESS),
        Some(LEASED)
    );
}

#[test]
fn a_silent_server_is_told_of() {
    let mut world = world();
    let mut engine = Engine::new();
    one(&world, &mut engine, to_all(&EDK2_X64.message(DISCOVER, 5)));
    world.wait(4_000);
    assert!(engine.next_timer().unwrap() <= world.now);
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(marks(&out), [Mark::RelaySilent]);
    world.now = engine.next_timer().unwrap();
    let out = world.tell(&mut engine, Input::Tick);
    let Output::Trace { step, .. } = &out[0] else {
        panic!("{out:?}");
    };
    assert_eq!(step.mark, Mark::Stopped);
    assert!(step.text.contains("allow-relay"), "{}", step.text);
}

#[test]
fn our_own_relayed_message_is_not_relayed_again() {
    let world = world();
    let mut engine = Engine::new();
    let (reply, _) = one(&world, &mut engine, to_all(&EDK2_X64.message(DISCOVER, 5)));
    let own = frame((OWN, 67), (Ipv4Addr::BROADCAST, 67), &reply.payload);
    assert_eq!(world.hear(&mut engine, own), []);
}

#[test]
fn behind_a_relay_nothing_is_stapled_and_that_is_told() {
    let payload = EDK2_X64.changed(DISCOVER, 5, |packet| packet.giaddr = RELAY);
    let out = world().hear(&mut Engine::new(), frame((RELAY, 67), (OWN, 67), &payload));
    assert_eq!(marks(&out), [Mark::Discover, Mark::Offered]);
    assert_eq!(replies(&out)[0].1.yiaddr, Ipv4Addr::UNSPECIFIED);
}

#[test_case(&[Rung::Proxy]; "proxy")]
#[test_case(&[Rung::Proxy, Rung::Binl]; "both others")]
fn where_the_network_does_not_allow_it_nothing_is_relayed(rungs: &[Rung]) {
    let mut world = World::with(rungs);
    let mut engine = Engine::new();
    for xid in 0..4 {
        world.wait(90_000);
        let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, xid)));
        assert!(
            replies(&out)
                .iter()
                .all(|(_, packet)| packet.op == Op::Reply)
        );
    }
    assert_eq!(
        replies(&world.hear(&mut engine, to_all(&request(&EDK2_X64, 9)))),
        []
    );
}

#[test]
fn http_boot_is_never_stapled() {
    let (_, packet) = one(
        &world(),
        &mut Engine::new(),
        to_all(&EDK2_HTTP.message(DISCOVER, 5)),
    );
    assert_eq!(
        (packet.op, packet.yiaddr),
        (Op::Reply, Ipv4Addr::UNSPECIFIED)
    );
}

#[test]
fn a_flood_neither_grows_nor_hides_a_conversation() {
    let mut world = world();
    world.known = true;
    let mut engine = Engine::new();
    offered(&world, &mut engine, &EDK2_X64, 5);
    world.known = false;
    for mac in 0..10_000 {
        world.hear(
            &mut engine,
            to_all(&EDK2_X64.on(mac).message(DISCOVER, mac)),
        );
    }
    let (_, relayed) = one(&world, &mut engine, to_all(&request(&EDK2_X64, 5)));
    assert_eq!(relayed.options.address(code::SERVER_ID), Some(REAL));
    world.wait(60_000);
    let out = world.tell(&mut engine, Input::Tick);
    let silent = marks(&out)
        .iter()
        .filter(|mark| **mark == Mark::RelaySilent)
        .count();
    assert!(silent <= MAX_STRANGERS + 1, "{silent}");
}
