//! A bounded map that forgets who was silent longest, strangers first.
//!
//! A flood of invented MAC addresses pushes out other strangers and nobody else: whoever is known, or got further
//! than its first question, stands in a room of its own.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Which room an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Stranger,
    Known,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    stamp: u64,
    standing: Standing,
}

/// The map. Every operation takes logarithmic time at most.
#[derive(Debug)]
pub struct Crowd<K, V> {
    entries: HashMap<K, Entry<V>>,
    strangers: Queue<K>,
    known: Queue<K>,
    stamp: u64,
}

/// The keys of one room, the longest silent first.
#[derive(Debug)]
struct Queue<K> {
    order: BTreeMap<u64, K>,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Crowd<K, V> {
    pub fn new(strangers: usize, known: usize) -> Self {
        let queue = |limit: usize| Queue {
            order: BTreeMap::new(),
            limit: limit.max(1),
        };
        Self {
            entries: HashMap::new(),
            strangers: queue(strangers),
            known: queue(known),
            stamp: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value without a word that its owner was heard.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Makes room for one who is heard now. What had to go for it is handed back.
    pub fn admit(&mut self, key: &K, standing: Standing) -> Option<(K, V)> {
        let old = self.entries.get(key).map(|entry| entry.standing);
        let new = merged(old, standing);
        if old == Some(new) {
            return None;
        }
        let room = self.room(new);
        if room.order.len() < room.limit {
            return None;
        }
        let (_, gone) = room.order.pop_first()?;
        let entry = self.entries.remove(&gone)?;
        Some((gone, entry.value))
    }

    /// The value of one who was heard just now; a new one where there was none. Who is known once stays so.
    pub fn hear(&mut self, key: K, standing: Standing, new: impl FnOnce() -> V) -> &mut V {
        self.admit(&key, standing);
        self.stamp += 1;
        let stamp = self.stamp;
        let old = self
            .entries
            .get(&key)
            .map(|entry| (entry.standing, entry.stamp));
        let standing = merged(old.map(|(room, _)| room), standing);
        if let Some((room, stamp)) = old {
            self.room(room).order.remove(&stamp);
        }
        self.room(standing).order.insert(stamp, key);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            value: new(),
            stamp,
            standing,
        });
        entry.stamp = stamp;
        entry.standing = standing;
        &mut entry.value
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.room(entry.standing).order.remove(&entry.stamp);
        Some(entry.value)
    }

    fn room(&mut self, standing: Standing) -> &mut Queue<K> {
        match standing {
            Standing::Stranger => &mut self.strangers,
            Standing::Known => &mut self.known,
        }
    }
}

const fn merged(old: Option<Standing>, new: Standing) -> Standing {
    match old {
        Some(Standing::Known) => Standing::Known,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_pushes_out_strangers_alone() {
        let mut crowd = Crowd::new(8, 8);
        crowd.hear(7_u32, Standing::Known, || "known");
        crowd.hear(8, Standing::Stranger, || "stranger");
        for flood in 100..100_100 {
            crowd.hear(flood, Standing::Stranger, || "flood");
        }
        assert_eq!(crowd.len(), 9);
        assert_eq!(crowd.get(&7), Some(&"known"));
        assert_eq!(crowd.get(&8), None);
    }

    #[test]
    fn who_is_heard_again_stays() {
        let mut crowd = Crowd::new(2, 2);
        for key in [1, 2, 1] {
            crowd.hear(key, Standing::Stranger, || key);
        }
        assert_eq!(crowd.admit(&1, Standing::Stranger), None);
        assert_eq!(crowd.admit(&3, Standing::Stranger), Some((2, 2)));
        crowd.hear(3, Standing::Stranger, || 3);
        assert!(crowd.get(&1).is_some());
    }

    #[test]
    fn who_was_known_once_is_no_stranger_again() {
        let mut crowd = Crowd::new(1, 1);
        crowd.hear(1, Standing::Stranger, || ());
        crowd.hear(1, Standing::Known, || ());
        crowd.hear(1, Standing::Stranger, || ());
        crowd.hear(2, Standing::Stranger, || ());
        assert_eq!(crowd.len(), 2);
        crowd.hear(3, Standing::Known, || ());
        assert!(crowd.get(&1).is_none() && crowd.get(&2).is_some());
        assert_eq!(crowd.remove(&2), Some(()));
        assert_eq!(crowd.len(), 1);
    }
}
