use std::net::Ipv4Addr;

use test_case::test_case;

use super::*;
use crate::model::network::{Holder, Pool, Serve};
use crate::net::dhcp::answer::EVERYBODY;
use crate::net::dhcp::engine::{Engine, Input};
use crate::net::dhcp::fixtures::*;

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
const SOMEBODY: MacAddr = MacAddr::new([0x52, 0x54, 0, 9, 9, 9]);

fn world(addresses: u8) -> World {
    let mut world = World::default();
    world.config.serve = Serve::Server;
    let last = Ipv4Addr::new(192, 168, 1, 99 + addresses);
    world.config.dhcp.pool = Some(Pool { first: FIRST, last });
    world.config.dhcp.router = Some(REAL);
    world.config.dhcp.dns = vec![REAL, OWN];
    world
}

/// A server that knows which addresses are free.
fn ready(world: &mut World) -> Engine {
    let mut engine = Engine::new();
    world.hear(
        &mut engine,
        to_all(&UDHCPC.on(0xffff_fffe).message(DISCOVER, 1)),
    );
    world.wait(500);
    world.tell(&mut engine, Input::Tick);
    world.wait(40_000);
    world.tell(&mut engine, Input::Tick);
    engine
}

fn discover(world: &World, engine: &mut Engine, model: &Model) -> Vec<Output> {
    world.hear(engine, to_all(&model.message(DISCOVER, 5)))
}

fn ask(model: &Model, address: Ipv4Addr) -> Vec<u8> {
    model.changed(REQUEST, 5, |packet| {
        packet.options.set(code::SERVER_ID, FLOATING.octets());
        packet
            .options
            .set(code::REQUESTED_ADDRESS, address.octets());
    })
}

fn written(outputs: &[Output]) -> Vec<(u64, Vec<Lease>, Vec<Ipv4Addr>)> {
    let write = |output: &Output| match output {
        Output::WriteLeases {
            token,
            leases,
            drop,
        } => Some((*token, leases.clone(), drop.clone())),
        _ => None,
    };
    outputs.iter().filter_map(write).collect()
}

fn probed(outputs: &[Output]) -> Vec<Ipv4Addr> {
    let probe = |output: &Output| match output {
        Output::Probe { address } => Some(*address),
        _ => None,
    };
    outputs.iter().filter_map(probe).collect()
}

fn says(outputs: &[Output]) -> Vec<(Kind, Ipv4Addr)> {
    let all = replies(outputs);
    all.iter()
        .map(|(_, packet)| (packet.kind().unwrap(), packet.yiaddr))
        .collect()
}

/// DISCOVER, OFFER, REQUEST, the disk, ACK.
fn lease(world: &World, engine: &mut Engine, model: &Model) -> Ipv4Addr {
    let out = discover(world, engine, model);
    let (_, address) = says(&out)[0];
    let out = world.hear(engine, to_all(&ask(model, address)));
    let token = written(&out)[0].0;
    let out = world.tell(engine, Input::LeasesWritten { token, ok: true });
    assert_eq!(says(&out), [(Kind::Ack, address)]);
    address
}

#[test]
fn an_address_is_probed_before_its_first_offer() {
    let mut world = world(150);
    let mut engine = Engine::new();
    let out = discover(&world, &mut engine, &UDHCPC);
    let asked = probed(&out);
    assert_eq!((says(&out), asked[0]), (vec![], FIRST));
    assert_eq!(asked.len(), probe::AHEAD, "the next ones too");
    assert_eq!(
        says(&discover(&world, &mut engine, &UDHCPC)),
        [],
        "it waits"
    );
    world.now = engine.next_timer().unwrap();
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(says(&out), [(Kind::Offer, FIRST)]);
    let out = discover(&world, &mut engine, &UDHCPC.on(7));
    assert_eq!(says(&out).len(), 1, "the next one does not wait");
}

#[test]
fn an_address_that_somebody_has_is_left_alone() {
    let mut world = world(50);
    let mut engine = Engine::new();
    let first = probed(&discover(&world, &mut engine, &UDHCPC))[0];
    world.wait(10);
    let out = world.tell(
        &mut engine,
        Input::ProbeAnswered {
            address: first,
            by: SOMEBODY,
        },
    );
    let (token, leases, _) = written(&out).remove(0);
    assert_eq!(
        (leases[0].address, &leases[0].holder),
        (first, &Holder::Stranger)
    );
    assert_eq!(
        world.tell(&mut engine, Input::LeasesWritten { token, ok: true }),
        []
    );
    world.wait(600);
    let out = world.tell(&mut engine, Input::Tick);
    let offered = says(&out)[0].1;
    assert_ne!(offered, first);
    world.wait(11 * 60_000);
    world.tell(&mut engine, Input::Tick);
    let record = engine_book(&engine).record(first).unwrap();
    assert!(record.until < world.now, "it may be tried again");
}

fn engine_book(engine: &Engine) -> &Book {
    engine.server().book()
}

#[test]
fn a_client_that_answers_its_own_probe_keeps_its_address() {
    let world = world(50);
    let mut engine = Engine::new();
    let address = probed(&discover(&world, &mut engine, &UDHCPC))[0];
    let out = world.tell(
        &mut engine,
        Input::ProbeAnswered {
            address,
            by: UDHCPC.mac(),
        },
    );
    assert_eq!(says(&out), [(Kind::Offer, address)]);
}

#[test]
fn an_answer_to_no_probe_changes_nothing() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    assert_eq!(
        world.tell(
            &mut engine,
            Input::ProbeAnswered {
                address,
                by: SOMEBODY
            }
        ),
        []
    );
}

#[test]
fn no_acknowledgement_leaves_before_its_lease_is_written() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let (_, address) = says(&discover(&world, &mut engine, &UDHCPC))[0];
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    assert_eq!(says(&out), []);
    let (token, leases, drop) = written(&out).remove(0);
    assert_eq!((leases.len(), drop), (1, vec![]));
    let Holder::Client {
        mac,
        client_id,
        hostname,
    } = &leases[0].holder
    else {
        panic!();
    };
    assert_eq!(
        (*mac, client_id.as_deref(), hostname.as_deref()),
        (UDHCPC.mac(), None, Some("laptop"))
    );
    assert_eq!(
        world.hear(&mut engine, to_all(&ask(&UDHCPC, address))),
        [],
        "it is on its way"
    );
    let out = world.tell(&mut engine, Input::LeasesWritten { token, ok: true });
    let (reply, packet) = replies(&out).remove(0);
    assert_eq!((packet.kind(), packet.yiaddr), (Some(Kind::Ack), address));
    let get = |code| packet.options.get(code).unwrap().to_vec();
    assert_eq!(get(code::LEASE_TIME), 3600_u32.to_be_bytes());
    assert_eq!(get(code::RENEWAL), 1800_u32.to_be_bytes());
    assert_eq!(get(code::REBINDING), 3150_u32.to_be_bytes());
    assert_eq!(get(code::SUBNET_MASK), [255, 255, 255, 0]);
    assert_eq!(get(code::ROUTER), REAL.octets());
    assert_eq!(get(code::DNS), [REAL.octets(), OWN.octets()].concat());
    assert_eq!(
        packet.options.get(code::VENDOR_CLASS),
        None,
        "it boots its own disk"
    );
    assert_eq!((*reply.dst.ip(), reply.dst_mac), (address, UDHCPC.mac()));
    assert_eq!(
        world.tell(&mut engine, Input::LeasesWritten { token, ok: true }),
        []
    );
}

#[test]
fn what_could_not_be_written_was_never_given() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let (_, address) = says(&discover(&world, &mut engine, &UDHCPC))[0];
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    let out = world.tell(
        &mut engine,
        Input::LeasesWritten {
            token: written(&out)[0].0,
            ok: false,
        },
    );
    assert_eq!((says(&out), marks(&out)), (vec![], vec![Mark::Silent]));
    assert!(engine_book(&engine).is_empty());
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    assert_eq!(written(&out).len(), 1, "it may ask again");
}

#[test]
fn a_failed_renewal_leaves_the_old_lease() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    let until = engine_book(&engine).record(address).unwrap().until;
    world.wait(60_000);
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    world.tell(
        &mut engine,
        Input::LeasesWritten {
            token: written(&out)[0].0,
            ok: false,
        },
    );
    assert_eq!(engine_book(&engine).record(address).unwrap().until, until);
}

#[test_case(EDK2_X64, "snponly.efi")]
#[test_case(INTEL_UNDI, "undionly.kpxe")]
#[test_case(EDK2_HTTP, "http://192.168.1.6:3080/snponly.efi")]
#[test_case(IPXE_ROM, "http://192.168.1.6:3080/boot.ipxe")]
fn who_boots_gets_its_instructions_with_its_address(model: Model, file: &str) {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let out = discover(&world, &mut engine, &model);
    let (_, packet) = replies(&out).remove(0);
    assert_eq!(packet.file, file.as_bytes());
    assert_eq!(packet.siaddr, FLOATING);
    let out = world.hear(&mut engine, to_all(&ask(&model, packet.yiaddr)));
    let out = world.tell(
        &mut engine,
        Input::LeasesWritten {
            token: written(&out)[0].0,
            ok: true,
        },
    );
    let (_, ack) = replies(&out).remove(0);
    assert_eq!(
        (ack.file.as_slice(), ack.yiaddr),
        (file.as_bytes(), packet.yiaddr)
    );
}

#[test]
fn a_machine_keeps_its_address_from_firmware_to_system() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let firmware = lease(&world, &mut engine, &EDK2_X64);
    let ipxe = Model {
        mac: EDK2_X64.mac,
        ..IPXE_ROM
    };
    assert_eq!(lease(&world, &mut engine, &ipxe), firmware);
    let system = Model {
        mac: EDK2_X64.mac,
        options: &[(61, "ff 00010203040506070809"), (12, "=web01")],
        ..UDHCPC
    };
    assert_eq!(lease(&world, &mut engine, &system), firmware);
    assert_eq!(
        lease(&world, &mut engine, &EDK2_X64),
        firmware,
        "and at its next boot"
    );
    assert_eq!(engine_book(&engine).len(), 1);
}

#[test]
fn two_systems_on_one_card_are_two() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let one = Model {
        options: &[(61, "ff 01")],
        ..UDHCPC
    };
    let two = Model {
        options: &[(61, "ff 02")],
        ..UDHCPC
    };
    assert_ne!(
        lease(&world, &mut engine, &one),
        lease(&world, &mut engine, &two)
    );
}

#[test]
fn a_system_takes_its_address_to_another_card() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let one = Model {
        options: &[(61, "ff 01")],
        ..UDHCPC
    };
    let address = lease(&world, &mut engine, &one);
    assert_eq!(lease(&world, &mut engine, &one.on(7)), address);
}

#[test]
fn a_reservation_is_its_owners_alone() {
    let mut world = world(2);
    world.config.dhcp.reservations.insert(EDK2_X64.mac(), FIRST);
    let mut engine = ready(&mut world);
    for mac in 0..3 {
        let out = discover(&world, &mut engine, &UDHCPC.on(mac));
        assert!(says(&out).iter().all(|(_, address)| *address != FIRST));
    }
    discover(&world, &mut engine, &EDK2_X64);
    world.wait(500);
    let out = world.tell(&mut engine, Input::Tick);
    assert!(says(&out).contains(&(Kind::Offer, FIRST)), "{out:?}");
}

#[test]
fn a_reservation_that_is_made_later_moves_its_owner() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let old = lease(&world, &mut engine, &UDHCPC);
    world.config.dhcp.reservations.insert(UDHCPC.mac(), LEASED);
    world.version += 1;
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, old)));
    assert_eq!(says(&out), [(Kind::Nak, Ipv4Addr::UNSPECIFIED)]);
    discover(&world, &mut engine, &UDHCPC);
    world.wait(500);
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(says(&out), [(Kind::Offer, LEASED)]);
}

/// RFC 2131 4.3.2, each state of a client.
#[test_case(Some(FLOATING), true, false, Some(Kind::Ack); "selecting")]
#[test_case(Some(REAL), true, false, None; "selecting another server")]
#[test_case(None, true, false, Some(Kind::Ack); "rebooting")]
#[test_case(None, false, true, Some(Kind::Ack); "renewing")]
fn a_request_is_answered_by_its_state(
    server: Option<Ipv4Addr>,
    named: bool,
    has: bool,
    kind: Option<Kind>,
) {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    let payload = UDHCPC.changed(REQUEST, 8, |packet| {
        if let Some(server) = server {
            packet.options.set(code::SERVER_ID, server.octets());
        }
        if named {
            packet
                .options
                .set(code::REQUESTED_ADDRESS, address.octets());
        }
        if has {
            packet.ciaddr = address;
        }
    });
    let out = world.hear(&mut engine, to_all(&payload));
    let out = written(&out).into_iter().flat_map(|(token, _, _)| {
        world.tell(&mut engine, Input::LeasesWritten { token, ok: true })
    });
    let said = says(&out.collect::<Vec<_>>());
    assert_eq!(said.first().map(|(kind, _)| *kind), kind);
}

#[test_case(Ipv4Addr::new(10, 9, 9, 9), "another network"; "of another network")]
#[test_case(Ipv4Addr::new(192, 168, 1, 9), "none that is given out"; "outside of the pool")]
#[test_case(FLOATING, "none that is given out"; "ours")]
#[test_case(FIRST, "another has"; "another's")]
fn a_wrong_address_is_refused_at_once(address: Ipv4Addr, why: &str) {
    let mut world = world(50);
    let mut engine = Engine::new();
    let link = "eth0".parse().unwrap();
    let until = later(world.now, Duration::from_mins(1));
    let other = Record {
        until,
        ..Record::of(&EDK2_X64.client(), until)
    };
    engine.load_leases(world.now, [other.lease(&link, FIRST)]);
    world.wait(1);
    let payload = UDHCPC.changed(REQUEST, 8, |packet| {
        packet
            .options
            .set(code::REQUESTED_ADDRESS, address.octets());
    });
    let out = world.hear(&mut engine, to_all(&payload));
    let (reply, packet) = replies(&out).remove(0);
    assert_eq!((packet.kind(), reply.dst_mac), (Some(Kind::Nak), EVERYBODY));
    assert!(reply.reason.contains(why), "{}", reply.reason);
    assert_eq!(packet.options.address(code::SERVER_ID), Some(FLOATING));
}

/// A lease of ours that no record tells of any more: better kept than disturbed.
#[test]
fn an_unknown_lease_of_a_free_address_is_taken_up() {
    let world = world(50);
    let mut engine = Engine::new();
    let payload = UDHCPC.changed(REQUEST, 8, |packet| packet.ciaddr = FIRST);
    let out = world.hear(&mut engine, frame((FIRST, 68), (FLOATING, 67), &payload));
    assert_eq!(written(&out)[0].1[0].address, FIRST);
}

#[test]
fn a_declined_address_rests() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    let decline = |model: &Model| {
        model.changed(DECLINE, 8, |packet| {
            packet.options.set(code::SERVER_ID, FLOATING.octets());
            packet
                .options
                .set(code::REQUESTED_ADDRESS, address.octets());
        })
    };
    let other = world.hear(&mut engine, to_all(&decline(&UDHCPC.on(7))));
    assert_eq!(other, [], "only whose it is may decline it");
    let out = world.hear(&mut engine, to_all(&decline(&UDHCPC)));
    let (token, leases, _) = written(&out).remove(0);
    assert_eq!(leases[0].holder, Holder::Stranger);
    world.tell(&mut engine, Input::LeasesWritten { token, ok: true });
    let (_, next) = says(&discover(&world, &mut engine, &UDHCPC))[0];
    assert_ne!(next, address);
}

#[test]
fn a_released_address_is_free_and_rests_as_long_as_it_can() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    let release = |model: &Model| {
        model.changed(RELEASE, 8, |packet| {
            packet.ciaddr = address;
            packet.options.set(code::SERVER_ID, FLOATING.octets());
        })
    };
    let other = world.hear(&mut engine, to_all(&release(&UDHCPC.on(7))));
    assert_eq!(other, []);
    let out = world.hear(&mut engine, to_all(&release(&UDHCPC)));
    assert_eq!(
        (written(&out)[0].2.as_slice(), says(&out)),
        ([address].as_slice(), vec![])
    );
    let (_, next) = says(&discover(&world, &mut engine, &UDHCPC.on(7)))[0];
    assert_ne!(next, address);
}

#[test]
fn an_inform_is_answered_without_an_address_or_a_lease() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let payload = UDHCPC.changed(INFORM, 8, |packet| packet.ciaddr = LEASED);
    let out = world.hear(&mut engine, frame((LEASED, 68), (FLOATING, 67), &payload));
    let (reply, packet) = replies(&out).remove(0);
    assert_eq!(
        (packet.kind(), packet.yiaddr),
        (Some(Kind::Ack), Ipv4Addr::UNSPECIFIED)
    );
    assert_eq!(
        (packet.options.get(code::LEASE_TIME), *reply.dst.ip()),
        (None, LEASED)
    );
    assert!(packet.options.get(code::ROUTER).is_some());
}

#[test]
fn an_empty_pool_says_so_and_takes_back_what_is_over() {
    let mut world = world(3);
    let mut engine = ready(&mut world);
    for client in 1..=2 {
        lease(&world, &mut engine, &UDHCPC.on(client));
    }
    let third = UDHCPC.changed(REQUEST, 8, |packet| packet.ciaddr = FIRST);
    world.hear(&mut engine, to_all(&third));
    let out = discover(&world, &mut engine, &UDHCPC.on(4));
    let Output::Trace { step, .. } = &out[0] else {
        panic!("{out:?}");
    };
    assert!(step.why.contains("make the pool larger"), "{step:?}");
    world.wait(3_601_000);
    assert_eq!(
        probed(&discover(&world, &mut engine, &UDHCPC.on(4))).len(),
        1
    );
    world.wait(500);
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(says(&out).len(), 1);
}

#[test_case(Ipv4Addr::new(192, 168, 1, 3), true; "in the network of the pool")]
#[test_case(RELAY, false; "in another")]
fn a_relay_is_answered_for_its_network(giaddr: Ipv4Addr, is: bool) {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let payload = UDHCPC.changed(DISCOVER, 8, |packet| {
        packet.giaddr = giaddr;
        packet.options.set(82, [1, 1, 7]);
    });
    let out = world.hear(&mut engine, frame((giaddr, 67), (OWN, 67), &payload));
    if !is {
        assert_eq!((says(&out), marks(&out)), (vec![], vec![Mark::Silent]));
        return;
    }
    let (reply, packet) = replies(&out).remove(0);
    assert_eq!((*reply.dst.ip(), reply.dst.port()), (giaddr, 67));
    assert_eq!(
        packet.options.iter().last(),
        Some((82, [1, 1, 7].as_slice()))
    );
}

#[test]
fn leases_outlive_a_restart() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let (_, address) = says(&discover(&world, &mut engine, &UDHCPC))[0];
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    let leases = written(&out).remove(0).1;
    let mut engine = Engine::new();
    engine.load_leases(world.now, leases);
    let out = discover(&world, &mut engine, &UDHCPC);
    assert_eq!(
        says(&out),
        [(Kind::Offer, address)],
        "at once: it had it before"
    );
}

/// The shell may lose an answer; the address must not be lost with it.
#[test]
fn a_write_that_nothing_is_heard_of_counts_as_failed() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let (_, address) = says(&discover(&world, &mut engine, &UDHCPC))[0];
    world.hear(&mut engine, to_all(&ask(&UDHCPC, address)));
    world.wait(130_000);
    assert_eq!(marks(&world.tell(&mut engine, Input::Tick)), [Mark::Silent]);
    assert_eq!(
        written(&world.hear(&mut engine, to_all(&ask(&UDHCPC, address)))).len(),
        1
    );
}

#[test_case(Serve::Off)]
#[test_case(Serve::Proxy)]
fn a_network_that_is_no_more_served_has_nothing_due(serve: Serve) {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    lease(&world, &mut engine, &UDHCPC);
    discover(&world, &mut engine, &UDHCPC.on(7));
    discover(&world, &mut engine, &EDK2_X64);
    let out = world.hear(&mut engine, to_all(&ask(&UDHCPC, FIRST)));
    let pending = written(&out);
    world.config.serve = serve;
    world.wait(100_000);
    world.tell(&mut engine, Input::Tick);
    for (token, _, _) in pending {
        let out = world.tell(&mut engine, Input::LeasesWritten { token, ok: true });
        assert!(out.is_empty());
    }
    assert_eq!(engine.next_timer(), None);
    assert_eq!(engine_book(&engine).holds(), 0);
    assert!(discover(&world, &mut engine, &UDHCPC).is_empty());
    world.config.serve = Serve::Server;
    world.wait(1);
    let out = discover(&world, &mut engine, &UDHCPC);
    assert_eq!(
        says(&out),
        [(Kind::Offer, FIRST)],
        "what was written is true"
    );
}

#[test]
fn old_leases_are_dropped_a_day_after_their_end() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    let address = lease(&world, &mut engine, &UDHCPC);
    world.wait(25 * 3_600_000);
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(written(&out).len(), 0, "its hour is over, but not its day");
    world.wait(3_600_000);
    let out = world.tell(&mut engine, Input::Tick);
    assert_eq!(written(&out)[0].2, [address]);
    assert!(engine_book(&engine).is_empty());
}

/// Far more clients than the pool has addresses: a known machine still gets an address, and nothing grows.
#[test]
fn a_flood_neither_grows_nor_starves_a_known_machine() {
    let mut world = world(100);
    let mut engine = ready(&mut world);
    for mac in 0..20_000 {
        discover(&world, &mut engine, &UDHCPC.on(mac));
    }
    let book = engine_book(&engine);
    assert!(book.holds() <= 100 && book.is_empty());
    world.known = true;
    let mut out = discover(&world, &mut engine, &EDK2_X64);
    world.wait(500);
    out.extend(world.tell(&mut engine, Input::Tick));
    assert!(
        replies(&out)
            .iter()
            .any(|(_, packet)| packet.mac() == Some(EDK2_X64.mac()))
    );
}

#[test]
fn the_clock_may_jump() {
    let mut world = world(50);
    let mut engine = ready(&mut world);
    lease(&world, &mut engine, &UDHCPC);
    for now in [Timestamp::MAX, Timestamp::MIN, Timestamp::UNIX_EPOCH] {
        world.now = now;
        world.tell(&mut engine, Input::Tick);
        discover(&world, &mut engine, &UDHCPC.on(7));
        if now < Timestamp::MAX {
            world.wait(500);
        }
        world.tell(&mut engine, Input::Tick);
    }
    lease(&world, &mut engine, &UDHCPC.on(8));
}

#[test]
fn identities_are_written_as_hexadecimal_and_read_again() {
    use super::identity::{bytes_of, hex_of};
    assert_eq!(hex_of(&[0xff, 0x00, 0x1a]), "ff001a");
    assert_eq!(bytes_of("ff001a"), Some(vec![0xff, 0x00, 0x1a]));
    for wrong in ["", "f", "zz", "ff0"] {
        assert_eq!(bytes_of(wrong), None);
    }
}

mod properties {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No two clients ever hold one address at one time, none outside of the pool is given, and no
        /// acknowledgement leaves whose lease was not written.
        #[test]
        fn an_address_has_one_holder(
            steps in vec((0..6_u32, 0..5_u8, 0..8_u8, any::<bool>(), 0..2_000_i64), 1..80),
        ) {
            let mut world = world(5);
            let mut engine = ready(&mut world);
            let mut held: BTreeMap<Ipv4Addr, (MacAddr, Timestamp)> = BTreeMap::new();
            let mut offered: BTreeMap<MacAddr, Ipv4Addr> = BTreeMap::new();
            for (client, step, offset, ok, wait) in steps {
                world.wait(wait);
                let model = UDHCPC.on(client);
                let any = Ipv4Addr::from_bits(FIRST.to_bits() - 1 + u32::from(offset));
                let wanted = offered.get(&model.mac()).copied().filter(|_| ok).unwrap_or(any);
                let mut out = match step {
                    0 => discover(&world, &mut engine, &model),
                    1 | 2 => world.hear(&mut engine, to_all(&ask(&model, wanted))),
                    3 => world.tell(&mut engine, Input::ProbeAnswered { address: any, by: SOMEBODY }),
                    _ => world.hear(&mut engine, to_all(&model.changed(RELEASE, 1, |packet| {
                        packet.ciaddr = wanted;
                        packet.options.set(code::SERVER_ID, FLOATING.octets());
                    }))),
                };
                for (token, leases, drop) in written(&out) {
                    for address in drop {
                        held.remove(&address);
                    }
                    let done = world.tell(&mut engine, Input::LeasesWritten { token, ok });
                    let acked = says(&done).iter().any(|(kind, _)| *kind == Kind::Ack);
                    prop_assert!(ok || !acked);
                    for lease in leases.iter().filter(|_| ok) {
                        if let Holder::Client { mac, .. } = lease.holder {
                            let before = held.insert(lease.address, (mac, lease.until));
                            let free = before.is_none_or(|(holder, until)| holder == mac || until <= world.now);
                            prop_assert!(free, "{} of {before:?} to {mac}", lease.address);
                        }
                    }
                }
                out.extend(world.tell(&mut engine, Input::Tick));
                for (_, packet) in replies(&out) {
                    if packet.kind() == Some(Kind::Offer) {
                        let pool = world.config.dhcp.pool.unwrap();
                        prop_assert!(pool.contains(packet.yiaddr));
                        offered.insert(packet.mac().unwrap(), packet.yiaddr);
                    }
                }
            }
        }
    }
}
