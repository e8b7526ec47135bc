//! Conflicts that are many, that an import brought, and that end in other ways than by one merge.

use super::*;
use crate::model::{Anchor, Conflict};
use crate::store::Key;

/// A machine with these cards as an import brings it: nobody asked whether they are free.
async fn imported(house: &House, octets: &[u8]) -> MachineId {
    house.pass(1);
    let Command::CheckIn { evidence, source } = check_in(octets) else {
        unreachable!("it is a check-in");
    };
    let id = MachineId(house.clock.new_id());
    let name = crate::model::MemorableName::candidates(mac(octets[0]))
        .nth(house.core.counts().unwrap().machines)
        .unwrap();
    let machine = Machine::register(id, &evidence, name, source, house.clock.now());
    let commit = Commit {
        changes: vec![Change::Put(Object::Machine(Arc::new(machine)))],
        ..Commit::default()
    };
    house.store.commit(commit).await.unwrap();
    id
}

fn merge(keep: MachineId, absorb: MachineId) -> Command {
    Command::MergeMachines { keep, absorb }
}

#[tokio::test]
async fn evidence_is_kept_in_a_conflict_without_what_no_machine_has() {
    let house = House::new();
    house.add(1).await;
    house.add(2).await;
    let mut octets: Vec<u8> = (1..=200).collect();
    octets.extend(1..=200);
    house.system(check_in(&octets)).await.unwrap();
    let conflicts = house.core.conflicts().unwrap();
    assert_eq!(conflicts[0].0.evidence.nics.len(), 64);
}

#[tokio::test]
async fn a_deleted_machine_is_named_by_no_conflict_however_many_there_were() {
    let house = House::new();
    let cards: Vec<u8> = (1..=50).collect();
    let id = subject(&house.system(check_in(&cards)).await.unwrap());
    for octet in 101..=150 {
        house.add(octet).await;
        house.system(check_in(&[octet, octet - 100])).await.unwrap();
    }
    assert_eq!(house.core.conflicts().unwrap().len(), 50);
    house
        .run(Command::DeleteMachine { machine: id })
        .await
        .unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    let settled = house
        .events()
        .into_iter()
        .filter(|event| event.what.name() == "conflict.settled");
    let settled: Vec<_> = settled.collect();
    assert_eq!(settled.len(), 50);
    assert!(settled.iter().all(|event| event.audit));
}

/// Sixteen conflicts beside the demands for sixty cards were more than a commit may hold, so that this machine could
/// never be split.
#[tokio::test]
async fn the_largest_machine_with_many_conflicts_is_split() {
    let house = House::new();
    let cards: Vec<u8> = (1..=64).collect();
    let id = subject(&house.system(check_in(&cards)).await.unwrap());
    for octet in 101..=120 {
        house.add(octet).await;
        house.system(check_in(&[octet, octet - 90])).await.unwrap();
    }
    let command = Command::SplitMachine {
        machine: id,
        macs: (2..=64).map(mac).collect(),
        uuid: false,
    };
    let receipt = house.keyed("split", "body", command).await.unwrap();
    assert_eq!(receipt.command, "machine.split");
    let conflicts = house.core.conflicts().unwrap();
    assert_eq!(conflicts.len(), 20);
    assert!(
        conflicts
            .iter()
            .all(|(conflict, _)| !conflict.machines().contains(&id))
    );
}

#[tokio::test]
async fn another_mac_settles_the_conflict_about_the_old_one() {
    let house = House::new();
    let one = house.add(1).await;
    house.add(2).await;
    house.system(check_in(&[1, 2])).await.unwrap();
    let command = Command::SetMachine {
        machine: one,
        patch: patch(r#"{"mac": "b4:2e:99:00:00:09"}"#),
        confirmed: true,
    };
    house.run(command).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
}

#[tokio::test]
async fn imported_machines_that_share_an_anchor_are_a_conflict_until_they_are_merged() {
    let house = House::new();
    let one = imported(&house, &[1, 2]).await;
    let two = imported(&house, &[2, 3]).await;
    let found = house.core.conflicts().unwrap();
    assert_eq!((found.len(), found[0].1), (1, 0));
    let shared = Anchor::Mac(mac(2));
    assert_eq!(found[0].0.claims, [(shared.clone(), one), (shared, two)]);
    assert_eq!(found, house.core.conflicts().unwrap());
    assert_eq!(house.core.counts().unwrap().conflicts, 1);
    house.run(merge(one, two)).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    assert_eq!(house.core.counts().unwrap().conflicts, 0);
    assert_eq!(house.machine(one).identity.all_macs, [1, 2, 3].map(mac));
}

#[tokio::test]
async fn a_conflict_that_was_also_seen_at_a_check_in_is_listed_once() {
    let house = House::new();
    imported(&house, &[1, 2]).await;
    imported(&house, &[2, 3]).await;
    house.system(check_in(&[2])).await.unwrap();
    let found = house.core.conflicts().unwrap();
    assert_eq!((found.len(), found[0].1), (1, 1));
}

/// Each merge would have brought an anchor that the third machine has too, and was refused: there was no way out
/// but to delete one.
#[tokio::test]
async fn three_imported_machines_of_which_each_two_share_a_card_can_be_merged() {
    let house = House::new();
    let one = imported(&house, &[1, 11, 13]).await;
    let two = imported(&house, &[2, 11, 12]).await;
    let three = imported(&house, &[3, 12, 13]).await;
    assert_eq!(house.core.conflicts().unwrap().len(), 3);
    house.run(merge(one, two)).await.unwrap();
    house.run(merge(one, three)).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    assert_eq!(house.core.counts().unwrap().machines, 1);
}

#[tokio::test]
async fn a_card_that_an_import_gave_to_two_machines_can_be_split_off_and_merged_into_the_right_one()
{
    let house = House::new();
    let one = imported(&house, &[1, 2]).await;
    let two = imported(&house, &[3, 2]).await;
    let split = Command::SplitMachine {
        machine: one,
        macs: BTreeSet::from([mac(2)]),
        uuid: false,
    };
    house.run(split).await.unwrap();
    let found: Vec<Arc<Conflict>> = house
        .core
        .conflicts()
        .unwrap()
        .into_iter()
        .map(|(conflict, _)| conflict)
        .collect();
    let new = found[0]
        .machines()
        .into_iter()
        .find(|id| *id != two)
        .unwrap();
    assert_ne!(new, one);
    house.run(merge(two, new)).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    assert_eq!(house.machine(one).identity.all_macs, [mac(1)]);
    assert_eq!(house.machine(two).identity.all_macs, [2, 3].map(mac));
}

/// A conflict is planned from what the machines were; one of them may end before it is recorded.
#[tokio::test]
async fn a_conflict_rests_on_the_machines_that_it_names() {
    let house = House::new();
    let (one, two) = (house.add(1).await, house.add(2).await);
    let call = house.call(Actor::system("wire"), check_in(&[1, 2]));
    let view = crate::core::plan::View {
        core: &house.core,
        actor: &call.actor,
        now: house.clock.now(),
    };
    let plan = crate::core::plan::plan(&view, &call.command).unwrap();
    for id in [one, two] {
        let version = crate::store::Expect::Version(Key::Machine(id), 1);
        assert!(plan.expect.contains(&version), "{:?}", plan.expect);
    }
}
