//! What a scenario file says: who is on the segment, what goes wrong, and what has to be true at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dragonfly::model::Rung;
use dragonfly::model::network::{Admit, Idle, Serve};
use serde::Deserialize;

use crate::firmware::Kind;
use crate::tally::Tally;
use crate::wire::Faults;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    /// In one sentence, for whoever reads the file.
    pub tells: String,
    #[serde(default)]
    pub serve: Serve,
    pub rungs: Vec<Rung>,
    #[serde(default)]
    pub admit: Admit,
    #[serde(default)]
    pub idle: Idle,
    #[serde(default)]
    pub faults: Faults,
    #[serde(default)]
    pub mishaps: Mishaps,
    pub foreign: Option<ForeignManner>,
    /// As many addresses as we have where we are the server.
    #[serde(default = "hundred")]
    pub pool: u8,
    /// As many of them somebody uses whom no server knows.
    #[serde(default)]
    pub squatters: u8,
    /// How many machines there are of each kind.
    pub machines: BTreeMap<Kind, usize>,
    /// How often each of them is switched on when all goes well.
    #[serde(default = "two")]
    pub boots: usize,
    /// It runs with the first seeds alone: it takes long.
    pub runs: Option<u64>,
    /// As often a boot is begun anew that failed, before its person goes away.
    #[serde(default = "eight")]
    pub tries: usize,
    pub must: Must,
}

const fn two() -> usize {
    2
}

const fn hundred() -> u8 {
    100
}

const fn eight() -> usize {
    8
}

/// How often in one run something happens to everybody at once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mishaps {
    /// The clock of our host jumps, forward or back, by up to a day.
    pub clock_jumps: usize,
    /// We are killed, and know afterwards what is durable and nothing else.
    pub crashes: usize,
    /// Nothing passes the wire for up to half a minute.
    pub cuts: usize,
    /// Somebody asks so often with an address that it made up, for an address and for a file, and never answers.
    pub flood: usize,
}

/// The DHCP server that is there already.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForeignManner {
    /// It answers what a relay sends it.
    pub relays: bool,
    /// It offers boot instructions of its own, whose file is nowhere.
    pub boots: bool,
    /// It refuses so many requests of a hundred.
    pub nak: u64,
    /// It thinks this long, in milliseconds.
    pub slow: u64,
    /// As many addresses as it has.
    pub pool: u8,
}

impl Default for ForeignManner {
    fn default() -> Self {
        Self {
            relays: true,
            boots: false,
            nak: 0,
            slow: 20,
            pool: 100,
        }
    }
}

/// What has to be true over all runs of the scenario.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Must {
    /// So many machines of a hundred reach the end of their boots, whatever it takes.
    pub boot: u64,
    /// The cause that is stated most often, by its first word.
    pub mostly: Option<String>,
    /// Such as are stated of at least one boot.
    pub named: Vec<String>,
    /// No machine reaches its end.
    pub none_boots: bool,
    /// The rungs that bring machines of a kind to us; all others are wrong for it.
    pub rungs: BTreeMap<Kind, Vec<Rung>>,
}

impl Scenario {
    /// Whether what came of all its runs is what has to be.
    pub fn judge(&self, tally: &Tally) {
        let (name, must) = (&self.name, &self.must);
        let machines = tally.arrived + tally.gave_up;
        let arrived = tally.arrived as u64 * 100;
        assert!(
            arrived >= must.boot * machines as u64,
            "{name}: {} of {machines} machines arrived, {} of a hundred have to",
            tally.arrived,
            must.boot
        );
        assert!(
            !must.none_boots || tally.arrived == 0,
            "{name}: {} machines arrived",
            tally.arrived
        );
        let first = tally.causes.iter().max_by_key(|(_, count)| **count);
        if let Some(cause) = &must.mostly {
            let fits = first.is_some_and(|(first, _)| first.starts_with(cause));
            assert!(fits, "{name}: mostly it is {first:?}, not {cause}");
        }
        for cause in &must.named {
            let stated = tally.causes.keys().any(|stated| stated.starts_with(cause));
            assert!(stated, "{name}: {cause} is not stated of any boot");
        }
        for (kind, rungs) in &must.rungs {
            for ((_, rung), _) in tally.rungs.iter().filter(|((own, _), _)| own == kind) {
                let fits = rung.is_none_or(|rung| rungs.contains(&rung));
                assert!(fits, "{name}: {kind:?} came by {rung:?}");
            }
        }
    }
}

/// Every scenario, in the order of their names.
pub fn all() -> Vec<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/scenarios");
    let entries = fs::read_dir(directory).expect("the scenarios are there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Scenario {
    let text = fs::read_to_string(path).expect("reads");
    let mut scenario: Scenario =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    scenario.name = path
        .file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    scenario
}
