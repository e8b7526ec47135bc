//! The power fails. Whatever moment it picks, the store opens again with all that was acknowledged.
//!
//! One scripted workload runs on a disk that remembers every write and sync: creation, commits, sixteen
//! writers at once, checkpoints in a journal that is much too small, trims, a clean stop and a hard one. Then, for
//! every sync and every write between, the disk is put back as a power cut there could leave it (see
//! [`lab::disk`]), and what opens has to be exactly one committed prefix of the workload.

#![allow(
    clippy::expect_used,
    reason = "it is all test: what fails here shall panic"
)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use dragonfly::model::{Machine, Subject};
use dragonfly::store::contract::agree::{World, agree};
use dragonfly::store::contract::naive::Naive;
use dragonfly::store::contract::samples::{
    answer, at, conflict, event, machine, machine_id, put, put_told, server, setting, text,
};
use dragonfly::store::contract::{commit, wait};
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{
    Change, Commit, Committed, EventQuery, Index, Key, Object, Retention, Store, StoreError,
    Trimmed,
};

#[path = "store_lab/lab.rs"]
mod lab;

use lab::disk::{Deed, Disk, Luck, Moment, moments};
use lab::{Content, Dice, told};

fn options() -> Options {
    Options {
        journal_bytes: 32 * 1024,
        journal_records: 9,
        cache_bytes: 256 * 1024,
        body_bytes: 1024 * 1024,
        ..Options::new("store.dragonfly")
    }
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    RedbStore::open_with(Box::new(disk.clone()), options())
}

/// One thing that the workload asked for, with what it was told.
#[derive(Clone, Debug)]
enum Step {
    Commit(Commit, Committed),
    Trim(Retention, Trimmed),
}

/// The workload as it happened: its steps in their order, and the states between them.
struct History {
    deeds: Vec<Deed>,
    /// `states[n]` is what holds after `n` steps.
    states: Vec<Naive>,
    world: World,
    /// How many steps are in `states` by which the deeds' acknowledgements count.
    of_ticket: HashMap<usize, usize>,
}

/// Runs the workload, and takes down what was acknowledged and when.
struct Scribe<'a> {
    disk: &'a Disk,
    /// Steps by ticket; a ticket is what is acknowledged, and writers draw theirs in any order.
    steps: Mutex<Vec<Step>>,
}

impl Scribe<'_> {
    fn commit(&self, store: &dyn Store, mut change: Commit) {
        if change.events.is_empty() {
            change.events.push(event(Subject::Appliance, 1, false));
        }
        let done = commit(store, change.clone()).expect("the disk is well");
        let mut steps = self.steps.lock().expect("no writer panics");
        steps.push(Step::Commit(change, done));
        self.disk.acknowledge(steps.len() - 1);
    }

    fn trim(&self, store: &dyn Store, retention: Retention) {
        let trimmed = wait(store.trim(retention)).expect("the disk is well");
        let mut steps = self.steps.lock().expect("no writer panics");
        steps.push(Step::Trim(retention, trimmed));
        self.disk.acknowledge(steps.len() - 1);
    }
}

fn workload(disk: &Disk, scribe: &Scribe<'_>) {
    let store = open(disk).expect("a new disk");
    for number in 0..8 {
        scribe.commit(&store, put_told(server(number, 0), number.into()));
    }
    scribe.commit(&store, put(setting("site.name", "Shelf")));
    scribe.commit(&store, put(answer("ada 1", "r")));
    scribe.commit(&store, put(conflict(1)));
    writers(&store, scribe, 16, 2);
    scribe.trim(&store, retention(5, 1000));
    drop(store);

    let store = open(disk).expect("dropped, not closed");
    scribe.commit(&store, many(0..30));
    scribe.commit(&store, delete(Key::Machine(machine_id(3))));
    scribe.commit(&store, delete(setting("site.name", "Shelf").key()));
    scribe.commit(&store, delete(answer("ada 1", "r").key()));
    for revision in 1..12u32 {
        let mut told = put_told(server(revision % 4, revision.into()), 100);
        told.events
            .push(event(Subject::Setting(text("site.name")), 101, true));
        scribe.commit(&store, told);
    }
    scribe.trim(&store, retention(0, 20));
    scribe.commit(&store, put(setting("site.name", "Rack")));
    wait(store.close()).expect("the disk is well");
    drop(store);

    let store = open(disk).expect("closed");
    writers(&store, scribe, 4, 4);
    scribe.commit(&store, put(answer("ada 1", "again")));
}

fn writers(store: &dyn Store, scribe: &Scribe<'_>, count: u32, each: u32) {
    std::thread::scope(|scope| {
        for writer in 0..count {
            scope.spawn(move || {
                for step in 0..each {
                    let machine = machine(100 + writer * each + step);
                    scribe.commit(store, put_told(machine, 50));
                }
            });
        }
    });
}

/// More machines than one sector, or one page, has room for.
fn many(numbers: std::ops::Range<u32>) -> Commit {
    let changes = numbers.map(|number| Change::Put(Object::from(server(number, 7))));
    Commit {
        changes: changes.take(10).collect(),
        ..Commit::default()
    }
}

fn delete(key: Key) -> Commit {
    Commit {
        changes: vec![Change::Delete(key)],
        ..Commit::default()
    }
}

fn retention(before: i64, max_count: u64) -> Retention {
    Retention {
        before: at(before),
        max_count,
    }
}

/// What a store in this state holds.
fn content(state: &Naive) -> Content {
    let indexes = [
        Index::Machines,
        Index::Settings,
        Index::Conflicts,
        Index::Answers,
        Index::Networks,
        Index::Templates,
        Index::Workflows,
        Index::ActiveWorkflows,
    ];
    let walks = indexes.iter().flat_map(|by| state.walk(by, false));
    let every = EventQuery::default();
    Content {
        objects: walks.collect(),
        events: state.events(&every).expect("nobody follows"),
    }
}

/// Runs the workload on a disk, and works out the states that it went through.
fn history(disk: &Disk) -> History {
    let scribe = Scribe {
        disk,
        steps: Mutex::default(),
    };
    workload(disk, &scribe);
    let steps = scribe.steps.into_inner().expect("no writer panics");
    // The store's own order: a trim stands where the places were that it saw.
    let mut order: Vec<usize> = (0..steps.len()).collect();
    let mut last = 0;
    let place: Vec<_> = steps
        .iter()
        .map(|step| {
            if let Step::Commit(_, done) = step {
                last = done.cursor.raw().max(last);
                (done.cursor.raw(), 0)
            } else {
                (last, 1)
            }
        })
        .collect();
    order.sort_by_key(|ticket| place[*ticket]);
    let mut states = vec![Naive::default()];
    let mut of_ticket = HashMap::new();
    let mut objects: Vec<Object> = Vec::new();
    for ticket in order {
        let mut state = states[states.len() - 1].clone();
        match &steps[ticket] {
            Step::Commit(change, done) => {
                assert_eq!(state.commit(change).expect("as the store did"), *done);
                for change in &change.changes {
                    if let Change::Put(object) = change {
                        objects.push(object.clone());
                    }
                }
            }
            Step::Trim(retention, trimmed) => assert_eq!(state.trim(*retention), *trimmed),
        }
        states.push(state);
        of_ticket.insert(ticket, states.len() - 1);
    }
    History {
        deeds: disk.deeds(),
        states,
        world: World::of(&objects),
        of_ticket,
    }
}

impl History {
    /// The state that a store has to be at least in, when these deeds are done.
    fn least(&self, acknowledged: &[usize]) -> usize {
        let states = acknowledged.iter().map(|ticket| self.of_ticket[ticket]);
        states.max().unwrap_or_default()
    }

    /// Opens what a cut left, and says which state it holds; panics when it holds none, or less than it must.
    fn recovered(&self, disk: &Disk, least: Option<usize>) -> (RedbStore, usize) {
        let store = open(disk).expect("opens after a power cut");
        let shown = store.stats();
        let holds = |state: &Naive| {
            state.last() == shown.cursor
                && state.event_count() as u64 == shown.events
                && state.floor() == shown.floor
        };
        let found = self.states.iter().rposition(holds);
        let found = found.unwrap_or_else(|| panic!("no prefix of the workload has {shown:?}"));
        assert!(
            Some(found) >= least,
            "state {found} was found, and {least:?} was acknowledged"
        );
        let expected = &self.states[found];
        assert_eq!(Content::of(&store), content(expected), "as state {found}");
        (store, found)
    }

    /// Every index too, which takes its time.
    fn agrees(&self, store: &RedbStore, state: usize) {
        agree(store, &self.states[state], &self.world, 50);
    }

    /// All cuts of the workload, with `tries` random ones at each sync.
    fn cut_everywhere(&self, seed: u64, tries: u64) -> Figures {
        let mut figures = Figures::default();
        let mut dice = Dice::new(seed);
        let mut acknowledged = Vec::new();
        let mut shown = 0;
        moments(&[], &self.deeds, |moment| {
            acknowledged.extend(self.deeds[shown..moment.place].iter().filter_map(
                |deed| match deed {
                    Deed::Acknowledged(ticket) => Some(*ticket),
                    _ => None,
                },
            ));
            shown = moment.place;
            let least = self.least(&acknowledged);
            let mut lucks = Vec::new();
            if moment.synced {
                figures.syncs += 1;
                lucks.push(Luck::Nothing);
            }
            if !moment.pending.is_empty() && !moment.told {
                figures.writes += 1;
                lucks.push(
                    [Luck::OneIn(2), Luck::AllButOneIn(9), Luck::Everything][moment.place % 3],
                );
            }
            if moment.told
                && moment
                    .pending
                    .iter()
                    .any(|deed| matches!(deed, Deed::Write(..)))
            {
                // Somebody was told while something was not synced: it had better not be that.
                lucks.push(Luck::Nothing);
            }
            if moment.before_sync {
                lucks.push(Luck::AllButOneIn(30));
                lucks.extend((0..tries).map(|_| Luck::OneIn(2)));
            }
            for luck in lucks {
                let place = format!(
                    "STORE_SEED={seed}: cut after deed {}, {luck:?}",
                    moment.place
                );
                let image = moment.image(luck, &mut dice);
                let run = catch_unwind(AssertUnwindSafe(|| {
                    self.cut(moment, &image, least, &mut dice)
                }));
                figures.images += told(run).unwrap_or_else(|what| panic!("{place}: {what}"));
            }
        });
        figures
    }

    /// One image, opened; now and then cut again while it recovers. Returns how many images were opened.
    fn cut(&self, moment: &Moment<'_>, image: &[u8], least: usize, dice: &mut Dice) -> u64 {
        let disk = Disk::holding(image.to_vec());
        let (store, state) = self.recovered(&disk, Some(least));
        if !dice.one_in(16) {
            return 1;
        }
        self.agrees(&store, state);
        self.goes_on(&store, state);
        drop(store);
        // From here on a reader has seen `state`, and a writer was told of one commit more.
        let mut images = 1;
        let deeds = disk.deeds();
        moments(image, &deeds, |again| {
            if dice.one_in(4) {
                let second = Disk::holding(again.image(Luck::OneIn(2), dice));
                self.recovered_or_further(&second, least, state);
                images += 1;
            }
        });
        if dice.one_in(4) {
            images += self.killed_and_then_cut(moment, least, dice);
        }
        images
    }

    /// The program is killed, opened again on the same running machine, read, and then the power fails.
    fn killed_and_then_cut(&self, moment: &Moment<'_>, least: usize, dice: &mut Dice) -> u64 {
        let (begin, disk) = moment.killed();
        let (store, shown) = self.recovered(&disk, Some(least));
        disk.acknowledge(0);
        drop(store);
        let mut images = 1;
        moments(&begin, &disk.deeds(), |again| {
            if again.acknowledged.is_some() {
                let second = Disk::holding(again.image(Luck::OneIn(2), dice));
                self.recovered(&second, Some(shown));
                images += 1;
            }
        });
        images
    }

    /// A recovered store takes commits, with the versions that come next.
    fn goes_on(&self, store: &RedbStore, state: usize) {
        let mut naive = self.states[state].clone();
        for machine in [server(1, 99), server(7777, 0)] {
            let change = put_told(machine, 999);
            let done = commit(store, change.clone()).expect("takes commits");
            assert_eq!(done, naive.commit(&change).expect("as the store did"));
        }
        assert_eq!(Content::of(store), content(&naive));
    }

    /// After a second cut: at least what was acknowledged first, and at most what was done since.
    fn recovered_or_further(&self, disk: &Disk, least: usize, state: usize) {
        let store = open(disk).expect("opens after a second power cut");
        let cursor = store.stats().cursor.raw();
        let floor = self.states[least].last().raw();
        let top = self.states[state].last().raw() + 2;
        assert!(
            (floor..=top).contains(&cursor),
            "cursor {cursor} is outside of {floor}..={top}"
        );
        if cursor <= self.states[state].last().raw() {
            drop(store);
            self.recovered(disk, Some(least));
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    syncs: u64,
    writes: u64,
    images: u64,
}

#[test]
fn every_power_cut_leaves_a_prefix_with_all_that_was_acknowledged() {
    let seed = Dice::seed();
    let history = history(&Disk::default());
    let figures = history.cut_everywhere(seed, 2);
    println!("{} steps: {figures:?}", history.states.len() - 1);
    assert!(figures.syncs > 50 && figures.images > 500, "{figures:?}");
}

#[test]
#[ignore = "takes minutes"]
fn long_every_power_cut_leaves_a_prefix_with_all_that_was_acknowledged() {
    let seed = Dice::seed();
    for round in 0..10 {
        let history = history(&Disk::default());
        println!(
            "round {round}: {:?}",
            history.cut_everywhere(seed + round, 12)
        );
    }
}

/// The suite has to be able to fail: on a disk that says it synced and did not, acknowledged commits are lost.
#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let history = history(&Disk::lying());
    let caught = catch_unwind(AssertUnwindSafe(|| history.cut_everywhere(7, 1)));
    let what = told(caught).expect_err("nothing was ever synced");
    assert!(
        what.contains("was acknowledged") || what.contains("opens"),
        "{what}"
    );
}

/// And on a disk that forgets one sync of many, right before somebody is told.
#[test]
fn one_sync_that_did_nothing_is_caught() {
    let mut history = history(&Disk::default());
    let pairs = history.deeds.windows(2).enumerate();
    let syncs: Vec<_> = pairs
        .filter(|(_, pair)| matches!(pair, [Deed::Sync, Deed::Acknowledged(_)]))
        .map(|(at, _)| at)
        .collect();
    for lost in [syncs[syncs.len() / 3], syncs[syncs.len() / 2]] {
        let sync = history.deeds.remove(lost);
        let run = catch_unwind(AssertUnwindSafe(|| history.cut_everywhere(7, 3)));
        assert!(run.is_err(), "the sync at deed {lost} was lost unnoticed");
        history.deeds.insert(lost, sync);
    }
}

#[test]
fn a_creation_that_was_cut_short_is_made_anew() {
    let disk = Disk::default();
    drop(open(&disk).expect("a new disk"));
    let made = disk.deeds();
    let mut dice = Dice::new(Dice::seed());
    let mut images = 0;
    moments(&[], &made, |moment| {
        for luck in [
            Luck::Nothing,
            Luck::Everything,
            Luck::OneIn(2),
            Luck::AllButOneIn(9),
        ] {
            let disk = Disk::holding(moment.image(luck, &mut dice));
            let store = open(&disk)
                .unwrap_or_else(|error| panic!("after deed {}, {luck:?}: {error}", moment.place));
            commit(&store, put(Machine::clone(&server(1, 0)))).expect("takes commits");
            images += 1;
        }
    });
    println!("{images} images of a creation");
}
