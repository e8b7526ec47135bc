//! Probing an address, and losing it.

use test_case::test_case;

use super::*;

/// Up to the first probe for 192.168.77.3.
fn probing() -> Host {
    let mut host = Host::new(auto());
    while !host.sent.iter().any(|(_, packet)| packet.is_probe()) {
        host.pass(Duration::from_millis(10));
    }
    host
}

#[test_case(Packet::probe(OTHER, at(3)); "a rival")]
#[test_case(Packet::announcement(OTHER, at(3)); "a holder")]
#[test_case(Packet::reply(OTHER, at(3), MAC, at(2)); "a late answer")]
#[test_case(Packet::request(OTHER, at(3), PEER); "somebody who speaks as it")]
fn gives_way_to(packet: Packet) {
    let mut host = probing();
    host.hear(&packet);
    host.pass(seconds(20));
    host.holds(at(4));
}

#[test]
fn gives_way_until_the_very_end() {
    let mut host = probing();
    while host
        .sent
        .iter()
        .filter(|(_, packet)| packet.is_probe())
        .count()
        < 3
    {
        host.pass(Duration::from_millis(10));
    }
    host.pass(Duration::from_millis(1900));
    host.hear(&Packet::probe(OTHER, at(3)));
    host.pass(seconds(20));
    host.holds(at(4));
}

#[test_case(Packet::probe(MAC, at(3)); "itself, reflected")]
#[test_case(Packet::request(OTHER, PEER, at(3)); "somebody who looks for it")]
#[test_case(Packet::announcement(OTHER, at(4)); "the holder of another")]
fn does_not_give_way_to(packet: Packet) {
    let mut host = probing();
    host.hear(&packet);
    host.pass(seconds(20));
    host.holds(at(3));
}

/// A second card of the host on the same wire answers for the first one's addresses, and is no stranger.
#[test]
fn does_not_give_way_to_another_card_of_the_host() {
    let mut host = Host::new(auto());
    host.change(|place| place.macs.extend([OTHER]));
    host.neighbours = vec![(at(3), OTHER)];
    host.settle().holds(at(3));
}

#[test]
fn a_rivals_probe_is_noted_during_the_look() {
    let mut host = Host::new(auto());
    host.feed(Input::Tick);
    host.hear(&Packet::probe(OTHER, at(3)));
    host.pass(seconds(20));
    host.holds(at(4));
    assert!(
        !host
            .sent
            .contains(&(host.sent[0].0, Packet::probe(MAC, at(3))))
    );
}

/// RFC 5227, section 2.1.1.
#[test]
fn after_ten_lost_claims_it_tries_once_a_minute() {
    let mut host = Host::new(auto());
    for _ in 0..600 {
        host.pass(Duration::from_millis(100));
        let last = host.sent.iter().rev().find(|(_, packet)| packet.is_probe());
        if let Some((_, packet)) = last {
            let rival = Packet::probe(OTHER, packet.target);
            host.hear(&rival);
        }
    }
    host.holds_nothing(FloatingState::NoneFree);
    assert!(
        host.text()
            .contains("10 addresses were lost to others lately"),
        "{}",
        host.text()
    );
    let probes = host
        .sent
        .iter()
        .filter(|(_, packet)| packet.is_probe())
        .count();
    assert!(probes <= 11, "{probes}");
}

#[test]
fn a_pulled_cable_ends_it_and_a_new_one_starts_it_again() {
    let mut host = probing();
    host.change(|place| place.running = false);
    assert_eq!(host.state(), FloatingState::Waiting);
    host.pass(seconds(60));
    host.holds_nothing(FloatingState::Waiting);
    host.change(|place| place.running = true);
    host.pass(seconds(20));
    host.holds(at(3));
}

#[test]
fn nothing_is_put_on_the_link_that_could_not_be_written_down() {
    let mut host = Host::new(auto());
    host.store_fails = true;
    host.pass(seconds(9));
    assert!(host.on_link().is_empty());
    assert!(host.text().contains("the disk is full"), "{}", host.text());
    host.store_fails = false;
    host.pass(seconds(20));
    host.holds(at(3));
}

#[test]
fn what_could_not_be_struck_out_is_struck_out_later() {
    let mut host = Host::new(auto()).settle();
    host.store_fails = true;
    host.feed(Input::Release);
    host.pass(seconds(30));
    assert!(host.recorded.is_some() && host.on_link().is_empty());
    host.store_fails = false;
    host.pass(seconds(5));
    host.holds_nothing(FloatingState::Released);
    assert_eq!(host.machine.next_timer(), None);
}

#[test]
fn what_the_kernel_refuses_is_struck_out_and_tried_again() {
    let mut host = Host::new(auto());
    host.kernel_fails = true;
    host.pass(seconds(9));
    assert_eq!(host.recorded, None);
    assert!(host.text().contains("no such device"), "{}", host.text());
    host.kernel_fails = false;
    host.pass(seconds(20));
    host.holds(at(3));
}
