//! Cables, subnets and addresses change under what is held.

use super::*;

#[test]
fn lost_it_so_it_is_put_back_at_once_and_announced() {
    let mut host = Host::new(auto()).settle();
    host.sent.clear();
    host.done.clear();
    host.change(|place| place.forget(at(3)));
    assert_eq!(host.done, [Output::Add(at(3))]);
    assert_eq!(host.announced(at(3)), 1);
    host.holds(at(3));
}

#[test]
fn refuses_it_so_it_is_tried_every_second() {
    let mut host = Host::new(auto()).settle();
    host.kernel_fails = true;
    host.done.clear();
    host.change(|place| place.forget(at(3)));
    assert!(
        host.text()
            .contains("could not be put back: no such device"),
        "{}",
        host.text()
    );
    host.pass(seconds(3));
    assert_eq!(host.done.len(), 4);
    host.kernel_fails = false;
    host.pass(seconds(1));
    host.holds(at(3));
}

#[test]
fn was_out_so_it_is_kept_probed_and_announced() {
    let mut host = Host::new(auto()).settle();
    host.change(|place| place.running = false);
    host.sent.clear();
    host.done.clear();
    host.pass(seconds(600));
    host.holds(at(3));
    host.change(|place| place.running = true);
    host.pass(seconds(20));
    host.holds(at(3));
    let probes = host
        .sent
        .iter()
        .filter(|(_, packet)| *packet == Packet::probe(MAC, at(3)));
    assert_eq!(probes.count(), usize::from(PROBE_NUM));
    assert_eq!(host.announced(at(3)), 2);
    assert!(host.done.is_empty(), "{:?}", host.done);
}

#[test]
fn was_out_and_somebody_took_it_meanwhile() {
    let mut host = Host::new(auto()).settle();
    host.change(|place| place.running = false);
    host.neighbours = vec![(at(3), OTHER)];
    host.sent.clear();
    host.change(|place| place.running = true);
    host.pass(seconds(20));
    host.holds(at(4));
    assert_eq!(host.announced(at(3)), 0);
}

#[test]
fn flaps_and_nothing_is_announced_in_between() {
    let mut host = Host::new(auto()).settle();
    host.sent.clear();
    for _ in 0..20 {
        host.change(|place| place.running = false);
        host.pass(Duration::from_millis(100));
        host.change(|place| place.running = true);
        host.pass(Duration::from_millis(100));
    }
    assert!(host.sent.len() < 20, "{}", host.sent.len());
    host.pass(seconds(20));
    assert_eq!(host.announced(at(3)), 2);
}

#[test]
fn was_given_our_address_so_ours_goes_and_the_hosts_stays() {
    let mut host = Host::new(auto()).settle();
    let own = LinkAddress {
        address: at(3),
        prefix: 24,
    };
    host.change(|place| place.addresses.push(own));
    host.pass(seconds(20));
    assert!(host.place.addresses.contains(&own));
    host.holds(at(4));
}

#[test]
fn moved_to_another_subnet_so_it_follows() {
    let mut host = Host::new(auto()).settle();
    let new = LinkAddress {
        address: Ipv4Addr::new(10, 0, 0, 7),
        prefix: 24,
    };
    host.change(|place| place.addresses[0] = new);
    host.pass(seconds(10));
    host.holds(at(3));
    host.pass(seconds(20));
    host.holds(Ipv4Addr::new(10, 0, 0, 8));
}

/// A DHCP client between two leases.
#[test]
fn lost_the_hosts_own_address_for_a_while_and_it_stays() {
    let mut host = Host::new(auto()).settle();
    let own = host.place.addresses.clone();
    host.change(|place| place.addresses.retain(|entry| entry.prefix == 32));
    host.pass(seconds(600));
    host.change(|place| place.addresses = own);
    host.pass(seconds(600));
    host.holds(at(3));
}
