//! Set, apply, discard, tag and lock.

use test_case::test_case;

use super::*;
use crate::core::ReceiptStatus;
use crate::model::StateKind;

#[tokio::test]
async fn a_host_name_waits_until_it_is_applied() {
    let house = House::new();
    let id = house.add(1).await;
    let receipt = house
        .run(set(id, r#"{"hostname":"jellyfin01"}"#))
        .await
        .unwrap();
    assert_eq!(receipt.status, ReceiptStatus::Accepted);
    assert_eq!(receipt.version, 2);
    assert_eq!(fields(&receipt), ["hostname"]);
    let name = house.machine(id).name().to_owned();
    let next: Vec<_> = receipt.next.iter().map(|n| n.command.clone()).collect();
    assert!(
        next.contains(&format!("dragonfly machine apply {name}")),
        "{next:?}"
    );
    assert_eq!(house.machine(id).config.hostname, None);

    let receipt = house.run(apply(id)).await.unwrap();
    let machine = house.machine(id);
    assert_eq!(
        machine.config.hostname.as_ref().unwrap().as_str(),
        "jellyfin01"
    );
    assert_eq!(machine.config.generation, 2);
    assert_eq!(machine.pending, None);
    assert_eq!(receipt.events[0].1, "machine.configured");
}

#[tokio::test]
async fn a_discarded_edit_leaves_no_trace_but_its_event() {
    let house = House::new();
    let id = house.add(1).await;
    let before = house.machine(id).config.clone();
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    let receipt = house
        .run(Command::DiscardMachine { machine: id })
        .await
        .unwrap();
    assert_eq!(fields(&receipt), ["hostname"]);
    assert_eq!(receipt.diff[0].from, "web");
    assert_eq!(house.machine(id).config, before);
    assert_eq!(house.machine(id).pending, None);
    let again = house
        .run(Command::DiscardMachine { machine: id })
        .await
        .unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
}

#[tokio::test]
async fn a_friendly_name_settles_at_once_and_clearing_it_brings_the_four_words_back() {
    let house = House::new();
    let id = house.add(1).await;
    let words = house.machine(id).name().to_owned();
    let receipt = house
        .run(set(id, r#"{"friendly_name":"topaz-control-master"}"#))
        .await
        .unwrap();
    assert_eq!(receipt.events[0].1, "machine.configured");
    assert_eq!(house.machine(id).name(), "topaz-control-master");
    assert_eq!(house.machine(id).pending, None);
    house
        .run(set(id, r#"{"friendly_name":null}"#))
        .await
        .unwrap();
    assert_eq!(house.machine(id).name(), words);
}

#[tokio::test]
async fn a_mac_is_confirmed_before_it_is_saved() {
    let house = House::new();
    let id = house.add(1).await;
    let json = format!(r#"{{"mac":"{}"}}"#, mac(9));
    let refusal = house.run(set(id, &json)).await.unwrap_err();
    assert!(
        matches!(refusal, Refusal::Unconfirmed { field: "mac", .. }),
        "{refusal}"
    );
    let confirmed = Command::SetMachine {
        machine: id,
        patch: patch(&json),
        confirmed: true,
    };
    house.run(confirmed.clone()).await.unwrap();
    assert_eq!(house.machine(id).identity.primary_mac, mac(9));
    let again = house.run(confirmed).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
}

#[tokio::test]
async fn a_mac_of_another_machine_is_refused_with_its_name() {
    let house = House::new();
    let (one, two) = (house.add(1).await, house.add(2).await);
    let command = Command::SetMachine {
        machine: one,
        patch: patch(&format!(r#"{{"mac":"{}"}}"#, mac(2))),
        confirmed: true,
    };
    let refusal = house.run(command).await.unwrap_err();
    assert!(
        refusal.to_string().contains(house.machine(two).name()),
        "{refusal}"
    );
}

#[tokio::test]
async fn an_empty_patch_and_one_that_says_what_is_change_nothing() {
    let house = House::new();
    let id = house.add(1).await;
    let events = house.count();
    for json in ["{}", r#"{"hostname":null,"tags":[],"status":"discovered"}"#] {
        let receipt = house.run(set(id, json)).await.unwrap();
        assert_eq!(receipt.status, ReceiptStatus::Unchanged);
        assert_eq!(receipt.version, 1);
    }
    assert_eq!(house.count(), events);
}

#[tokio::test]
async fn an_edit_that_takes_another_back_leaves_nothing_pending() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    let receipt = house.run(set(id, r#"{"hostname":null}"#)).await.unwrap();
    assert_eq!(receipt.status, ReceiptStatus::Accepted);
    assert_eq!(fields(&receipt), ["hostname"]);
    assert_eq!(house.machine(id).pending, None);
}

#[tokio::test]
async fn an_edit_over_anothers_keeps_both_and_says_so() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    let receipt = house
        .by(bob(), set(id, r#"{"os_choice":"debian-13"}"#))
        .await
        .unwrap();
    assert!(
        receipt.notes.iter().any(|note| note.contains("ada")),
        "{:?}",
        receipt.notes
    );
    let pending = house.machine(id).pending.clone().unwrap();
    assert_eq!(pending.author, "bob");
    assert_eq!(
        pending.patch,
        patch(r#"{"hostname":"web","os_choice":"debian-13"}"#)
    );
}

#[tokio::test]
async fn choosing_a_system_makes_a_machine_ready_when_it_is_applied() {
    let house = House::new();
    let id = house.add(1).await;
    house
        .run(set(id, r#"{"os_choice":"debian-13"}"#))
        .await
        .unwrap();
    assert_eq!(house.machine(id).status.state.kind(), StateKind::Discovered);
    let receipt = house.run(apply(id)).await.unwrap();
    assert_eq!(house.machine(id).status.state.kind(), StateKind::Ready);
    let names: Vec<_> = receipt
        .events
        .iter()
        .map(|(_, name)| name.as_str())
        .collect();
    assert_eq!(names, ["machine.configured", "machine.state_changed"]);
}

#[tokio::test]
async fn a_status_edit_says_its_impact_and_obeys_the_table() {
    let house = House::new();
    let id = house.add(1).await;
    let receipt = house.run(set(id, r#"{"status":"offline"}"#)).await.unwrap();
    assert!(
        receipt.notes.iter().any(|note| note.contains("put aside")),
        "{:?}",
        receipt.notes
    );
    house.run(apply(id)).await.unwrap();
    assert_eq!(house.machine(id).status.state.kind(), StateKind::Offline);
    let refusal = house
        .run(set(id, r#"{"status":"provisioning"}"#))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "status"));
}

#[tokio::test]
async fn a_status_that_became_impossible_is_refused_at_apply_and_does_not_block_other_edits() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"status":"offline"}"#)).await.unwrap();
    house
        .rewrite(id, |machine| {
            machine.status.state = crate::model::State::Provisioning;
        })
        .await;
    let refusal = house.run(apply(id)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(_)), "{refusal}");
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    house
        .run(Command::DiscardMachine { machine: id })
        .await
        .unwrap();
}

#[tokio::test]
async fn now_needs_a_system_that_called_home() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    let now = Command::ApplyMachine {
        machine: id,
        now: true,
    };
    let refusal = house.run(now.clone()).await.unwrap_err();
    let Refusal::Conflict { reason, hint } = refusal else {
        panic!("{refusal}")
    };
    assert!(reason.contains("called home"), "{reason}");
    assert!(hint.contains("dragonfly machine apply"), "{hint}");
    house.call_home(id).await;
    house.run(now.clone()).await.unwrap();
    assert_eq!(house.machine(id).config.wanted_now, Some(2));
    let again = house.run(now).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
}

#[tokio::test]
async fn what_was_applied_for_later_can_be_wanted_now_afterwards() {
    let house = House::new();
    let id = house.add(1).await;
    house.call_home(id).await;
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    house.run(apply(id)).await.unwrap();
    assert_eq!(house.machine(id).config.wanted_now, None);
    house
        .run(Command::ApplyMachine {
            machine: id,
            now: true,
        })
        .await
        .unwrap();
    assert_eq!(house.machine(id).config.wanted_now, Some(2));
}

#[tokio::test]
async fn a_pending_edit_is_applied_over_other_fields_with_a_note() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    house.by(bob(), tag(id, &["rack2"], &[])).await.unwrap();
    let receipt = house.run(apply(id)).await.unwrap();
    assert!(
        receipt
            .notes
            .iter()
            .any(|note| note.contains("bob changed tags")),
        "{:?}",
        receipt.notes
    );
}

#[tokio::test]
async fn a_pending_edit_of_a_field_that_was_changed_since_is_refused_until_it_is_written_again() {
    let house = House::new();
    let id = house.add(1).await;
    house
        .run(set(id, r#"{"tags":["db"],"hostname":"web"}"#))
        .await
        .unwrap();
    house.by(bob(), tag(id, &["rack2"], &[])).await.unwrap();
    let refusal = house.run(apply(id)).await.unwrap_err();
    assert!(
        refusal.to_string().contains("bob changed tags"),
        "{refusal}"
    );
    house.run(set(id, r#"{"hostname":"web02"}"#)).await.unwrap();
    assert!(house.run(apply(id)).await.is_err());
    house
        .run(set(id, r#"{"tags":["db","rack2"]}"#))
        .await
        .unwrap();
    house.run(apply(id)).await.unwrap();
    assert_eq!(house.machine(id).config.tags.len(), 2);
}

#[tokio::test]
async fn tags_go_on_and_off_at_once_and_a_pending_edit_of_the_same_vanishes() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(set(id, r#"{"tags":["web"]}"#)).await.unwrap();
    let receipt = house.run(tag(id, &["Web"], &["db"])).await.unwrap();
    assert_eq!(receipt.events[0].1, "machine.configured");
    assert_eq!(house.machine(id).pending, None);
    let again = house.run(tag(id, &["web"], &[])).await.unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
    house.run(tag(id, &[], &["web"])).await.unwrap();
    assert!(house.machine(id).config.tags.is_empty());
}

#[tokio::test]
async fn sixty_four_tags_are_the_limit_and_one_cannot_go_on_and_off_at_once() {
    let house = House::new();
    let id = house.add(1).await;
    let words: Vec<_> = (0..65).map(|n| format!("t{n}")).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let refusal = house.run(tag(id, &words, &[])).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "tags"));
    house.run(tag(id, &words[1..], &[])).await.unwrap();
    assert!(house.run(tag(id, &["a"], &["a"])).await.is_err());
}

#[tokio::test]
async fn a_locked_machine_keeps_its_identity_and_may_still_be_named_and_tagged() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(lock(id)).await.unwrap();
    assert_eq!(
        house.run(lock(id)).await.unwrap().status,
        ReceiptStatus::Unchanged
    );
    house
        .run(set(id, r#"{"friendly_name":"vault","hostname":"vault"}"#))
        .await
        .unwrap();
    house.run(tag(id, &["vault"], &[])).await.unwrap();
    house.run(apply(id)).await.unwrap();
    let command = Command::SetMachine {
        machine: id,
        patch: patch(&format!(r#"{{"mac":"{}"}}"#, mac(9))),
        confirmed: true,
    };
    for command in [
        command,
        Command::DeleteMachine { machine: id },
        Command::ApplyMachine {
            machine: id,
            now: true,
        },
    ] {
        let refusal = house.run(command).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Locked { .. }), "{refusal}");
        assert!(
            refusal.to_string().contains("holds the only backup"),
            "{refusal}"
        );
    }
    house
        .run(Command::UnlockMachine { machine: id })
        .await
        .unwrap();
    let again = house
        .run(Command::UnlockMachine { machine: id })
        .await
        .unwrap();
    assert_eq!(again.status, ReceiptStatus::Unchanged);
    house
        .run(Command::DeleteMachine { machine: id })
        .await
        .unwrap();
}

#[test_case("" ; "empty")]
#[test_case(&"x".repeat(201) ; "too long")]
#[test_case("a\nb" ; "two lines")]
#[tokio::test]
async fn a_reason_that_cannot_be_shown_is_refused(reason: &str) {
    let house = House::new();
    let id = house.add(1).await;
    let command = Command::LockMachine {
        machine: id,
        reason: Some(reason.into()),
    };
    let refusal = house.run(command).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "reason"));
}

#[tokio::test]
async fn a_stale_version_is_refused_and_the_present_one_told() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(tag(id, &["web"], &[])).await.unwrap();
    let mut call = house.call(ada(), set(id, r#"{"hostname":"web"}"#));
    call.if_version = Some(1);
    let refusal = house.core.run(call.clone()).await.unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::Stale {
                expected: 1,
                found: 2
            }
        ),
        "{refusal}"
    );
    call.if_version = Some(2);
    house.core.run(call).await.unwrap();
}

#[tokio::test]
async fn every_command_on_an_unknown_machine_says_so() {
    let house = House::new();
    let id = MachineId(house.clock.new_id());
    for command in [
        set(id, "{}"),
        apply(id),
        Command::DiscardMachine { machine: id },
        tag(id, &["a"], &[]),
        lock(id),
        Command::UnlockMachine { machine: id },
        Command::DeleteMachine { machine: id },
        Command::SplitMachine {
            machine: id,
            macs: BTreeSet::from([mac(1)]),
            uuid: false,
        },
    ] {
        let name = command.name();
        let refusal = house.run(command).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::NotFound { .. }),
            "{name}: {refusal}"
        );
    }
    assert_eq!(house.count(), 0);
}

#[tokio::test]
async fn a_dry_run_checks_and_shows_the_diff_and_writes_nothing() {
    let house = House::new();
    let id = house.add(1).await;
    let head = house.head();
    let receipt = house.dry(set(id, r#"{"hostname":"web"}"#)).await.unwrap();
    assert_eq!(receipt.status, ReceiptStatus::DryRun);
    assert_eq!(fields(&receipt), ["hostname"]);
    assert!(receipt.events.is_empty());
    assert!(
        house
            .dry(set(id, r#"{"status":"provisioning"}"#))
            .await
            .is_err()
    );
    assert_eq!(house.head(), head);
    assert_eq!(house.version(id), 1);
}

#[tokio::test]
async fn what_a_person_does_is_audit_and_what_a_machine_does_is_not() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(tag(id, &["web"], &[])).await.unwrap();
    house.system(check_in(&[2])).await.unwrap();
    for event in house.events() {
        assert_eq!(event.audit, event.actor.name == "ada", "{event:?}");
    }
}

#[tokio::test]
async fn a_person_may_not_do_what_only_dragonfly_does() {
    let house = House::new();
    for command in [check_in(&[1]), Command::TrimEvents] {
        let refusal = house.run(command).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Forbidden { .. }), "{refusal}");
    }
    let id = house.add(1).await;
    let refusal = house.system(tag(id, &["web"], &[])).await.unwrap_err();
    assert_eq!(refusal.to_string(), "wire may not edit machines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_on_one_machine_none_is_lost() {
    let house = Arc::new(House::new());
    let id = house.add(1).await;
    let writers = (0..50).map(|n| {
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let word = format!("t{n}");
            house.by(ada(), tag(id, &[&word], &[])).await
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(house.machine(id).config.tags.len(), 50);
    assert_eq!(house.version(id), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_saw_the_same_version_one_wins() {
    let house = Arc::new(House::new());
    let id = house.add(1).await;
    let writers = (0..20).map(|n| {
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let mut call = house.call(ada(), tag(id, &[&format!("t{n}")], &[]));
            call.if_version = Some(1);
            house.core.run(call).await.is_ok()
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut won = 0;
    for writer in writers {
        won += usize::from(writer.await.unwrap());
    }
    assert_eq!(won, 1);
}
