//! The store as a child would write it: plain maps, walked from end to end for every question.
//!
//! It is slow and has no indexes, so that it cannot have their faults; a backend is right when it agrees.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::event::EVENT_FORMAT;
use crate::model::{Anchor, Cursor, Event, Machine, MachineId, StateKind, Subject, Tag};
use crate::store::{
    Change, Commit, Committed, Counts, EventQuery, Expect, Index, Key, MAX_OPERATIONS, NewEvent,
    Object, Retention, StoreError, Stored, Trimmed,
};

#[derive(Clone, Debug, Default)]
pub struct Naive {
    objects: BTreeMap<Key, Stored>,
    /// The versions of what was deleted and will go on counting.
    gone: BTreeMap<Key, u64>,
    events: Vec<Event>,
    last: u64,
    floor: u64,
}

impl Naive {
    pub fn commit(&mut self, commit: &Commit) -> Result<Committed, StoreError> {
        let operations = commit.expect.len() + commit.changes.len() + commit.events.len();
        if operations > MAX_OPERATIONS {
            return Err(StoreError::TooLarge {
                operations,
                bytes: 0,
            });
        }
        commit
            .expect
            .iter()
            .try_for_each(|expect| self.check(expect))?;
        let mut next = self.clone();
        let versions = next.change(&commit.changes)?;
        let events = next.tell(&commit.events, &versions);
        *self = next;
        Ok(Committed {
            cursor: Cursor::from_raw(self.last),
            versions,
            events,
        })
    }

    fn check(&self, expect: &Expect) -> Result<(), StoreError> {
        match expect {
            Expect::Version(key, expected) => {
                let found = self.objects.get(key).map_or(0, |stored| stored.version);
                if found == *expected {
                    return Ok(());
                }
                Err(StoreError::Version {
                    key: key.clone(),
                    expected: *expected,
                    found,
                })
            }
            Expect::Free(anchor, but) => {
                let mut holders = self.find(anchor).into_iter();
                match holders.find(|id| Some(*id) != *but) {
                    None => Ok(()),
                    Some(holder) => Err(StoreError::Taken {
                        anchor: anchor.clone(),
                        holder,
                    }),
                }
            }
        }
    }

    fn change(&mut self, changes: &[Change]) -> Result<Vec<(Key, u64)>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut versions = Vec::new();
        for change in changes {
            let key = match change {
                Change::Put(object) => object.key(),
                Change::Delete(key) => key.clone(),
            };
            if !seen.insert(key.clone()) {
                return Err(StoreError::Twice { key });
            }
            let version = match change {
                Change::Put(object) => self.put(&key, object),
                Change::Delete(_) => self.delete(&key),
            };
            versions.push((key, version));
        }
        Ok(versions)
    }

    fn put(&mut self, key: &Key, object: &Object) -> u64 {
        let version = self.standing(key) + 1;
        self.gone.remove(key);
        let object = object.clone();
        self.objects.insert(key.clone(), Stored { version, object });
        version
    }

    fn delete(&mut self, key: &Key) -> u64 {
        let Some(stored) = self.objects.remove(key) else {
            return self.standing(key);
        };
        if matches!(
            key,
            Key::Setting(_) | Key::Answer(_) | Key::Network(_) | Key::Template(_)
        ) {
            self.gone.insert(key.clone(), stored.version + 1);
        }
        stored.version + 1
    }

    fn standing(&self, key: &Key) -> u64 {
        let there = self.objects.get(key).map(|stored| stored.version);
        there.or(self.gone.get(key).copied()).unwrap_or_default()
    }

    fn tell(&mut self, events: &[NewEvent], versions: &[(Key, u64)]) -> Vec<Event> {
        let mut told = Vec::new();
        for new in events {
            self.last += 1;
            told.push(Event {
                cursor: Cursor::from_raw(self.last),
                format: EVENT_FORMAT,
                at: new.at,
                subject: new.subject.clone(),
                subject_version: self.subject_version(&new.subject, versions),
                what: new.what.clone(),
                audit: new.audit,
                actor: new.actor.clone(),
                request: new.request,
                correlation: new.correlation,
                causation: new.causation,
            });
        }
        self.events.extend(told.iter().cloned());
        told
    }

    fn subject_version(&self, subject: &Subject, versions: &[(Key, u64)]) -> u64 {
        let key = match subject {
            Subject::Machine(id) => Key::Machine(*id),
            Subject::Setting(key) => Key::Setting(key.clone()),
            Subject::Conflict(id) => Key::Conflict(*id),
            Subject::Network(link) => Key::Network(link.clone()),
            Subject::Template(name) => Key::Template(name.clone()),
            Subject::Workflow(id) => Key::Workflow(*id),
            Subject::Appliance => return 0,
        };
        let changed = versions.iter().find(|(changed, _)| *changed == key);
        changed.map_or_else(|| self.standing(&key), |(_, version)| *version)
    }

    pub fn get(&self, key: &Key) -> Option<Stored> {
        self.objects.get(key).cloned()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.objects
            .values()
            .filter_map(|stored| match &stored.object {
                Object::Machine(machine) => Some(&**machine),
                _ => None,
            })
    }

    pub fn find(&self, anchor: &Anchor) -> Vec<MachineId> {
        let known = |machine: &&Machine| {
            let name = Anchor::Name(machine.config.memorable_name.clone());
            *anchor == name || machine.identity.anchors().any(|own| own == *anchor)
        };
        self.machines()
            .filter(known)
            .map(|machine| machine.id)
            .collect()
    }

    /// Everything that an index holds, in its order.
    pub fn walk(&self, by: &Index, descending: bool) -> Vec<Stored> {
        let mut items: Vec<_> = self
            .objects
            .values()
            .filter(|s| holds(by, &s.object))
            .collect();
        items.sort_by(|a, b| order(by, &a.object, &b.object));
        if descending {
            items.reverse();
        }
        items.into_iter().cloned().collect()
    }

    /// What an index still holds behind `last`, which may be gone by now.
    pub fn walk_after(&self, by: &Index, descending: bool, last: &Object) -> Vec<Stored> {
        let behind = if descending {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        let items = self.walk(by, descending).into_iter();
        items
            .filter(|stored| order(by, &stored.object, last) == behind)
            .collect()
    }

    pub fn tags(&self) -> Vec<(Tag, usize)> {
        let mut tags = BTreeMap::new();
        for tag in self.machines().flat_map(|machine| &machine.config.tags) {
            *tags.entry(tag.clone()).or_default() += 1;
        }
        tags.into_iter().collect()
    }

    pub fn counts(&self) -> Counts {
        let in_state = |kind| {
            self.machines()
                .filter(|machine| machine.status.state.kind() == kind)
                .count()
        };
        let count = |wanted: fn(&Key) -> bool| self.keys().filter(|key| wanted(key)).count();
        Counts {
            machines: self.machines().count(),
            settings: count(|key| matches!(key, Key::Setting(_))),
            conflicts: count(|key| matches!(key, Key::Conflict(_))),
            answers: count(|key| matches!(key, Key::Answer(_))),
            networks: count(|key| matches!(key, Key::Network(_))),
            templates: count(|key| matches!(key, Key::Template(_))),
            leases: count(|key| matches!(key, Key::Lease(..))),
            workflows: count(|key| matches!(key, Key::Workflow(_))),
            active_workflows: self.walk(&Index::ActiveWorkflows, false).len(),
            by_state: StateKind::ALL.map(|kind| (kind, in_state(kind))).to_vec(),
        }
    }

    /// Every event that a query asks for, beyond its limit too; none when it comes too late.
    pub fn events(&self, query: &EventQuery) -> Option<Vec<Event>> {
        let follows = query.follow && !query.newest_first && !query.audit_only;
        if follows && query.from.is_some_and(|from| from.raw() < self.floor) {
            return None;
        }
        let wanted = |event: &&Event| {
            let placed = query.from.is_none_or(|from| {
                if query.newest_first {
                    event.cursor < from
                } else {
                    event.cursor > from
                }
            });
            let own = query.subject.as_ref().is_none_or(|s| *s == event.subject);
            placed && own && (event.audit || !query.audit_only)
        };
        let mut events: Vec<_> = self.events.iter().filter(wanted).cloned().collect();
        if query.newest_first {
            events.reverse();
        }
        Some(events)
    }

    pub fn last(&self) -> Cursor {
        Cursor::from_raw(self.last)
    }

    pub fn floor(&self) -> Cursor {
        Cursor::from_raw(self.floor)
    }

    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    pub fn trim(&mut self, retention: Retention) -> Trimmed {
        let plain = self.events.iter().filter(|event| !event.audit).count() as u64;
        let surplus = plain.saturating_sub(retention.max_count);
        let before = self.events.len();
        let (mut passed, mut floor) = (0, self.floor);
        self.events.retain(|event| {
            let place = passed;
            passed += u64::from(!event.audit);
            let goes = !event.audit && (place < surplus || event.at < retention.before);
            if goes {
                floor = floor.max(event.cursor.raw());
            }
            !goes
        });
        self.floor = floor;
        Trimmed {
            removed: (before - self.events.len()) as u64,
            floor: Cursor::from_raw(floor),
        }
    }
}

fn holds(by: &Index, object: &Object) -> bool {
    match (by, object) {
        (Index::State(kind), Object::Machine(machine)) => machine.status.state.kind() == *kind,
        (Index::Tag(tag), Object::Machine(machine)) => machine.config.tags.contains(tag),
        (Index::Leases(link), Object::Lease(lease)) => lease.link == *link,
        (Index::WorkflowsOf(machine), Object::Workflow(workflow)) => workflow.machine == *machine,
        (Index::ActiveWorkflows, Object::Workflow(workflow)) => workflow.is_active(),
        (Index::Machines | Index::Name | Index::Hostname | Index::Updated, Object::Machine(_))
        | (Index::Settings, Object::Setting(_))
        | (Index::Conflicts, Object::Conflict(_))
        | (Index::Answers, Object::Answer(_))
        | (Index::Networks, Object::Network(_))
        | (Index::Templates, Object::Template(_))
        | (Index::Workflows, Object::Workflow(_)) => true,
        _ => false,
    }
}

/// How an index sorts; what is equal there is sorted by its key.
fn order(by: &Index, a: &Object, b: &Object) -> Ordering {
    let by_field = match (by, a, b) {
        (Index::Name, Object::Machine(a), Object::Machine(b)) => {
            a.name().to_lowercase().cmp(&b.name().to_lowercase())
        }
        (Index::Hostname, Object::Machine(a), Object::Machine(b)) => {
            match (&a.config.hostname, &b.config.hostname) {
                (Some(a), Some(b)) => a.as_str().cmp(b.as_str()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            }
        }
        (Index::Updated, Object::Machine(a), Object::Machine(b)) => {
            a.metadata.updated_at.cmp(&b.metadata.updated_at)
        }
        _ => Ordering::Equal,
    };
    by_field.then_with(|| a.key().cmp(&b.key()))
}
