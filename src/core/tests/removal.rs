//! Delete, merge and split.

use test_case::test_case;

use super::*;
use crate::model::{LoaderChoice, Once, Rung};

fn split(machine: MachineId, octets: &[u8], uuid: bool) -> Command {
    Command::SplitMachine {
        machine,
        macs: octets.iter().copied().map(mac).collect(),
        uuid,
    }
}

#[tokio::test]
async fn a_merge_keeps_what_is_known_of_boots_and_drops_the_order() {
    let house = House::new();
    let (keep, absorb) = (house.add(1).await, house.add(2).await);
    house
        .rewrite(absorb, |machine| {
            machine.boot.rung = Some(Rung::Staple);
            machine.boot.loader = LoaderChoice::Full;
            machine.boot.once = Some(Once::Shell);
        })
        .await;
    let merge = Command::MergeMachines { keep, absorb };
    let receipt = house.run(merge).await.unwrap();
    assert!(receipt.notes.iter().any(|note| note.contains("iPXE shell")));
    let boot = house.machine(keep).boot.clone();
    assert_eq!(
        (boot.rung, boot.loader),
        (Some(Rung::Staple), LoaderChoice::Full)
    );
    assert_eq!(boot.once, None);
}

#[tokio::test]
async fn a_deleted_machine_is_gone_with_its_name_told_and_comes_back_as_a_new_one() {
    let house = House::new();
    let id = house.add(1).await;
    house.core.telemetry().seen(id);
    let receipt = house
        .run(Command::DeleteMachine { machine: id })
        .await
        .unwrap();
    assert_eq!(receipt.events[0].1, "machine.deleted");
    assert!(house.core.machine_by_id(id).is_err());
    assert_eq!(house.core.telemetry().last_seen(id), None);
    let again = house
        .run(Command::DeleteMachine { machine: id })
        .await
        .unwrap_err();
    assert!(matches!(again, Refusal::NotFound { .. }));
    let back = house.system(check_in(&[1])).await.unwrap();
    assert_ne!(subject(&back), id);
}

#[tokio::test]
async fn a_machine_cannot_be_merged_into_itself_nor_away_while_it_is_locked() {
    let house = House::new();
    let (one, two) = (house.add(1).await, house.add(2).await);
    let merge = |keep, absorb| Command::MergeMachines { keep, absorb };
    let refusal = house.run(merge(one, one)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(_)), "{refusal}");
    house.run(lock(two)).await.unwrap();
    let refusal = house.run(merge(one, two)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Locked { .. }), "{refusal}");
    house.run(merge(two, one)).await.unwrap();
    assert_eq!(house.machine(two).identity.all_macs, [mac(1), mac(2)]);
}

#[tokio::test]
async fn two_machines_with_too_many_cards_are_not_merged() {
    let house = House::new();
    let big = |first: u8, others: std::ops::RangeInclusive<u8>| {
        Command::AddMachine(AddMachine {
            other_macs: others.map(mac).collect(),
            ..told(first)
        })
    };
    let one = subject(&house.run(big(1, 2..=40)).await.unwrap());
    let two = subject(&house.run(big(101, 102..=140)).await.unwrap());
    let merge = Command::MergeMachines {
        keep: one,
        absorb: two,
    };
    let refusal = house.run(merge).await.unwrap_err();
    assert!(refusal.to_string().contains("80 cards"), "{refusal}");
}

#[tokio::test]
async fn a_split_card_is_a_machine_of_its_own() {
    let house = House::new();
    let id = subject(&house.system(check_in(&[1, 2, 3])).await.unwrap());
    let receipt = house.run(split(id, &[2, 3], false)).await.unwrap();
    assert_eq!(house.names(1), ["machine.split", "machine.registered"]);
    assert_eq!(house.machine(id).identity.all_macs, [mac(1)]);
    let other = subject(&house.system(check_in(&[2, 3])).await.unwrap());
    assert_ne!(other, id);
    assert_eq!(house.version(other), 1);
    assert!(
        receipt
            .next
            .iter()
            .any(|next| next.command.contains("machine merge"))
    );
}

#[test_case(&[], false, "macs" ; "nothing")]
#[test_case(&[1], false, "macs" ; "the primary card")]
#[test_case(&[9], false, "macs" ; "a card of another")]
#[test_case(&[2], true, "uuid" ; "a uuid that is not there")]
#[tokio::test]
async fn a_split_that_makes_no_sense_names_the_field(octets: &[u8], uuid: bool, field: &str) {
    let house = House::new();
    let id = subject(&house.system(check_in(&[1, 2])).await.unwrap());
    let refusal = house.run(split(id, octets, uuid)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == field));
}

#[tokio::test]
async fn a_locked_machine_is_not_split() {
    let house = House::new();
    let id = subject(&house.system(check_in(&[1, 2])).await.unwrap());
    house.run(lock(id)).await.unwrap();
    let refusal = house.run(split(id, &[2], false)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Locked { .. }), "{refusal}");
}

#[tokio::test]
async fn splitting_moves_a_conflicts_claim_to_the_new_machine_and_merging_it_settles() {
    let house = House::new();
    let one = subject(&house.system(check_in(&[1, 2])).await.unwrap());
    let two = subject(&house.system(check_in(&[3])).await.unwrap());
    // The card 2 was moved from the first machine into the second.
    house.system(check_in(&[3, 2])).await.unwrap();
    house.run(split(one, &[2], false)).await.unwrap();
    let conflicts = house.core.conflicts().unwrap();
    let machines = conflicts[0].0.machines();
    assert!(!machines.contains(&one), "{machines:?}");
    let new = machines.into_iter().find(|id| *id != two).unwrap();
    house
        .run(Command::MergeMachines {
            keep: two,
            absorb: new,
        })
        .await
        .unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    let receipt = house.system(check_in(&[3, 2])).await.unwrap();
    assert_eq!(subject(&receipt), two);
}
