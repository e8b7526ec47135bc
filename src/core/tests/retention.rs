//! Settings, and what they let go.

use super::*;
use crate::core::ReceiptStatus;

fn setting(key: &str, value: &str) -> Command {
    Command::SetSetting {
        key: key.parse().unwrap(),
        value: value.into(),
    }
}

#[tokio::test]
async fn a_setting_is_set_and_reset() {
    let house = House::new();
    let key = "site.name".parse().unwrap();
    let receipt = house.run(setting("site.name", " Shelf ")).await.unwrap();
    assert_eq!(
        (receipt.diff[0].from.clone(), receipt.diff[0].to.clone()),
        ("Dragonfly".into(), "Shelf".into())
    );
    let view = house.core.setting(&key).unwrap();
    assert_eq!(
        (view.value.as_str(), view.set, view.version),
        ("Shelf", true, 1)
    );
    let again = house.run(setting("site.name", "Shelf")).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
    let reset = Command::ResetSetting { key: key.clone() };
    house.run(reset.clone()).await.unwrap();
    assert!(!house.core.setting(&key).unwrap().set);
    assert_eq!(
        house.run(reset).await.unwrap().status,
        ReceiptStatus::Unchanged
    );
    house.run(setting("site.name", "Rack")).await.unwrap();
    assert_eq!(house.core.setting(&key).unwrap().value, "Rack");
}

#[tokio::test]
async fn a_wrong_value_names_the_setting_and_all_settings_are_listed() {
    let house = House::new();
    let refusal = house
        .run(setting("events.max_age_days", "soon"))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "events.max_age_days"));
    let all = house.core.settings().unwrap();
    assert!(
        all.iter()
            .all(|view| !view.set && view.value == view.spec.default)
    );
    assert!(all.len() >= 3);
}

#[tokio::test]
async fn old_events_go_and_the_audit_log_stays() {
    let house = House::new();
    let id = house.add(1).await;
    house.system(check_in(&[2])).await.unwrap();
    house
        .run(setting("events.max_age_days", "30"))
        .await
        .unwrap();
    house.pass(31 * 24 * 3600);
    house.run(tag(id, &["new"], &[])).await.unwrap();
    let receipt = house.system(Command::TrimEvents).await.unwrap();
    assert_eq!(receipt.events[0].1, "events.trimmed");
    let left = house.names(0);
    assert_eq!(
        left,
        [
            "machine.registered",
            "setting.changed",
            "machine.configured",
            "events.trimmed"
        ]
    );
    let again = house.system(Command::TrimEvents).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
    assert_eq!(house.count(), 4);
}

#[tokio::test]
async fn expired_answers_go_and_fresh_ones_stay() {
    let house = House::new();
    let id = house.add(1).await;
    for n in 0..100 {
        let (key, word) = (format!("old{n}"), format!("t{n}"));
        house.keyed(&key, "body", tag(id, &[&word], &[])).await.ok();
    }
    house.pass(24 * 3600);
    house
        .keyed("fresh", "body", tag(id, &[], &["t1"]))
        .await
        .unwrap();
    house.system(Command::TrimEvents).await.unwrap();
    assert_eq!(house.core.counts().unwrap().answers, 1);
}

#[tokio::test]
async fn a_trim_that_is_only_tried_removes_nothing() {
    let house = House::new();
    house.system(check_in(&[1])).await.unwrap();
    house.pass(400 * 24 * 3600);
    let mut call = house.call(Actor::system("retention"), Command::TrimEvents);
    call.dry_run = true;
    let receipt = house.core.run(call).await.unwrap();
    assert_eq!(receipt.status, ReceiptStatus::DryRun);
    assert_eq!(house.count(), 1);
}
