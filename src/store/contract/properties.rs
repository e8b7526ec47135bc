//! Any sequence of operations: after each, a backend and the naive model give the same answers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::Bed;
use super::agree::{World, agree, same};
use super::naive::Naive;
use super::samples::{
    answer, at, conflict, event, lease, mac, machine, machine_id, network, setting, template, text,
    workflow,
};
use super::wait;
use crate::model::{Anchor, State, StateKind, Subject};
use crate::store::{Change, Commit, Expect, Key, Object, Query, Retention};

const MACHINES: u32 = 6;

/// What a writer, an operator or a power switch may do.
#[derive(Clone, Debug)]
enum Step {
    Commit(Draft),
    Trim { before: u8, max_count: u8 },
    Reopen,
}

/// A commit in small numbers, so that collisions are many.
#[derive(Clone, Debug)]
struct Draft {
    /// Key and how far from its true version the expectation is.
    versions: Vec<(u8, u8)>,
    /// Card and the machine that may hold it.
    free: Vec<(u8, u8)>,
    changes: Vec<(u8, Option<Look>)>,
    events: Vec<(u8, u8, bool)>,
}

/// How a machine looks, or what another object says.
#[derive(Clone, Debug)]
struct Look {
    cards: u8,
    name: u8,
    host: u8,
    tags: u8,
    state: usize,
    updated: u8,
}

fn looks() -> impl Strategy<Value = Look> {
    (0u8..64, 0u8..4, 0u8..4, 0u8..8, 0usize..6, 0u8..4).prop_map(
        |(cards, name, host, tags, state, updated)| Look {
            cards,
            name,
            host,
            tags,
            state,
            updated,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let draft = (
        vec((0u8..22, 0u8..8), 0..3),
        vec((0u8..6, 0u8..8), 0..2),
        vec((0u8..22, proptest::option::weighted(0.75, looks())), 0..5),
        vec((0u8..22, any::<u8>(), proptest::bool::weighted(0.3)), 0..4),
    )
        .prop_map(|(versions, free, changes, events)| {
            Step::Commit(Draft {
                versions,
                free,
                changes,
                events,
            })
        });
    let trim = (any::<u8>(), 0u8..20).prop_map(|(before, max_count)| Step::Trim {
        before: before / 4,
        max_count,
    });
    vec(
        prop_oneof![12 => draft, 1 => trim, 1 => Just(Step::Reopen)],
        1..40,
    )
}

/// The object that number `number` of twenty-two stands for.
fn object(number: u8, look: &Look) -> Object {
    match number {
        0..6 => {
            let mut machine = machine(number.into());
            for card in (0..MACHINES).filter(|card| look.cards & 1 << card != 0) {
                machine
                    .identity
                    .absorb(&super::samples::machine(card).identity);
            }
            let names = ["Box", "box", "Ärger", "été / 1"];
            machine.config.friendly_name = (look.name > 0).then(|| text(names[look.name as usize]));
            machine.config.hostname = (look.host > 0).then(|| text(&format!("web{}", look.host)));
            let tags = ["db", "rack1", "web"].into_iter().enumerate();
            machine.config.tags = tags
                .filter(|(bit, _)| look.tags & 1 << bit != 0)
                .map(|(_, tag)| text(tag))
                .collect();
            machine.status.state = state(look.state);
            machine.metadata.updated_at = at(look.updated.into());
            machine.into()
        }
        6..9 => {
            let keys = ["events.max_age_days", "events.max_count", "site.name"];
            setting(
                keys[usize::from(number - 6)],
                &format!("{}", 1000 + u32::from(look.cards)),
            )
        }
        9..11 => conflict(number.into()),
        11..13 => answer(&format!("ada {number}"), &format!("{look:?}")),
        13..15 => network(if number == 13 { "eth0" } else { "eth0.7" }, look.cards),
        15 => lease("eth0.7", 9, look.cards.into()),
        18..20 => template("debian-13", number, look.cards),
        20.. => workflow(number, look.name.into(), look.state.is_multiple_of(2)),
        // Ten sorts behind nine as a number, and before it as text.
        _ => lease("eth0", u32::from(number) - 7, look.cards.into()),
    }
}

fn state(number: usize) -> State {
    match StateKind::ALL[number] {
        StateKind::Discovered => State::Discovered,
        StateKind::Ready => State::Ready,
        StateKind::Provisioning => State::Provisioning,
        StateKind::Provisioned => State::Provisioned,
        StateKind::Error => State::Error {
            message: "no disk".into(),
        },
        StateKind::Offline => State::Offline,
    }
}

fn key(number: u8) -> Key {
    let look = Look {
        cards: 0,
        name: 0,
        host: 0,
        tags: 0,
        state: 0,
        updated: 0,
    };
    object(number, &look).key()
}

fn subject(number: u8) -> Subject {
    match key(number) {
        Key::Machine(id) => Subject::Machine(id),
        Key::Setting(key) => Subject::Setting(key),
        Key::Conflict(id) => Subject::Conflict(id),
        Key::Network(link) => Subject::Network(link),
        Key::Template(name) => Subject::Template(name),
        Key::Workflow(id) => Subject::Workflow(id),
        Key::Answer(_) | Key::Lease(..) => Subject::Appliance,
    }
}

impl Draft {
    fn commit(&self, naive: &Naive) -> Commit {
        let expected = |(number, off): &(u8, u8)| {
            let key = key(*number % 22);
            let there = naive.get(&key).map_or(0, |stored| stored.version);
            // Mostly right, so that many commits pass.
            Expect::Version(key, there + u64::from(*off == 7))
        };
        let free = |(card, but): &(u8, u8)| {
            let but = (*but < 6).then(|| machine_id((*but).into()));
            Expect::Free(Anchor::Mac(mac((*card).into())), but)
        };
        let change = |(number, look): &(u8, Option<Look>)| match look {
            Some(look) => Change::Put(object(*number, look)),
            None => Change::Delete(key(*number)),
        };
        let tell =
            |(number, at, audit): &(u8, u8, bool)| event(subject(*number), i64::from(*at), *audit);
        Commit {
            expect: self
                .versions
                .iter()
                .map(expected)
                .chain(self.free.iter().map(free))
                .collect(),
            changes: self.changes.iter().map(change).collect(),
            events: self.events.iter().map(tell).collect(),
        }
    }
}

/// Everything that any step may make.
fn world() -> World {
    let look = Look {
        cards: 63,
        name: 1,
        host: 1,
        tags: 7,
        state: 0,
        updated: 0,
    };
    let mut objects: Vec<_> = (0..18).map(|number| object(number, &look)).collect();
    objects.extend((0..MACHINES).map(|number| machine(number).into()));
    World::of(&objects)
}

/// Walks that were begun before a step and go on behind it, from the object that they had seen last.
struct Walks(Vec<(Query, Object)>);

impl Walks {
    fn begin(bed: &Bed, world: &World) -> Self {
        let mut walks = Vec::new();
        for by in world.indexes() {
            for descending in [false, true] {
                let query = Query {
                    by: by.clone(),
                    after: None,
                    limit: 2,
                    descending,
                };
                let page = bed.store().page(&query).unwrap();
                let last = page.items.last().map(|stored| stored.object.clone());
                if let (Some(after), Some(last)) = (page.next, last) {
                    let after = Some(after);
                    walks.push((Query { after, ..query }, last));
                }
            }
        }
        Self(walks)
    }

    fn go_on(self, bed: &Bed, naive: &Naive) {
        for (mut query, last) in self.0 {
            query.limit = 100;
            let expected = naive.walk_after(&query.by, query.descending, &last);
            let page = bed.store().page(&query).unwrap();
            assert_eq!(page.items, expected, "{query:?}");
        }
    }
}

fn run(mut bed: Bed, steps: &[Step]) {
    let world = world();
    let mut naive = Naive::default();
    for (place, step) in steps.iter().enumerate() {
        let walks = Walks::begin(&bed, &world);
        match step {
            Step::Commit(draft) => {
                let commit = draft.commit(&naive);
                let expected = naive.commit(&commit);
                same(&bed.commit(commit), &expected);
            }
            Step::Trim { before, max_count } => {
                let retention = Retention {
                    before: at((*before).into()),
                    max_count: (*max_count).into(),
                };
                let trimmed = wait(bed.store().trim(retention)).unwrap();
                assert_eq!(trimmed, naive.trim(retention));
            }
            Step::Reopen => bed.reopen(),
        }
        walks.go_on(&bed, &naive);
        agree(bed.store(), &naive, &world, 1 + place % 5);
    }
    bed.reopen();
    agree(bed.store(), &naive, &world, 3);
}

/// As many sequences as the environment asks for, or `cases`; a backend with a disk gets a share of them.
pub(in crate::store) fn any_sequence(cases: u32, share: u32, bed: impl Fn() -> Bed) {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|text| text.parse::<u32>().ok());
    let config = ProptestConfig {
        cases: asked.map_or(cases, |asked| asked.div_ceil(share)),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        run(bed(), &steps);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn memory_agrees_with_the_naive_model() {
    any_sequence(64, 10, Bed::memory);
}

#[test]
fn redb_agrees_with_the_naive_model() {
    any_sequence(6, 1000, || Bed::redb(|options| options.journal_bytes = 0));
}

#[test]
fn a_cramped_redb_agrees_with_the_naive_model() {
    any_sequence(12, 500, || Bed::cramped(0));
}

#[test]
fn a_trim_in_the_middle_of_the_log_spares_who_has_read_on() {
    let trim = Step::Trim {
        before: 10,
        max_count: 200,
    };
    let tell = |at| {
        Step::Commit(Draft {
            versions: vec![],
            free: vec![],
            changes: vec![],
            events: vec![(0, at, false)],
        })
    };
    run(Bed::memory(), &[tell(20), tell(5), tell(20), trim, tell(0)]);
}
