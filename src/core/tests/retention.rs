//! Settings, and what they let go.

use super::*;
use crate::core::ReceiptStatus;
use crate::model::What;
use crate::store::{Key, Retention};

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

/// A pass was cut short (a kill, a full disk) after the store had removed events and before the log told of it:
/// nobody was ever told that they are gone.
#[tokio::test]
async fn events_that_went_untold_are_told_of_by_the_next_pass() {
    let house = House::new();
    for octet in [1, 2, 3] {
        house.system(check_in(&[octet])).await.unwrap();
    }
    house.add(4).await;
    let retention = Retention {
        before: house.clock.now(),
        max_count: 1000,
    };
    let trimmed = house.store.trim(retention).await.unwrap();
    assert_eq!(trimmed.removed, 3);
    let receipt = house.system(Command::TrimEvents).await.unwrap();
    assert_eq!(receipt.events[0].1, "events.trimmed");
    let told = house.events().pop().unwrap().what;
    let floor = trimmed.floor;
    assert_eq!(told, What::Trimmed { removed: 3, floor });
    let again = house.system(Command::TrimEvents).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
}

#[tokio::test]
async fn of_too_many_answers_the_oldest_go() {
    let house = House::new();
    let id = house.add(1).await;
    for key in ["c", "a", "d", "b"] {
        house
            .keyed(key, "body", tag(id, &[key], &[]))
            .await
            .unwrap();
    }
    let now = house.clock.now();
    assert_eq!(house.core.drop_answers(now, 4).await.unwrap(), 0);
    assert_eq!(house.core.drop_answers(now, 3).await.unwrap(), 1);
    let before = house.count();
    house
        .keyed("a", "body", tag(id, &["a"], &[]))
        .await
        .unwrap();
    house
        .keyed("b", "other", tag(id, &["a"], &[]))
        .await
        .unwrap_err();
    assert_eq!(house.count(), before);
    // The oldest is not known any more, so this is taken for a new call.
    house
        .keyed("c", "other", tag(id, &["e"], &[]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_conflict_that_names_a_machine_that_is_gone_is_settled_by_retention() {
    let house = House::new();
    let one = house.add(1).await;
    let two = house.add(2).await;
    house.system(check_in(&[1, 2])).await.unwrap();
    let commit = Commit {
        changes: vec![Change::Delete(Key::Machine(two))],
        ..Commit::default()
    };
    house.store.commit(commit).await.unwrap();
    assert_eq!(house.core.conflicts().unwrap()[0].0.machines(), [one, two]);
    house.system(Command::TrimEvents).await.unwrap();
    assert!(house.core.conflicts().unwrap().is_empty());
    assert_eq!(house.names(3), ["conflict.settled"]);
}
