//! What became of the loaders that machines fetched: one that was fetched whole and led to no script hung, and the
//! next attempt gets the other build.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Build;
use crate::model::MacAddr;

/// Machines that are remembered, at about 100 bytes each; the one not heard of for longest gives way.
pub const MAX_MACHINES: usize = 4096;
/// A firmware that asks again this soon after it fetched its loader still belongs to the same attempt.
const SAME_ATTEMPT: SignedDuration = SignedDuration::from_secs(5);
/// A loader comes to its first DHCP request within this; a minute on a slow link with several cards.
const LATELY: SignedDuration = SignedDuration::from_secs(90);

/// Bounded, per MAC address. Told of fetches and scripts, asked for the next build.
#[derive(Debug, Default)]
pub struct LoaderMemory {
    machines: BTreeMap<MacAddr, Tried>,
    /// The same machines by when they were last told of, oldest first.
    order: BTreeMap<u64, MacAddr>,
    turns: u64,
}

#[derive(Debug)]
struct Tried {
    build: Build,
    at: Timestamp,
    /// A script was fetched after it.
    worked: bool,
    turn: u64,
}

impl LoaderMemory {
    /// The machine has this loader whole.
    pub fn fetched(&mut self, mac: MacAddr, build: Build, now: Timestamp) {
        let turn = self.turn();
        let tried = Tried {
            build,
            at: now,
            worked: false,
            turn,
        };
        if let Some(before) = self.machines.insert(mac, tried) {
            self.order.remove(&before.turn);
        }
        self.order.insert(turn, mac);
        while self.machines.len() > MAX_MACHINES {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            self.machines.remove(&oldest);
        }
    }

    /// The machine came to its script.
    pub fn reached(&mut self, mac: MacAddr) {
        if let Some(tried) = self.machines.get_mut(&mac) {
            tried.worked = true;
        }
    }

    pub fn len(&self) -> usize {
        self.machines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The build for the next attempt, out of these, best first; none of none.
    pub(super) fn next(&self, mac: MacAddr, usable: &[Build], now: Timestamp) -> Option<Build> {
        let first = *usable.first()?;
        let Some(tried) = self.machines.get(&mac) else {
            return Some(first);
        };
        let Some(at) = usable.iter().position(|build| *build == tried.build) else {
            return Some(first);
        };
        let stays = tried.worked || is_within(SAME_ATTEMPT, tried.at, now);
        let next = if stays { at } else { (at + 1) % usable.len() };
        usable.get(next).copied()
    }

    pub(super) fn fetched_lately(&self, mac: MacAddr, now: Timestamp) -> bool {
        let tried = self.machines.get(&mac);
        tried.is_some_and(|tried| is_within(LATELY, tried.at, now))
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

/// A clock that was set back far counts as late.
fn is_within(time: SignedDuration, since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).abs() < time
}
