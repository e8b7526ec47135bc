//! The defaults of installations, and the mode.

use std::collections::BTreeMap;

use super::*;
use crate::core::ReceiptStatus;
use crate::model::Mode;

const HASH: &str = "$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8B";

fn defaults(pairs: &[(&str, Option<&str>)]) -> Command {
    let changes = pairs.iter().map(|(key, value)| {
        let key = format!("defaults.{key}").parse().unwrap();
        (key, value.map(str::to_owned))
    });
    Command::SetDefaults {
        changes: changes.collect(),
    }
}

fn mode(name: &str) -> Command {
    Command::SetSetting {
        key: Mode::KEY.parse().unwrap(),
        value: name.into(),
    }
}

#[tokio::test]
async fn several_defaults_are_set_at_once_or_none() {
    let house = House::new();
    assert_eq!(house.core.defaults().unwrap().user(), "dragonfly");
    let wrong = defaults(&[("user", Some("ada")), ("dns", Some("nowhere"))]);
    let refusal = house.run(wrong).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "defaults.dns"));
    assert!(house.core.defaults().unwrap().user.is_none());
    let right = defaults(&[
        ("user", Some("ada")),
        ("dns", Some("192.0.2.1\n192.0.2.2")),
        ("os", Some("debian-13")),
    ]);
    let receipt = house.run(right.clone()).await.unwrap();
    assert_eq!((receipt.diff.len(), receipt.events.len()), (3, 3));
    let set = house.core.defaults().unwrap();
    assert_eq!((set.user(), set.dns.len()), ("ada", 2));
    assert_eq!(set.os.unwrap().as_str(), "debian-13");
    let again = house.run(right).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
    house.run(defaults(&[("user", None)])).await.unwrap();
    assert!(house.core.defaults().unwrap().user.is_none());
}

#[tokio::test]
async fn a_password_is_in_no_event_and_no_receipt() {
    let house = House::new();
    let first = house.run(defaults(&[("password_hash", Some(HASH))])).await;
    let other = HASH.replace("salt", "walt");
    let second = house
        .run(defaults(&[("password_hash", Some(&other))]))
        .await;
    let third = house.run(defaults(&[("password_hash", None)])).await;
    for receipt in [first, second, third] {
        let told = serde_json::to_string(&receipt.unwrap()).unwrap();
        assert!(!told.contains("EzStZXW"), "{told}");
    }
    let told = serde_json::to_string(&house.events()).unwrap();
    assert!(!told.contains("EzStZXW"), "{told}");
    assert!(told.contains("(set anew)"), "{told}");
}

#[tokio::test]
async fn only_defaults_are_set_together() {
    let house = House::new();
    let key = "site.name".parse().unwrap();
    let changes = BTreeMap::from([(key, Some("Shelf".to_owned()))]);
    let refusal = house
        .run(Command::SetDefaults { changes })
        .await
        .unwrap_err();
    assert!(refusal.to_string().contains("none of the defaults"));
    let nothing = Command::SetDefaults {
        changes: BTreeMap::new(),
    };
    assert!(house.run(nothing).await.is_err());
}

#[tokio::test]
async fn a_mode_is_chosen_and_flight_without_a_system_is_warned_of() {
    let house = House::new();
    assert_eq!(house.core.mode().unwrap(), Mode::Unset);
    let receipt = house.run(mode("flight")).await.unwrap();
    assert!(receipt.notes[0].contains("until a default system is chosen"));
    assert_eq!(house.core.mode().unwrap(), Mode::Flight);
    let receipt = house
        .run(defaults(&[("os", Some("debain-13"))]))
        .await
        .unwrap();
    assert_eq!(receipt.notes, ["no template is called debain-13"]);
    let receipt = house.run(mode("flight")).await.unwrap();
    assert_eq!(receipt.notes, ["provision.mode is 'flight' already"]);
    assert!(house.run(mode("swarm")).await.is_err());
}
