//! What the daemon finds of itself when it starts again.

use super::*;

#[test]
fn adopts_what_is_on_the_link_at_once_and_announces_it() {
    let mut host = Host::restarted(auto(), place_with(at(9)), Some(&held(at(9))));
    host.feed(Input::Tick);
    host.holds(at(9));
    assert_eq!(host.announced(at(9)), 1);
    assert!(host.done.is_empty(), "{:?}", host.done);
    host.pass(seconds(20));
    assert_eq!(host.announced(at(9)), 2);
    assert!(host.done.is_empty(), "{:?}", host.done);
}

#[test]
fn claims_the_same_one_again_when_it_is_gone() {
    let host = Host::restarted(auto(), place(), Some(&held(at(9)))).settle();
    host.holds(at(9));
    let first = host.sent[0].1;
    assert_eq!(first, Packet::probe(MAC, at(9)));
}

#[test]
fn looks_for_another_one_when_somebody_has_it_now() {
    let host = Host::restarted(auto(), place(), Some(&held(at(9))))
        .with(&[at(9)])
        .settle();
    host.holds(at(3));
}

/// It was killed in the middle of a move.
#[test]
fn takes_off_what_it_was_about_to_leave() {
    let mut both = place_with(at(8));
    both.note(at(9));
    let mut moving = held(at(9));
    moving.leaving = Some(at(8));
    let host = Host::restarted(auto(), both, Some(&moving)).settle();
    host.holds(at(9));
}

#[test]
fn moves_to_what_is_wanted_meanwhile() {
    let host = Host::restarted(wants(at(50)), place_with(at(9)), Some(&held(at(9)))).settle();
    host.holds(at(50));
}

#[test]
fn takes_off_what_is_not_wanted_any_more() {
    let off = Floating {
        want: Want::Off,
        ..auto()
    };
    let host = Host::restarted(off, place_with(at(9)), Some(&held(at(9)))).settle();
    host.holds_nothing(FloatingState::Off);
}

/// The host was given it meanwhile, with its subnet: that is not ours to take away.
#[test]
fn leaves_alone_what_became_the_hosts_own() {
    let mut place = place();
    place.addresses.push(LinkAddress {
        address: at(9),
        prefix: 24,
    });
    let host = Host::restarted(auto(), place.clone(), Some(&held(at(9)))).settle();
    assert!(host.place.addresses.starts_with(&place.addresses));
    host.holds(at(3));
}

#[test]
fn announces_once_the_cable_is_in_and_nobody_took_it() {
    let mut pulled = place_with(at(9));
    pulled.running = false;
    let mut host = Host::restarted(auto(), pulled, Some(&held(at(9)))).settle();
    host.holds(at(9));
    assert!(host.sent.is_empty());
    host.change(|place| place.running = true);
    host.pass(seconds(20));
    host.holds(at(9));
    assert_eq!(host.announced(at(9)), 2);
}
