//! Paging, indexes, versions and the log, through the memory backend.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::model::machine::Source;
use crate::model::{
    Actor, CorrelationId, Evidence, MacAddr, Machine, MemorableName, RequestId, Setting,
    State as Standing, Subject, What,
};
use crate::store::contract::samples;
use crate::store::memory::MemoryStore;
use crate::store::{Answer, Change, Commit, Expect, NewEvent, Store};

pub(in crate::store) fn machine(number: u32) -> Machine {
    let [_, a, b, c] = number.to_be_bytes();
    let mac = MacAddr::new([0x52, 0x54, 0x00, a, b, c]);
    let mut machine = Machine::register(
        MachineId(Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number),
        )),
        &Evidence::of_macs(mac, []),
        MemorableName::candidates(mac).next().unwrap(),
        Source::Manual,
        at(0),
    );
    machine.config.friendly_name = Some(format!("Box {:04}", 9999 - number).parse().unwrap());
    machine
}

pub(in crate::store) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

pub(in crate::store) fn put(machine: &Machine) -> Commit {
    Commit {
        changes: vec![Change::Put(Object::Machine(machine.clone().into()))],
        ..Commit::default()
    }
}

pub(in crate::store) fn event(subject: Subject, seconds: i64, audit: bool) -> NewEvent {
    NewEvent {
        at: at(seconds),
        subject,
        what: What::Unlocked {},
        audit,
        actor: Actor::system("test"),
        request: RequestId(Uuid::nil()),
        correlation: CorrelationId(Uuid::nil()),
        causation: None,
    }
}

fn commit(store: &MemoryStore, commit: Commit) -> Result<crate::store::Committed, StoreError> {
    store.commit(commit).now_or_never().unwrap()
}

fn with(count: u32) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..count {
        commit(&store, put(&machine(number))).unwrap();
    }
    store
}

fn query(by: Index, limit: usize) -> Query {
    Query {
        by,
        after: None,
        limit,
        descending: false,
    }
}

fn ids(page: &Page) -> Vec<Key> {
    page.items.iter().map(|item| item.object.key()).collect()
}

#[test]
fn pages_join_without_gap_or_repeat_in_both_directions() {
    let store = with(25);
    let indexes = [
        Index::Machines,
        Index::Name,
        Index::Hostname,
        Index::Updated,
        Index::State(StateKind::Discovered),
    ];
    for by in indexes {
        for descending in [false, true] {
            let mut walk = query(by.clone(), 7);
            walk.descending = descending;
            let mut seen = Vec::new();
            loop {
                let page = store.page(&walk).unwrap();
                assert_eq!(page.total, 25);
                seen.extend(ids(&page));
                walk.after = page.next;
                if walk.after.is_none() {
                    break;
                }
            }
            let once: BTreeSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), once.len()), (25, 25), "{by:?} {descending}");
        }
    }
}

#[test]
fn a_page_goes_on_where_its_last_item_was_even_when_that_is_gone() {
    let store = with(10);
    let mut walk = query(Index::Name, 4);
    let first = store.page(&walk).unwrap();
    let last = ids(&first).pop().unwrap();
    let delete = Commit {
        changes: vec![Change::Delete(last)],
        ..Commit::default()
    };
    commit(&store, delete).unwrap();
    walk.after.clone_from(&first.next);
    let second = store.page(&walk).unwrap();
    assert_eq!(second.items.len(), 4);
    assert!(ids(&second).iter().all(|id| !ids(&first).contains(id)));
}

#[test]
fn a_place_that_never_was_begins_at_the_start() {
    let store = with(3);
    let mut walk = query(Index::Machines, 10);
    walk.after = Some(crate::store::Position::from_text("nonsense"));
    assert_eq!(store.page(&walk).unwrap().items.len(), 3);
}

#[test]
fn every_index_follows_a_change_and_a_deletion() {
    let store = with(2);
    let mut one = machine(1);
    one.config.tags = BTreeSet::from(["rack1".parse().unwrap()]);
    one.config.hostname = Some("web01".parse().unwrap());
    one.status.state = Standing::Offline;
    one.metadata.updated_at = at(60);
    commit(&store, put(&one)).unwrap();
    let first = |by| ids(&store.page(&query(by, 1)).unwrap()).pop();
    let key = Key::Machine(one.id);
    assert_eq!(first(Index::Hostname), Some(key.clone()));
    assert_eq!(
        first(Index::Tag("rack1".parse().unwrap())),
        Some(key.clone())
    );
    assert_eq!(first(Index::State(StateKind::Offline)), Some(key.clone()));
    assert_eq!(store.tags().unwrap(), [("rack1".parse().unwrap(), 1)]);
    let mac = Anchor::Mac(one.identity.primary_mac);
    assert_eq!(store.find(&mac).unwrap(), [one.id]);

    let delete = Commit {
        changes: vec![Change::Delete(key.clone())],
        ..Commit::default()
    };
    commit(&store, delete).unwrap();
    assert_eq!(store.get(&key).unwrap(), None);
    assert_eq!(store.find(&mac).unwrap(), []);
    assert_eq!(store.tags().unwrap(), []);
    assert_eq!(store.counts().unwrap().machines, 1);
    assert_eq!(first(Index::State(StateKind::Offline)), None);
}

#[test]
fn an_anchor_of_two_machines_names_both_until_one_gives_it_up() {
    let store = with(2);
    let (zero, mut one) = (machine(0), machine(1));
    one.identity.absorb(&zero.identity);
    commit(&store, put(&one)).unwrap();
    let mac = Anchor::Mac(zero.identity.primary_mac);
    assert_eq!(store.find(&mac).unwrap(), [zero.id, one.id]);
    commit(&store, put(&machine(1))).unwrap();
    assert_eq!(store.find(&mac).unwrap(), [zero.id]);
}

#[test]
fn expectations_are_held_against_what_is_there() {
    let store = with(1);
    let zero = machine(0);
    let expect = |expect| Commit {
        expect: vec![expect],
        ..put(&zero)
    };
    let key = Key::Machine(zero.id);
    let stale = commit(&store, expect(Expect::Version(key.clone(), 0))).unwrap_err();
    assert!(
        matches!(stale, StoreError::Version { found: 1, .. }),
        "{stale}"
    );
    let mac = Anchor::Mac(zero.identity.primary_mac);
    let taken = commit(&store, expect(Expect::Free(mac.clone(), None))).unwrap_err();
    assert!(matches!(taken, StoreError::Taken { holder, .. } if holder == zero.id));
    commit(&store, expect(Expect::Free(mac, Some(zero.id)))).unwrap();
    let done = commit(&store, expect(Expect::Version(key.clone(), 2))).unwrap();
    assert_eq!(done.versions, [(key, 3)]);
}

#[test]
fn a_setting_that_comes_back_goes_on_counting() {
    let store = MemoryStore::new();
    let key: crate::model::SettingKey = "site.name".parse().unwrap();
    let object = Object::Setting(Setting::parse(key.clone(), "Shelf").unwrap().into());
    let change = |change| Commit {
        changes: vec![change],
        ..Commit::default()
    };
    let version = |done: crate::store::Committed| done.versions[0].1;
    assert_eq!(
        version(commit(&store, change(Change::Put(object.clone()))).unwrap()),
        1
    );
    let gone = Change::Delete(Key::Setting(key.clone()));
    assert_eq!(version(commit(&store, change(gone)).unwrap()), 2);
    let back = Commit {
        expect: vec![Expect::Version(Key::Setting(key), 0)],
        ..change(Change::Put(object))
    };
    assert_eq!(version(commit(&store, back).unwrap()), 3);
}

#[test]
fn a_lease_costs_less_than_four_hundred_bytes() {
    let store = MemoryStore::new();
    let numbers: Vec<_> = (0..9000).collect();
    for chunk in numbers.chunks(90) {
        let leases = chunk
            .iter()
            .map(|number| samples::lease("eth0", *number, 0));
        let all = Commit {
            changes: leases.map(Change::Put).collect(),
            ..Commit::default()
        };
        commit(&store, all).unwrap();
    }
    let bytes = store.stats().memory_bytes;
    assert!(bytes < 9000 * 400, "{bytes} bytes");
    for chunk in numbers.chunks(90) {
        let leases = chunk
            .iter()
            .map(|number| samples::lease("eth0", *number, 0).key());
        let all = Commit {
            changes: leases.map(Change::Delete).collect(),
            ..Commit::default()
        };
        commit(&store, all).unwrap();
    }
    let state = store.counts().unwrap();
    assert_eq!(state.leases, 0);
}

#[test]
fn only_so_many_deleted_answers_are_remembered() {
    let store = MemoryStore::new();
    let answer = |number: usize| {
        Object::Answer(
            Answer {
                scope: format!("a{number}"),
                body_hash: String::new(),
                at: at(0),
                receipt: serde_json::Value::Null,
            }
            .into(),
        )
    };
    let total = crate::store::plan::GONE_ANSWERS + 50;
    for chunk in (0..total).collect::<Vec<_>>().chunks(50) {
        let all = |change: &dyn Fn(usize) -> Change| Commit {
            changes: chunk.iter().map(|number| change(*number)).collect(),
            ..Commit::default()
        };
        commit(&store, all(&|number| Change::Put(answer(number)))).unwrap();
        commit(&store, all(&|number| Change::Delete(answer(number).key()))).unwrap();
    }
    let version = |number| {
        let change = Commit {
            changes: vec![Change::Put(answer(number))],
            ..Commit::default()
        };
        commit(&store, change).unwrap().versions[0].1
    };
    assert_eq!(version(0), 1);
    assert_eq!(version(total - 1), 3);
}

#[test]
fn too_much_and_twice_the_same_are_refused_whole() {
    let store = MemoryStore::new();
    let many = Commit {
        changes: (0..101)
            .map(|n| Change::Put(Object::Machine(machine(n).into())))
            .collect(),
        ..Commit::default()
    };
    assert!(matches!(
        commit(&store, many),
        Err(StoreError::TooLarge {
            operations: 101,
            ..
        })
    ));
    let mut long = machine(1);
    long.hardware.cpu_model = Some("x".repeat(1024 * 1024));
    assert!(matches!(
        commit(&store, put(&long)),
        Err(StoreError::TooLarge { .. })
    ));
    let mut twice = put(&machine(1));
    twice
        .changes
        .push(Change::Delete(Key::Machine(machine(1).id)));
    assert!(matches!(
        commit(&store, twice),
        Err(StoreError::Twice { .. })
    ));
    assert_eq!(
        store.counts().unwrap(),
        MemoryStore::new().counts().unwrap()
    );
}

fn tell(store: &MemoryStore, subject: Subject, seconds: i64, audit: bool) -> Cursor {
    let events = vec![event(subject, seconds, audit)];
    let told = Commit {
        events,
        ..Commit::default()
    };
    commit(store, told).unwrap().cursor
}

#[test]
fn events_are_read_from_both_ends_and_by_subject() {
    let store = with(1);
    let zero = Subject::Machine(machine(0).id);
    for second in 0..10 {
        let subject = if second % 5 == 0 {
            zero.clone()
        } else {
            Subject::Appliance
        };
        tell(&store, subject, second, false);
    }
    let mut ask = EventQuery {
        limit: 4,
        ..EventQuery::default()
    };
    let page = store.events(&ask).unwrap();
    let raw: Vec<_> = page.events.iter().map(|e| e.cursor.raw()).collect();
    assert_eq!((raw, page.more), (vec![1, 2, 3, 4], true));
    ask.from = page.next;
    assert_eq!(store.events(&ask).unwrap().events[0].cursor.raw(), 5);
    ask.from = None;
    ask.newest_first = true;
    assert_eq!(store.events(&ask).unwrap().events[0].cursor.raw(), 10);
    ask.subject = Some(zero);
    let own = store.events(&ask).unwrap();
    let raw: Vec<_> = own
        .events
        .iter()
        .map(|e| (e.cursor.raw(), e.subject_version))
        .collect();
    assert_eq!((raw, own.more), (vec![(6, 1), (1, 1)], false));
}

#[test]
fn a_follower_that_finds_nothing_moves_ahead() {
    let store = MemoryStore::new();
    let last = tell(&store, Subject::Appliance, 0, false);
    let ask = EventQuery {
        from: Some(Cursor::START),
        subject: Some(Subject::Machine(machine(1).id)),
        limit: 10,
        ..EventQuery::default()
    };
    let page = store.events(&ask).unwrap();
    assert_eq!(
        (page.events.len(), page.next, page.more),
        (0, Some(last), false)
    );
    assert_eq!(*store.watch().borrow(), last);
}

#[test]
fn a_trim_spares_the_audit_log_and_resets_only_who_missed_something() {
    let store = MemoryStore::new();
    for second in 0..10 {
        tell(&store, Subject::Appliance, second, second == 2);
    }
    let trim = |before, max_count| {
        let retention = Retention {
            before: at(before),
            max_count,
        };
        store.trim(retention).now_or_never().unwrap().unwrap()
    };
    assert_eq!(trim(0, 100).removed, 0);
    let trimmed = trim(4, 100);
    assert_eq!((trimmed.removed, trimmed.floor.raw()), (3, 4));
    let trimmed = trim(0, 4);
    assert_eq!((trimmed.removed, trimmed.floor.raw()), (2, 6));
    assert_eq!(store.stats().events, 5);

    let read = |from: Option<u64>, audit_only| {
        store.events(&EventQuery {
            from: from.map(Cursor::from_raw),
            audit_only,
            follow: true,
            limit: 100,
            ..EventQuery::default()
        })
    };
    assert!(matches!(read(Some(5), false), Err(StoreError::Reset { floor }) if floor.raw() == 6));
    assert_eq!(read(Some(6), false).unwrap().events.len(), 4);
    assert_eq!(read(Some(0), true).unwrap().events.len(), 1);
    assert_eq!(read(None, false).unwrap().events[0].cursor.raw(), 3);
}

#[test]
fn machines_that_share_an_anchor_are_a_group_until_one_of_them_gives_it_up() {
    let store = with(4);
    assert!(store.contested().unwrap().is_empty());
    let ids = [1, 2, 3].map(|number| machine(number).id);
    for number in [2, 3] {
        let mut twin = machine(number);
        twin.identity = machine(1).identity;
        commit(&store, put(&twin)).unwrap();
    }
    assert_eq!(store.contested().unwrap(), [ids.to_vec()]);
    commit(&store, put(&machine(2))).unwrap();
    assert_eq!(store.contested().unwrap(), [vec![ids[0], ids[2]]]);
    let delete = Commit {
        changes: vec![Change::Delete(Key::Machine(ids[0]))],
        ..Commit::default()
    };
    commit(&store, delete).unwrap();
    assert!(store.contested().unwrap().is_empty());
}
