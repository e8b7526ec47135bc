//! Round trips, refusals, and findings.

use std::path::PathBuf;

use futures_util::FutureExt;
use tempfile::TempDir;

use super::*;
use crate::model::{Setting, Subject};
use crate::store::read_model::tests::{event, machine, put};
use crate::store::redb::{Options, RedbStore};
use crate::store::{Change, Commit, Retention, Store};

/// A store with objects of several kinds, a remembered deletion, events, some of it still in the journal.
async fn sample() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.dragonfly");
    let options = Options {
        journal_bytes: 16 * 1024,
        ..Options::new(&path)
    };
    let store = RedbStore::open(options).unwrap();
    for number in 0..40 {
        let mut commit = put(&machine(number));
        let subject = Subject::Machine(machine(number).id);
        commit
            .events
            .push(event(subject, i64::from(number), number % 7 == 0));
        store.commit(commit).await.unwrap();
    }
    let retention = Retention {
        before: crate::store::read_model::tests::at(5),
        max_count: 1000,
    };
    store.trim(retention).await.unwrap();
    let setting = Setting::parse("site.name".parse().unwrap(), "Shelf").unwrap();
    let key = Key::Setting(setting.key.clone());
    for change in [
        Change::Put(Object::Setting(setting.into())),
        Change::Delete(key),
    ] {
        let commit = Commit {
            changes: vec![change],
            events: vec![event(Subject::Appliance, 90, true)],
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
    }
    let gone = Commit {
        changes: vec![Change::Delete(Key::Machine(machine(3).id))],
        ..Commit::default()
    };
    store.commit(gone).await.unwrap();
    drop(store);
    (dir, path)
}

fn exported(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    export(path, &mut out).unwrap();
    out
}

#[tokio::test]
async fn an_import_exports_the_same_bytes() {
    let (dir, path) = sample().await;
    let before = std::fs::read(&path).unwrap();
    let lines = exported(&path);
    assert_eq!(
        std::fs::read(&path).unwrap(),
        before,
        "the export changed the store"
    );
    let copy = dir.path().join("copy.dragonfly");
    let passed = import(&lines[..], &copy).unwrap();
    assert_eq!(
        passed,
        Passed {
            objects: 40,
            events: 38
        }
    );
    assert_eq!(exported(&copy), lines);
    assert_eq!(check(&copy).unwrap().findings, Vec::<String>::new());
    let store = RedbStore::open(Options::new(&copy)).unwrap();
    assert_eq!(store.counts().unwrap().machines, 39);
    let again = Commit {
        events: vec![event(Subject::Appliance, 91, false)],
        ..Commit::default()
    };
    assert_eq!(store.commit(again).await.unwrap().cursor.raw(), 43);
}

#[tokio::test]
async fn an_export_that_was_cut_or_edited_makes_no_store() {
    let (dir, path) = sample().await;
    let lines = exported(&path);
    let copy = dir.path().join("copy.dragonfly");
    let text = String::from_utf8(lines.clone()).unwrap();
    let edited = text.replacen("Box 9995", "Box 0000", 1);
    assert_ne!(edited, text);
    let swapped = {
        let mut lines: Vec<_> = text.lines().collect();
        lines.swap(2, 3);
        lines.join("\n") + "\n"
    };
    let mut wrong: Vec<Vec<u8>> = [
        0,
        1,
        100,
        lines.len() / 2,
        lines.len() - 100,
        lines.len() - 1,
    ]
    .map(|end| lines[..end].to_vec())
    .into();
    wrong.extend([
        edited.into(),
        swapped.into(),
        [&lines[..], b"{}\n"].concat(),
    ]);
    for bytes in wrong {
        let error = import(&bytes[..], &copy).unwrap_err();
        assert!(matches!(error, StoreError::Import { .. }), "{error}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[tokio::test]
async fn an_import_does_not_touch_what_is_there() {
    let (_dir, path) = sample().await;
    let before = std::fs::read(&path).unwrap();
    let error = import(&exported(&path)[..], &path).unwrap_err();
    assert!(error.to_string().contains("there already"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_compaction_keeps_everything() {
    let (_dir, path) = sample().await;
    let lines = exported(&path);
    compact(&path).unwrap();
    assert_eq!(exported(&path), lines);
    assert!(check(&path).unwrap().is_sound());
    let store = RedbStore::open(Options::new(&path)).unwrap();
    store.close().now_or_never();
}

#[tokio::test]
async fn a_check_is_content_with_a_good_store_and_does_not_change_it() {
    let (_dir, path) = sample().await;
    let before = std::fs::read(&path).unwrap();
    let report = check(&path).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.objects, report.deleted, report.events), (39, 1, 38));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_check_finds_a_turned_bit_in_an_object() {
    let (_dir, path) = sample().await;
    compact(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let word = b"Box 9990";
    let at = bytes
        .windows(word.len())
        .position(|found| found == word)
        .unwrap();
    bytes[at + 4] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let report = check(&path).unwrap();
    assert!(
        report.findings.iter().any(|what| what.contains("checksum")),
        "{report:?}"
    );
    let error = RedbStore::open(Options::new(&path)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
