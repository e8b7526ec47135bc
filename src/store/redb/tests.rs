//! The backend on a real file and on memory that fills up.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::*;
use crate::model::{Event, Subject};
use crate::store::read_model::tests::{at, event, machine, put};
use crate::store::{EventQuery, Index, Object};

fn small(path: &Path) -> Options {
    Options {
        journal_bytes: layout::MIN_HALF_BYTES,
        body_bytes: 16 * 1024,
        ..Options::new(path)
    }
}

fn home() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.dragonfly");
    (dir, path)
}

fn telling(number: u32, second: i64, audit: bool) -> Commit {
    let mut commit = put(&machine(number));
    let subject = Subject::Machine(machine(number).id);
    commit.events.push(event(subject, second, audit));
    commit
}

fn all(by: Index) -> Query {
    Query {
        by,
        after: None,
        limit: 1000,
        descending: false,
    }
}

fn everything(store: &dyn Store) -> (Vec<Stored>, Vec<Event>, StoreStats) {
    let ask = EventQuery {
        limit: 1000,
        ..EventQuery::default()
    };
    let stats = StoreStats {
        file_bytes: 0,
        memory_bytes: 0,
        cached_bodies: 0,
        commits: 0,
        syncs: 0,
        ..store.stats()
    };
    let machines = store.page(&all(Index::Name)).unwrap().items;
    (machines, store.events(&ask).unwrap().events, stats)
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_stop_a_close_and_many_laps() {
    let (_dir, path) = home();
    let mut last = None;
    for round in 0..4u32 {
        let store = RedbStore::open(small(&path)).unwrap();
        if let Some(last) = &last {
            assert_eq!(&everything(&store), last, "round {round}");
        }
        for number in 0..60 {
            let done = store.commit(telling(number, 1, false)).await.unwrap();
            assert_eq!(done.versions[0].1, u64::from(round) + 1);
        }
        last = Some(everything(&store));
        if round % 2 == 1 {
            store.close().await.unwrap();
            assert!(matches!(
                store.commit(telling(0, 1, false)).await,
                Err(StoreError::Closed)
            ));
        }
    }
    let (machines, events, stats) = last.unwrap();
    assert_eq!((machines.len(), events.len(), stats.events), (60, 240, 240));
}

#[tokio::test]
async fn a_tiny_cache_shows_the_same_as_a_large_one() {
    let (_dir, path) = home();
    let store = RedbStore::open(small(&path)).unwrap();
    for number in 0..200 {
        store.commit(telling(number, 1, false)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = RedbStore::open(small(&path)).unwrap();
    assert!(store.stats().cached_bodies < 30, "{:?}", store.stats());
    let page = store.page(&all(Index::Machines)).unwrap();
    let expected: Vec<_> = (0..200)
        .map(|number| Object::Machine(machine(number).into()))
        .collect();
    let found: Vec<_> = page.items.into_iter().map(|item| item.object).collect();
    assert_eq!(found, expected);
    assert!(store.stats().cached_bodies < 30, "{:?}", store.stats());
    for number in 0..200 {
        let stored = store
            .get(&Key::Machine(machine(number).id))
            .unwrap()
            .unwrap();
        assert_eq!(stored.object, Object::Machine(machine(number).into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_wait_together_share_syncs_and_see_each_other() {
    let (_dir, path) = home();
    let store = Arc::new(RedbStore::open(Options::new(&path)).unwrap());
    let before = store.stats().syncs;
    let tasks: Vec<_> = (0..400u32)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut commit = telling(number / 2, 1, false);
                let key = Key::Machine(machine(number / 2).id);
                commit.expect.push(crate::store::Expect::Version(key, 0));
                store.commit(commit).await
            })
        })
        .collect();
    let (mut done, mut stale) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => done += 1,
            Err(StoreError::Version { found: 1, .. }) => stale += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((done, stale), (200, 200));
    let syncs = store.stats().syncs - before;
    assert!(syncs < 150, "{syncs} syncs for 200 commits");
}

#[tokio::test]
async fn old_events_come_from_the_tables_in_both_directions_and_by_subject() {
    let (_dir, path) = home();
    let store = RedbStore::open(small(&path)).unwrap();
    for second in 0..90 {
        let number = u32::try_from(second).unwrap() % 30;
        store
            .commit(telling(number, second, second % 10 == 0))
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = RedbStore::open(small(&path)).unwrap();
    for second in 90..100 {
        store.commit(telling(7, second, false)).await.unwrap();
    }
    let places = |query: &EventQuery| {
        let page = store.events(query).unwrap();
        let places: Vec<_> = page.events.iter().map(|event| event.cursor.raw()).collect();
        (places, page.more)
    };
    let mut ask = EventQuery {
        from: Some(Cursor::from_raw(85)),
        limit: 10,
        ..EventQuery::default()
    };
    assert_eq!(places(&ask), ((86..96).collect(), true));
    ask.newest_first = true;
    ask.from = Some(Cursor::from_raw(96));
    assert_eq!(places(&ask), ((86..96).rev().collect(), true));
    ask.from = None;
    ask.subject = Some(Subject::Machine(machine(7).id));
    ask.limit = 12;
    assert_eq!(
        places(&ask),
        ((91..101).rev().chain([68, 38]).collect(), true)
    );
    ask.limit = 20;
    ask.newest_first = false;
    assert_eq!(
        places(&ask),
        ([8, 38, 68].into_iter().chain(91..101).collect(), false)
    );
    ask.subject = None;
    ask.audit_only = true;
    assert_eq!(
        places(&ask),
        (vec![1, 11, 21, 31, 41, 51, 61, 71, 81], false)
    );
}

#[tokio::test]
async fn a_trim_survives_and_resets_who_missed_something() {
    let (_dir, path) = home();
    let store = RedbStore::open(small(&path)).unwrap();
    for second in 0..50 {
        store
            .commit(telling(1, second, second % 10 == 0))
            .await
            .unwrap();
    }
    let retention = Retention {
        before: at(20),
        max_count: 20,
    };
    let trimmed = store.trim(retention).await.unwrap();
    assert_eq!((trimmed.removed, trimmed.floor.raw()), (25, 28));
    for _ in 0..2 {
        let again = store.trim(retention).await.unwrap();
        assert_eq!((again.removed, again.floor.raw()), (0, 28));
    }
    let before = everything(&store);
    drop(store);
    let store = RedbStore::open(small(&path)).unwrap();
    assert_eq!(everything(&store), before);
    assert_eq!(before.1.len(), 25);
    let read = |from| {
        let ask = EventQuery {
            from: Some(Cursor::from_raw(from)),
            follow: true,
            limit: 100,
            ..EventQuery::default()
        };
        store.events(&ask)
    };
    assert!(matches!(read(27), Err(StoreError::Reset { floor }) if floor.raw() == 28));
    assert_eq!(read(28).unwrap().events.len(), 22);
}

#[tokio::test]
async fn a_second_opener_is_told_that_the_store_is_in_use() {
    let (_dir, path) = home();
    let store = RedbStore::open(small(&path)).unwrap();
    assert!(matches!(
        RedbStore::open(small(&path)),
        Err(StoreError::Busy { .. })
    ));
    drop(store);
    RedbStore::open(small(&path)).unwrap();
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let (_dir, path) = home();
    for bytes in [
        &b""[..],
        b"hello",
        &b"SQLite format 3\0".repeat(600)[..],
        &[0; 9000],
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = RedbStore::open(small(&path)).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

/// Bytes in memory that end at a limit, as a disk does.
#[derive(Debug, Default)]
struct Disk {
    bytes: Mutex<Vec<u8>>,
    full: AtomicBool,
    deaf: AtomicBool,
    /// While it is shut, every sync waits.
    shut: AtomicBool,
    /// Writes from this offset on fail in this way.
    broken: Mutex<Option<(u64, io::ErrorKind)>>,
}

impl Storage for Arc<Disk> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.bytes.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let found = bytes.get(at..at + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        if let Some((from, kind)) = *self.broken.lock().unwrap()
            && offset >= from
        {
            return Err(kind.into());
        }
        let at = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[at..at + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let len = usize::try_from(len).unwrap();
        if len > bytes.len() && self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        bytes.resize(len, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        while self.shut.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        if self.deaf.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_loses_nothing() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let mut kept = 0;
    let error = loop {
        let mut large = machine(kept);
        large.hardware.cpu_model = Some("x".repeat(4000));
        match store.commit(put(&large)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 10_000, "the disk never filled");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.counts().unwrap().machines, kept as usize);
    assert_eq!(
        store.page(&all(Index::Machines)).unwrap().items.len(),
        (kept as usize).min(1000)
    );
    assert!(matches!(
        store.commit(put(&machine(9999))).await,
        Err(StoreError::Full { .. }) | Ok(_)
    ));

    disk.full.store(false, Ordering::SeqCst);
    for number in 5000..5020 {
        store.commit(put(&machine(number))).await.unwrap();
    }
    let before = everything(&store);
    store.close().await.unwrap();
    drop(store);
    let store = RedbStore::open_with(Box::new(disk), options).unwrap();
    assert_eq!(everything(&store), before);
}

/// After a full disk redb is opened anew, which may meet the full disk again: that was taken for a broken disk, and
/// nothing was written any more until a restart.
#[tokio::test]
async fn a_disk_that_takes_no_write_for_a_while_is_waited_out() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    let image = layout::HEADER_BYTES + 2 * layout::MIN_HALF_BYTES;
    *disk.broken.lock().unwrap() = Some((image, io::ErrorKind::StorageFull));
    let mut kept = 0;
    for _ in 0..5 {
        let error = loop {
            match store.commit(put(&machine(kept))).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept < 1000, "the disk never filled");
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    *disk.broken.lock().unwrap() = None;
    for number in 5000..5100 {
        store.commit(put(&machine(number))).await.unwrap();
    }
    let before = everything(&store);
    store.close().await.unwrap();
    drop(store);
    let store = RedbStore::open_with(Box::new(disk), options).unwrap();
    assert_eq!(everything(&store), before);
    assert_eq!(store.counts().unwrap().machines, kept as usize + 100);
}

/// Commits that wait together may need two records. When only the first was written, its commits were answered with
/// the failure of the second, though they were durable.
#[tokio::test]
async fn of_a_group_that_was_written_in_part_each_commit_is_answered_with_what_became_of_it() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    let store = Arc::new(store);
    let large = |number| {
        let mut machine = machine(number);
        machine.hardware.cpu_model = Some("x".repeat(5500));
        put(&machine)
    };
    let send = |commit| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(commit).await })
    };
    disk.shut.store(true, Ordering::SeqCst);
    let first = send(put(&machine(1)));
    let begin = usize::try_from(layout::HEADER_BYTES).unwrap();
    while disk.bytes.lock().unwrap()[begin] == 0 {
        tokio::task::yield_now().await;
    }
    let group = [2, 3, 4].map(|number| send(large(number)));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let other_half = layout::HEADER_BYTES + layout::MIN_HALF_BYTES;
    *disk.broken.lock().unwrap() = Some((other_half, io::ErrorKind::StorageFull));
    disk.shut.store(false, Ordering::SeqCst);
    first.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for commit in group {
        answers.push(commit.await.unwrap().is_ok());
    }
    assert_eq!(answers, [true, true, false]);
    assert_eq!(store.counts().unwrap().machines, 3);
}

#[tokio::test]
async fn a_failed_sync_is_the_end_of_writing_and_not_of_reading() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    store.commit(put(&machine(1))).await.unwrap();
    assert!(store.health().is_ok());
    disk.deaf.store(true, Ordering::SeqCst);
    let error = store.commit(put(&machine(2))).await.unwrap_err();
    assert!(error.to_string().contains("restarted"), "{error}");
    assert!(error.to_string().contains("Look at the disk"), "{error}");
    disk.deaf.store(false, Ordering::SeqCst);
    assert!(store.commit(put(&machine(3))).await.is_err());
    assert!(store.health().is_err());
    assert_eq!(store.counts().unwrap().machines, 1);
    drop(store);
    let store = RedbStore::open_with(Box::new(disk), options).unwrap();
    assert!(store.get(&Key::Machine(machine(1).id)).unwrap().is_some());
    assert!(store.get(&Key::Machine(machine(3).id)).unwrap().is_none());
    store.commit(put(&machine(3))).await.unwrap();
}

#[tokio::test]
async fn an_older_schema_is_brought_forward_and_a_newer_one_refused() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    store.commit(telling(1, 0, false)).await.unwrap();
    store.close().await.unwrap();
    store.commit(telling(2, 0, false)).await.unwrap_err();
    drop(store);
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    store.commit(telling(2, 0, false)).await.unwrap();
    drop(store);

    // The next schema, invented here: every machine's host name begins with its version's initial.
    let step = migrate::Migration {
        from: SCHEMA,
        object: |record| record["object"]["value"]["config"]["hostname"] = "v2.example".into(),
        event: |event| event["actor"]["name"] = "migrated".into(),
    };
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let opened = open::open_as(storage.clone(), &options, &[step], SCHEMA + 1).unwrap();
    for number in 1..=2 {
        let stored = opened
            .model
            .get(&Key::Machine(machine(number).id))
            .unwrap()
            .unwrap();
        let Object::Machine(machine) = stored.object else {
            panic!("no machine")
        };
        assert_eq!(
            machine.config.hostname.as_ref().unwrap().as_str(),
            "v2.example"
        );
    }
    let ask = EventQuery {
        limit: 10,
        ..EventQuery::default()
    };
    let events = opened.model.events(&ask).unwrap().events;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.actor.name == "migrated")
            .count(),
        2
    );
    drop(opened);

    let error = RedbStore::open_with(Box::new(disk), options).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found,
                known: SCHEMA,
                ..
            } if found == SCHEMA + 1
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_hole_in_the_journal_is_damage_and_a_torn_end_is_not() {
    let disk = Arc::new(Disk::default());
    let options = small(Path::new("disk"));
    let store = RedbStore::open_with(Box::new(disk.clone()), options.clone()).unwrap();
    for number in 1..=3 {
        store.commit(put(&machine(number))).await.unwrap();
    }
    drop(store);
    let whole = disk.bytes.lock().unwrap().clone();
    let frames: Vec<_> = (4096..4096 + 16384)
        .step_by(512)
        .filter(|at| &whole[*at..at + 4] == b"DFJ1")
        .collect();
    assert_eq!(frames.len(), 3);

    let reopened = |torn: usize| {
        let disk = Arc::new(Disk::default());
        *disk.bytes.lock().unwrap() = whole.clone();
        disk.bytes.lock().unwrap()[torn + 100] ^= 1;
        let bytes = disk.bytes.lock().unwrap().clone();
        let store = RedbStore::open_with(Box::new(disk.clone()), options.clone());
        (store, disk, bytes)
    };
    let (store, _, _) = reopened(frames[2]);
    let store = store.unwrap();
    assert_eq!(store.counts().unwrap().machines, 2);
    store.commit(put(&machine(4))).await.unwrap();
    let (damaged, disk, bytes) = reopened(frames[1]);
    let error = damaged.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(*disk.bytes.lock().unwrap(), bytes);
}
