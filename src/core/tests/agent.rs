//! What agents find: who a machine is when its parts were changed, and what is written of it.

use uuid::Uuid;

use super::*;
use crate::core::command::{Inventory, LetIn};
use crate::model::boot::Redeemed;
use crate::model::digest::DigestKind;
use crate::model::machine::{Disk, Hardware};
use crate::model::{Digest, State, What, WorkflowId};

const UUID: Uuid = Uuid::from_u128(0x4c4c_4544_0042_3510_8054_b4c0_4f4e_3332);
const OTHER_UUID: Uuid = Uuid::from_u128(0x4c4c_4544_0042_3510_8054_b4c0_4f4e_3333);
/// What boards say that were given no number.
const FILLER: Uuid = Uuid::from_u128(0x0300_0200_0400_0500_0006_0007_0008_0009);

/// An agent in a machine with these cards, the first of which it booted from; `parts` names its board.
fn found(octets: &[u8], uuid: Uuid, parts: &str) -> Inventory {
    let nics = octets.iter().map(|octet| NicEvidence {
        mac: mac(*octet),
        kind: NicKind::Fixed,
    });
    let digest = |number: u8| Digest::of(DigestKind::Sha256, &[number; 32]).unwrap();
    Inventory {
        agent: LetIn {
            mac: mac(octets[0]),
            version: "1".into(),
            from: "10.0.0.9".into(),
            used: Redeemed {
                token: digest(octets[0]),
                key: digest(100 + octets[0]),
                at: "2026-01-02T03:04:05Z".parse().unwrap(),
            },
        },
        evidence: Evidence {
            primary_mac: mac(octets[0]),
            nics: nics.collect(),
            smbios_uuid: Some(uuid),
            machine_id: None,
        },
        hardware: Hardware {
            serial: Some(parts.into()),
            disks: vec![Disk {
                device: "sda".into(),
                size_bytes: 1 << 34,
                serial: Some(format!("disk of {parts}")),
                ..Disk::default()
            }],
            ..Hardware::default()
        },
    }
}

impl House {
    /// The machine that it is in, if that is beyond dispute, after it was written down as the endpoint does.
    async fn look(&self, inventory: &Inventory) -> Option<MachineId> {
        for _ in 0..2 {
            let command = Command::RecordInventory(Box::new(inventory.clone()));
            self.system(command).await.unwrap();
            let machine = self.core.machine_of(inventory).unwrap();
            if machine.is_some() {
                return machine;
            }
        }
        None
    }

    fn told(&self, name: &str) -> usize {
        let events = self.events();
        events.iter().filter(|e| e.what.name() == name).count()
    }
}

#[tokio::test]
async fn a_new_machine_is_written_with_all_that_was_found() {
    let house = House::new();
    let inventory = found(&[1, 2], UUID, "A");
    let id = house.look(&inventory).await.unwrap();
    let machine = house.machine(id);
    assert_eq!(machine.identity.all_macs, [mac(1), mac(2)]);
    assert_eq!(machine.hardware.serial.as_deref(), Some("A"));
    assert!(machine.hardware.seen_at.is_some());
    assert_eq!(
        machine.boot.agent.key,
        Some(inventory.agent.used.key.clone())
    );
    let told = [
        "machine.registered",
        "machine.agent_let_in",
        "machine.inventory",
    ];
    assert_eq!(house.names(0), told);
}

#[tokio::test]
async fn what_was_known_already_costs_no_write() {
    let house = House::new();
    let inventory = found(&[1], UUID, "A");
    let id = house.look(&inventory).await.unwrap();
    let (version, head) = (house.version(id), house.head());
    assert_eq!(house.look(&inventory).await, Some(id));
    assert_eq!((house.version(id), house.head()), (version, head));
}

/// Its UUID finds it, and the parts that stayed say that it is not another.
#[tokio::test]
async fn a_machine_whose_card_was_replaced_is_the_same_one() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    assert_eq!(house.look(&found(&[2], UUID, "A")).await, Some(id));
    assert_eq!(house.machine(id).identity.all_macs, [mac(1), mac(2)]);
    assert_eq!(house.told("machine.reidentified"), 1);
    let events = house.events();
    let told = events
        .iter()
        .find(|e| matches!(e.what, What::Reidentified { .. }));
    assert!(told.unwrap().audit);
}

#[tokio::test]
async fn a_machine_whose_board_was_replaced_is_the_same_one_by_its_card_and_disk() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    let mut repaired = found(&[1], OTHER_UUID, "A");
    repaired.hardware.serial = Some("a new board".into());
    assert_eq!(house.look(&repaired).await, Some(id));
    assert_eq!(house.machine(id).identity.smbios_uuid, Some(OTHER_UUID));
}

/// The card of one machine was put into another: its address alone must not make the other one of the first.
#[tokio::test]
async fn a_card_that_moved_to_another_machine_is_a_conflict_and_takes_nothing_along() {
    let house = House::new();
    let first = house.look(&found(&[1], UUID, "A")).await.unwrap();
    assert_eq!(house.look(&found(&[1], OTHER_UUID, "B")).await, None);
    assert_eq!(house.core.counts().unwrap().machines, 2);
    assert_eq!(house.machine(first).identity.smbios_uuid, Some(UUID));
    assert_eq!(house.machine(first).hardware.serial.as_deref(), Some("A"));
    let conflicts = house.core.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert!(conflicts[0].0.machines().contains(&first));
    // The first one is what it was, with the card that it has left.
    assert_eq!(house.look(&found(&[3], UUID, "A")).await, Some(first));
}

#[tokio::test]
async fn a_card_that_moved_between_known_machines_is_a_conflict() {
    let house = House::new();
    let first = house.look(&found(&[1], UUID, "A")).await.unwrap();
    let second = house.look(&found(&[2], OTHER_UUID, "B")).await.unwrap();
    assert_eq!(house.look(&found(&[1, 2], OTHER_UUID, "B")).await, None);
    assert_eq!(
        house.core.conflicts().unwrap()[0].0.machines(),
        [first, second]
    );
    assert_eq!(house.machine(first).identity.all_macs, [mac(1)]);
}

#[tokio::test]
async fn machines_with_a_vendors_filler_for_a_uuid_are_told_apart() {
    let house = House::new();
    let first = house.look(&found(&[1], FILLER, "A")).await.unwrap();
    let second = house.look(&found(&[2], FILLER, "B")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(house.look(&found(&[1], FILLER, "A")).await, Some(first));
    assert!(house.core.conflicts().unwrap().is_empty());
}

/// Cheap boards share a UUID that no list of fillers knows.
#[tokio::test]
async fn two_machines_with_one_uuid_are_two_and_their_dispute_is_told() {
    let house = House::new();
    let first = house.look(&found(&[1], UUID, "A")).await.unwrap();
    let second = house.look(&found(&[2], UUID, "B")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(house.machine(first).identity.all_macs, [mac(1)]);
    assert_eq!(house.machine(second).identity.smbios_uuid, None);
    // Card and parts prove which is which; the UUID is for a person to settle.
    assert_eq!(house.look(&found(&[2], UUID, "B")).await, Some(second));
    assert_eq!(house.look(&found(&[1], UUID, "A")).await, Some(first));
    assert_eq!(house.core.conflicts().unwrap().len(), 1);
}

/// Two virtual machines, one made of a copy of the other: their cards' addresses are local, so that the hash is over the
/// UUID alone. The second was taken for the first.
#[tokio::test]
async fn so_are_two_whose_cards_are_in_no_hash() {
    let house = House::new();
    let found = |octet: u8, parts: &str| {
        let card = crate::model::MacAddr::new([0x52, 0x54, 0, 0, 0, octet]);
        let mut found = found(&[octet], UUID, parts);
        found.agent.mac = card;
        found.evidence.primary_mac = card;
        found.evidence.nics[0].mac = card;
        found
    };
    let first = house.look(&found(1, "A")).await.unwrap();
    assert_eq!(house.look(&found(3, "A")).await, Some(first), "a new card");
    let second = house.look(&found(2, "B")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(house.look(&found(2, "B")).await, Some(second));
    assert_eq!(house.core.conflicts().unwrap().len(), 1);
}

#[tokio::test]
async fn a_reinstalled_machine_is_the_same_one() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    house
        .rewrite(id, |machine| {
            machine.identity.machine_id = Some("b08dfa6083e7567a1921a715000001fb".parse().unwrap());
        })
        .await;
    assert_eq!(house.look(&found(&[1], UUID, "A")).await, Some(id));
    assert!(house.machine(id).identity.machine_id.is_some());
    assert_eq!(house.core.counts().unwrap().machines, 1);
}

#[tokio::test]
async fn identity_stands_still_while_a_workflow_runs() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    let busy = Some(WorkflowId(Uuid::from_u128(9)));
    house
        .rewrite(id, |machine| machine.status.current_workflow = busy)
        .await;
    let other = found(&[2], UUID, "A");
    let command = Command::RecordInventory(Box::new(other));
    let refused = house.system(command).await.unwrap_err();
    assert!(
        refused.to_string().contains("another identity"),
        "{refused}"
    );
    assert_eq!(house.machine(id).identity.all_macs, [mac(1)]);
    // More of the same machine is welcome.
    assert_eq!(house.look(&found(&[1, 2], UUID, "A")).await, Some(id));
}

#[tokio::test]
async fn an_alarm_believes_nobody_and_puts_a_machine_at_work_into_error() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    house
        .rewrite(id, |machine| machine.status.state = State::Provisioning)
        .await;
    let alarm = Command::Alarm {
        machine: id,
        reason: "its token was used by two".into(),
    };
    house.system(alarm).await.unwrap();
    let machine = house.machine(id);
    assert_eq!(machine.boot.agent.key, None);
    assert_eq!(machine.boot.agent.former.len(), 1);
    let message = "its token was used by two".to_owned();
    assert_eq!(machine.status.state, State::Error { message });
    let alarm = house
        .events()
        .into_iter()
        .find(|e| e.what.name() == "machine.alarm");
    assert!(alarm.unwrap().audit);
}

#[tokio::test]
async fn a_person_asks_for_a_new_look_and_it_is_taken_off_when_it_was_done() {
    let house = House::new();
    let id = house.look(&found(&[1], UUID, "A")).await.unwrap();
    house.run(Command::LookInto { machine: id }).await.unwrap();
    assert!(house.machine(id).boot.agent.wanted);
    let head = house.head();
    house.run(Command::LookInto { machine: id }).await.unwrap();
    assert_eq!(house.head(), head);
    house.look(&found(&[1], UUID, "A")).await.unwrap();
    assert!(!house.machine(id).boot.agent.wanted);
}
