//! Which machine is this? Real boards, cards and disks, changed as people change them, as far as their inventory.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;
#[path = "provision/small.rs"]
mod small;

use dragonfly::lab::VmSpec;
use lab::one_at_a_time;
use serde_json::Value;
use site::{BOOTS_WITHIN, Site};
use small::MIB;

const NOISE: u64 = 4 * MIB;

fn mac(number: u8) -> String {
    format!("52:54:00:97:00:{number:02x}")
}

/// A board with its own UUID and its own disk; its card is this one.
fn board(name: &str, uuid: u128, card: u8) -> VmSpec {
    let mut spec = small::spec(name, &mac(card), 1);
    spec.uuid = Some(uuid::Uuid::from_u128(uuid));
    spec.serials = Some(name.to_owned());
    spec
}

const ONE: u128 = 0x4c4c_4544_0042_4a10_8051_b4c0_4f33_5031;
const TWO: u128 = 0x4c4c_4544_0043_4b10_8052_b5c0_4f34_5032;
/// What boards say that were never given a UUID.
const FILLER: u128 = 0x0300_0200_0400_0500_0006_0007_0008_0009;

/// Boots it, and waits until the record with this card has this disk.
fn seen(site: &Site, spec: &VmSpec) -> Value {
    let vm = site.lab.boot(spec).unwrap();
    let serial = format!("{}0", spec.serials.as_deref().unwrap());
    let what = format!("the record of {} to hold its disk {serial}", vm.mac);
    let machine = site.until(&what, BOOTS_WITHIN, || {
        let machine = site.machine(&vm.mac);
        let own = machine["hardware"]["disks"][0]["serial"] == serial.as_str();
        Ok(own.then_some(machine))
    });
    vm.power_off().unwrap();
    machine
}

fn items(site: &Site, path: &str) -> Vec<Value> {
    let all = site.dragonfly.get(path).unwrap();
    all["items"].as_array().unwrap().clone()
}

fn machines(site: &Site) -> Vec<Value> {
    items(site, "/api/v1/machines")
}

/// The record that has this disk.
fn owner(site: &Site, serial: &str) -> Option<Value> {
    let has = |machine: &Value| {
        let disks = machine["hardware"]["disks"].as_array();
        disks.is_some_and(|disks| disks.iter().any(|disk| disk["serial"] == serial))
    };
    machines(site).into_iter().find(has)
}

#[test]
#[ignore = "long: five boots as far as the inventory"]
fn a_new_card_leaves_the_record_and_a_card_that_moved_is_a_conflict_until_a_person_settles_it() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let first = seen(&site, &board("one", ONE, 1));

    // A new card in the same board.
    let after = seen(&site, &board("one", ONE, 2));
    assert_eq!(after["id"], first["id"], "{after}");
    assert_eq!(after["memorable_name"], first["memorable_name"]);
    assert_eq!(machines(&site).len(), 1);
    assert!(items(&site, "/api/v1/conflicts").is_empty());
    let log = site.cli(&["machine", "show", &mac(2)]);
    assert!(log.contains(&mac(1)) && log.contains(&mac(2)), "{log}");

    // The old card, in a board that nobody knew.
    let other = site.lab.boot(&board("two", TWO, 1)).unwrap();
    let found = site.until("a record of the other board", BOOTS_WITHIN, || {
        Ok(owner(&site, "two0"))
    });
    assert_ne!(found["id"], first["id"], "{found}");
    other.power_off().unwrap();
    let same = owner(&site, "one0").unwrap();
    assert_eq!(same["id"], first["id"], "its parts were given away");
    assert_eq!(machines(&site).len(), 2);
    let told = site.cli(&["machine", "conflicts"]);
    assert!(told.contains(&mac(1)), "{told}");

    // Settled: the first one has its new card, and the other says at its next boot that the old one is its own.
    let name = same["name"].as_str().unwrap();
    site.cli(&[
        "machine",
        "set",
        name,
        &format!("mac={}", mac(2)),
        "--confirm",
    ]);
    assert!(items(&site, "/api/v1/conflicts").is_empty());
    let _on = site.lab.boot(&board("two", TWO, 1)).unwrap();
    site.until("the card to belong to its board", BOOTS_WITHIN, || {
        let own = site.machine(&mac(1))["id"] == found["id"];
        Ok(own.then_some(()))
    });
    assert_eq!(machines(&site).len(), 2);
    assert_eq!(site.machine(&mac(2))["id"], first["id"]);
    assert!(items(&site, "/api/v1/conflicts").is_empty());
}

#[test]
#[ignore = "long: four boots as far as the inventory"]
fn machines_with_one_uuid_stay_two_and_only_a_real_one_is_a_conflict() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let one = seen(&site, &board("one", FILLER, 1));
    let two = seen(&site, &board("two", FILLER, 2));
    assert_ne!(one["id"], two["id"], "{two}");
    assert_eq!(two["smbios_uuid"], Value::Null, "{two}");
    assert!(items(&site, "/api/v1/conflicts").is_empty());

    let three = seen(&site, &board("three", ONE, 3));
    let four = seen(&site, &board("four", ONE, 4));
    assert_ne!(three["id"], four["id"], "{four}");
    assert_eq!(machines(&site).len(), 4);
    let conflicts = items(&site, "/api/v1/conflicts");
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let told = site.cli(&["machine", "conflicts"]);
    let uuid = uuid::Uuid::from_u128(ONE).to_string();
    assert!(told.contains(&uuid), "{told}");
}

#[test]
#[ignore = "long: a machine is installed twice"]
fn a_machine_that_is_installed_anew_keeps_its_record() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    for seed in [1, 2] {
        let image = small::image(site.lab.dir(), NOISE, seed);
        let name = format!("noise-{seed}");
        site.cli(&["image", "add", &name, &image.to_string_lossy()]);
        let actions = format!("- action: image2disk\n  url: image:{name}\n");
        small::template(&site, &name, &actions);
    }
    let spec = board("one", ONE, 1);
    let mut vm = site.lab.boot(&spec).unwrap();
    let first = site.wait_inventory(&vm);
    site.cli(&["machine", "tag", &vm.mac, "mine"]);
    for seed in [1, 2] {
        let name = format!("noise-{seed}");
        site.cli(&["reimage", &vm.mac, "--os", &name, "--yes"]);
        if seed == 2 {
            vm = site.lab.boot(&spec).unwrap();
        }
        site.until(&format!("{name} to be written"), BOOTS_WITHIN, || {
            let workflow = site
                .dragonfly
                .get(&format!("/api/v1/workflows/{}", vm.mac))?;
            let done = workflow["state"] == "success" && workflow["template"] == name.as_str();
            Ok(done.then_some(()))
        });
        vm.power_off().unwrap();
        let disk = small::disk(&site.lab, "one");
        small::compare(&disk, &small::noise(NOISE, seed)).unwrap();
    }
    let after = site.machine(&vm.mac);
    for field in [
        "id",
        "memorable_name",
        "mac",
        "smbios_uuid",
        "identity_hash",
        "created_at",
    ] {
        assert_eq!(after[field], first[field], "{field}: {after}");
    }
    assert_eq!(after["tags"][0], "mine", "{after}");
    assert_eq!(machines(&site).len(), 1);
}
