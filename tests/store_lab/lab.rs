//! What the tests of the store share: dice, a disk that remembers, and answers to compare.

#![allow(dead_code, reason = "each test uses its part of it")]

pub mod disk;

use std::fmt::Debug;

use dragonfly::model::Event;
use dragonfly::store::contract::agree::follow;
use dragonfly::store::{EventQuery, Index, Query, Store, Stored};

/// Dice that fall the same way again for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.roll();
        dice
    }

    /// `STORE_SEED`, or this day's own, which is printed: a failure has to happen again.
    pub fn seed() -> u64 {
        let told = std::env::var("STORE_SEED").ok();
        let told = told.and_then(|text| text.parse().ok());
        let seed = told.unwrap_or_else(|| u64::from(std::process::id()));
        println!("STORE_SEED={seed}");
        seed
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to `below`, which is not 0.
    pub fn below(&mut self, below: u64) -> u64 {
        self.roll() % below
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// Every object of a store with its version, and every event.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub objects: Vec<Stored>,
    pub events: Vec<Event>,
}

impl Content {
    pub fn of(store: &dyn Store) -> Self {
        Self::read(store).expect("reads")
    }

    /// Or the first error that a reader meets.
    pub fn read(store: &dyn Store) -> Result<Self, dragonfly::store::StoreError> {
        let mut objects = Vec::new();
        for by in [
            Index::Machines,
            Index::Settings,
            Index::Conflicts,
            Index::Answers,
            Index::Networks,
            Index::Templates,
            Index::Workflows,
            Index::ActiveWorkflows,
        ] {
            let mut query = Query {
                by,
                after: None,
                limit: 1000,
                descending: false,
            };
            loop {
                let page = store.page(&query)?;
                objects.extend(page.items);
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        let query = EventQuery {
            limit: 1000,
            ..EventQuery::default()
        };
        store.events(&query)?;
        let events = follow(store, &query);
        Ok(Self { objects, events })
    }
}

/// What a panic said.
pub fn told<T>(result: std::thread::Result<T>) -> Result<T, String> {
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("it panicked without a word").to_string()
    })
}

/// The value, or a failure that names what was being done.
pub fn must<T, E: Debug>(result: Result<T, E>, doing: &str) -> T {
    result.unwrap_or_else(|error| panic!("{doing}: {error:?}"))
}
