//! Idempotency keys.

use test_case::test_case;

use super::*;
use crate::core::ReceiptStatus;

fn bytes(receipt: &Receipt) -> String {
    serde_json::to_string(receipt).unwrap()
}

#[tokio::test]
async fn the_same_call_again_gets_the_same_receipt_byte_for_byte() {
    let house = House::new();
    let id = house.add(1).await;
    let first = house
        .keyed("k1", "body", set(id, r#"{"hostname":"web"}"#))
        .await
        .unwrap();
    house.run(tag(id, &["a"], &[])).await.unwrap();
    let again = house
        .keyed("k1", "body", set(id, r#"{"hostname":"web"}"#))
        .await
        .unwrap();
    assert_eq!(bytes(&first), bytes(&again));
    assert_eq!(house.version(id), 3);
}

#[tokio::test]
async fn receipts_of_several_subjects_come_back_whole() {
    let house = House::new();
    let one = subject(&house.system(check_in(&[1, 4])).await.unwrap());
    let two = subject(&house.system(check_in(&[2])).await.unwrap());
    house.system(check_in(&[1, 2])).await.unwrap();
    let commands = [
        Command::AddMachine(AddMachine {
            os_choice: Some("debian-13".parse().unwrap()),
            ..told(7)
        }),
        Command::SplitMachine {
            machine: one,
            macs: BTreeSet::from([mac(4)]),
            uuid: false,
        },
        Command::MergeMachines {
            keep: one,
            absorb: two,
        },
        Command::DeleteMachine { machine: one },
        Command::SetSetting {
            key: "site.name".parse().unwrap(),
            value: "Shelf".into(),
        },
        Command::ResetSetting {
            key: "site.name".parse().unwrap(),
        },
    ];
    for (n, command) in commands.into_iter().enumerate() {
        let first = house
            .keyed(&format!("k{n}"), "body", command.clone())
            .await
            .unwrap();
        house
            .system(check_in(&[100 + u8::try_from(n).unwrap()]))
            .await
            .unwrap();
        let again = house
            .keyed(&format!("k{n}"), "body", command)
            .await
            .unwrap();
        assert_eq!(bytes(&first), bytes(&again));
        assert!(!first.events.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_nothing_changed_is_kept_too() {
    let house = House::new();
    let id = house.add(1).await;
    let first = house
        .keyed("k1", "body", tag(id, &[], &["a"]))
        .await
        .unwrap();
    assert_eq!(first.status, ReceiptStatus::Unchanged);
    house.run(tag(id, &["a"], &[])).await.unwrap();
    let again = house
        .keyed("k1", "body", tag(id, &[], &["a"]))
        .await
        .unwrap();
    assert_eq!(bytes(&first), bytes(&again));
    assert_eq!(house.machine(id).config.tags.len(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let house = House::new();
    let id = house.add(1).await;
    house
        .keyed("k1", "body", tag(id, &["a"], &[]))
        .await
        .unwrap();
    let refusal = house
        .keyed("k1", "other", tag(id, &["b"], &[]))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::KeyReused { .. }), "{refusal}");
}

#[tokio::test]
async fn a_key_belongs_to_its_actor_and_its_route() {
    let house = House::new();
    let id = house.add(1).await;
    let key = |route: &str| IdempotencyKey {
        key: "k1".into(),
        route: route.into(),
        body_hash: "body".into(),
    };
    for (actor, route, word) in [
        (ada(), "POST /a", "a"),
        (bob(), "POST /a", "b"),
        (ada(), "POST /b", "c"),
    ] {
        let mut call = house.call(actor, tag(id, &[word], &[]));
        call.idempotency = Some(key(route));
        house.core.run(call).await.unwrap();
    }
    assert_eq!(house.machine(id).config.tags.len(), 3);
}

#[tokio::test]
async fn a_refused_command_and_a_dry_run_store_no_answer() {
    let house = House::new();
    let id = house.add(1).await;
    let command = set(id, r#"{"status":"provisioning"}"#);
    house.keyed("k1", "body", command).await.unwrap_err();
    let mut call = house.call(ada(), tag(id, &["a"], &[]));
    call.dry_run = true;
    call.idempotency = Some(IdempotencyKey {
        key: "k2".into(),
        route: "POST /".into(),
        body_hash: "body".into(),
    });
    house.core.run(call).await.unwrap();
    assert_eq!(house.core.counts().unwrap().answers, 0);
}

#[test_case("" ; "empty")]
#[test_case(&"k".repeat(129) ; "too long")]
#[test_case("schlüssel" ; "not ascii")]
#[test_case("a\tb" ; "not printable")]
#[tokio::test]
async fn a_key_that_is_none_is_refused(key: &str) {
    let house = House::new();
    let id = house.add(1).await;
    let refusal = house
        .keyed(key, "body", tag(id, &["a"], &[]))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "Idempotency-Key"));
    assert!(house.machine(id).config.tags.is_empty());
}

#[tokio::test]
async fn a_key_may_be_used_anew_after_a_day() {
    let house = House::new();
    let id = house.add(1).await;
    let first = house
        .keyed("k1", "body", tag(id, &["a"], &[]))
        .await
        .unwrap();
    house.pass(24 * 3600);
    let later = house
        .keyed("k1", "other", tag(id, &["b"], &[]))
        .await
        .unwrap();
    assert_ne!(first.id, later.id);
    assert_eq!(house.core.counts().unwrap().answers, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identical_calls_at_once_do_it_once_and_all_get_the_winners_answer() {
    let house = Arc::new(House::new());
    let calls = (0..20).map(|n| {
        let house = Arc::clone(&house);
        // Different machines take different turns; the key alone has to hold them together.
        tokio::spawn(async move {
            house
                .keyed("k1", "body", Command::AddMachine(told(n)))
                .await
                .unwrap()
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut answers = BTreeSet::new();
    for call in calls {
        answers.insert(bytes(&call.await.unwrap()));
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(house.core.counts().unwrap().machines, 1);
    assert_eq!(house.count(), 1);
}

#[tokio::test]
async fn a_route_that_is_too_long_to_be_kept_is_refused() {
    let house = House::new();
    let id = house.add(1).await;
    let mut call = house.call(ada(), tag(id, &["web"], &[]));
    call.idempotency = Some(IdempotencyKey {
        key: "key".into(),
        route: format!("PATCH /api/v1/machines/{}", "x".repeat(2000)),
        body_hash: "body".into(),
    });
    let refusal = house.core.run(call).await.unwrap_err();
    assert!(
        refusal.to_string().contains("1024 is the limit"),
        "{refusal}"
    );
}
