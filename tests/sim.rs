//! Whole boots on a simulated segment: every client ends booted or with a stated cause, whatever the wire does.
//!
//! The cores of DHCP and TFTP run as they are, without sockets; the wire loses, doubles and reorders, the clock
//! jumps, we are killed. Each file of `sim/scenarios/` says who is there and what has to be true. The same seed is the same
//! run: a failure prints its seed, and `SIM_SCENARIO=name SIM_SEED=n SIM_BOOTS=1 cargo test --test sim` runs that one alone.
//! `SIM_BOOTS` is how many boots there are at least.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "it is all test: what fails here shall panic"
)]

#[path = "sim/appliance.rs"]
mod appliance;
#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/download.rs"]
mod download;
#[path = "sim/firmware.rs"]
mod firmware;
#[path = "sim/foreign.rs"]
mod foreign;
#[path = "sim/laws.rs"]
mod laws;
#[path = "sim/machine.rs"]
mod machine;
#[path = "sim/person.rs"]
mod person;
#[path = "sim/scenario.rs"]
mod scenario;
#[path = "sim/segment.rs"]
mod segment;
#[path = "sim/talk.rs"]
mod talk;
#[path = "sim/tally.rs"]
mod tally;
#[path = "sim/wire.rs"]
mod wire;
#[path = "sim/world.rs"]
mod world;

use std::collections::BTreeMap;

use scenario::Scenario;
use tally::Tally;
use world::World;

fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// One run; it panics with the seed when a law is broken.
fn run(scenario: &Scenario, seed: u64) -> Tally {
    let mut world = World::new(scenario, seed);
    world.run();
    if let Some(broken) = &world.laws.broken {
        let name = &scenario.name;
        for line in &world.story {
            eprintln!("{line}");
        }
        panic!(
            "{name}: {broken}\nagain: SIM_SCENARIO={name} SIM_SEED={seed} SIM_BOOTS=1 cargo test --test sim"
        );
    }
    world.tally
}

/// All scenarios in turn, until there were so many boots.
fn run_all(boots: usize, thorough: bool) {
    let only = std::env::var("SIM_SCENARIO").ok();
    let wanted = |scenario: &Scenario| only.as_ref().is_none_or(|only| *only == scenario.name);
    let mut scenarios: Vec<_> = scenario::all().into_iter().filter(wanted).collect();
    if !thorough {
        // A tenth of a flood tells nearly as much, and takes no minute.
        for scenario in &mut scenarios {
            scenario.mishaps.flood /= 10;
        }
    }
    assert!(!scenarios.is_empty(), "there is no such scenario");
    let first = told("SIM_SEED").unwrap_or(1);
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    let mut seed = first;
    while all.boots < boots {
        let runs = |scenario: &&Scenario| scenario.runs.is_none_or(|runs| seed < first + runs);
        let turn: Vec<_> = scenarios.iter().filter(runs).collect();
        if turn.is_empty() {
            break;
        }
        for scenario in turn {
            let tally = run(scenario, seed);
            all.join(tally.clone());
            tallies.entry(&scenario.name).or_default().join(tally);
        }
        seed += 1;
    }
    for scenario in &scenarios {
        let tally = &tallies[scenario.name.as_str()];
        println!("sim {}: {tally}\n    {}", scenario.name, scenario.tells);
        for (cause, count) in &tally.causes {
            println!("    {count} x {cause}");
        }
    }
    println!("sim seeds {first}..{seed}: {all} seconds={}", all.seconds);
    for scenario in &scenarios {
        scenario.judge(&tallies[scenario.name.as_str()]);
    }
}

#[test]
fn every_client_ends_booted_or_with_a_stated_cause() {
    let boots = told("SIM_BOOTS").unwrap_or(800);
    run_all(usize::try_from(boots).expect("a number"), false);
}

#[test]
#[ignore = "minutes"]
fn long_ten_thousand_boots_end_booted_or_with_a_cause() {
    let boots = told("SIM_BOOTS").unwrap_or(10_000);
    run_all(usize::try_from(boots).expect("a number"), true);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let scenarios = scenario::all();
    let mixed = scenarios
        .iter()
        .find(|scenario| scenario.machines.len() > 8);
    let mixed = mixed.expect("a scenario of many kinds");
    let again = || run(mixed, 7).to_string();
    assert_eq!(again(), again());
}
