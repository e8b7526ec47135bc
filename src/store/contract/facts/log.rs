//! The promises about events: their order, who is told, and what a trim leaves.

use super::super::agree::follow;
use super::super::naive::Naive;
use super::super::samples::{at, event, machine, machine_id, put, put_told, text};
use super::super::{Bed, commit, wait};
use crate::model::{Cursor, Subject};
use crate::store::{Commit, EventQuery, Key, Retention, StoreError};

pub fn events_are_found_from_both_ends_and_by_subject(bed: &mut Bed) {
    let mut naive = Naive::default();
    for number in 0..40 {
        let subject = match number % 4 {
            0 => Subject::Appliance,
            1 => Subject::Setting(text("site.name")),
            _ => Subject::Machine(machine_id(number % 3)),
        };
        let told = Commit {
            events: vec![event(subject, number.into(), number % 5 == 0)],
            ..Commit::default()
        };
        naive.commit(&told).unwrap();
        bed.commit(told).unwrap();
        if number == 20 {
            bed.reopen();
        }
    }
    let subjects = [
        None,
        Some(Subject::Appliance),
        Some(Subject::Machine(machine_id(2))),
        Some(Subject::Machine(machine_id(9))),
    ];
    for subject in subjects {
        for (newest_first, audit_only) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            for from in [None, Some(0), Some(1), Some(17), Some(40), Some(41)] {
                for limit in [1, 3, 40, 1000] {
                    let query = EventQuery {
                        from: from.map(Cursor::from_raw),
                        newest_first,
                        subject: subject.clone(),
                        audit_only,
                        follow: false,
                        limit,
                    };
                    let expected = naive.events(&query).unwrap();
                    assert_eq!(follow(bed.store(), &query), expected, "{query:?}");
                }
            }
        }
    }
}

pub fn a_cursor_takes_a_follower_on_without_gap(bed: &mut Bed) {
    let mut ask = EventQuery {
        from: Some(Cursor::START),
        follow: true,
        limit: 3,
        ..EventQuery::default()
    };
    let mut seen = Vec::new();
    for round in 0..10 {
        for number in 0..round {
            bed.commit(put_told(machine(number), number.into()))
                .unwrap();
        }
        if round == 5 {
            bed.reopen();
        }
        loop {
            let page = bed.store().events(&ask).unwrap();
            seen.extend(page.events.iter().map(|event| event.cursor));
            ask.from = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(ask.from, Some(bed.store().stats().cursor));
    }
    assert_eq!(seen.len(), 45);
    assert!(seen.is_sorted_by(|a, b| a < b));
}

pub fn a_watcher_wakes_for_each_commit_with_an_event(bed: &mut Bed) {
    let mut watch = bed.store().watch();
    assert_eq!(*watch.borrow_and_update(), Cursor::START);
    bed.commit(put(machine(1))).unwrap();
    assert!(!watch.has_changed().unwrap(), "nothing was told");
    let done = bed.commit(put_told(machine(1), 1)).unwrap();
    assert_eq!(*watch.borrow_and_update(), done.cursor);

    let store = bed.shared();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            wait(watch.changed()).unwrap();
            *watch.borrow_and_update()
        });
        let done = commit(&*store, put_told(machine(2), 2)).unwrap();
        assert_eq!(watcher.join().unwrap(), done.cursor);
        assert!(
            store.get(&Key::Machine(machine_id(2))).unwrap().is_some(),
            "what was told of can be read"
        );
    });
    drop(store);
    bed.reopen();
    assert_eq!(*bed.store().watch().borrow(), Cursor::from_raw(2));
}

pub fn a_trim_keeps_the_audit_log_and_resets_who_missed_something(bed: &mut Bed) {
    for second in 0..10 {
        let told = Commit {
            events: vec![event(Subject::Appliance, second, second == 2)],
            ..Commit::default()
        };
        bed.commit(told).unwrap();
    }
    let trim = |bed: &Bed, before, max_count| {
        let retention = Retention {
            before: at(before),
            max_count,
        };
        let trimmed = wait(bed.store().trim(retention)).unwrap();
        (trimmed.removed, trimmed.floor.raw())
    };
    let read = |bed: &Bed, from: Option<u64>, audit_only| {
        let query = EventQuery {
            from: from.map(Cursor::from_raw),
            audit_only,
            follow: true,
            limit: 100,
            ..EventQuery::default()
        };
        let events = bed.store().events(&query)?.events;
        Ok::<_, StoreError>(events.iter().map(|e| e.cursor.raw()).collect::<Vec<_>>())
    };
    assert_eq!(trim(bed, 0, 100), (0, 0));
    assert_eq!(trim(bed, 4, 100), (3, 4));
    assert_eq!(trim(bed, 0, 4), (2, 6));
    for _ in 0..2 {
        for missed in 0..6 {
            let error = read(bed, Some(missed), false).unwrap_err();
            assert!(matches!(error, StoreError::Reset { floor } if floor.raw() == 6));
        }
        assert_eq!(read(bed, Some(6), false).unwrap(), [7, 8, 9, 10]);
        assert_eq!(read(bed, Some(0), true).unwrap(), [3]);
        assert_eq!(read(bed, None, false).unwrap(), [3, 7, 8, 9, 10]);
        assert_eq!(bed.store().stats().events, 5);
        assert_eq!(bed.store().stats().floor.raw(), 6);
        bed.reopen();
    }
    assert_eq!(trim(bed, 100, 0), (4, 10));
    bed.reopen();
    assert_eq!(read(bed, None, false).unwrap(), [3]);
    let done = bed.commit(put_told(machine(1), 11)).unwrap();
    assert_eq!(done.cursor.raw(), 11, "places are never given out twice");
}
