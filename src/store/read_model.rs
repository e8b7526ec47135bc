//! What is answered from memory: every index, every version, the newest events, and as many bodies as fit.
//!
//! A reader holds the lock for as long as it copies a page's pointers; a writer for as long as it changes the
//! indexes; nobody holds it while the disk works. A body or event that is not here comes from a [`View`] of
//! the disk, which is opened under the lock, so that it shows the very state that the page shows.

mod index;
mod log;
mod position;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

pub(super) use self::index::{AnchorKey, Keys, MachineKeys};
pub(super) use self::log::{Span, SubjectKey};

use self::index::{MachineIndex, Slot, WorkflowIndex};
use self::log::Log;
use self::position::Place;
use self::rows::Rows;
use super::plan::{Outcome, Planned, Write};
use super::{
    Counts, EventPage, EventQuery, Index, Key, MAX_PAGE, Object, Page, Query, Retention,
    StoreError, StoreStats, Stored, Trimmed,
};
use crate::model::{Anchor, ConflictId, Cursor, Event, LinkName, MachineId, StateKind, Tag};

#[cfg(test)]
pub(super) mod tests;

/// As many events as a store with a disk keeps in memory: a busy hour's, some 8 MiB.
const RECENT_EVENTS: usize = 8192;

/// Where bodies and events are that are not in memory.
pub(super) trait Backing: Send + Sync {
    fn view(&self) -> Result<Box<dyn View>, StoreError>;
}

/// The disk as it was at one moment.
pub(super) trait View {
    fn object(&self, key: &Key) -> Result<Option<Stored>, StoreError>;
    fn events(&self, span: &Span) -> Result<Vec<Event>, StoreError>;
    fn floor(&self) -> Result<u64, StoreError>;
}

/// The version that a deleted object had, so that its key never goes through the same versions again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub version: u64,
    /// Deletions in order: the oldest are forgotten first.
    pub order: u64,
}

pub(super) struct ReadModel {
    state: RwLock<State>,
    place: watch::Sender<Cursor>,
    backing: Option<Box<dyn Backing>>,
}

#[derive(Debug)]
pub(super) struct State {
    rows: Rows,
    machines: MachineIndex,
    settings: BTreeMap<String, Slot>,
    conflicts: BTreeMap<ConflictId, Slot>,
    answers: BTreeMap<String, Slot>,
    networks: BTreeMap<LinkName, Slot>,
    templates: BTreeMap<String, Slot>,
    /// Never empty for a link that is in it.
    leases: BTreeMap<LinkName, BTreeMap<Ipv4Addr, Slot>>,
    workflows: WorkflowIndex,
    gone: BTreeMap<Key, Gone>,
    gone_answers: BTreeMap<u64, String>,
    pub last_order: u64,
    log: Log,
}

impl ReadModel {
    /// Holds everything.
    pub fn whole() -> Self {
        Self::new(None, usize::MAX, None)
    }

    /// Holds bodies up to `limit` bytes; the rest is read from `backing`.
    pub fn bounded(backing: Box<dyn Backing>, limit: usize) -> Self {
        Self::new(Some(backing), limit, Some(RECENT_EVENTS))
    }

    fn new(backing: Option<Box<dyn Backing>>, limit: usize, recent: Option<usize>) -> Self {
        let state = State {
            rows: Rows::new(limit),
            machines: MachineIndex::default(),
            settings: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            answers: BTreeMap::new(),
            networks: BTreeMap::new(),
            templates: BTreeMap::new(),
            leases: BTreeMap::new(),
            workflows: WorkflowIndex::default(),
            gone: BTreeMap::new(),
            gone_answers: BTreeMap::new(),
            last_order: 0,
            log: Log::new(recent),
        };
        Self {
            state: RwLock::new(state),
            place: watch::Sender::new(Cursor::START),
            backing,
        }
    }

    /// The state, for a plan that is checked against it.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let state = self.read();
        let Some(slot) = state.slot(key) else {
            return Ok(None);
        };
        if let Some(stored) = state.rows.get(slot).and_then(rows::Row::stored) {
            return Ok(Some(stored));
        }
        let view = self.view()?;
        drop(state);
        let stored = view.object(key)?;
        if let Some(stored) = &stored {
            self.keep(std::slice::from_ref(stored));
        }
        Ok(stored)
    }

    pub fn find(&self, anchor: &Anchor) -> Vec<MachineId> {
        let mut ids = self.read().holders(&AnchorKey::from(anchor));
        ids.sort();
        ids
    }

    /// The groups of machines that share an anchor.
    pub fn contested(&self) -> Vec<Vec<MachineId>> {
        let state = self.read();
        let anchors = state.machines.contested.keys().take(MAX_PAGE);
        let groups = anchors.map(|anchor| {
            let mut ids = state.holders(anchor);
            ids.sort();
            ids.truncate(MAX_PAGE);
            ids
        });
        groups.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub fn page(&self, query: &Query) -> Result<Page, StoreError> {
        let state = self.read();
        let walk = state.walk(query);
        let rows = walk.slots.iter().filter_map(|slot| state.rows.get(*slot));
        let found: Vec<_> = rows
            .map(|row| row.stored().ok_or_else(|| row.key.clone()))
            .collect();
        let view = if found.iter().any(Result::is_err) {
            Some(self.view()?)
        } else {
            None
        };
        drop(state);
        let mut items = Vec::with_capacity(found.len());
        let mut fetched = Vec::new();
        for item in found {
            match (item, &view) {
                (Ok(stored), _) => items.push(stored),
                (Err(key), Some(view)) => {
                    let stored = view.object(&key)?;
                    fetched.extend(stored.clone());
                    items.extend(stored);
                }
                (Err(_), None) => {}
            }
        }
        self.keep(&fetched);
        Ok(Page {
            items,
            next: walk.next,
            total: walk.total,
        })
    }

    pub fn tags(&self) -> Vec<(Tag, usize)> {
        let state = self.read();
        let tags = state.machines.by_tag.iter();
        tags.map(|(tag, ids)| (tag.clone(), ids.len())).collect()
    }

    pub fn counts(&self) -> Counts {
        let state = self.read();
        let in_state = |kind| state.machines.by_state.get(&kind).map_or(0, BTreeMap::len);
        Counts {
            machines: state.machines.by_id.len(),
            settings: state.settings.len(),
            conflicts: state.conflicts.len(),
            answers: state.answers.len(),
            networks: state.networks.len(),
            templates: state.templates.len(),
            leases: state.leases.values().map(BTreeMap::len).sum(),
            workflows: state.workflows.by_id.len(),
            active_workflows: state.workflows.active.len(),
            by_state: StateKind::ALL.map(|kind| (kind, in_state(kind))).to_vec(),
        }
    }

    /// Events, each subject's own by an index of places: no read walks through other subjects' events.
    pub fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let from = query.from.map(Cursor::raw);
        let mut span = Span {
            after: if query.newest_first {
                0
            } else {
                from.unwrap_or(0)
            },
            before: if query.newest_first {
                from.unwrap_or(u64::MAX)
            } else {
                u64::MAX
            },
            newest_first: query.newest_first,
            subject: query.subject.clone(),
            audit_only: query.audit_only,
            limit: limit + 1,
        };
        let state = self.read();
        let last = state.log.last;
        let missed = |floor: u64| {
            let follows = query.follow && !query.newest_first && !query.audit_only;
            (follows && from.is_some_and(|from| from < floor)).then_some(StoreError::Reset {
                floor: Cursor::from_raw(floor),
            })
        };
        if let Some(reset) = missed(state.log.floor) {
            return Err(reset);
        }
        let mut events = state.log.select(&span);
        let begin = state.log.begin();
        let older = state.log.has_older() && span.after + 1 < begin;
        if older && (!query.newest_first || events.len() <= limit) {
            let view = self.view()?;
            drop(state);
            if let Some(reset) = missed(view.floor()?) {
                return Err(reset);
            }
            span.before = span.before.min(begin);
            if query.newest_first {
                span.limit -= events.len();
                events.extend(view.events(&span)?);
            } else {
                let recent = std::mem::replace(&mut events, view.events(&span)?);
                events.extend(recent);
            }
        }
        let more = events.len() > limit;
        events.truncate(limit);
        let end = events.last().map(|event| event.cursor);
        let next = match (more, query.newest_first) {
            (true, _) => end,
            (false, true) => end.or(query.from),
            (false, false) => Some(Cursor::from_raw(last.max(span.after))),
        };
        Ok(EventPage { events, next, more })
    }

    pub fn watch(&self) -> watch::Receiver<Cursor> {
        self.place.subscribe()
    }

    /// Shows commits to readers; `record` is the journal's record that holds them, 0 where there is no journal.
    pub fn apply(&self, commits: Vec<Planned>, record: u64) {
        let mut state = self.write();
        for planned in commits {
            for write in planned.writes {
                state.apply(write, record);
            }
            for (event, _) in planned.events {
                state.log.push(event);
            }
        }
        let last = Cursor::from_raw(state.log.last);
        drop(state);
        self.announce(last);
    }

    fn announce(&self, last: Cursor) {
        self.place.send_if_modified(|place| {
            let moved = last > *place;
            *place = last.max(*place);
            moved
        });
    }

    /// Takes in what a disk holds, before anybody reads: the objects by [`State::load`], then the log's ends.
    pub fn load(&self, load: impl FnOnce(&mut State)) {
        let mut state = self.write();
        load(&mut state);
        let last = Cursor::from_raw(state.log.last);
        drop(state);
        self.announce(last);
    }

    /// The disk now holds all records up to `record` and all events up to `cursor`.
    pub fn settle(&self, record: u64, cursor: u64) {
        let mut state = self.write();
        state.rows.settled = state.rows.settled.max(record);
        state.log.settled = state.log.settled.max(cursor);
        state.log.shed();
    }

    /// Trims what is in memory.
    pub fn trim(&self, retention: Retention) -> Trimmed {
        self.write().log.trim(retention)
    }

    /// Follows a trim of the disk: these places are gone, up to `floor`.
    pub fn trimmed(&self, gone: &[u64], floor: u64) {
        self.write().log.remove(gone, floor);
    }

    pub fn floor(&self) -> Cursor {
        Cursor::from_raw(self.read().log.floor)
    }

    /// The figures that memory knows; the rest is the backend's.
    pub fn stats(&self) -> StoreStats {
        let state = self.read();
        StoreStats {
            memory_bytes: (state.rows.bytes() + state.log.bytes()) as u64,
            cached_bodies: state.rows.bodies as u64,
            events: state.log.count,
            cursor: Cursor::from_raw(state.log.last),
            floor: Cursor::from_raw(state.log.floor),
            ..StoreStats::default()
        }
    }

    fn view(&self) -> Result<Box<dyn View>, StoreError> {
        match &self.backing {
            Some(backing) => backing.view(),
            None => Ok(Box::new(Nothing)),
        }
    }

    /// Puts bodies that were read from disk into the cache, unless their objects changed meanwhile.
    fn keep(&self, fetched: &[Stored]) {
        if fetched.is_empty() {
            return;
        }
        // Measured before the lock is taken: nobody waits for it.
        let sizes: Vec<_> = fetched
            .iter()
            .map(|stored| body_bytes(&stored.object, None))
            .collect();
        let mut state = self.write();
        for (stored, size) in fetched.iter().zip(sizes) {
            let slot = state.slot(&stored.object.key());
            let Some(slot) = slot else { continue };
            let same = state
                .rows
                .get(slot)
                .is_some_and(|row| row.version == stored.version && row.body.is_none());
            if same {
                state.rows.fill(slot, stored.object.clone(), size);
            }
        }
    }
}

/// Behind a model that holds everything there is nothing.
struct Nothing;

impl View for Nothing {
    fn object(&self, _: &Key) -> Result<Option<Stored>, StoreError> {
        Ok(None)
    }

    fn events(&self, _: &Span) -> Result<Vec<Event>, StoreError> {
        Ok(Vec::new())
    }

    fn floor(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A body's estimated bytes in memory. Decoded text takes about what it took encoded.
fn body_bytes(object: &Object, encoded: Option<usize>) -> usize {
    let text = encoded.unwrap_or_else(|| serde_json::to_vec(object).map_or(0, |json| json.len()));
    text + match object {
        Object::Machine(_) => size_of::<crate::model::Machine>(),
        Object::Network(_) => size_of::<crate::model::Network>(),
        Object::Workflow(_) => size_of::<crate::model::Workflow>(),
        Object::Setting(_) | Object::Conflict(_) | Object::Answer(_) | Object::Template(_) => 160,
        // Its numbers and its link's name take less than their text.
        Object::Lease(_) => 48,
    }
}

/// One walk along an index.
#[derive(Default)]
struct Walk {
    slots: Vec<Slot>,
    next: Option<super::Position>,
    total: usize,
}

impl State {
    /// The version at which an object stands, and whether it is there; a deleted one keeps its last.
    pub fn standing(&self, key: &Key) -> (u64, bool) {
        match self.slot(key).and_then(|slot| self.rows.get(slot)) {
            Some(row) => (row.version, true),
            None => (self.gone.get(key).map_or(0, |gone| gone.version), false),
        }
    }

    /// The machines that are known by an anchor.
    pub fn holders(&self, anchor: &AnchorKey) -> Vec<MachineId> {
        let slots = self.machines.holders(anchor);
        let rows = slots.filter_map(|slot| self.rows.get(slot));
        rows.filter_map(|row| match row.key {
            Key::Machine(id) => Some(id),
            _ => None,
        })
        .collect()
    }

    /// The deleted answers that are still remembered, oldest first.
    pub fn gone_answers(&self) -> &BTreeMap<u64, String> {
        &self.gone_answers
    }

    pub fn last_cursor(&self) -> u64 {
        self.log.last
    }

    /// Takes in one object from disk. `body` is left out where there is no room for it.
    pub fn load(&mut self, key: Key, version: u64, keys: Option<Keys>) -> u32 {
        self.enter(key, version, keys, 0)
    }

    /// Takes in a loaded object's body, if it fits.
    pub fn load_body(&mut self, slot: u32, object: Object, encoded: usize) {
        let size = body_bytes(&object, Some(encoded));
        if self.rows.has_room(size) {
            self.rows.fill(slot, object, size);
        }
    }

    pub fn load_gone(&mut self, key: Key, gone: Gone) {
        self.last_order = self.last_order.max(gone.order);
        if let Key::Answer(scope) = &key {
            self.gone_answers.insert(gone.order, scope.clone());
        }
        self.gone.insert(key, gone);
    }

    /// Takes up the log that lies on disk.
    pub fn load_log(&mut self, last: u64, floor: u64, count: u64) {
        self.log.resume(last, floor, count);
    }

    fn apply(&mut self, write: Write, record: u64) {
        match write.outcome {
            Outcome::Put { object, json } => {
                let keys = Keys::of(&object);
                let size = body_bytes(&object, Some(json.len()));
                let slot = self.enter(write.key, write.version, keys, record);
                self.rows.fill(slot, object, size);
            }
            Outcome::Gone { order } => {
                self.leave(&write.key);
                let version = write.version;
                self.load_gone(write.key, Gone { version, order });
            }
            Outcome::Forgotten => {
                self.leave(&write.key);
                self.resurrect(&write.key);
            }
        }
    }

    fn slot(&self, key: &Key) -> Option<Slot> {
        match key {
            Key::Machine(id) => self.machines.slot(*id),
            Key::Setting(key) => self.settings.get(key.as_str()).copied(),
            Key::Conflict(id) => self.conflicts.get(id).copied(),
            Key::Answer(scope) => self.answers.get(scope).copied(),
            Key::Network(link) => self.networks.get(link).copied(),
            Key::Template(name) => self.templates.get(name.as_str()).copied(),
            Key::Lease(link, address) => self.leases.get(link)?.get(address).copied(),
            Key::Workflow(id) => self.workflows.by_id.get(id).copied(),
        }
    }

    fn enter(&mut self, key: Key, version: u64, keys: Option<Keys>, record: u64) -> Slot {
        self.resurrect(&key);
        if let Some(slot) = self.slot(&key) {
            let new = keys.clone();
            let old = self.rows.renew(slot, version, keys, record);
            match (&key, old.as_deref(), new) {
                (Key::Machine(id), Some(Keys::Machine(old)), Some(Keys::Machine(new))) => {
                    self.machines.replace(*id, slot, old, &new);
                }
                (Key::Workflow(id), Some(Keys::Workflow(old)), Some(Keys::Workflow(new))) => {
                    self.workflows.remove(*id, *old);
                    self.workflows.insert(*id, slot, new);
                }
                _ => {}
            }
            return slot;
        }
        let slot = self.rows.insert(key.clone(), version, keys.clone(), record);
        match (key, keys) {
            (Key::Machine(id), Some(Keys::Machine(keys))) => self.machines.insert(id, slot, &keys),
            (Key::Workflow(id), Some(Keys::Workflow(keys))) => {
                self.workflows.insert(id, slot, keys);
            }
            (Key::Setting(key), _) => drop(self.settings.insert(key.to_string(), slot)),
            (Key::Conflict(id), _) => drop(self.conflicts.insert(id, slot)),
            (Key::Answer(scope), _) => drop(self.answers.insert(scope, slot)),
            (Key::Network(link), _) => drop(self.networks.insert(link, slot)),
            (Key::Template(name), _) => drop(self.templates.insert(name.into(), slot)),
            (Key::Lease(link, address), _) => {
                self.leases.entry(link).or_default().insert(address, slot);
            }
            (Key::Machine(_) | Key::Workflow(_), _) => {}
        }
        slot
    }

    fn leave(&mut self, key: &Key) {
        let Some(slot) = self.slot(key) else { return };
        let row = self.rows.remove(slot);
        match key {
            Key::Machine(id) => {
                if let Some(Keys::Machine(keys)) = row.and_then(|row| row.keys).as_deref() {
                    self.machines.remove(*id, slot, keys);
                }
            }
            Key::Setting(key) => drop(self.settings.remove(key.as_str())),
            Key::Conflict(id) => drop(self.conflicts.remove(id)),
            Key::Answer(scope) => drop(self.answers.remove(scope)),
            Key::Network(link) => drop(self.networks.remove(link)),
            Key::Template(name) => drop(self.templates.remove(name.as_str())),
            Key::Lease(link, address) => self.leave_lease(link, *address),
            Key::Workflow(id) => {
                if let Some(Keys::Workflow(keys)) = row.and_then(|row| row.keys).as_deref() {
                    self.workflows.remove(*id, *keys);
                }
            }
        }
    }

    fn leave_lease(&mut self, link: &LinkName, address: Ipv4Addr) {
        let Some(leases) = self.leases.get_mut(link) else {
            return;
        };
        leases.remove(&address);
        if leases.is_empty() {
            self.leases.remove(link);
        }
    }

    fn resurrect(&mut self, key: &Key) {
        if let Some(gone) = self.gone.remove(key) {
            self.gone_answers.remove(&gone.order);
        }
    }

    fn walk(&self, query: &Query) -> Walk {
        let empty = BTreeMap::new();
        let machines = &self.machines;
        match &query.by {
            Index::Machines => along(&machines.by_id, query),
            Index::Name => along(&machines.by_name, query),
            Index::Hostname => along(&machines.by_hostname, query),
            Index::Updated => along(&machines.by_update, query),
            Index::State(state) => along(machines.by_state.get(state).unwrap_or(&empty), query),
            Index::Tag(tag) => along(machines.by_tag.get(tag).unwrap_or(&empty), query),
            Index::Settings => along(&self.settings, query),
            Index::Conflicts => along(&self.conflicts, query),
            Index::Answers => along(&self.answers, query),
            Index::Networks => along(&self.networks, query),
            Index::Templates => along(&self.templates, query),
            Index::Leases(link) => match self.leases.get(link) {
                Some(leases) => along(leases, query),
                None => Walk::default(),
            },
            Index::Workflows => along(&self.workflows.by_id, query),
            Index::WorkflowsOf(machine) => match self.workflows.by_machine.get(machine) {
                Some(workflows) => along(workflows, query),
                None => Walk::default(),
            },
            Index::ActiveWorkflows => along(&self.workflows.active, query),
        }
    }
}

/// Up to a page of slots after the query's place, and the place to go on from when there are more.
fn along<K: Place>(index: &BTreeMap<K, Slot>, query: &Query) -> Walk {
    let limit = query.limit.clamp(1, MAX_PAGE);
    let after = query.after.as_ref().and_then(K::of);
    let range = match (&after, query.descending) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some(place), false) => (Bound::Excluded(place), Bound::Unbounded),
        (Some(place), true) => (Bound::Unbounded, Bound::Excluded(place)),
    };
    let entries = index.range::<K, _>(range);
    let found: Vec<_> = if query.descending {
        entries.rev().take(limit + 1).collect()
    } else {
        entries.take(limit + 1).collect()
    };
    let more = found.len() > limit;
    let page = &found[..found.len().min(limit)];
    Walk {
        slots: page.iter().map(|(_, slot)| **slot).collect(),
        next: page.last().filter(|_| more).map(|(key, _)| key.position()),
        total: index.len(),
    }
}
