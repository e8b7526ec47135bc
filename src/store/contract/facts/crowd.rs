//! The promises to many at once: writers lose nothing, readers see whole commits.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};

use super::super::agree::{follow, walk};
use super::super::samples::{mac, machine, machine_id, put, put_told, server, text};
use super::super::{Bed, commit};
use super::{delete, page_of};
use crate::model::{Anchor, Machine, Subject};
use crate::store::{Change, Commit, EventQuery, Expect, Index, Key, Object, Store, StoreError};

/// Half of the machines stay as they are while the others are renamed, deleted and put back by another thread.
pub fn whoever_stays_is_on_exactly_one_page_while_others_move(bed: &mut Bed) {
    for number in 0..60 {
        bed.commit(put(server(number, 0))).unwrap();
    }
    let store = bed.shared();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                let number = round * 2 % 60;
                let mut moved = server(number, 0);
                moved.config.hostname = Some(text(&format!("node{:06}", round * 7 % 100)));
                let change = if round % 5 == 4 {
                    delete(Key::Machine(moved.id))
                } else {
                    put(moved)
                };
                commit(&*store, change).unwrap();
            }
        });
        for round in 0..40 {
            let mut query = page_of(&Index::Hostname, 7, round % 2 == 1);
            let mut stayed = Vec::new();
            loop {
                let page = store.page(&query).unwrap();
                stayed.extend(page.items.into_iter().filter_map(|s| match s.object {
                    Object::Machine(machine) if s.version == 1 => Some(machine.id),
                    _ => None,
                }));
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            let stays = |id: &_| (0..30).any(|n| *id == machine_id(n * 2 + 1));
            stayed.retain(stays);
            stayed.sort();
            let expected: Vec<_> = (0..30).map(|n| machine_id(n * 2 + 1)).collect();
            assert_eq!(stayed, expected);
        }
        done.store(true, Ordering::Release);
        mover.join().unwrap();
    });
}

/// Each adds one to the same machine's generation, over and over, and tries again when another was faster.
pub fn sixteen_writers_lose_nothing(bed: &mut Bed) {
    const WRITERS: u32 = 16;
    const EACH: u32 = 20;
    bed.commit(put_told(machine(0), 0)).unwrap();
    let store = bed.shared();
    let conflicts = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for writer in 1..=WRITERS {
            let (store, conflicts) = (&store, &conflicts);
            scope.spawn(move || {
                for step in 0..EACH {
                    commit(&**store, put_told(server(writer * 1000 + step, 0), 0)).unwrap();
                    while !add_one(&**store) {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    drop(store);
    bed.reopen();
    let counter = bed
        .store()
        .get(&Key::Machine(machine_id(0)))
        .unwrap()
        .unwrap();
    assert_eq!(counter.version, u64::from(1 + WRITERS * EACH));
    let Object::Machine(machine) = counter.object else {
        panic!("it is a machine")
    };
    assert_eq!(machine.config.generation, u64::from(1 + WRITERS * EACH));
    let total = (1 + WRITERS * EACH) as usize;
    assert_eq!(
        walk(bed.store(), &Index::Name, false, 100, total).len(),
        total
    );
    let query = EventQuery {
        subject: Some(Subject::Machine(machine_id(0))),
        limit: 100,
        ..EventQuery::default()
    };
    let told = follow(bed.store(), &query);
    let versions: Vec<_> = told.iter().map(|event| event.subject_version).collect();
    assert_eq!(
        versions,
        (1..=u64::from(1 + WRITERS * EACH)).collect::<Vec<_>>()
    );
}

fn add_one(store: &dyn Store) -> bool {
    let key = Key::Machine(machine_id(0));
    let stored = store.get(&key).unwrap().unwrap();
    let Object::Machine(machine) = stored.object else {
        panic!("it is a machine")
    };
    let mut machine = Machine::clone(&machine);
    machine.config.generation += 1;
    let added = Commit {
        expect: vec![Expect::Version(key, stored.version)],
        ..put_told(machine, 0)
    };
    match commit(store, added) {
        Ok(done) => {
            assert_eq!(done.versions[0].1, stored.version + 1);
            true
        }
        Err(StoreError::Version { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

pub fn of_sixteen_claims_on_one_anchor_one_wins(bed: &mut Bed) {
    for round in 0..5 {
        let store = bed.shared();
        let together = Barrier::new(16);
        let won = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for writer in 0..16 {
                let (store, together, won) = (&store, &together, &won);
                scope.spawn(move || {
                    let mut mine = machine(round);
                    mine.id = machine_id(1000 + round * 100 + writer);
                    let claim = Commit {
                        expect: vec![Expect::Free(Anchor::Mac(mac(round)), None)],
                        ..put(mine)
                    };
                    together.wait();
                    match commit(&**store, claim) {
                        Ok(_) => drop(won.fetch_add(1, Ordering::Relaxed)),
                        Err(StoreError::Taken { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                });
            }
        });
        assert_eq!(won.load(Ordering::Relaxed), 1);
        let holders = store.find(&Anchor::Mac(mac(round))).unwrap();
        assert_eq!(holders.len(), 1);
    }
}

/// Two machines always change in one commit; no page ever shows one before and one after.
pub fn readers_see_whole_commits_only(bed: &mut Bed) {
    let both = |generation| {
        let change = |number| {
            let mut machine = machine(number);
            machine.config.generation = generation;
            Change::Put(machine.into())
        };
        Commit {
            changes: vec![change(1), change(2)],
            ..Commit::default()
        }
    };
    bed.commit(both(0)).unwrap();
    let store = bed.shared();
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (store, done) = (&store, done.clone());
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let page = store.page(&page_of(&Index::Machines, 10, false)).unwrap();
                    let versions: Vec<_> = page.items.iter().map(|s| s.version).collect();
                    assert!(
                        matches!(versions[..], [a, b] if a == b),
                        "a page shows versions {versions:?}"
                    );
                }
            });
        }
        for generation in 1..200 {
            commit(&*store, both(generation)).unwrap();
        }
        done.store(true, Ordering::Release);
    });
}
