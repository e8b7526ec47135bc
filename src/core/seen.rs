//! Who was seen on the wire and is no machine yet.
//!
//! A packet makes no object: it fills this list, which is bounded, in memory, and lost with the process. Those who
//! wait for a person's approval have room of their own, so that a flood of others does not push them out.

use std::sync::{Mutex, PoisonError};

use crate::model::{MacAddr, Sighting};

use super::recency::Recency;

/// As many as are listed, some 2 MiB.
pub const MAX_SEEN: usize = 4096;
/// As many of them as may wait. A person does not approve more of them one by one.
pub const MAX_WAITING: usize = 1024;

/// The list, by MAC.
#[derive(Debug)]
pub struct Seen {
    lists: Mutex<Lists>,
}

#[derive(Debug)]
struct Lists {
    waiting: Recency<MacAddr, Sighting>,
    others: Recency<MacAddr, Sighting>,
}

impl Default for Seen {
    fn default() -> Self {
        let lists = Lists {
            waiting: Recency::new(MAX_WAITING),
            others: Recency::new(MAX_SEEN - MAX_WAITING),
        };
        Self {
            lists: Mutex::new(lists),
        }
    }
}

impl Seen {
    /// Takes in what was seen, over what was seen before of the same MAC.
    pub fn note(&self, sighting: Sighting) {
        self.with(|lists| {
            let mac = sighting.mac;
            let known = lists
                .waiting
                .remove(mac)
                .or_else(|| lists.others.remove(mac));
            let sighting = match known {
                Some(mut known) => {
                    known.absorb(sighting);
                    known
                }
                None => sighting.bounded(),
            };
            let list = if sighting.waiting {
                &mut lists.waiting
            } else {
                &mut lists.others
            };
            list.touch(mac, || sighting, |_| ());
        });
    }

    pub fn get(&self, mac: MacAddr) -> Option<Sighting> {
        self.with(|lists| {
            let found = lists.waiting.get(mac).or_else(|| lists.others.get(mac));
            found.cloned()
        })
    }

    /// All of them: who waits first, then who was seen last.
    pub fn list(&self) -> Vec<Sighting> {
        self.with(|lists| {
            let all = lists.waiting.newest_first();
            all.chain(lists.others.newest_first()).cloned().collect()
        })
    }

    /// For one that became a machine.
    pub fn forget(&self, mac: MacAddr) {
        self.with(|lists| {
            lists.waiting.remove(mac);
            lists.others.remove(mac);
        });
    }

    /// How many are listed.
    pub fn len(&self) -> usize {
        self.with(|lists| lists.waiting.len() + lists.others.len())
    }

    /// How many of them wait for a person's approval.
    pub fn waiting(&self) -> usize {
        self.with(|lists| lists.waiting.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing in here panics half way, so a poisoned lock still guards whole lists.
    fn with<T>(&self, work: impl FnOnce(&mut Lists) -> T) -> T {
        work(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(number: u32, waiting: bool) -> Sighting {
        let [a, b, c, d] = number.to_be_bytes();
        let mac = MacAddr::new([0x52, 0x54, a, b, c, d]);
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        Sighting {
            waiting,
            ..Sighting::new(mac, "eth0".parse().unwrap(), at)
        }
    }

    #[test]
    fn a_flood_pushes_out_none_who_waits() {
        let seen = Seen::default();
        seen.note(sighting(1, true));
        for number in 2..100_000 {
            seen.note(sighting(number, false));
        }
        assert!(seen.get(sighting(1, true).mac).unwrap().waiting);
        assert_eq!(seen.len(), MAX_SEEN - MAX_WAITING + 1);
        assert_eq!(seen.list()[0].mac, sighting(1, true).mac);
        for number in 2..100_000 {
            seen.note(sighting(number, true));
        }
        assert!(seen.len() <= MAX_SEEN);
    }

    #[test]
    fn who_begins_to_wait_is_listed_once() {
        let seen = Seen::default();
        seen.note(sighting(1, false));
        seen.note(sighting(1, true));
        seen.note(sighting(1, false));
        assert_eq!(seen.list().len(), 1);
        assert_eq!((seen.list()[0].asked, seen.list()[0].waiting), (3, true));
        assert_eq!((seen.len(), seen.waiting()), (1, 1));
        seen.forget(sighting(1, true).mac);
        assert!(seen.is_empty());
    }
}
