//! Networks, the floating IPs held on them, leases, and the board of the wire.

use std::net::Ipv4Addr;

use super::*;
use crate::core::ReceiptStatus;
use crate::core::wire::{Found, LinkStatus, Scanned, Serving};
use crate::model::network::{ArpSettings, FloatingState, FloatingStatus, Held, Holder, Serve};
use crate::model::{Lease, LinkName, NetworkPatch};

fn link(name: &str) -> LinkName {
    name.parse().unwrap()
}

fn network(json: &str) -> Command {
    let patch: NetworkPatch = serde_json::from_str(json).unwrap();
    Command::SetNetwork {
        link: link("eth0"),
        patch,
    }
}

fn status(addresses: &[(&str, u8)]) -> LinkStatus {
    let addresses = addresses.iter();
    LinkStatus {
        name: link("eth0"),
        mac: mac(1),
        up: true,
        mtu: 1500,
        addresses: addresses
            .map(|(address, prefix)| (address.parse().unwrap(), *prefix))
            .collect(),
        floating: FloatingStatus {
            state: FloatingState::Off,
            address: None,
            since: jiff::Timestamp::UNIX_EPOCH,
            text: String::new(),
            warning: None,
        },
        serving: Serving {
            serve: Serve::Proxy,
            from: None,
            why: String::new(),
        },
        counters: Vec::new(),
    }
}

fn lease(name: &str, address: u32, until: jiff::Timestamp) -> Lease {
    Lease {
        link: link(name),
        address: Ipv4Addr::from(0x0a00_0000 + address),
        holder: Holder::Stranger,
        until,
    }
}

#[tokio::test]
async fn a_network_is_as_by_default_until_it_is_changed() {
    let house = House::new();
    let (before, version) = house.core.network(&link("eth0")).unwrap();
    assert_eq!((before.config.serve, version), (Serve::Proxy, 0));
    assert!(house.core.networks().unwrap().is_empty());
    let receipt = house.run(network(r#"{"idle":"silence"}"#)).await.unwrap();
    assert_eq!((fields(&receipt), receipt.version), (vec!["idle"], 1));
    assert_eq!(receipt.subject, Subject::Network(link("eth0")));
    assert!(receipt.notes[0].contains("not served"));
    assert_eq!(house.core.networks().unwrap().len(), 1);
    let event = house.events().pop().unwrap();
    assert!(event.audit && event.what.name() == "network.changed");
    let again = house.run(network(r#"{"idle":"silence"}"#)).await.unwrap();
    assert!(again.events.is_empty() && again.version == 1);
}

#[tokio::test]
async fn what_cannot_be_meant_changes_nothing() {
    let house = House::new();
    let refused = house.run(network(r#"{"serve":"server"}"#)).await;
    assert!(matches!(refused, Err(Refusal::Field(error)) if error.field == "pool"));
    assert!(house.core.networks().unwrap().is_empty());
}

#[tokio::test]
async fn what_lies_outside_of_the_link_is_refused_while_the_link_is_served() {
    let house = House::new();
    let server = |pool: &str, more: &str| {
        let (first, last) = pool.split_once('-').unwrap();
        network(&format!(
            r#"{{"serve":"server","pool":{{"first":"{first}","last":"{last}"}}{more}}}"#
        ))
    };
    house
        .core
        .wire()
        .publish(status(&[("10.0.0.1", 24), ("10.9.0.1", 16)]));
    for (command, field, why) in [
        (
            server("192.168.0.1-192.168.0.9", ""),
            "pool",
            "no network of link eth0, which is in 10.0.0.0/24, 10.9.0.0/16",
        ),
        (server("10.0.0.250-10.0.1.9", ""), "pool", "another network"),
        (server("10.0.0.1-10.0.0.9", ""), "pool", "host's own"),
        (server("10.0.0.200-10.0.0.255", ""), "pool", "broadcast"),
        (server("10.9.0.0-10.9.0.0", ""), "pool", "network's own"),
        (
            server("10.0.0.9-10.0.0.10", r#","router":"10.9.0.1""#),
            "router",
            "another network",
        ),
        (
            server(
                "10.0.0.9-10.0.0.10",
                r#","reservations":{"52:54:00:00:00:01":"10.1.0.1"}"#,
            ),
            "reservations",
            "no network",
        ),
        (
            network(r#"{"floating":{"address":"10.0.1.9"}}"#),
            "floating",
            "no network",
        ),
        (
            network(r#"{"floating":{"address":"10.0.0.1"}}"#),
            "floating",
            "host's own",
        ),
    ] {
        let refused = house.run(command).await.unwrap_err();
        let Refusal::Field(error) = refused else {
            panic!("{refused}")
        };
        assert_eq!(error.field, field);
        assert!(error.reason.contains(why), "{error}");
        assert!(error.example.contains("10.0.0.2"), "{error}");
    }
    house.run(server("10.9.4.0-10.9.5.255", "")).await.unwrap();
    house.core.wire().withdraw(&link("eth0"));
    house
        .run(server("192.168.0.1-192.168.0.9", ""))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_is_held_moved_and_let_go() {
    let house = House::new();
    let held = |address: [u8; 4]| Held::new(address.into(), house.clock.now());
    let keep = |held| Command::HoldAddress {
        link: link("eth0"),
        held,
    };
    house.run(network(r#"{"scan":7}"#)).await.unwrap();
    let from = house.count();
    house.system(keep(Some(held([10, 0, 0, 2])))).await.unwrap();
    let (network, _) = house.core.network(&link("eth0")).unwrap();
    let mut aside = network.held.clone().unwrap();
    let same = house.system(keep(Some(aside.clone()))).await.unwrap();
    assert_eq!((same.status, same.version), (ReceiptStatus::Unchanged, 2));
    aside.before = Some(ArpSettings {
        arp_ignore: 0,
        arp_announce: 0,
    });
    let noted = house.system(keep(Some(aside))).await.unwrap();
    assert!(noted.events.is_empty() && noted.version == 3);
    house.system(keep(Some(held([10, 0, 0, 3])))).await.unwrap();
    house.system(keep(None)).await.unwrap();
    assert_eq!(
        house.names(from),
        [
            "network.address_held",
            "network.address_released",
            "network.address_held",
            "network.address_released"
        ]
    );
    let (network, version) = house.core.network(&link("eth0")).unwrap();
    assert_eq!(
        (network.held.as_ref(), network.config.floating.scan),
        (None, 7)
    );
    assert_eq!(version, 5);
}

#[tokio::test]
async fn leases_are_recorded_many_at_once_and_without_events() {
    let house = House::new();
    let until = house.clock.now();
    let leases: Vec<_> = (0..2500).map(|n| lease("eth0", n, until)).collect();
    let twice = lease("eth0", 7, until + SignedDuration::from_secs(60));
    let put = leases
        .into_iter()
        .chain([twice.clone(), lease("eth1", 1, until)]);
    let gone = vec![(link("eth0"), twice.address), (link("eth9"), twice.address)];
    house.core.record_leases(put.collect(), gone).await.unwrap();
    let found = house.core.leases(&link("eth0")).unwrap();
    assert_eq!(found.len(), 2500);
    assert!(found.is_sorted_by_key(|lease| lease.address));
    assert_eq!(*found[7], twice);
    let gone = found[..2400]
        .iter()
        .map(|lease| (lease.link.clone(), lease.address));
    house
        .core
        .record_leases(Vec::new(), gone.collect())
        .await
        .unwrap();
    assert_eq!(house.core.leases(&link("eth0")).unwrap().len(), 100);
    assert_eq!(house.core.counts().unwrap().leases, 101);
    assert_eq!(house.count(), 0);
    house
        .core
        .record_leases(Vec::new(), Vec::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_machine_is_found_by_any_of_its_cards() {
    let house = House::new();
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    for octet in [1, 2] {
        let found = house.core.machine_by_mac(mac(octet)).unwrap();
        assert_eq!(found.unwrap().id, subject(&receipt));
    }
    assert!(house.core.machine_by_mac(mac(3)).unwrap().is_none());
}

#[tokio::test]
async fn the_board_shows_what_was_published_last() {
    let house = House::new();
    let wire = house.core.wire();
    let watch = wire.watch();
    wire.publish(status(&[("10.0.0.1", 24)]));
    wire.publish(status(&[("10.0.0.1", 24)]));
    assert_eq!(*watch.borrow(), 1);
    wire.publish(status(&[]));
    assert_eq!(*watch.borrow(), 2);
    assert_eq!(wire.links(), [status(&[])]);
    wire.withdraw(&link("eth0"));
    wire.withdraw(&link("eth0"));
    assert!(wire.links().is_empty() && *watch.borrow() == 3);
}

#[tokio::test]
async fn a_scan_is_answered_by_who_serves_the_link() {
    let house = House::new();
    let wire = house.core.wire();
    let refused = wire.scan(&link("eth0")).await.unwrap_err();
    assert!(matches!(&refused, Refusal::Conflict { hint, .. } if hint.contains("net.links")));
    wire.publish(status(&[]));
    let refused = wire.scan(&link("eth1")).await.unwrap_err();
    assert!(matches!(&refused, Refusal::Conflict { hint, .. } if hint.contains("eth0")));
    let mut scans = wire.scans().unwrap();
    assert!(wire.scans().is_none());
    let found = vec![Scanned {
        address: [10, 0, 0, 2].into(),
        found: Found::Free,
    }];
    let answer = async {
        let request = scans.recv().await.unwrap();
        assert_eq!(request.link, link("eth0"));
        request.answer.send(Ok(found.clone())).unwrap();
    };
    let name = link("eth0");
    let (answered, ()) = tokio::join!(wire.scan(&name), answer);
    assert_eq!(answered.unwrap(), found);
    drop(scans);
    let refused = wire.scan(&link("eth0")).await.unwrap_err();
    assert!(matches!(refused, Refusal::Conflict { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_nobody_answers_ends() {
    let house = House::new();
    house.core.wire().publish(status(&[]));
    let scans = house.core.wire().scans();
    let refused = house.core.wire().scan(&link("eth0")).await.unwrap_err();
    assert!(refused.to_string().contains("within 5 seconds"));
    drop(scans);
}
