//! A map of bounded size, in which the item that was touched longest ago gives way.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// At most `limit` items.
#[derive(Debug)]
pub(super) struct Recency<K, T> {
    items: HashMap<K, (u64, T)>,
    order: BTreeMap<u64, K>,
    turn: u64,
    limit: usize,
}

impl<K: Copy + Eq + Hash, T> Recency<K, T> {
    pub fn new(limit: usize) -> Self {
        Self {
            items: HashMap::new(),
            order: BTreeMap::new(),
            turn: 0,
            limit,
        }
    }

    /// Makes the item the newest, and a new one first where there is none.
    pub fn touch<R>(
        &mut self,
        key: K,
        new: impl FnOnce() -> T,
        work: impl FnOnce(&mut T) -> R,
    ) -> R {
        self.turn += 1;
        if !self.items.contains_key(&key) && self.items.len() >= self.limit {
            self.pop_oldest();
        }
        let turn = self.turn;
        let (last, item) = self.items.entry(key).or_insert_with(|| (turn, new()));
        self.order.remove(last);
        *last = turn;
        self.order.insert(turn, key);
        work(item)
    }

    pub fn get(&self, key: K) -> Option<&T> {
        self.items.get(&key).map(|(_, item)| item)
    }

    pub fn remove(&mut self, key: K) -> Option<T> {
        let (turn, item) = self.items.remove(&key)?;
        self.order.remove(&turn);
        Some(item)
    }

    /// Takes out the item that was touched longest ago.
    pub fn pop_oldest(&mut self) -> Option<(K, T)> {
        let (_, key) = self.order.pop_first()?;
        self.items.remove(&key).map(|(_, item)| (key, item))
    }

    /// What was touched last comes first.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.order.values().rev().filter_map(|key| self.get(*key))
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_longest_ago_gives_way() {
        let mut three = Recency::new(3);
        for key in [1, 2, 3, 1, 4] {
            three.touch(key, || key * 10, |_| ());
        }
        assert_eq!(three.get(2), None);
        assert_eq!(
            three.newest_first().copied().collect::<Vec<_>>(),
            [40, 10, 30]
        );
        assert_eq!(three.pop_oldest(), Some((3, 30)));
        assert_eq!(three.remove(1), Some(10));
        assert_eq!(three.remove(1), None);
        assert_eq!(three.len(), 1);
    }
}
