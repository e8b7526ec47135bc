//! Rows: every object's version, keys and, while it is in memory, its body.
//!
//! Bodies are bounded by bytes. CLOCK evicts: a hand goes round, takes from each row its mark of use, and the
//! body of the first that had none. A body that no disk holds yet is never taken.

use std::sync::atomic::{AtomicBool, Ordering};

use super::index::{Keys, Slot};
use crate::store::{Key, Object, Stored};

/// As many rows as the hand passes in one go, so that no writer waits for a whole round.
const STEPS: usize = 1024;

#[derive(Debug)]
pub(super) struct Row {
    pub key: Key,
    pub version: u64,
    pub body: Option<Object>,
    pub keys: Option<Box<Keys>>,
    /// The body's estimated bytes, in memory or not.
    size: usize,
    /// The journal's record that wrote the body.
    record: u64,
    used: AtomicBool,
}

impl Row {
    /// The object, if its body is here.
    pub fn stored(&self) -> Option<Stored> {
        let object = self.body.clone()?;
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(Stored {
            version: self.version,
            object,
        })
    }
}

/// The rows by slot, and the hand of the clock.
#[derive(Debug)]
pub(super) struct Rows {
    slots: Vec<Option<Row>>,
    free: Vec<Slot>,
    hand: usize,
    limit: usize,
    /// Records up to this one are on disk.
    pub settled: u64,
    pub body_bytes: usize,
    pub key_bytes: usize,
    pub bodies: usize,
}

/// What a row costs beside its body and its keys.
const ROW: usize = size_of::<Option<Row>>() + 48;

impl Rows {
    pub fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            limit,
            settled: 0,
            body_bytes: 0,
            key_bytes: 0,
            bodies: 0,
        }
    }

    pub fn get(&self, slot: Slot) -> Option<&Row> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub fn bytes(&self) -> usize {
        self.slots.len() * ROW + self.key_bytes + self.body_bytes
    }

    pub fn insert(&mut self, key: Key, version: u64, keys: Option<Keys>, record: u64) -> Slot {
        self.key_bytes += keys.as_ref().map_or(0, Keys::bytes);
        let row = Some(Row {
            key,
            version,
            body: None,
            keys: keys.map(Box::new),
            size: 0,
            record,
            used: AtomicBool::new(false),
        });
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = row;
            return slot;
        }
        self.slots.push(row);
        Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
    }

    /// Gives the row its next version, and returns the keys that it had.
    pub fn renew(
        &mut self,
        slot: Slot,
        version: u64,
        keys: Option<Keys>,
        record: u64,
    ) -> Option<Box<Keys>> {
        self.drop_body(slot);
        let row = self.slots.get_mut(slot as usize)?.as_mut()?;
        self.key_bytes += keys.as_ref().map_or(0, Keys::bytes);
        let old = std::mem::replace(&mut row.keys, keys.map(Box::new));
        self.key_bytes -= old.as_ref().map_or(0, |keys| keys.bytes());
        row.version = version;
        row.record = record;
        old
    }

    pub fn remove(&mut self, slot: Slot) -> Option<Row> {
        self.drop_body(slot);
        let row = self.slots.get_mut(slot as usize)?.take()?;
        self.key_bytes -= row.keys.as_ref().map_or(0, |keys| keys.bytes());
        self.free.push(slot);
        Some(row)
    }

    /// Takes a body in; one that has no room is taken out again by the clock.
    pub fn fill(&mut self, slot: Slot, body: Object, size: usize) {
        self.drop_body(slot);
        if let Some(Some(row)) = self.slots.get_mut(slot as usize) {
            row.body = Some(body);
            row.size = size;
            self.body_bytes += size;
            self.bodies += 1;
        }
        self.evict();
    }

    /// Whether a body of this size would stay without another one going.
    pub fn has_room(&self, size: usize) -> bool {
        self.body_bytes + size <= self.limit
    }

    fn drop_body(&mut self, slot: Slot) {
        if let Some(Some(row)) = self.slots.get_mut(slot as usize)
            && row.body.take().is_some()
        {
            self.body_bytes -= row.size;
            self.bodies -= 1;
        }
    }

    fn evict(&mut self) {
        for _ in 0..STEPS {
            if self.body_bytes <= self.limit || self.slots.is_empty() {
                return;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(row) = &self.slots[self.hand] else {
                continue;
            };
            let pinned = row.record > self.settled;
            if row.body.is_some() && !pinned && !row.used.swap(false, Ordering::Relaxed) {
                self.drop_body(Slot::try_from(self.hand).unwrap_or(Slot::MAX));
            }
        }
    }
}
