use std::net::Ipv4Addr;

use test_case::test_case;

use super::*;
use crate::model::network::Admit;
use crate::net::dhcp::fixtures::*;

/// What the real server says to a client: an offer of an address, changed.
fn real(model: &Model, kind: u8, xid: u32, change: impl FnOnce(&mut Packet)) -> Vec<u8> {
    let mut packet = Packet::read(&model.message(DISCOVER, xid)).unwrap();
    packet = Packet::reply_to(&packet, Kind::Offer);
    packet.yiaddr = LEASED;
    packet.options.set(code::MESSAGE_TYPE, [kind]);
    packet.options.set(code::SERVER_ID, REAL.octets());
    packet.options.set(code::LEASE_TIME, [0, 0, 14, 16]);
    change(&mut packet);
    packet.write(548)
}

fn from_real(payload: &[u8]) -> Frame<'_> {
    frame((REAL, 67), (Ipv4Addr::BROADCAST, 68), payload)
}

#[test]
fn every_firmware_is_answered_beside_the_real_server() {
    for model in FIRMWARE {
        let mut engine = Engine::new();
        let out = World::default().hear(&mut engine, to_all(&model.message(DISCOVER, 1)));
        let replies = replies(&out);
        assert_eq!(replies.len(), 1, "{}", model.name);
        assert_eq!(replies[0].1.yiaddr, Ipv4Addr::UNSPECIFIED);
        assert_eq!(marks(&out), [Mark::Discover, Mark::Offered]);
        let seen = out.iter().find_map(|output| match output {
            Output::Seen(sighting) => Some(sighting),
            _ => None,
        });
        let seen = seen.unwrap();
        assert_eq!((seen.mac, seen.waiting), (model.mac(), false));
    }
}

#[test]
fn offers_nothing_to_clients_without_option_60() {
    let mut engine = Engine::new();
    for kind in [DISCOVER, REQUEST, DECLINE, RELEASE, INFORM] {
        for port in [67, 4011] {
            let payload = UDHCPC.message(kind, 1);
            let asked = frame((LEASED, 68), (FLOATING, port), &payload);
            assert_eq!(World::default().hear(&mut engine, asked), []);
        }
    }
    assert!(engine.ladder.is_empty());
}

#[test]
fn a_client_asks_on_4011_and_is_answered_there() {
    let world = World::with(&[Rung::Binl]);
    let mut engine = Engine::new();
    let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 1)));
    assert_eq!(replies(&out)[0].1.options.get(43), None);
    let payload = EDK2_X64.changed(REQUEST, 1, |packet| packet.ciaddr = LEASED);
    let out = world.hear(
        &mut engine,
        frame((LEASED, 4011), (FLOATING, 4011), &payload),
    );
    assert_eq!(marks(&out), [Mark::BinlAsked, Mark::BinlAnswered]);
    assert_eq!(replies(&out)[0].1.file, b"snponly.efi");
}

#[test]
fn what_was_asked_of_others_is_none_of_ours() {
    let world = World::default();
    let mut engine = Engine::new();
    let payload = EDK2_X64.message(REQUEST, 1);
    for port in [67, 4011] {
        assert_eq!(
            world.hear(&mut engine, frame((LEASED, 68), (REAL, port), &payload)),
            []
        );
    }
}

#[test_case(Serve::Off; "nothing is given out")]
fn a_network_that_is_not_served_hears_nothing(serve: Serve) {
    let mut world = World::default();
    world.config.serve = serve;
    let mut engine = Engine::new();
    for model in FIRMWARE {
        assert_eq!(
            world.hear(&mut engine, to_all(&model.message(DISCOVER, 1))),
            []
        );
    }
    assert_eq!(engine.next_timer(), None);
}

#[test]
fn a_decision_for_silence_is_traced_with_its_reason() {
    let world = World {
        silent: true,
        ..World::default()
    };
    let mut engine = Engine::new();
    let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 1)));
    assert_eq!(marks(&out), [Mark::Discover, Mark::Silent]);
    assert!(replies(&out).is_empty());
    assert!(
        engine.ladder.is_empty(),
        "who is not answered climbs no ladder"
    );
}

#[test]
fn an_unknown_architecture_is_traced_and_seen() {
    let payload = EDK2_X64.changed(DISCOVER, 1, |packet| {
        packet.options.set(93, hex("0063"));
    });
    let out = World::default().hear(&mut Engine::new(), to_all(&payload));
    assert_eq!(marks(&out), [Mark::Discover, Mark::Silent]);
    let seen = |output: &Output| matches!(output, Output::Seen(seen) if seen.arch.is_some());
    assert!(out.iter().any(seen));
}

/// The boots of one machine that never fetches, each a minute and a half after the last.
fn boots(world: &mut World, engine: &mut Engine, count: u32) -> Vec<Vec<Output>> {
    let boot = |xid| {
        world.wait(90_000);
        world.hear(engine, to_all(&EDK2_X64.message(DISCOVER, xid)))
    };
    (1..=count).map(boot).collect()
}

#[test]
fn each_boot_that_fetches_nothing_takes_the_next_rung_and_the_end_has_a_cause() {
    let mut world = World::default();
    let mut engine = Engine::new();
    let outs = boots(&mut world, &mut engine, 3);
    let direct = |out: &[Output]| replies(out)[0].1.options.get(43).is_some();
    assert!(direct(&outs[0]));
    assert_eq!(
        marks(&outs[1]),
        [Mark::Discover, Mark::RungChanged, Mark::Offered]
    );
    assert!(!direct(&outs[1]));
    assert_eq!(
        marks(&outs[2]),
        [Mark::Discover, Mark::Stopped, Mark::Offered]
    );
    assert!(direct(&outs[2]), "it begins anew");
}

#[test]
fn a_stop_is_told_when_the_attempt_is_over_and_not_at_the_next_one() {
    let mut world = World::with(&[Rung::Proxy]);
    let mut engine = Engine::new();
    world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 1)));
    let payload = real(&EDK2_X64, OFFER, 1, |packet| {
        packet.file = b"pxelinux.0".to_vec();
    });
    let out = world.hear(&mut engine, from_real(&payload));
    assert_eq!(marks(&out), [Mark::ForeignBoot]);
    world.now = engine.next_timer().unwrap();
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(marks(&out), [Mark::Stopped]);
    let Output::Trace { step, .. } = &out[0] else {
        panic!();
    };
    assert!(step.text.contains("192.168.1.1") && step.text.contains("no-boot-options"));
    assert_eq!(engine.next_timer(), None);
}

#[test]
fn what_worked_is_told_once_and_kept() {
    let mut world = World::default();
    let mut engine = Engine::new();
    let mac = EDK2_X64.mac();
    boots(&mut world, &mut engine, 2);
    let out = world.tell(&mut engine, Input::Fetched { mac });
    assert_eq!(
        out,
        [Output::RungWorked {
            mac,
            rung: Rung::Binl
        }]
    );
    assert_eq!(world.tell(&mut engine, Input::Fetched { mac }), []);
    assert_eq!(engine.next_timer(), None);
    let outs = boots(&mut world, &mut engine, 1);
    assert_eq!(replies(&outs[0])[0].1.options.get(43), None);
}

#[test]
fn the_record_of_what_worked_outlives_us() {
    let world = World {
        worked: Some(Rung::Binl),
        ..World::default()
    };
    let out = world.hear(&mut Engine::new(), to_all(&EDK2_X64.message(DISCOVER, 1)));
    assert_eq!(replies(&out)[0].1.options.get(43), None);
    assert_eq!(marks(&out), [Mark::Discover, Mark::Offered]);
}

#[test]
fn without_any_rung_nothing_is_sent() {
    let out = World::with(&[]).hear(&mut Engine::new(), to_all(&EDK2_X64.message(DISCOVER, 1)));
    assert_eq!(marks(&out), [Mark::Discover, Mark::Silent]);
}

#[test]
fn a_flood_neither_grows_nor_hides_a_known_machine() {
    let mut world = World {
        known: true,
        ..World::default()
    };
    let mut engine = Engine::new();
    boots(&mut world, &mut engine, 2);
    world.known = false;
    for mac in 0..100_000 {
        let payload = EDK2_X64.on(mac).message(DISCOVER, mac);
        world.hear(&mut engine, to_all(&payload));
    }
    assert!(engine.ladder.len() <= super::super::ladder::MAX_STRANGERS + 1);
    let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 2)));
    assert_eq!(
        replies(&out)[0].1.options.get(43),
        None,
        "it stands on its second rung still"
    );
}

#[test]
fn the_clock_may_jump() {
    let mut world = World::default();
    let mut engine = Engine::new();
    boots(&mut world, &mut engine, 1);
    for now in [Timestamp::MAX, Timestamp::MIN, Timestamp::UNIX_EPOCH] {
        world.now = now;
        world.tell(&mut engine, Input::Tick);
        let out = world.hear(&mut engine, to_all(&EDK2_X64.message(DISCOVER, 9)));
        assert_eq!(replies(&out).len(), 1);
    }
}

#[test]
fn an_unknown_machine_is_answered_as_the_network_admits() {
    let mut world = World::default();
    world.config.admit = Admit::Known;
    world.silent = true;
    let out = world.hear(&mut Engine::new(), to_all(&EDK2_X64.message(DISCOVER, 1)));
    assert!(replies(&out).is_empty());
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn models() -> impl Strategy<Value = Model> {
        let all: Vec<_> = FIRMWARE.into_iter().chain([UDHCPC]).collect();
        proptest::sample::select(all)
    }

    fn addresses() -> impl Strategy<Value = Ipv4Addr> {
        let all = [
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
            LEASED,
            OWN,
            FLOATING,
            REAL,
            RELAY,
        ];
        proptest::sample::select(all.to_vec())
    }

    proptest! {
        /// N3: beside another server no message of ours carries an address, and whoever boots its own disk hears
        /// nothing, whatever it sends.
        #[test]
        fn a_proxy_gives_no_address_and_answers_no_plain_client(
            steps in vec((models(), 0..10_u8, 0..3_u32, addresses(), addresses(), addresses(), 0..3_usize, 0..100_000_i64), 1..30),
            binl in any::<bool>(),
        ) {
            let mut world = World::with(if binl { &[Rung::Binl] } else { &[Rung::Proxy, Rung::Binl] });
            let mut engine = Engine::new();
            for (model, kind, xid, src, dst, ciaddr, port, wait) in steps {
                world.wait(wait);
                let payload = model.changed(kind, xid, |packet| packet.ciaddr = ciaddr);
                let port = [67, 68, 4011][port];
                let out = world.hear(&mut engine, frame((src, 68), (dst, port), &payload));
                for (reply, packet) in replies(&out) {
                    prop_assert!(packet.yiaddr.is_unspecified());
                    prop_assert!(packet.options.get(code::LEASE_TIME).is_none());
                    prop_assert!(model.name != UDHCPC.name);
                    prop_assert!(!reply.reason.is_empty());
                    prop_assert!(matches!(reply.src.port(), 67 | 4011));
                }
                world.tell(&mut engine, Input::Tick);
            }
        }
    }
}

#[test]
fn fuzz_dhcp_engine_takes_whatever_comes() {
    let world = World::default();
    let engine = std::sync::Mutex::new(Engine::new());
    bolero::check!()
        .with_iterations(fuzz_cases())
        .for_each(|bytes: &[u8]| {
            let mut whole = EDK2_X64.message(DISCOVER, 7);
            for (at, byte) in bytes.iter().enumerate() {
                let place = (at * 7 + usize::from(*byte)) % whole.len();
                whole[place] ^= *byte;
            }
            let mut engine = engine.lock().unwrap();
            for port in [67, 68, 4011] {
                for (_, packet) in replies(&world.hear(
                    &mut engine,
                    frame((LEASED, 68), (Ipv4Addr::BROADCAST, port), &whole),
                )) {
                    assert!(packet.yiaddr.is_unspecified());
                }
            }
        });
}
