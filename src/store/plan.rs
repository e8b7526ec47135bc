//! From a commit to what will be written: expectations checked, versions and places given out.
//!
//! A plan is made before anything is durable, so commits that share a sync are planned against the state and
//! what the commits before them in the [`Batch`] will leave. A commit that is refused leaves no trace in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::read_model::{AnchorKey, MachineKeys, State};
use super::{Change, Commit, Committed, Expect, Key, MAX_OPERATIONS, NewEvent, Object, StoreError};
use crate::model::event::EVENT_FORMAT;
use crate::model::{Anchor, Cursor, Event, MachineId, Subject};

/// As many deleted answers as are remembered for their versions. Settings, networks and templates are few and all remembered;
/// the ids of machines, conflicts and workflows are never used again; a lease begins anew.
pub(super) const GONE_ANSWERS: usize = 10_000;

/// A commit whose objects are encoded, ready to be planned.
#[derive(Debug)]
pub(super) struct Draft {
    commit: Commit,
    bodies: Vec<Vec<u8>>,
}

/// What one commit will do.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub writes: Vec<Write>,
    /// Each event with its encoding.
    pub events: Vec<(Arc<Event>, Vec<u8>)>,
    pub committed: Committed,
}

#[derive(Debug)]
pub(super) struct Write {
    pub key: Key,
    pub version: u64,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Put {
        object: Object,
        json: Vec<u8>,
    },
    /// Deleted; the version is remembered.
    Gone {
        order: u64,
    },
    /// Deleted, and nothing is remembered.
    Forgotten,
}

/// What the commits of one group leave behind.
#[derive(Debug)]
pub(super) struct Batch {
    standing: BTreeMap<Key, (u64, bool)>,
    anchors: BTreeMap<MachineId, Box<[AnchorKey]>>,
    forgotten: BTreeSet<u64>,
    cursor: u64,
    order: u64,
}

impl Draft {
    pub fn new(commit: Commit) -> Result<Self, StoreError> {
        let operations = commit.expect.len() + commit.changes.len() + commit.events.len();
        if operations > MAX_OPERATIONS {
            return Err(StoreError::TooLarge {
                operations,
                bytes: 0,
            });
        }
        let bodies = commit.changes.iter().map(|change| match change {
            Change::Put(object) => encode(object),
            Change::Delete(_) => Vec::new(),
        });
        let bodies = bodies.collect();
        Ok(Self { commit, bodies })
    }
}

/// The types of the store cannot fail to encode: their maps have text for keys.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn key_len(key: &Key) -> usize {
    match key {
        Key::Machine(_) | Key::Conflict(_) | Key::Workflow(_) => 16,
        Key::Setting(key) => key.as_str().len(),
        Key::Answer(scope) => scope.len(),
        Key::Network(link) => link.as_str().len(),
        Key::Template(name) => name.as_str().len(),
        Key::Lease(link, _) => link.as_str().len() + 4,
    }
}

impl Batch {
    pub fn new(state: &State) -> Self {
        Self {
            standing: BTreeMap::new(),
            anchors: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            cursor: state.last_cursor(),
            order: state.last_order,
        }
    }

    /// Checks one commit and plans it, or leaves the batch as it was. `limit` is in bytes, encoded.
    pub fn plan(
        &mut self,
        state: &State,
        draft: Draft,
        limit: usize,
    ) -> Result<Planned, StoreError> {
        let Draft { commit, bodies } = draft;
        for expect in &commit.expect {
            self.check(state, expect)?;
        }
        let steps = self.versions(state, &commit.changes)?;
        let events = self.events(state, &steps, &commit.events);
        let keys: usize = steps.iter().map(|step| key_len(&step.key)).sum();
        let bytes: usize = keys + bodies.iter().map(Vec::len).sum::<usize>();
        let bytes = bytes + events.iter().map(|(_, json)| json.len()).sum::<usize>();
        if bytes > limit {
            return Err(StoreError::TooLarge {
                operations: commit.expect.len() + commit.changes.len() + commit.events.len(),
                bytes,
            });
        }
        let versions = steps.iter().map(|step| (step.key.clone(), step.version));
        let versions = versions.collect();
        let mut writes = Vec::with_capacity(steps.len());
        for ((step, change), json) in steps.into_iter().zip(commit.changes).zip(bodies) {
            self.write(state, step, change, json, &mut writes);
        }
        self.cursor += events.len() as u64;
        let committed = Committed {
            cursor: Cursor::from_raw(self.cursor),
            versions,
            events: events.iter().map(|(event, _)| (**event).clone()).collect(),
        };
        Ok(Planned {
            writes,
            events,
            committed,
        })
    }

    fn standing(&self, state: &State, key: &Key) -> (u64, bool) {
        let ahead = self.standing.get(key).copied();
        ahead.unwrap_or_else(|| state.standing(key))
    }

    fn check(&self, state: &State, expect: &Expect) -> Result<(), StoreError> {
        match expect {
            Expect::Version(key, expected) => {
                let (version, there) = self.standing(state, key);
                let found = if there { version } else { 0 };
                if found == *expected {
                    return Ok(());
                }
                Err(StoreError::Version {
                    key: key.clone(),
                    expected: *expected,
                    found,
                })
            }
            Expect::Free(anchor, but) => match self.holder(state, anchor, *but) {
                None => Ok(()),
                Some(holder) => Err(StoreError::Taken {
                    anchor: anchor.clone(),
                    holder,
                }),
            },
        }
    }

    /// A machine, other than `but`, that is known by `anchor`.
    fn holder(&self, state: &State, anchor: &Anchor, but: Option<MachineId>) -> Option<MachineId> {
        let key = AnchorKey::from(anchor);
        let settled = state.holders(&key).into_iter();
        let settled = settled.filter(|id| !self.anchors.contains_key(id));
        let ahead = self.anchors.iter();
        let ahead = ahead
            .filter(|(_, keys)| keys.contains(&key))
            .map(|(id, _)| *id);
        settled.chain(ahead).find(|id| Some(*id) != but)
    }

    /// The next version of everything that changes.
    fn versions(&self, state: &State, changes: &[Change]) -> Result<Vec<Step>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            let key = match change {
                Change::Put(object) => object.key(),
                Change::Delete(key) => key.clone(),
            };
            if !seen.insert(key.clone()) {
                return Err(StoreError::Twice { key });
            }
            let (version, there) = self.standing(state, &key);
            let idle = matches!(change, Change::Delete(_)) && !there;
            steps.push(Step {
                key,
                version: if idle { version } else { version + 1 },
                idle,
            });
        }
        Ok(steps)
    }

    fn events(
        &self,
        state: &State,
        steps: &[Step],
        events: &[NewEvent],
    ) -> Vec<(Arc<Event>, Vec<u8>)> {
        let numbered = (self.cursor + 1..).zip(events);
        let made = numbered.map(|(cursor, new)| Event {
            cursor: Cursor::from_raw(cursor),
            format: EVENT_FORMAT,
            at: new.at,
            subject: new.subject.clone(),
            subject_version: self.subject_version(state, steps, &new.subject),
            what: new.what.clone(),
            audit: new.audit,
            actor: new.actor.clone(),
            request: new.request,
            correlation: new.correlation,
            causation: new.causation,
        });
        made.map(|event| {
            let json = encode(&event);
            (Arc::new(event), json)
        })
        .collect()
    }

    fn subject_version(&self, state: &State, steps: &[Step], subject: &Subject) -> u64 {
        let key = match subject {
            Subject::Machine(id) => Key::Machine(*id),
            Subject::Setting(key) => Key::Setting(key.clone()),
            Subject::Conflict(id) => Key::Conflict(*id),
            Subject::Network(link) => Key::Network(link.clone()),
            Subject::Template(name) => Key::Template(name.clone()),
            Subject::Workflow(id) => Key::Workflow(*id),
            Subject::Appliance => return 0,
        };
        match steps.iter().find(|step| step.key == key) {
            Some(step) => step.version,
            None => self.standing(state, &key).0,
        }
    }

    fn write(
        &mut self,
        state: &State,
        step: Step,
        change: Change,
        json: Vec<u8>,
        writes: &mut Vec<Write>,
    ) {
        if step.idle {
            return;
        }
        let Step { key, version, .. } = step;
        let there = matches!(change, Change::Put(_));
        self.standing.insert(key.clone(), (version, there));
        if let Key::Machine(id) = key {
            let keys = match &change {
                Change::Put(Object::Machine(machine)) => MachineKeys::of(machine).anchors,
                _ => Box::default(),
            };
            self.anchors.insert(id, keys);
        }
        let outcome = match (change, &key) {
            (Change::Put(object), _) => Outcome::Put { object, json },
            (
                Change::Delete(_),
                Key::Setting(_) | Key::Answer(_) | Key::Network(_) | Key::Template(_),
            ) => {
                writes.extend(self.forget_one(state, &key));
                self.order += 1;
                Outcome::Gone { order: self.order }
            }
            (Change::Delete(_), _) => {
                self.standing.insert(key.clone(), (0, false));
                Outcome::Forgotten
            }
        };
        writes.push(Write {
            key,
            version,
            outcome,
        });
    }

    /// Makes room for one more deleted answer when as many as are remembered are there.
    fn forget_one(&mut self, state: &State, coming: &Key) -> Option<Write> {
        let gone = state.gone_answers();
        if !matches!(coming, Key::Answer(_)) || gone.len() < GONE_ANSWERS {
            return None;
        }
        let fresh = |scope: &str| !self.standing.contains_key(&Key::Answer(scope.into()));
        let (order, scope) = gone
            .iter()
            .find(|(order, scope)| !self.forgotten.contains(order) && fresh(scope))?;
        self.forgotten.insert(*order);
        let key = Key::Answer(scope.clone());
        self.standing.insert(key.clone(), (0, false));
        Some(Write {
            key,
            version: 0,
            outcome: Outcome::Forgotten,
        })
    }
}

/// One change with its version; idle when it deletes what is not there.
#[derive(Debug)]
struct Step {
    key: Key,
    version: u64,
    idle: bool,
}
