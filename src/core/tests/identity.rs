//! Registration, recognition, conflicts.

use super::*;
use crate::core::ReceiptStatus;
use crate::model::{Actor, StateKind, What};

#[tokio::test]
async fn a_machine_that_nobody_knows_is_registered_under_four_words() {
    let house = House::new();
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    let machine = house.machine(subject(&receipt));
    assert_eq!(machine.status.state.kind(), StateKind::Discovered);
    assert_eq!(machine.identity.all_macs, [mac(1), mac(2)]);
    assert_eq!(house.names(0), ["machine.registered"]);
    assert_eq!(
        house.core.telemetry().last_seen(machine.id),
        Some(house.clock.now())
    );
}

#[tokio::test]
async fn a_known_machine_costs_no_write_when_it_boots_again() {
    let house = House::new();
    let first = house.system(check_in(&[1, 2])).await.unwrap();
    let head = house.head();
    for octets in [&[1, 2][..], &[1], &[2]] {
        let receipt = house.system(check_in(octets)).await.unwrap();
        assert_eq!(receipt.status, ReceiptStatus::Unchanged);
        assert_eq!(receipt.subject, first.subject);
    }
    assert_eq!(house.head(), head);
    let seen = house.core.telemetry().last_seen(subject(&first));
    assert_eq!(seen, Some(house.clock.now()));
}

#[tokio::test]
async fn a_machine_with_a_new_card_is_found_by_the_old_one_and_remembered_with_both() {
    let house = House::new();
    let first = house.system(check_in(&[1])).await.unwrap();
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    assert_eq!(receipt.subject, first.subject);
    assert_eq!(fields(&receipt), ["macs", "identity_hash"]);
    let events = house.events();
    assert!(matches!(events[1].what, What::Reidentified { .. }));
    let by_new = house.system(check_in(&[2])).await.unwrap();
    assert_eq!(by_new.subject, first.subject);
}

#[tokio::test]
async fn two_cards_with_the_same_four_words_get_two_names() {
    let house = House::new();
    // The words stand for the low 44 bits, so these two differ in nothing that counts.
    let one = MacAddr::new([0x04, 0x2e, 0x99, 0, 0, 1]);
    let two = MacAddr::new([0xb4, 0x2e, 0x99, 0, 0, 1]);
    let mut ids = Vec::new();
    for mac in [one, two] {
        let command = Command::AddMachine(AddMachine { mac, ..told(0) });
        ids.push(subject(&house.run(command).await.unwrap()));
    }
    assert_ne!(house.machine(ids[0]).name(), house.machine(ids[1]).name());
}

#[tokio::test]
async fn a_machine_is_told_with_all_that_a_person_knows() {
    let house = House::new();
    let add = AddMachine {
        hostname: Some("web01".parse().unwrap()),
        friendly_name: Some("topaz".parse().unwrap()),
        os_choice: Some("debian-13".parse().unwrap()),
        tags: BTreeSet::from(["rack2".parse().unwrap()]),
        other_macs: BTreeSet::from([mac(2)]),
        ..told(1)
    };
    let receipt = house.run(Command::AddMachine(add)).await.unwrap();
    assert_eq!(receipt.version, 1);
    let machine = house.machine(subject(&receipt));
    assert_eq!(machine.name(), "topaz");
    assert_eq!(machine.config.generation, 1);
    assert_eq!(machine.status.state.kind(), StateKind::Ready);
    let told = [
        "machine.registered",
        "machine.configured",
        "machine.state_changed",
    ];
    assert_eq!(house.names(0), told);
}

#[tokio::test]
async fn a_machine_that_is_known_is_not_added_twice() {
    let house = House::new();
    let id = house.add(1).await;
    let refusal = house.run(Command::AddMachine(told(1))).await.unwrap_err();
    let Refusal::Conflict { reason, hint } = refusal else {
        panic!("{refusal}")
    };
    assert!(reason.contains(house.machine(id).name()), "{reason}");
    assert!(hint.contains("dragonfly machine show"), "{hint}");
    let two = house.add(2).await;
    let both = AddMachine {
        other_macs: BTreeSet::from([mac(2)]),
        ..told(1)
    };
    let refusal = house.run(Command::AddMachine(both)).await.unwrap_err();
    let Refusal::Conflict { reason, hint } = refusal else {
        panic!("{refusal}")
    };
    assert!(reason.contains(house.machine(id).name()), "{reason}");
    assert!(reason.contains(house.machine(two).name()), "{reason}");
    assert!(hint.contains("dragonfly machine merge"), "{hint}");
}

#[tokio::test]
async fn more_cards_than_a_machine_has_are_refused() {
    let house = House::new();
    let add = AddMachine {
        other_macs: (2..=65).map(mac).collect(),
        ..told(1)
    };
    let refusal = house.run(Command::AddMachine(add)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "other_macs"));
}

#[tokio::test]
async fn the_largest_machine_fits_one_commit() {
    let house = House::new();
    let add = AddMachine {
        other_macs: (2..=64).map(mac).collect(),
        smbios_uuid: Some("2f0a4a9e-6f0a-4a0e-9d0a-1f2e3d4c5b6a".parse().unwrap()),
        os_choice: Some("debian-13".parse().unwrap()),
        ..told(1)
    };
    house.run(Command::AddMachine(add)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_machine_that_shows_itself_many_times_at_once_is_registered_once() {
    let house = Arc::new(House::new());
    let calls = (0..20).map(|n| {
        let house = Arc::clone(&house);
        let octets = if n % 2 == 0 { [1, 2] } else { [2, 1] };
        let wire = Actor::system("wire");
        tokio::spawn(async move { house.by(wire, check_in(&octets)).await.unwrap() })
    });
    let calls: Vec<_> = calls.collect();
    let mut subjects = BTreeSet::new();
    for call in calls {
        subjects.insert(call.await.unwrap().subject);
    }
    assert_eq!(subjects.len(), 1);
    assert_eq!(house.core.counts().unwrap().machines, 1);
}

/// Two machines, and one that shows the cards of both.
async fn conflict() -> (House, MachineId, MachineId) {
    let house = House::new();
    let one = subject(&house.system(check_in(&[1])).await.unwrap());
    let two = subject(&house.system(check_in(&[2])).await.unwrap());
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    assert_eq!(subject(&receipt), one);
    (house, one, two)
}

#[tokio::test]
async fn anchors_of_two_machines_are_a_conflict_and_nothing_is_merged() {
    let (house, one, two) = conflict().await;
    assert_eq!(house.names(2), ["conflict.found"]);
    let conflicts = house.core.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].0.machines(), [one, two]);
    assert_eq!(house.machine(one).identity.all_macs, [mac(1)]);
}

#[tokio::test]
async fn a_conflict_is_recorded_once_and_dated_once_an_hour() {
    let (house, ..) = conflict().await;
    let head = house.head();
    let first = house.core.conflicts().unwrap()[0].0.last_seen;
    for _ in 0..10 {
        house.system(check_in(&[1, 2])).await.unwrap();
        house.system(check_in(&[2, 1])).await.unwrap();
    }
    assert_eq!(house.core.conflicts().unwrap().len(), 1);
    assert_eq!(house.core.conflicts().unwrap()[0].0.last_seen, first);
    house.pass(3600);
    house.system(check_in(&[1, 2])).await.unwrap();
    let conflicts = house.core.conflicts().unwrap();
    assert_eq!((conflicts.len(), conflicts[0].1), (1, 2));
    assert!(conflicts[0].0.last_seen > first);
    assert_eq!(house.head(), head);
}

#[tokio::test]
async fn merging_settles_the_conflict_and_the_machine_is_known_by_all() {
    let (house, one, two) = conflict().await;
    let before = house.count();
    let receipt = house
        .run(Command::MergeMachines {
            keep: one,
            absorb: two,
        })
        .await
        .unwrap();
    assert_eq!(subject(&receipt), one);
    assert_eq!(
        house.names(before),
        ["machine.merged", "machine.deleted", "conflict.settled"]
    );
    assert!(house.core.conflicts().unwrap().is_empty());
    assert!(house.core.machine_by_id(two).is_err());
    let known = house.system(check_in(&[1, 2])).await.unwrap();
    assert_eq!(known.status, ReceiptStatus::Unchanged);
}

#[tokio::test]
async fn deleting_one_side_settles_the_conflict() {
    let (house, one, two) = conflict().await;
    house
        .run(Command::DeleteMachine { machine: two })
        .await
        .unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    assert_eq!(subject(&receipt), one);
    assert_eq!(house.machine(one).identity.all_macs, [mac(1), mac(2)]);
}

#[tokio::test]
async fn a_conflict_of_three_stands_until_two_are_settled() {
    let house = House::new();
    let mut ids = Vec::new();
    for octet in [1, 2, 3] {
        ids.push(subject(&house.system(check_in(&[octet])).await.unwrap()));
    }
    house.system(check_in(&[1, 2, 3])).await.unwrap();
    let merge = |absorb| Command::MergeMachines {
        keep: ids[0],
        absorb,
    };
    house.run(merge(ids[1])).await.unwrap();
    let left = house.core.conflicts().unwrap();
    assert_eq!(left[0].0.machines(), [ids[0], ids[2]]);
    house.run(merge(ids[2])).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_conflict_seen_many_times_at_once_is_recorded_once() {
    let house = Arc::new(House::new());
    house.system(check_in(&[1])).await.unwrap();
    house.system(check_in(&[2])).await.unwrap();
    let calls = (0..20).map(|_| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.by(Actor::system("wire"), check_in(&[1, 2])).await })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(house.core.conflicts().unwrap().len(), 1);
}
