//! The nouns of Dragonfly and their rules.
//!
//! Everything here is pure: no I/O, no async, no clock of its own. Bytes and words become these types
//! once, at the edge, and a value of these types cannot be wrong.

pub mod action;
pub mod agent;
pub mod base64;
pub mod boot;
pub mod checksums;
pub mod defaults;
pub mod digest;
pub mod disk;
pub mod edit;
pub mod environment;
pub mod event;
pub mod field;
pub mod identity;
pub mod ids;
pub mod image;
pub mod mac;
pub mod machine;
pub mod names;
pub mod naming;
#[cfg(feature = "server")]
pub mod nearest;
pub mod network;
pub mod oci;
pub mod setting;
pub mod sighting;
pub mod snippets;
pub mod state;
#[cfg(feature = "server")]
pub mod template;
pub mod trace;
pub mod workflow;
#[cfg(feature = "server")]
pub mod yaml;

pub use action::Action;
pub use boot::{
    AgentRecord, Arch, Boot, BootRecord, BootRequest, Decision, LoaderChoice, Once, Platform, Rung,
    decide,
};
pub use checksums::{Checksums, Proof, SigningKey};
pub use defaults::Defaults;
pub use digest::Digest;
pub use disk::DiskRule;
pub use edit::{Field, Patch, Pending};
pub use event::{Actor, ActorKind, Cursor, Event, FieldChange, Subject, What};
pub use field::{
    Bond, BondMode, FieldError, FriendlyName, Hostname, Labels, OsChoice, StaticIp, Tag, VlanId,
};
pub use identity::{Anchor, Conflict, Evidence, Identity, IdentityHash, NicEvidence, NicKind};
pub use ids::{ConflictId, CorrelationId, MachineId, ReceiptId, RequestId, WorkflowId};
pub use image::{ImageChange, ImageName, ImageShelf, KnownImage, SourceUrl};
pub use mac::MacAddr;
pub use machine::{Config, Hardware, Lock, Machine, Metadata, Observed, Source, Status};
pub use names::MemorableName;
pub use naming::NamingRule;
pub use network::{Lease, LinkName, Network, NetworkConfig, NetworkPatch};
pub use setting::{Mode, Setting, SettingKey};
pub use sighting::Sighting;
pub use state::{State, StateKind};
#[cfg(feature = "server")]
pub use template::{Template, TemplateFile};
pub use workflow::Workflow;
