//! What is kept: small objects and the events that changed them, in one atomic commit.
//!
//! A [`Store`] is a journal behind a read model. Every write is one [`Commit`]: what the writer expects to be
//! true, what it changes, and the events that tell of it; all of it becomes durable, or none of it. Reads are
//! answered from memory, so they are never slower for a write that waits for the disk. Writers that wait
//! together share one sync.
//!
//! Backends: [`redb`] (one file, the default) and [`memory`]. The trait asks nothing that etcd cannot do: the
//! expectations are compares, the changes puts and deletes, and the limits on a commit are etcd's own.

#[cfg(any(test, feature = "lab"))]
pub mod contract;
pub mod memory;
mod plan;
mod read_model;
pub mod redb;
pub mod tool;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    Actor, Anchor, Conflict, ConflictId, CorrelationId, Cursor, Event, Lease, LinkName, Machine,
    MachineId, Network, OsChoice, RequestId, Setting, SettingKey, StateKind, Subject, Tag,
    TemplateFile, What, Workflow, WorkflowId,
};

/// As many expectations, changes and events as one commit may hold together (etcd's default).
pub const MAX_OPERATIONS: usize = 100;
/// As many bytes as one commit may hold, encoded.
pub const MAX_COMMIT_BYTES: usize = 1024 * 1024;
/// As many objects or events as one page may hold.
pub const MAX_PAGE: usize = 1000;

/// The state of Dragonfly, and the only way to change it.
pub trait Store: Send + Sync + 'static {
    /// The backend's name and place, for people.
    fn describe(&self) -> String;

    /// One object with its version.
    fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError>;

    /// The machines that are known by `anchor`; more than one is a conflict.
    fn find(&self, anchor: &Anchor) -> Result<Vec<MachineId>, StoreError>;

    /// The machines that share an anchor, group by group, each group once and at most [`MAX_PAGE`] of them. Writers
    /// that expect anchors to be free never make one; an import may bring some.
    fn contested(&self) -> Result<Vec<Vec<MachineId>>, StoreError>;

    /// Objects in the order of an index, from a place on. One page is one consistent view.
    fn page(&self, query: &Query) -> Result<Page, StoreError>;

    /// Every tag that some machine carries, with how many do.
    fn tags(&self) -> Result<Vec<(Tag, usize)>, StoreError>;

    /// How many objects there are of each kind, and of machines in each state.
    fn counts(&self) -> Result<Counts, StoreError>;

    /// Makes all of `commit` durable, or none of it.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Events after a place, oldest first; or newest first and before a place.
    fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError>;

    /// The place of the last event, and a signal each time it moves.
    fn watch(&self) -> tokio::sync::watch::Receiver<Cursor>;

    /// Removes events as `retention` says, never those of the audit log.
    fn trim(&self, retention: Retention) -> BoxFuture<'_, Result<Trimmed, StoreError>>;

    /// Whether it would take a commit, as far as it knows: after a failed sync it answers reads alone.
    fn health(&self) -> Result<(), StoreError>;

    /// Bytes and counts, for metrics and `doctor`.
    fn stats(&self) -> StoreStats;

    /// Waits until what was accepted is durable, and takes nothing more.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The name of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Key {
    Machine(MachineId),
    Setting(SettingKey),
    Conflict(ConflictId),
    /// The answer that was given to an idempotency key.
    Answer(String),
    Network(LinkName),
    /// An address that was given out on a link.
    Lease(LinkName, Ipv4Addr),
    Workflow(WorkflowId),
    /// A template of a person's own.
    Template(OsChoice),
}

/// One object. Cheap to clone: the body is shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Object {
    Machine(Arc<Machine>),
    Setting(Arc<Setting>),
    Conflict(Arc<Conflict>),
    Answer(Arc<Answer>),
    Network(Arc<Network>),
    Lease(Arc<Lease>),
    Workflow(Arc<Workflow>),
    Template(Arc<TemplateFile>),
}

impl Object {
    pub fn key(&self) -> Key {
        match self {
            Self::Machine(machine) => Key::Machine(machine.id),
            Self::Setting(setting) => Key::Setting(setting.key.clone()),
            Self::Conflict(conflict) => Key::Conflict(conflict.id),
            Self::Answer(answer) => Key::Answer(answer.scope.clone()),
            Self::Network(network) => Key::Network(network.link.clone()),
            Self::Lease(lease) => Key::Lease(lease.link.clone(), lease.address),
            Self::Workflow(workflow) => Key::Workflow(workflow.id),
            Self::Template(template) => Key::Template(template.name.clone()),
        }
    }
}

/// What was answered once, so that the same call again gets the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Actor, route and key in one string.
    pub scope: String,
    /// SHA-256 of the body that was answered, in hexadecimal.
    pub body_hash: String,
    pub at: Timestamp,
    /// The receipt, as it was sent.
    pub receipt: serde_json::Value,
}

/// An object with its version: 1 at its first commit, one more at each that changes it, never a gap. A lease that was
/// deleted begins anew, since there may be a hundred thousand of them and nobody waits for one of their versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub version: u64,
    pub object: Object,
}

/// One atomic write.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub expect: Vec<Expect>,
    pub changes: Vec<Change>,
    pub events: Vec<NewEvent>,
}

/// What has to be true at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The object stands at this version; 0 means that there is none.
    Version(Key, u64),
    /// No machine but the one named is known by this anchor.
    Free(Anchor, Option<MachineId>),
}

/// One object's new life, or its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Put(Object),
    Delete(Key),
}

/// An event before the store gave it its place and its subject's version.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub at: Timestamp,
    pub subject: Subject,
    pub what: What,
    pub audit: bool,
    pub actor: Actor,
    pub request: RequestId,
    pub correlation: CorrelationId,
    pub causation: Option<Cursor>,
}

/// What became durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// The place of the last event, or where the log stood when there was none.
    pub cursor: Cursor,
    /// The version of each object that was put or deleted, in the order of the changes.
    pub versions: Vec<(Key, u64)>,
    pub events: Vec<Event>,
}

/// Which objects, in which order, from where.
#[derive(Clone, Debug)]
pub struct Query {
    pub by: Index,
    pub after: Option<Position>,
    pub limit: usize,
    pub descending: bool,
}

/// An index to walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// Machines by id, which is the order of registration.
    Machines,
    /// Machines by the name that people see, folded to lower case.
    Name,
    /// Machines by host name; those without one come last.
    Hostname,
    /// Machines by last change.
    Updated,
    /// Machines in one state, by id.
    State(StateKind),
    /// Machines that carry a tag, by id.
    Tag(Tag),
    Settings,
    Conflicts,
    Answers,
    /// Networks by the name of their link.
    Networks,
    /// The leases of one link, by address.
    Leases(LinkName),
    /// Workflows by id, which is the order in which they were asked for.
    Workflows,
    /// Those of one machine.
    WorkflowsOf(MachineId),
    /// Those that something may still come of.
    ActiveWorkflows,
    /// Templates by name.
    Templates,
}

/// A place in an index, to go on from. Opaque outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub(crate) String);

impl Position {
    /// For what came back from a client; a place that never was simply finds the next one.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some objects, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub items: Vec<Stored>,
    pub next: Option<Position>,
    /// How many the index holds altogether.
    pub total: usize,
}

/// How many of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub machines: usize,
    pub settings: usize,
    pub conflicts: usize,
    pub answers: usize,
    pub networks: usize,
    pub leases: usize,
    pub workflows: usize,
    pub active_workflows: usize,
    pub templates: usize,
    pub by_state: Vec<(StateKind, usize)>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only after this place (before it, when `newest_first`). None: from the end that comes first.
    pub from: Option<Cursor>,
    pub newest_first: bool,
    pub subject: Option<Subject>,
    pub audit_only: bool,
    /// For a reader that must not miss anything: [`StoreError::Reset`] when events behind `from` are gone.
    pub follow: bool,
    pub limit: usize,
}

/// Some events, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// Hand this back as `from` to go on; also set when nothing was found, so that a watcher moves ahead.
    pub next: Option<Cursor>,
    /// Whether more may follow at once.
    pub more: bool,
}

/// Which events are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub before: Timestamp,
    pub max_count: u64,
}

/// What a trim removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    pub removed: u64,
    /// Readers that stand before this place have missed something.
    pub floor: Cursor,
}

/// Figures of a running store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes on disk.
    pub file_bytes: u64,
    /// Estimated bytes of the read model: indexes and bodies.
    pub memory_bytes: u64,
    pub cached_bodies: u64,
    pub commits: u64,
    /// Syncs to disk; fewer than commits when writers shared one.
    pub syncs: u64,
    pub events: u64,
    pub cursor: Cursor,
    pub floor: Cursor,
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} stands at version {found}, not at {expected}", key_text(.key))]
    Version { key: Key, expected: u64, found: u64 },
    #[error("{anchor} belongs to machine {holder}")]
    Taken { anchor: Anchor, holder: MachineId },
    #[error(
        "commit of {operations} operations and {bytes} bytes is over the limit of {MAX_OPERATIONS} operations and {MAX_COMMIT_BYTES} bytes"
    )]
    TooLarge { operations: usize, bytes: usize },
    #[error("change list names {} twice", key_text(.key))]
    Twice { key: Key },
    #[error("events before {floor} are gone")]
    Reset { floor: Cursor },
    #[error("disk is full at {}: nothing was changed; free some space and try again", .path.display())]
    Full { path: PathBuf },
    #[error("store {} cannot be written: {why}. Look at its owner, its mode and how its disk is mounted", .path.display())]
    ReadOnly { path: PathBuf, why: String },
    #[error("store {} is in use by another process: stop it first", .path.display())]
    Busy { path: PathBuf },
    #[error("store {} is damaged: {what}. It was left as it is; restore a backup, or move it away to begin anew", .path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("file {} is not a Dragonfly store: {what}. It was left as it is", .path.display())]
    Foreign { path: PathBuf, what: String },
    #[error("store {} has schema {found} and this version reads up to {known}: run a newer Dragonfly", .path.display())]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("store {} cannot be imported: {what}. Nothing was changed", .path.display())]
    Import { path: PathBuf, what: String },
    #[error("store {}: {what}", .path.display())]
    Io { path: PathBuf, what: String },
    #[error("store is closing")]
    Closed,
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Machine(id) => format!("machine {id}"),
        Key::Setting(key) => format!("setting {key}"),
        Key::Conflict(id) => format!("conflict {id}"),
        Key::Answer(scope) => format!("answer {scope}"),
        Key::Network(link) => format!("network {link}"),
        Key::Lease(link, address) => format!("lease {address} of network {link}"),
        Key::Workflow(id) => format!("workflow {id}"),
        Key::Template(name) => format!("template {name}"),
    }
}
