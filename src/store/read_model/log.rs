//! The newest events, in memory, and how to find those of one subject.
//!
//! The log begins somewhere: what is older lies on disk, or was trimmed. An event leaves memory only when the
//! disk holds it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::Cursor;
use crate::model::{Event, Subject};
use crate::store::{Retention, Trimmed};

/// A subject in seventeen bytes: its kind and its id, or half of the id's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct SubjectKey(pub [u8; 17]);

impl From<&Subject> for SubjectKey {
    fn from(subject: &Subject) -> Self {
        let mut key = [0; 17];
        let (kind, bytes) = match subject {
            Subject::Machine(id) => (1, *id.0.as_bytes()),
            Subject::Conflict(id) => (2, *id.0.as_bytes()),
            Subject::Setting(setting) => (3, half(setting.as_str())),
            Subject::Template(name) => (7, half(name.as_str())),
            Subject::Appliance => (4, [0; 16]),
            Subject::Network(link) => {
                // A name has no NUL, so the rest tells no two apart.
                let mut name = [0; 16];
                name[..link.as_str().len()].copy_from_slice(link.as_str().as_bytes());
                (5, name)
            }
            Subject::Workflow(id) => (6, *id.0.as_bytes()),
        };
        key[0] = kind;
        key[1..].copy_from_slice(&bytes);
        Self(key)
    }
}

/// Half of a name's hash.
fn half(name: &str) -> [u8; 16] {
    let digest = Sha256::digest(name);
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// Events strictly between two places.
#[derive(Clone, Debug)]
pub(in crate::store) struct Span {
    pub after: u64,
    pub before: u64,
    pub newest_first: bool,
    pub subject: Option<Subject>,
    pub audit_only: bool,
    pub limit: usize,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    ring: VecDeque<Arc<Event>>,
    by_subject: HashMap<SubjectKey, VecDeque<u64>>,
    audit: VecDeque<u64>,
    /// As many events as stay in memory once the disk holds them; None: all.
    keep: Option<usize>,
    /// Events up to this place are on disk.
    pub settled: u64,
    pub last: u64,
    pub floor: u64,
    pub count: u64,
}

impl Log {
    pub fn new(keep: Option<usize>) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// Takes up a log that lies on disk.
    pub fn resume(&mut self, last: u64, floor: u64, count: u64) {
        self.settled = last;
        self.last = last;
        self.floor = floor;
        self.count = count;
    }

    /// Every event from this place on is here.
    pub fn begin(&self) -> u64 {
        match self.ring.front() {
            Some(event) => event.cursor.raw(),
            None => self.last + 1,
        }
    }

    pub fn has_older(&self) -> bool {
        self.count > self.ring.len() as u64
    }

    pub fn bytes(&self) -> usize {
        self.ring.len() * (size_of::<Event>() + 400)
    }

    pub fn push(&mut self, event: Arc<Event>) {
        let place = event.cursor.raw();
        let subject = SubjectKey::from(&event.subject);
        self.by_subject.entry(subject).or_default().push_back(place);
        if event.audit {
            self.audit.push_back(place);
        }
        self.last = self.last.max(place);
        self.count += 1;
        self.ring.push_back(event);
        self.shed();
    }

    /// Lets go of the oldest that the disk holds.
    pub fn shed(&mut self) {
        let Some(keep) = self.keep else { return };
        while self.ring.len() > keep {
            match self.ring.front() {
                Some(event) if event.cursor.raw() <= self.settled => {}
                _ => return,
            }
            if let Some(event) = self.ring.pop_front() {
                self.forget(&event);
            }
        }
    }

    pub fn select(&self, span: &Span) -> Vec<Event> {
        let subject = span.subject.as_ref().map(SubjectKey::from);
        let places = match subject {
            Some(subject) => match self.by_subject.get(&subject) {
                Some(places) => Some(places),
                None => return Vec::new(),
            },
            None => span.audit_only.then_some(&self.audit),
        };
        let Some(places) = places else {
            let low = self.ring.partition_point(|e| e.cursor.raw() <= span.after);
            let high = self.ring.partition_point(|e| e.cursor.raw() < span.before);
            let events = self.ring.range(low..high.max(low));
            return if span.newest_first {
                events
                    .rev()
                    .take(span.limit)
                    .map(|e| (**e).clone())
                    .collect()
            } else {
                events.take(span.limit).map(|e| (**e).clone()).collect()
            };
        };
        let low = places.partition_point(|place| *place <= span.after);
        let high = places.partition_point(|place| *place < span.before);
        let places = places.range(low..high.max(low));
        let wanted = |event: &&Arc<Event>| !span.audit_only || event.audit;
        let pick = |place: &u64| self.at(*place).filter(wanted).map(|e| (**e).clone());
        if span.newest_first {
            places.rev().filter_map(pick).take(span.limit).collect()
        } else {
            places.filter_map(pick).take(span.limit).collect()
        }
    }

    /// What `retention` takes away, of what is here.
    pub fn trim(&mut self, retention: Retention) -> Trimmed {
        let plain = self.ring.iter().filter(|event| !event.audit).count() as u64;
        let mut surplus = plain.saturating_sub(retention.max_count);
        let mut gone = Vec::new();
        for event in self.ring.iter().filter(|event| !event.audit) {
            if surplus > 0 || event.at < retention.before {
                gone.push(event.cursor.raw());
            }
            surplus = surplus.saturating_sub(1);
        }
        let floor = gone.last().copied().unwrap_or_default();
        self.remove(&gone, floor);
        Trimmed {
            removed: gone.len() as u64,
            floor: Cursor::from_raw(self.floor),
        }
    }

    /// Takes out the events at these places, in memory or not; they are sorted.
    pub fn remove(&mut self, gone: &[u64], floor: u64) {
        self.floor = self.floor.max(floor);
        self.count -= gone.len() as u64;
        let begin = self.begin();
        let here = gone.partition_point(|place| *place < begin);
        let gone = &gone[here..];
        if gone.is_empty() {
            return;
        }
        let ring = std::mem::take(&mut self.ring);
        for event in ring {
            if gone.binary_search(&event.cursor.raw()).is_ok() {
                self.forget(&event);
            } else {
                self.ring.push_back(event);
            }
        }
    }

    fn at(&self, place: u64) -> Option<&Arc<Event>> {
        let found = self.ring.binary_search_by_key(&place, |e| e.cursor.raw());
        self.ring.get(found.ok()?)
    }

    fn forget(&mut self, event: &Event) {
        fn take(places: &mut VecDeque<u64>, place: u64) {
            if let Ok(found) = places.binary_search(&place) {
                places.remove(found);
            }
        }
        let place = event.cursor.raw();
        let subject = SubjectKey::from(&event.subject);
        if let Some(places) = self.by_subject.get_mut(&subject) {
            take(places, place);
            if places.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
        if event.audit {
            take(&mut self.audit, place);
        }
    }
}
