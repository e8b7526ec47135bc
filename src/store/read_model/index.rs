//! The indexes over machines: compact, ordered, in memory.
//!
//! An entry holds a sort key and the slot of a row. Anchors are kept as sixteen bytes each: what is longer is
//! represented by the first half of its SHA-256.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::position::HostName;
use crate::model::{Anchor, Machine, MachineId, StateKind, Tag, Workflow, WorkflowId};
use crate::store::Object;

/// The number of a row.
pub(super) type Slot = u32;

/// An anchor in seventeen bytes: its kind and its value, or half of the value's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct AnchorKey([u8; 17]);

impl From<&Anchor> for AnchorKey {
    fn from(anchor: &Anchor) -> Self {
        let mut key = [0; 17];
        let (kind, bytes) = match anchor {
            Anchor::Hash(hash) => (0, hash.bytes()[..16].to_vec()),
            Anchor::Mac(mac) => (1, mac.octets().to_vec()),
            Anchor::SmbiosUuid(uuid) => (2, uuid.as_bytes().to_vec()),
            Anchor::Name(name) => (3, Sha256::digest(name.as_str())[..16].to_vec()),
        };
        key[0] = kind;
        key[1..=bytes.len()].copy_from_slice(&bytes);
        Self(key)
    }
}

/// What an object is sorted and found by beside its own key.
#[derive(Clone, Debug)]
pub(in crate::store) enum Keys {
    Machine(MachineKeys),
    Workflow(WorkflowKeys),
}

impl Keys {
    /// Those of an object that has any.
    pub fn of(object: &Object) -> Option<Self> {
        match object {
            Object::Machine(machine) => Some(Self::Machine(MachineKeys::of(machine))),
            Object::Workflow(workflow) => Some(Self::Workflow(WorkflowKeys::of(workflow))),
            _ => None,
        }
    }

    /// What they cost in the indexes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Machine(keys) => keys.bytes(),
            Self::Workflow(_) => 200,
        }
    }
}

/// What a workflow is found by.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct WorkflowKeys {
    machine: MachineId,
    active: bool,
}

impl WorkflowKeys {
    fn of(workflow: &Workflow) -> Self {
        Self {
            machine: workflow.machine,
            active: workflow.is_active(),
        }
    }
}

/// Every way to find workflows.
#[derive(Debug, Default)]
pub(super) struct WorkflowIndex {
    pub by_id: BTreeMap<WorkflowId, Slot>,
    /// Never empty for a machine that is in it.
    pub by_machine: BTreeMap<MachineId, BTreeMap<WorkflowId, Slot>>,
    pub active: BTreeMap<WorkflowId, Slot>,
}

impl WorkflowIndex {
    pub fn insert(&mut self, id: WorkflowId, slot: Slot, keys: WorkflowKeys) {
        self.by_id.insert(id, slot);
        let of = self.by_machine.entry(keys.machine).or_default();
        of.insert(id, slot);
        if keys.active {
            self.active.insert(id, slot);
        }
    }

    pub fn remove(&mut self, id: WorkflowId, keys: WorkflowKeys) {
        self.by_id.remove(&id);
        self.active.remove(&id);
        if let Some(of) = self.by_machine.get_mut(&keys.machine) {
            of.remove(&id);
            if of.is_empty() {
                self.by_machine.remove(&keys.machine);
            }
        }
    }
}

/// What a machine is sorted and found by.
#[derive(Clone, Debug)]
pub(in crate::store) struct MachineKeys {
    pub anchors: Box<[AnchorKey]>,
    pub name: Arc<str>,
    hostname: Option<Arc<str>>,
    updated: Timestamp,
    state: StateKind,
    tags: Box<[Tag]>,
}

impl MachineKeys {
    pub fn of(machine: &Machine) -> Self {
        let name = Anchor::Name(machine.config.memorable_name.clone());
        let mut anchors: Vec<_> = machine.identity.anchors().chain([name]).collect();
        anchors.sort();
        anchors.dedup();
        let hostname = machine.config.hostname.as_ref();
        Self {
            anchors: anchors.iter().map(AnchorKey::from).collect(),
            name: machine.name().to_lowercase().into(),
            hostname: hostname.map(|name| name.as_str().into()),
            updated: machine.metadata.updated_at,
            state: machine.status.state.kind(),
            tags: machine.config.tags.iter().cloned().collect(),
        }
    }

    fn host(&self) -> HostName {
        self.hostname
            .clone()
            .map_or(HostName::Missing, HostName::Named)
    }

    /// What this machine costs in the indexes, roughly: its keys, and a slot and a share of a node for each.
    pub fn bytes(&self) -> usize {
        let texts = self.name.len() + self.hostname.as_ref().map_or(0, |name| name.len());
        let tags: usize = self.tags.iter().map(|tag| 80 + tag.as_str().len()).sum();
        320 + texts + tags + self.anchors.len() * 50
    }
}

/// Every way to find machines.
#[derive(Debug, Default)]
pub(super) struct MachineIndex {
    pub by_id: BTreeMap<MachineId, Slot>,
    pub by_name: BTreeMap<(Arc<str>, MachineId), Slot>,
    pub by_hostname: BTreeMap<(HostName, MachineId), Slot>,
    pub by_update: BTreeMap<(Timestamp, MachineId), Slot>,
    pub by_state: BTreeMap<StateKind, BTreeMap<MachineId, Slot>>,
    pub by_tag: BTreeMap<Tag, BTreeMap<MachineId, Slot>>,
    slots: HashMap<MachineId, Slot>,
    anchored: HashMap<AnchorKey, Slot>,
    /// The second and later holders of an anchor: conflicts, so few.
    pub contested: BTreeMap<AnchorKey, Vec<Slot>>,
}

impl MachineIndex {
    pub fn slot(&self, id: MachineId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub fn holders(&self, anchor: &AnchorKey) -> impl Iterator<Item = Slot> {
        let more = self.contested.get(anchor).into_iter().flatten();
        self.anchored.get(anchor).into_iter().chain(more).copied()
    }

    pub fn insert(&mut self, id: MachineId, slot: Slot, keys: &MachineKeys) {
        self.by_id.insert(id, slot);
        self.slots.insert(id, slot);
        for anchor in &keys.anchors {
            self.hold(*anchor, slot);
        }
        self.by_name.insert((keys.name.clone(), id), slot);
        self.by_hostname.insert((keys.host(), id), slot);
        self.by_update.insert((keys.updated, id), slot);
        self.by_state
            .entry(keys.state)
            .or_default()
            .insert(id, slot);
        for tag in &keys.tags {
            self.tag(tag, id, slot);
        }
    }

    pub fn remove(&mut self, id: MachineId, slot: Slot, keys: &MachineKeys) {
        self.by_id.remove(&id);
        self.slots.remove(&id);
        for anchor in &keys.anchors {
            self.release(*anchor, slot);
        }
        self.by_name.remove(&(keys.name.clone(), id));
        self.by_hostname.remove(&(keys.host(), id));
        self.by_update.remove(&(keys.updated, id));
        if let Some(ids) = self.by_state.get_mut(&keys.state) {
            ids.remove(&id);
        }
        for tag in &keys.tags {
            self.untag(tag, id);
        }
    }

    /// Touches only what differs: most commits change one thing of a machine.
    pub fn replace(&mut self, id: MachineId, slot: Slot, old: &MachineKeys, new: &MachineKeys) {
        if old.anchors != new.anchors {
            old.anchors.iter().for_each(|key| self.release(*key, slot));
            new.anchors.iter().for_each(|key| self.hold(*key, slot));
        }
        if old.name != new.name {
            self.by_name.remove(&(old.name.clone(), id));
            self.by_name.insert((new.name.clone(), id), slot);
        }
        if old.hostname != new.hostname {
            self.by_hostname.remove(&(old.host(), id));
            self.by_hostname.insert((new.host(), id), slot);
        }
        if old.updated != new.updated {
            self.by_update.remove(&(old.updated, id));
            self.by_update.insert((new.updated, id), slot);
        }
        if old.state != new.state {
            if let Some(ids) = self.by_state.get_mut(&old.state) {
                ids.remove(&id);
            }
            self.by_state.entry(new.state).or_default().insert(id, slot);
        }
        if old.tags != new.tags {
            old.tags.iter().for_each(|tag| self.untag(tag, id));
            new.tags.iter().for_each(|tag| self.tag(tag, id, slot));
        }
    }

    fn hold(&mut self, anchor: AnchorKey, slot: Slot) {
        match self.anchored.get(&anchor) {
            None => {
                self.anchored.insert(anchor, slot);
            }
            Some(_) => self.contested.entry(anchor).or_default().push(slot),
        }
    }

    fn release(&mut self, anchor: AnchorKey, slot: Slot) {
        let next = match self.contested.get_mut(&anchor) {
            Some(more) if self.anchored.get(&anchor) == Some(&slot) => Some(more.remove(0)),
            Some(more) => {
                more.retain(|other| *other != slot);
                self.anchored.get(&anchor).copied()
            }
            None => None,
        };
        if self.contested.get(&anchor).is_some_and(Vec::is_empty) {
            self.contested.remove(&anchor);
        }
        match next {
            Some(next) => self.anchored.insert(anchor, next),
            None => self.anchored.remove(&anchor),
        };
    }

    fn tag(&mut self, tag: &Tag, id: MachineId, slot: Slot) {
        match self.by_tag.get_mut(tag) {
            Some(ids) => ids.insert(id, slot),
            None => self.by_tag.entry(tag.clone()).or_default().insert(id, slot),
        };
    }

    fn untag(&mut self, tag: &Tag, id: MachineId) {
        if let Some(ids) = self.by_tag.get_mut(tag) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_tag.remove(tag);
            }
        }
    }
}
