//! The promises of [`crate::store::Store`], one by one.

use std::collections::BTreeSet;

use super::agree::{World, agree};
use super::naive::Naive;
use super::samples::{
    answer, at, event, lease, mac, machine, machine_id, network, put, put_told, server, setting,
    text,
};
use super::{Bed, commit, wait};
use crate::model::{Anchor, Machine, State, StateKind, Subject};
use crate::store::{
    Change, Commit, Expect, Index, Key, MAX_OPERATIONS, Object, Position, Query, Retention,
    StoreError,
};

mod crowd;
mod log;

pub use self::crowd::{
    of_sixteen_claims_on_one_anchor_one_wins, readers_see_whole_commits_only,
    sixteen_writers_lose_nothing, whoever_stays_is_on_exactly_one_page_while_others_move,
};
pub use self::log::{
    a_cursor_takes_a_follower_on_without_gap,
    a_trim_keeps_the_audit_log_and_resets_who_missed_something,
    a_watcher_wakes_for_each_commit_with_an_event, events_are_found_from_both_ends_and_by_subject,
};

pub fn versions_begin_at_one_and_have_no_gap(bed: &mut Bed) {
    let mut one = machine(1);
    for version in 1..=5 {
        one.config.generation = version;
        let done = bed.commit(put_told(one.clone(), 0)).unwrap();
        assert_eq!(done.versions, [(Key::Machine(one.id), version)]);
        assert_eq!(done.events[0].subject_version, version);
        let stored = bed.store().get(&Key::Machine(one.id)).unwrap().unwrap();
        assert_eq!(stored.version, version);
        assert_eq!(stored.object, one.clone().into());
        bed.reopen();
    }
    let done = bed.commit(delete(Key::Machine(one.id))).unwrap();
    assert_eq!(done.versions, [(Key::Machine(one.id), 6)]);
    assert_eq!(bed.store().get(&Key::Machine(one.id)).unwrap(), None);
}

pub fn an_expected_version_that_is_not_there_refuses_the_commit(bed: &mut Bed) {
    let key = Key::Machine(machine(1).id);
    let expecting = |version| Commit {
        expect: vec![Expect::Version(key.clone(), version)],
        ..put(machine(1))
    };
    let refused = |bed: &Bed, version, there| {
        let error = bed.commit(expecting(version)).unwrap_err();
        assert!(
            matches!(&error, StoreError::Version { found, expected, .. } if *found == there && *expected == version),
            "{error}"
        );
    };
    refused(bed, 1, 0);
    bed.commit(expecting(0)).unwrap();
    refused(bed, 0, 1);
    refused(bed, 2, 1);
    bed.commit(expecting(1)).unwrap();
    bed.reopen();
    refused(bed, 1, 2);
    bed.commit(delete(key.clone())).unwrap();
    refused(bed, 2, 0);
    bed.commit(expecting(0)).unwrap();
}

pub fn a_free_anchor_may_be_its_own_holders(bed: &mut Bed) {
    let (one, two) = (server(1, 0), server(2, 0));
    bed.commit(put(one.clone())).unwrap();
    bed.reopen();
    let name = Anchor::Name(one.config.memorable_name.clone());
    for anchor in one.identity.anchors().chain([name]) {
        let free = |holder| Commit {
            expect: vec![Expect::Free(anchor.clone(), holder)],
            ..Commit::default()
        };
        for other in [None, Some(two.id)] {
            let error = bed.commit(free(other)).unwrap_err();
            assert!(
                matches!(&error, StoreError::Taken { holder, anchor: a } if *holder == one.id && *a == anchor),
                "{error}"
            );
        }
        bed.commit(free(Some(one.id))).unwrap();
    }
    let mut shared = two;
    shared.identity.absorb(&one.identity);
    bed.commit(put(shared)).unwrap();
    let contested = Commit {
        expect: vec![Expect::Free(Anchor::Mac(mac(1)), Some(one.id))],
        ..Commit::default()
    };
    assert!(matches!(
        bed.commit(contested),
        Err(StoreError::Taken { .. })
    ));
}

pub fn a_refused_commit_leaves_nothing(bed: &mut Bed) {
    bed.commit(put_told(machine(1), 0)).unwrap();
    let mut bad = put_told(machine(2), 1);
    bad.changes
        .push(Change::Delete(Key::Machine(machine(1).id)));
    bad.changes.push(Change::Put(setting("site.name", "Shelf")));
    bad.expect
        .push(Expect::Version(Key::Machine(machine(1).id), 1));
    bad.expect
        .push(Expect::Version(Key::Machine(machine(1).id), 7));
    let before = bed.store().stats();
    bed.commit(bad).unwrap_err();
    bed.reopen();
    assert_eq!(bed.store().counts().unwrap().machines, 1);
    assert_eq!(bed.store().counts().unwrap().settings, 0);
    assert_eq!(bed.store().find(&Anchor::Mac(mac(2))).unwrap(), []);
    assert_eq!(bed.store().stats().cursor, before.cursor);
    assert_eq!(bed.store().stats().events, before.events);
    let done = bed.commit(put(setting("site.name", "Shelf"))).unwrap();
    assert_eq!(done.versions[0].1, 1);
}

pub fn limits_are_a_hundred_operations_and_a_mebibyte(bed: &mut Bed) {
    let of = |count: u32| Commit {
        expect: (0..10)
            .map(|n| Expect::Version(Key::Machine(machine_id(n)), 0))
            .collect(),
        events: (0..10)
            .map(|n| event(Subject::Appliance, n, false))
            .collect(),
        changes: (0..count).map(|n| Change::Put(machine(n).into())).collect(),
    };
    let error = bed.commit(of(81)).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLarge {
                operations: 101,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(bed.store().counts().unwrap().machines, 0);
    let done = bed.commit(of(80)).unwrap();
    assert_eq!(
        (done.versions.len(), done.events.len()),
        (80, MAX_OPERATIONS - 90)
    );

    let mut long = machine(200);
    long.hardware.cpu_model = Some("x".repeat(1024 * 1024));
    let error = bed.commit(put(long.clone())).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { bytes, .. } if bytes > 1024 * 1024));
    long.hardware.cpu_model = Some("x".repeat(1000 * 1024));
    bed.commit(put(long.clone())).unwrap();
    bed.reopen();
    let stored = bed.store().get(&Key::Machine(long.id)).unwrap().unwrap();
    assert_eq!(stored.object, long.into());
}

pub fn one_key_changes_once_in_a_commit(bed: &mut Bed) {
    let key = Key::Machine(machine(1).id);
    let twice = [
        vec![Change::Put(machine(1).into()), Change::Delete(key.clone())],
        vec![Change::Delete(key.clone()), Change::Put(machine(1).into())],
        vec![
            Change::Put(machine(1).into()),
            Change::Put(machine(1).into()),
        ],
    ];
    for changes in twice {
        let error = bed
            .commit(Commit {
                changes,
                ..Commit::default()
            })
            .unwrap_err();
        assert!(matches!(&error, StoreError::Twice { key: k } if *k == key));
    }
    assert_eq!(bed.store().get(&key).unwrap(), None);
}

pub fn every_anchor_finds_its_machine_and_only_while_it_has_it(bed: &mut Bed) {
    let (one, mut two) = (server(1, 0), server(2, 0));
    bed.commit(put(one.clone())).unwrap();
    bed.commit(put(two.clone())).unwrap();
    let anchors = |machine: &Machine| {
        let name = Anchor::Name(machine.config.memorable_name.clone());
        machine.identity.anchors().chain([name]).collect::<Vec<_>>()
    };
    assert_eq!(anchors(&one).len(), 5, "hash, two cards, UUID, name");
    for _ in 0..2 {
        for machine in [&one, &two] {
            for anchor in anchors(machine) {
                assert_eq!(bed.store().find(&anchor).unwrap(), [machine.id], "{anchor}");
            }
        }
        bed.reopen();
    }
    let before = anchors(&two);
    two.identity.absorb(&one.identity);
    bed.commit(put(two.clone())).unwrap();
    bed.reopen();
    assert_eq!(
        bed.store().find(&Anchor::Mac(mac(1))).unwrap(),
        [one.id, two.id]
    );
    assert_eq!(bed.store().find(&before[0]).unwrap(), [], "the old hash");
    bed.commit(delete(Key::Machine(one.id))).unwrap();
    assert_eq!(bed.store().find(&Anchor::Mac(mac(1))).unwrap(), [two.id]);
    bed.commit(delete(Key::Machine(two.id))).unwrap();
    for anchor in before.into_iter().chain(anchors(&two)) {
        assert_eq!(bed.store().find(&anchor).unwrap(), [], "{anchor}");
    }
}

pub fn every_index_is_walked_in_both_directions(bed: &mut Bed) {
    let mut naive = Naive::default();
    let mut objects = vec![
        setting("site.name", "Shelf"),
        setting("events.max_age_days", "30"),
        answer("ada /a 1", "r"),
        answer("ada /a 10", "r"),
    ];
    for number in 0..23 {
        let mut machine = server(number, 0);
        if number % 3 == 0 {
            machine.config.hostname = None;
        }
        machine.config.friendly_name = Some(text(&format!("Box {}", number % 7)));
        machine.metadata.updated_at = at(i64::from(number * 7 % 11));
        objects.push(machine.into());
        objects.push(super::samples::conflict(number));
    }
    for object in &objects {
        bed.commit(put(object.clone())).unwrap();
        naive.commit(&put(object.clone())).unwrap();
    }
    let world = World::of(&objects);
    for limit in [1, 2, 22, 23, 24, 1000] {
        agree(bed.store(), &naive, &world, limit);
    }
    bed.reopen();
    agree(bed.store(), &naive, &world, 7);
}

pub fn a_place_survives_what_comes_and_goes_around_it(bed: &mut Bed) {
    for number in [10, 20, 30, 40] {
        bed.commit(put(server(number, 0))).unwrap();
    }
    for by in [Index::Machines, Index::Hostname, Index::Updated] {
        for descending in [false, true] {
            let mut query = page_of(&by, 2, descending);
            query.after = bed.store().page(&query).unwrap().next;
            let (last, ahead, expected) = if descending {
                (30, 25, [25, 20])
            } else {
                (20, 25, [25, 30])
            };
            bed.commit(delete(Key::Machine(machine_id(last)))).unwrap();
            bed.commit(put(server(ahead, 0))).unwrap();
            bed.reopen();
            let page = bed.store().page(&query).unwrap();
            let found: Vec<_> = page.items.iter().map(|s| s.object.key()).collect();
            let expected = expected.map(|number| Key::Machine(machine_id(number)));
            assert_eq!(found, expected, "{by:?}, descending: {descending}");
            bed.commit(delete(Key::Machine(machine_id(ahead)))).unwrap();
            bed.commit(put(server(last, 0))).unwrap();
        }
    }
    let mut query = page_of(&Index::Name, 10, false);
    for nonsense in ["", "nonsense", "zz", "00", "ffffffffffffffff", "\u{0}é"] {
        query.after = Some(Position::from_text(nonsense));
        assert!(bed.store().page(&query).is_ok(), "{nonsense:?}");
    }
}

pub fn tags_and_states_are_counted_as_they_change(bed: &mut Bed) {
    let mut one = machine(1);
    one.config.tags = BTreeSet::from([text("rack1"), text("web")]);
    let mut two = machine(2);
    two.config.tags = BTreeSet::from([text("web")]);
    bed.commit(put(one.clone())).unwrap();
    bed.commit(put(two.clone())).unwrap();
    let tags = |bed: &Bed| {
        let tags = bed.store().tags().unwrap().into_iter();
        tags.map(|(tag, count)| format!("{tag} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(tags(bed), "rack1 1, web 2");
    one.config.tags = BTreeSet::from([text("db")]);
    one.status.state = State::Error {
        message: "no disk".into(),
    };
    bed.commit(put(one.clone())).unwrap();
    bed.reopen();
    assert_eq!(tags(bed), "db 1, web 1");
    let counts = bed.store().counts().unwrap();
    let in_state = |kind| counts.by_state.iter().find(|(k, _)| *k == kind).unwrap().1;
    assert_eq!(in_state(StateKind::Error), 1);
    assert_eq!(in_state(StateKind::Discovered), 1);
    assert_eq!(in_state(StateKind::Offline), 0);
    bed.commit(delete(Key::Machine(two.id))).unwrap();
    assert_eq!(tags(bed), "db 1");
    assert_eq!(bed.store().counts().unwrap().machines, 1);
}

pub fn a_setting_that_comes_back_goes_on_counting(bed: &mut Bed) {
    let shelf = setting("site.name", "Shelf");
    let key = shelf.key();
    let mut next = 1;
    for _ in 0..3 {
        let fresh = Commit {
            expect: vec![Expect::Version(key.clone(), 0)],
            ..put(shelf.clone())
        };
        assert_eq!(bed.commit(fresh).unwrap().versions[0].1, next);
        assert_eq!(
            bed.commit(delete(key.clone())).unwrap().versions[0].1,
            next + 1
        );
        assert_eq!(
            bed.commit(delete(key.clone())).unwrap().versions[0].1,
            next + 1,
            "deleting what is not there changes nothing"
        );
        next += 2;
        bed.reopen();
    }
}

pub fn leases_are_found_by_link_in_the_order_of_their_addresses(bed: &mut Bed) {
    for (link, address) in [("eth1", 1), ("eth0", 10), ("eth0", 9), ("eth0", 300)] {
        bed.commit(put(lease(link, address, 60))).unwrap();
    }
    bed.reopen();
    let addresses = |bed: &Bed, link: &str| {
        let page = bed
            .store()
            .page(&page_of(&Index::Leases(text(link)), 10, false));
        let items = page.unwrap().items.into_iter();
        items
            .map(|stored| match stored.object {
                Object::Lease(lease) => lease.address.to_string(),
                other => panic!("{other:?} is no lease"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        addresses(bed, "eth0"),
        ["10.0.0.9", "10.0.0.10", "10.0.1.44"]
    );
    assert_eq!(addresses(bed, "eth1"), ["10.0.0.1"]);
    assert_eq!(addresses(bed, "eth2"), [""; 0]);
    bed.commit(delete(lease("eth1", 1, 0).key())).unwrap();
    bed.reopen();
    assert_eq!(addresses(bed, "eth1"), [""; 0]);
    assert_eq!(bed.store().counts().unwrap().leases, 3);
}

pub fn a_deleted_lease_begins_anew_and_a_network_counts_on(bed: &mut Bed) {
    for round in 0..3 {
        let done = bed.commit(put(lease("eth0", 7, round))).unwrap();
        assert_eq!(done.versions[0].1, 1);
        let done = bed.commit(put(network("eth0", 1))).unwrap();
        assert_eq!(done.versions[0].1, 1 + 2 * round.unsigned_abs());
        bed.commit(delete(lease("eth0", 7, 0).key())).unwrap();
        bed.commit(delete(network("eth0", 1).key())).unwrap();
        bed.reopen();
    }
    assert_eq!(bed.store().counts().unwrap().networks, 0);
}

pub fn an_answer_is_kept_word_for_word(bed: &mut Bed) {
    let long = answer(
        "ada POST /api/v1/machines \u{1f409} key",
        &"ü".repeat(10_000),
    );
    bed.commit(put(long.clone())).unwrap();
    bed.reopen();
    let stored = bed.store().get(&long.key()).unwrap().unwrap();
    assert_eq!(stored.object, long);
    bed.commit(delete(long.key())).unwrap();
    bed.reopen();
    assert_eq!(bed.store().get(&long.key()).unwrap(), None);
    assert_eq!(bed.commit(put(long)).unwrap().versions[0].1, 3);
}

pub fn what_was_closed_takes_nothing_more(bed: &mut Bed) {
    let store = bed.shared();
    let before = commit(&*store, put_told(machine(1), 0)).unwrap();
    wait(store.close()).unwrap();
    let refused = commit(&*store, put(machine(2))).unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused}");
    let retention = Retention {
        before: at(100),
        max_count: 0,
    };
    let refused = wait(store.trim(retention)).unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused}");
    wait(store.close()).unwrap();
    assert_eq!(store.stats().cursor, before.cursor);
}

pub fn what_was_reopened_reads_and_counts_on_as_before(bed: &mut Bed) {
    let mut naive = Naive::default();
    let mut objects = vec![setting("site.name", "Shelf"), answer("ada", "r")];
    objects.extend((0..30).map(|number| server(number, 0).into()));
    for round in 0..3 {
        for (number, object) in objects.iter().enumerate() {
            let mut change = if (number + round) % 7 == 6 {
                delete(object.key())
            } else {
                put(object.clone())
            };
            change
                .events
                .push(event(Subject::Appliance, 0, number % 9 == 0));
            let done = bed.commit(change.clone()).unwrap();
            assert_eq!(done, naive.commit(&change).unwrap());
        }
        bed.reopen();
        agree(bed.store(), &naive, &World::of(&objects), 9);
    }
}

pub fn an_empty_commit_changes_nothing(bed: &mut Bed) {
    bed.commit(put_told(machine(1), 0)).unwrap();
    let before = bed.store().stats().cursor;
    let done = bed.commit(Commit::default()).unwrap();
    assert_eq!(done.cursor, before);
    assert!(done.versions.is_empty() && done.events.is_empty());
    let done = bed.commit(put(machine(1))).unwrap();
    assert_eq!(done.cursor, before);
    bed.reopen();
    assert_eq!(bed.store().stats().cursor, before);
}

fn delete(key: Key) -> Commit {
    Commit {
        changes: vec![Change::Delete(key)],
        ..Commit::default()
    }
}

fn page_of(by: &Index, limit: usize, descending: bool) -> Query {
    Query {
        by: by.clone(),
        after: None,
        limit,
        descending,
    }
}
