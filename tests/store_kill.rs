//! `kill -9` at a random moment of a write load, over and over on the same file.
//!
//! The child is this very binary, with sixteen writers; it says on a pipe what was acknowledged to it. When it has
//! said so much, it is killed; what is opened then has to hold every acknowledged write, each object's
//! versions without a gap, and an event for each. (A kill leaves the page cache whole: what a lost sync
//! would do is shown by the power cuts.)

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "it is all test: it says how long it took, and panics where it fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use dragonfly::model::{Cursor, Machine, MachineId, Subject};
use dragonfly::store::contract::samples::{machine, machine_id, put_told};
use dragonfly::store::contract::{commit, wait};
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{Commit, Expect, Key, Object, Store};

#[path = "store_lab/lab.rs"]
mod lab;

use lab::{Content, Dice};

const STORE: &str = "DRAGONFLY_TEST_KILL_STORE";
const WRITERS: u32 = 16;
/// After so many kills a new file is begun, so that looking at all of it stays quick.
const KILLS_A_FILE: u32 = 20;

/// A small journal, so that many kills fall into checkpoints.
fn options(path: &Path) -> Options {
    Options {
        journal_bytes: 128 * 1024,
        journal_records: 40,
        ..Options::new(path)
    }
}

/// Does nothing unless it is the child.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let store = RedbStore::open(options(&PathBuf::from(path))).expect("opens after the last kill");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write(store, writer));
        }
    });
}

/// One writer: its own machine grows, and after each step a new one comes.
fn write(store: &RedbStore, writer: u32) {
    let own = Key::Machine(machine_id(writer));
    loop {
        let there = store.get(&own).expect("reads");
        let (version, generation) = match &there {
            Some(stored) => match &stored.object {
                Object::Machine(machine) => (stored.version, machine.config.generation),
                _ => panic!("it is a machine"),
            },
            None => (0, 0),
        };
        let mut grown = machine(writer);
        grown.config.generation = generation + 1;
        acknowledge(store, Expect::Version(own.clone(), version), grown);
        // No writer, now or after the next kill, draws a number twice: places only grow.
        let place = u32::try_from(store.stats().cursor.raw()).expect("is small");
        let fresh = machine(1000 + place * WRITERS + writer);
        acknowledge(store, Expect::Version(Key::Machine(fresh.id), 0), fresh);
    }
}

fn acknowledge(store: &RedbStore, expect: Expect, machine: Machine) {
    let (id, generation) = (machine.id, machine.config.generation);
    let change = Commit {
        expect: vec![expect],
        ..put_told(machine, 0)
    };
    let done = commit(store, change).expect("nobody else writes it");
    let line = format!(
        "ack {id} {} {} {generation}\n",
        done.versions[0].1, done.cursor
    );
    let mut pipe = std::io::stdout().lock();
    pipe.write_all(line.as_bytes())
        .and_then(|()| pipe.flush())
        .expect("somebody listens");
}

/// What was acknowledged: version, place and generation.
#[derive(Clone, Copy, Debug)]
struct Ack {
    id: MachineId,
    version: u64,
    cursor: Cursor,
    generation: u64,
}

fn parse(line: &str) -> Option<Ack> {
    let mut words = line.strip_suffix('\n')?.split("ack ").nth(1)?.split(' ');
    Some(Ack {
        id: words.next()?.parse().ok()?,
        version: words.next()?.parse().ok()?,
        cursor: words.next()?.parse().ok()?,
        generation: words.next()?.parse().ok()?,
    })
}

fn child(path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("runs"))
        .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Kills the child after `count` acknowledgements; with 0 as soon as it says anything, while it opens.
fn kill_after(path: &Path, count: u64) -> Vec<Ack> {
    let mut child = child(path);
    let mut pipe = BufReader::new(child.stdout.take().expect("is piped"));
    let mut acks = Vec::new();
    let mut killed = false;
    let mut line = String::new();
    while pipe.read_line(&mut line).expect("reads") > 0 {
        acks.extend(parse(&line));
        line.clear();
        if !killed && acks.len() as u64 >= count {
            child.kill().expect("is there");
            killed = true;
        }
    }
    let status = child.wait().expect("ends");
    assert!(killed, "the child ended of its own accord: {status}");
    acks
}

fn check(path: &Path, acks: &[Ack]) -> Content {
    let store = RedbStore::open(options(path)).expect("opens after a kill");
    let content = Content::of(&store);
    let mut versions: BTreeMap<MachineId, u64> = BTreeMap::new();
    for (event, place) in content.events.iter().zip(1..) {
        assert_eq!(event.cursor.raw(), place, "no event is missing");
        let Subject::Machine(id) = event.subject else {
            panic!("{event:?}")
        };
        let version = versions.entry(id).or_default();
        *version += 1;
        assert_eq!(event.subject_version, *version, "{event:?}");
    }
    let mut found = BTreeMap::new();
    for stored in &content.objects {
        let Object::Machine(machine) = &stored.object else {
            panic!("{stored:?}")
        };
        assert_eq!(versions.get(&machine.id), Some(&stored.version));
        found.insert(machine.id, (stored.version, machine.config.generation));
    }
    assert_eq!(
        found.len(),
        versions.len(),
        "as many machines as were told of"
    );
    for ack in acks {
        let (version, generation) = found[&ack.id];
        assert!(version >= ack.version, "{ack:?} was lost: {version}");
        assert!(
            version > ack.version || generation == ack.generation,
            "{ack:?}"
        );
        let event = &content.events[usize::try_from(ack.cursor.raw()).expect("is small") - 1];
        assert_eq!(event.subject, Subject::Machine(ack.id), "{ack:?}");
        assert_eq!(event.subject_version, ack.version, "{ack:?}");
    }
    wait(store.close()).expect("closes");
    content
}

fn kills(rounds: u32) {
    let mut dice = Dice::new(Dice::seed());
    let began = Instant::now();
    let (mut acknowledged, mut unacknowledged) = (0, 0);
    let mut home = None;
    let mut before = 0;
    for round in 0..rounds {
        if round % KILLS_A_FILE == 0 {
            home = Some(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory"));
            before = 0;
        }
        let path = home
            .as_ref()
            .expect("was made")
            .path()
            .join("store.dragonfly");
        let count = if dice.one_in(8) { 0 } else { dice.below(300) };
        let acks = kill_after(&path, count);
        let content = check(&path, &acks);
        let came = content.events.len() - before;
        before = content.events.len();
        acknowledged += acks.len();
        unacknowledged += came - acks.len();
    }
    println!(
        "{rounds} kills in {:.1} s: {acknowledged} writes acknowledged, all there; {unacknowledged} more had landed unsaid",
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    kills(20);
}

#[test]
#[ignore = "takes minutes"]
fn long_a_thousand_kills_lose_nothing_that_was_acknowledged() {
    kills(1000);
}
