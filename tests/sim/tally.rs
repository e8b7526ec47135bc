//! What came of many boots, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use dragonfly::model::Rung;

use crate::firmware::Kind;
use crate::machine::End;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often a machine was switched on.
    pub boots: usize,
    pub scripts: usize,
    pub files: usize,
    pub leased: usize,
    /// Machines that came to the end of all their boots, and such that were given up.
    pub arrived: usize,
    pub gave_up: usize,
    /// The latter, by kind.
    pub lost: BTreeMap<Kind, usize>,
    /// What was said of boots that failed.
    pub causes: BTreeMap<String, usize>,
    /// Which rung brought machines here.
    pub rungs: BTreeMap<(Kind, Option<Rung>), usize>,
    /// In the time of the simulation.
    pub seconds: u64,
}

impl Tally {
    pub fn ended(&mut self, kind: Kind, end: &End, rung: Option<Rung>) {
        match end {
            End::Script(_) => self.scripts += 1,
            End::Files => self.files += 1,
            End::Leased => self.leased += 1,
            End::Failed(_) => {}
        }
        if !matches!(end, End::Leased) {
            *self.rungs.entry((kind, rung)).or_default() += 1;
        }
    }

    pub fn failed(&mut self, cause: String) {
        *self.causes.entry(cause).or_default() += 1;
    }

    pub fn failures(&self) -> usize {
        self.causes.values().sum()
    }

    pub fn join(&mut self, other: Self) {
        self.boots += other.boots;
        self.scripts += other.scripts;
        self.files += other.files;
        self.leased += other.leased;
        self.arrived += other.arrived;
        self.gave_up += other.gave_up;
        self.seconds += other.seconds;
        for (kind, count) in other.lost {
            *self.lost.entry(kind).or_default() += count;
        }
        for (cause, count) in other.causes {
            *self.causes.entry(cause).or_default() += count;
        }
        for (rung, count) in other.rungs {
            *self.rungs.entry(rung).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let booted = self.scripts + self.files;
        write!(
            f,
            "boots={} booted={booted} leased={}",
            self.boots, self.leased
        )?;
        let mut rungs: BTreeMap<&str, usize> = BTreeMap::new();
        for ((_, rung), count) in &self.rungs {
            *rungs.entry(rung.map_or("other", Rung::name)).or_default() += count;
        }
        for (rung, count) in rungs {
            write!(f, " {rung}={count}")?;
        }
        write!(f, " failed={} gave_up={}", self.failures(), self.gave_up)?;
        if !self.lost.is_empty() {
            write!(f, " {:?}", self.lost)?;
        }
        Ok(())
    }
}
