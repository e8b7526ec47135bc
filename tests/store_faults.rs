//! Damage, strangers, full disks, read-only places: a clear error that names the file, and nothing lost.
//!
//! Whatever is done to a store's file, opening it gives all that was in it or an error; never a panic, never
//! less or other data given out as right, and a file that was refused stays as it is, byte for byte. One thing no
//! file can tell from a torn write: damage in the very last record of the journal, before a checkpoint.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "it is all test: it waits with deadlines, and panics where it fails"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dragonfly::model::Subject;
use dragonfly::store::contract::samples::{event, machine, put, put_told, server, setting};
use dragonfly::store::contract::{commit, wait};
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{Change, Store, StoreError, tool};
use tempfile::TempDir;
use test_case::test_case;

#[path = "store_lab/lab.rs"]
mod lab;

use lab::{Content, Dice, told};

fn options(path: &Path) -> Options {
    Options {
        journal_bytes: 32 * 1024,
        journal_records: 16,
        ..Options::new(path)
    }
}

fn open(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(options(path))
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = home.path().join("store.dragonfly");
    (home, path)
}

/// A store's bytes, with all contents that may be found in them.
struct Sample {
    bytes: Vec<u8>,
    whole: Content,
    /// Without the last record of the journal.
    torn: Option<Content>,
}

/// Everything in the tables, or with some of it in the journal alone.
fn sample(closed: bool) -> Sample {
    let (_home, path) = home();
    let store = open(&path).expect("a new store");
    let mut torn = None;
    for number in 0..40 {
        torn = Some(Content::of(&store));
        let mut change = put_told(server(number % 30, number.into()), number.into());
        if number % 10 == 0 {
            change
                .changes
                .push(Change::Put(setting("site.name", "Shelf")));
            change.events.push(event(Subject::Appliance, 0, true));
        }
        commit(&store, change).expect("commits");
    }
    let whole = Content::of(&store);
    if closed {
        wait(store.close()).expect("closes");
    }
    drop(store);
    Sample {
        bytes: fs::read(&path).expect("reads"),
        whole,
        torn: torn.filter(|_| !closed),
    }
}

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Torn,
    Refused,
    /// Opened, and then a reader met the damage and was told.
    Told,
}

impl Sample {
    fn fate(&self, bytes: &[u8]) -> Fate {
        let (_home, path) = home();
        fs::write(&path, bytes).expect("writes");
        let store = match open(&path) {
            Ok(store) => store,
            Err(error) => {
                names_the_file(&error, &path);
                let saved = tool::export(&path, Vec::new());
                assert!(saved.is_err(), "an export passed on what is damaged");
                let checked = tool::check(&path);
                assert!(
                    !checked.is_ok_and(|report| report.is_sound()),
                    "a check found nothing"
                );
                assert!(
                    fs::read(&path).expect("reads") == bytes,
                    "a refused file was changed"
                );
                return Fate::Refused;
            }
        };
        let content = match Content::read(&store) {
            Ok(content) => content,
            Err(error) => {
                names_the_file(&error, &path);
                return Fate::Told;
            }
        };
        if content == self.whole {
            // Each write waits for the disk, so not every one is tried.
            if bytes
                .iter()
                .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
                % 4
                == 0
            {
                goes_on(store, &path);
            }
            Fate::Whole
        } else if Some(&content) == self.torn.as_ref() {
            Fate::Torn
        } else {
            panic!(
                "other data was given out as right: {} of {} objects, {} of {} events",
                content.objects.len(),
                self.whole.objects.len(),
                content.events.len(),
                self.whole.events.len()
            );
        }
    }

    fn try_fate(&self, bytes: &[u8], what: &str) -> Fate {
        let run = catch_unwind(AssertUnwindSafe(|| self.fate(bytes)));
        told(run).unwrap_or_else(|panic| panic!("{what}: {panic}"))
    }

    /// The journal lies before the tables.
    fn journal() -> std::ops::Range<usize> {
        4096..4096 + 2 * 32 * 1024
    }
}

/// A store that opened whole takes more, and keeps it, or says that it is damaged.
fn goes_on(store: RedbStore, path: &Path) {
    for number in 1000..1018 {
        if let Err(error) = commit(&store, put_told(server(number, 0), 0)) {
            return says_why(&error, path);
        }
    }
    let content = Content::read(&store);
    if let Err(error) = wait(store.close()) {
        says_why(&error, path);
    }
    drop(store);
    match (open(path), content) {
        (Ok(store), Ok(content)) => match Content::read(&store) {
            Ok(found) => assert!(
                found == content,
                "it opened with other data than it was closed with"
            ),
            Err(error) => names_the_file(&error, path),
        },
        (Err(error), _) | (_, Err(error)) => names_the_file(&error, path),
    }
}

fn says_why(error: &StoreError, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
}

fn names_the_file(error: &StoreError, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    let kind = matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::Newer { .. }
    );
    assert!(kind, "{text}");
}

#[test_case(true; "closed")]
#[test_case(false; "with records in its journal")]
fn a_truncated_store_opens_whole_or_is_refused(closed: bool) {
    let sample = sample(closed);
    let mut dice = Dice::new(Dice::seed());
    let len = sample.bytes.len() as u64;
    let mut lengths: Vec<_> = [
        0,
        1,
        15,
        16,
        17,
        47,
        48,
        511,
        512,
        4095,
        4096,
        4097,
        len - 1,
        len,
    ]
    .into();
    lengths.extend((0..60).map(|_| dice.below(len)));
    lengths.extend((0..40).map(|_| dice.below(len / 4096) * 4096));
    let mut refused = 0;
    for len in lengths {
        let cut = usize::try_from(len).expect("is small");
        let fate = sample.try_fate(&sample.bytes[..cut], &format!("cut to {len} bytes"));
        assert!(
            matches!(fate, Fate::Whole | Fate::Refused),
            "cut to {len} bytes: {fate:?}"
        );
        refused += u32::from(fate == Fate::Refused);
    }
    assert!(refused > 50);
}

#[test_case(true; "closed")]
#[test_case(false; "with records in its journal")]
fn a_turned_bit_is_harmless_or_refused(closed: bool) {
    flips(&sample(closed), 160);
}

/// redb keeps its own books of free pages, without a checksum that it looks at, and writes in them once more
/// when it is closed. A bit turned there made it panic out of the store's own end.
#[test]
fn damage_in_the_books_of_free_pages_brings_nobody_down() {
    let sample = sample(true);
    for at in (82_200..82_500).filter(|at| sample.bytes[*at] != 0) {
        for bit in [0, 3] {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= 1 << bit;
            sample.try_fate(&bytes, &format!("bit {bit} turned in byte {at}"));
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn long_thousands_of_turned_bits_are_harmless_or_refused() {
    for closed in [true, false] {
        flips(&sample(closed), 3_000);
    }
}

fn flips(sample: &Sample, count: u64) {
    let seed = Dice::seed();
    let mut dice = Dice::new(seed);
    let mut fates = [0; 4];
    for number in 0..count {
        let mut bytes = sample.bytes.clone();
        // A tenth in the header, and of the rest as often in used pages as anywhere.
        let at = match number % 10 {
            0 => dice.below(4096),
            1..6 => used(&bytes, &mut dice),
            _ => dice.below(bytes.len() as u64),
        };
        let at = usize::try_from(at).expect("is small");
        bytes[at] ^= 1 << dice.below(8);
        let fate = sample.try_fate(
            &bytes,
            &format!("STORE_SEED={seed}: bit turned in byte {at}"),
        );
        let in_journal = Sample::journal().contains(&at);
        assert!(
            fate != Fate::Torn || in_journal,
            "byte {at} is in no journal"
        );
        fates[fate as usize] += 1;
    }
    println!("{count} bits turned: whole, torn, refused, told: {fates:?}");
    assert!(fates[Fate::Refused as usize] > 0);
}

/// A place that holds something.
fn used(bytes: &[u8], dice: &mut Dice) -> u64 {
    loop {
        let at = dice.below(bytes.len() as u64);
        if bytes[usize::try_from(at).expect("is small")] != 0 {
            return at;
        }
    }
}

#[test]
fn pages_of_zeros_or_rubbish_are_refused_or_harmless() {
    let sample = sample(true);
    let mut dice = Dice::new(Dice::seed());
    for page in 0..sample.bytes.len() / 4096 {
        let mut bytes = sample.bytes.clone();
        let rubbish = dice.one_in(2);
        for byte in &mut bytes[page * 4096..(page + 1) * 4096] {
            *byte = if rubbish {
                dice.roll().to_le_bytes()[0]
            } else {
                0
            };
        }
        let fate = sample.try_fate(&bytes, &format!("page {page}, rubbish: {rubbish}"));
        assert_ne!(fate, Fate::Torn, "page {page}");
    }
}

#[test_case(b"hello, I am a text\n"; "text")]
#[test_case(b""; "empty")]
#[test_case(&[0; 10_000]; "zeros")]
#[test_case(b"SQLite format 3\0 and so on"; "sqlite")]
#[test_case(b"dragonfly store"; "almost")]
#[test_case(b"\x7fELF\x02\x01\x01"; "program")]
fn a_foreign_file_is_named_and_left_alone(bytes: &[u8]) {
    let (_home, path) = home();
    fs::write(&path, bytes).expect("writes");
    for attempt in [
        open(&path).map(drop),
        tool::check(&path).map(drop),
        tool::export(&path, Vec::new()).map(drop),
        tool::compact(&path).map(drop),
    ] {
        let error = attempt.expect_err("is no store");
        names_the_file(&error, &path);
    }
    assert!(fs::read(&path).expect("reads") == bytes);
    assert_eq!(
        fs::read_dir(path.parent().expect("has one"))
            .expect("reads")
            .count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_directory_is_no_store() {
    let (_home, path) = home();
    fs::create_dir(&path).expect("makes");
    let error = open(&path).expect_err("is a directory");
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
    assert!(path.is_dir());
}

/// The disk that a link points to may not be mounted yet: a new store in its place would hide the old one.
#[test]
fn a_link_to_nowhere_is_not_replaced_by_a_new_store() {
    let (home, path) = home();
    let target = home.path().join("not-mounted/store.dragonfly");
    symlink(&target, &path).expect("links");
    let error = open(&path)
        .map(drop)
        .expect_err("there is nothing behind the link");
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
    assert_eq!(fs::read_link(&path).expect("still a link"), target);
}

#[test]
fn a_link_to_a_store_stays_a_link_when_it_is_compacted() {
    let (home, path) = home();
    let real = home.path().join("real.dragonfly");
    let store = open(&real).expect("a new store");
    commit(&store, put_told(server(1, 0), 0)).expect("commits");
    wait(store.close()).expect("closes");
    drop(store);
    symlink(&real, &path).expect("links");
    tool::compact(&path).expect("compacts");
    assert_eq!(fs::read_link(&path).expect("still a link"), real);
    let store = open(&real).expect("opens");
    assert_eq!(store.counts().expect("counts").machines, 1);
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let (_home, path) = home();
    let store = open(&path).expect("a new store");
    commit(&store, put(server(1, 0))).expect("commits");
    for attempt in [
        open(&path).map(drop),
        tool::check(&path).map(drop),
        tool::compact(&path).map(drop),
        tool::import(&b""[..], &path).map(drop),
    ] {
        let error = attempt.expect_err("is in use");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
    assert!(matches!(
        open(&path).map(drop),
        Err(StoreError::Busy { .. })
    ));
    commit(&store, put(server(2, 0))).expect("the first one goes on");
    drop(store);
    assert_eq!(
        open(&path)
            .expect("is free")
            .counts()
            .expect("counts")
            .machines,
        2
    );
}

#[test]
fn what_a_crash_left_of_a_creation_is_no_hindrance() {
    let (home, path) = home();
    fs::write(home.path().join(".store.dragonfly.new"), b"half a store").expect("writes");
    let store = open(&path).expect("makes a new one");
    commit(&store, put(server(1, 0))).expect("commits");
    assert_eq!(fs::read_dir(home.path()).expect("reads").count(), 1);
}

#[test]
fn an_export_that_was_cut_or_edited_makes_no_store() {
    let (home, path) = home();
    let store = open(&path).expect("a new store");
    for number in 0..20 {
        commit(&store, put_told(server(number, 0), number.into())).expect("commits");
    }
    let whole = Content::of(&store);
    drop(store);
    let mut export = Vec::new();
    tool::export(&path, &mut export).expect("exports");
    let copy = home.path().join("copy.dragonfly");
    tool::import(&export[..], &copy).expect("imports");
    assert_eq!(Content::of(&open(&copy).expect("opens")), whole);

    let other = home.path().join("other.dragonfly");
    let mut dice = Dice::new(Dice::seed());
    let refused = |bytes: &[u8], what: &str| {
        let run = catch_unwind(AssertUnwindSafe(|| tool::import(bytes, &other)));
        let error = told(run).expect("no panic").map(drop).expect_err(what);
        assert!(!error.to_string().is_empty());
        assert!(!other.exists(), "{what} left a store");
    };
    for _ in 0..60 {
        let len = usize::try_from(dice.below(export.len() as u64 - 1)).expect("is small");
        refused(&export[..len], &format!("cut to {len} bytes"));
    }
    let text = String::from_utf8(export.clone()).expect("is text");
    let lines: Vec<_> = text.lines().collect();
    for number in 0..lines.len() {
        let kept = lines
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number);
        let kept: Vec<_> = kept.map(|(_, line)| *line).collect();
        refused(
            (kept.join("\n") + "\n").as_bytes(),
            &format!("without line {number}"),
        );
    }
    refused(
        text.replace("node000007", "node000008").as_bytes(),
        "one name edited",
    );
    refused((text.clone() + "{}\n").as_bytes(), "a line more");
    let before = fs::read(&copy).expect("reads");
    tool::import(&export[..], &copy)
        .map(drop)
        .expect_err("there is a store already");
    assert!(fs::read(&copy).expect("reads") == before);
}

const INSIDE: &str = "DRAGONFLY_TEST_MOUNTED";

/// Runs one test of this binary again, in a mount namespace of its own with a memory file system at `home`.
fn inside(test: &str, size: &str, home: &Path) -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!(
            "SKIPPED {test}: mounting a small file system needs root; run the tests as root to see it"
        );
        return false;
    }
    let script = format!(
        "mount --make-rprivate / && mount -t tmpfs -o size={size} tmpfs \"$1\" && exec \"$0\" --exact --nocapture {test}"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("runs"))
        .arg(home)
        .env(INSIDE, home)
        .output()
        .expect("unshare is part of util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
    true
}

fn mounted() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

#[test]
fn a_full_disk_refuses_commits_and_takes_them_again_when_there_is_space() {
    let Some(home) = mounted() else {
        let (home, _) = home();
        inside(
            "a_full_disk_refuses_commits_and_takes_them_again_when_there_is_space",
            "32m",
            home.path(),
        );
        return;
    };
    let path = home.join("store.dragonfly");
    let store = open(&path).expect("a new store");
    let ballast = home.join("ballast");
    let mut acknowledged = 0;
    for round in 0..3u32 {
        fill(&ballast);
        let error = (0..100_000).find_map(|_| {
            let told = put_told(server(acknowledged, round.into()), 0);
            let error = commit(&store, told).err();
            acknowledged += u32::from(error.is_none());
            error
        });
        let error = error.expect("a full disk is met some time");
        assert!(
            matches!(&error, StoreError::Full { path: named } if *named == path),
            "{error}"
        );
        holds(&store, acknowledged);
        fs::remove_file(&ballast).expect("removes");
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = commit(&store, put_told(server(acknowledged, 0), 0)) {
            assert!(
                Instant::now() < deadline,
                "no commit is taken though there is space: {error}"
            );
            std::thread::yield_now();
        }
        acknowledged += 1;
        println!("round {round}: {acknowledged} commits acknowledged");
    }
    fill(&ballast);
    drop(store);
    let store = open(&path).expect("opens on a full disk");
    holds(&store, acknowledged);
    drop(store);
    fs::remove_file(&ballast).expect("removes");
    let store = open(&path).expect("opens");
    holds(&store, acknowledged);
    commit(&store, put(machine(7_000_000))).expect("commits");
    wait(store.close()).expect("closes");
}

/// Every machine with its event.
fn holds(store: &RedbStore, count: u32) {
    let content = Content::of(store);
    assert_eq!(content.objects.len(), count as usize);
    assert_eq!(content.events.len(), count as usize);
}

/// Takes what space there is, but for a little.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).expect("creates");
    while file.write_all(&[7; 4096]).is_ok() {}
    let len = file.metadata().expect("is there").len();
    file.set_len(len.saturating_sub(200 * 1024))
        .expect("gives back");
}

#[test]
fn a_store_that_does_not_fit_the_disk_is_not_begun() {
    let Some(home) = mounted() else {
        let (home, _) = home();
        inside(
            "a_store_that_does_not_fit_the_disk_is_not_begun",
            "1m",
            home.path(),
        );
        return;
    };
    let path = home.join("store.dragonfly");
    let error = RedbStore::open(Options::new(&path)).expect_err("needs 16 MiB");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(
        fs::read_dir(&home).expect("reads").count(),
        0,
        "nothing is left"
    );
}

#[test]
fn a_store_on_a_read_only_disk_is_refused_and_can_be_looked_at() {
    let Some(home) = mounted() else {
        let (home, _) = home();
        inside(
            "a_store_on_a_read_only_disk_is_refused_and_can_be_looked_at",
            "8m",
            home.path(),
        );
        return;
    };
    let path = home.join("store.dragonfly");
    let store = open(&path).expect("a new store");
    commit(&store, put_told(server(1, 0), 0)).expect("commits");
    drop(store);
    let status = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&home)
        .status()
        .expect("runs");
    assert!(status.success());
    let error = open(&path).expect_err("cannot be written");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    let error = open(&home.join("new.dragonfly")).expect_err("cannot be made");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    let report = tool::check(&path).expect("can be looked at");
    assert!(report.is_sound(), "{report:?}");
    let mut export = Vec::new();
    tool::export(&path, &mut export).expect("can be saved");
    assert!(
        String::from_utf8(export)
            .expect("is text")
            .contains("node000001")
    );
}
