//! The people's API, version 1, as types: what is asked, what is answered, and what went wrong.
//!
//! Shared by the web, which serves it, and the command line, which speaks it; the OpenAPI document is made
//! from these types. They are plain words and numbers on purpose: they are a promise to clients, and stay
//! when the model behind them moves.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /api/v1/status` | [`Status`] |
//! | `GET /api/v1/machines?state&tag&os&q&locked&pending&sort&limit&cursor` | [`List`] of [`Machine`] |
//! | `POST /api/v1/machines` with [`AddMachine`] | [`Receipt`] |
//! | `GET /api/v1/machines/{machine}` (id, beginning of an id, MAC or a name) | [`Machine`] |
//! | `PATCH /api/v1/machines/{machine}?confirm` with [`SetMachine`] | [`Receipt`] |
//! | `DELETE /api/v1/machines/{machine}` | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/apply` with [`Apply`] | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/discard` | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/tags` with [`EditTags`] | [`Receipt`] |
//! | `PUT`, `DELETE /api/v1/machines/{machine}/lock` with [`LockMachine`] | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/merge` with [`Merge`] | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/split` with [`Split`] | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/boot-once` with [`BootOnce`], `DELETE` | [`Receipt`] |
//! | `PUT /api/v1/machines/{machine}/loader` with [`SetLoader`] | [`Receipt`] |
//! | `GET /api/v1/machines/{machine}/trace?after` | [`Trace`] |
//! | `GET /api/v1/machines/{machine}/log` | [`MachineLog`] |
//! | `POST /api/v1/machines/{machine}/inspect` | [`Receipt`] |
//! | `POST /api/v1/machines/{machine}/reimage?confirm` with [`Reimage`] | [`Receipt`] |
//! | `GET /api/v1/workflows?machine&active&state&template&limit&cursor` | [`List`] of [`Workflow`] |
//! | `GET /api/v1/workflows/{workflow}` (its id, or its machine) | [`Workflow`] |
//! | `POST /api/v1/workflows/{workflow}/cancel` | [`Receipt`] |
//! | `POST /api/v1/workflows/{workflow}/retry?confirm` with [`Retry`] | [`Receipt`] |
//! | `GET /api/v1/workflow-stats` | [`WorkflowStats`] |
//! | `GET /api/v1/networks`, `GET /api/v1/networks/{link}` | [`List`] of [`Network`], [`Network`] |
//! | `PATCH /api/v1/networks/{link}` with [`SetNetwork`] | [`Receipt`] |
//! | `GET /api/v1/floating-ips` | [`List`] of [`FloatingIp`] |
//! | `PUT /api/v1/floating-ips/{link}` with [`WantFloatingIp`], `DELETE` | [`Receipt`] |
//! | `POST /api/v1/floating-ips/{link}/scan` | [`Scan`] |
//! | `GET /api/v1/leases?link&limit&cursor` | [`List`] of [`Lease`] |
//! | `GET /api/v1/seen` | [`List`] of [`Sighting`] |
//! | `POST /api/v1/seen/{mac}/approve` | [`Receipt`] |
//! | `GET /api/v1/seen/{mac}/trace?after` | [`Trace`] |
//! | `GET /api/v1/conflicts` | [`List`] of [`Conflict`] |
//! | `GET /api/v1/tags` | [`List`] of [`TagCount`] |
//! | `GET /api/v1/settings`, `GET /api/v1/settings/{key}` | [`List`] of [`Setting`], [`Setting`] |
//! | `PUT /api/v1/settings/{key}` with [`SetSetting`], `DELETE` | [`Receipt`] |
//! | `GET /api/v1/images`, `GET /api/v1/images/{image}` | [`List`] of [`Image`], [`Image`] |
//! | `POST /api/v1/images` with [`AddImage`] | [`Receipt`] |
//! | `PUT /api/v1/images/{image}?checksum&pin` with its bytes, `DELETE` | [`Receipt`] |
//! | `GET /api/v1/image-bundle?name`, `PUT` | a tar archive, [`Imported`] |
//! | `PUT`, `DELETE /api/v1/images/{image}/pin` | [`Receipt`] |
//! | `POST /api/v1/images/{image}/refresh` | [`Receipt`] |
//! | `POST /api/v1/images/{image}/verify` | [`ImageVerdict`] |
//! | `GET /api/v1/templates`, `GET /api/v1/templates/{template}` | [`List`] of [`Template`], [`Template`] |
//! | `PUT /api/v1/templates/{template}` with [`PutTemplate`], `DELETE` | [`Receipt`] |
//! | `GET /api/v1/defaults` | [`Defaults`] |
//! | `PATCH /api/v1/defaults` with [`SetDefaults`] | [`Receipt`] |
//! | `GET /api/v1/events?machine&audit&order&limit&cursor` | [`List`] of [`Event`]; as `text/event-stream`, the live stream |
//! | `GET /api/v1/openapi.json` | this, for programs |
//!
//! Every call that changes something takes `?dry_run=true`, `Idempotency-Key`, `If-Match`, `X-Request-Id` and
//! `X-Correlation-Id`. Every error is a [`Problem`]; its `code` decides what a client does about it.
//!
//! The live stream has one [`Event`] per message: `id` is its cursor, `event` its type, `data` its JSON. It goes on
//! after `Last-Event-ID` (or `?cursor=`) and begins at now without one. When events before that place are gone, it
//! sends `event: reset` with [`event::Reset`] and goes on from now: read everything again.

pub mod boot;
pub mod event;
pub mod image;
pub mod machine;
pub mod network;
pub mod problem;
pub mod receipt;
pub mod template;
pub mod workflow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use boot::{BootOnce, SetLoader, Trace};
pub use event::{Actor, Event};
pub use image::{AddImage, Checksums, Image, ImageVerdict, Imported};
pub use machine::{
    AddMachine, Apply, Conflict, EditTags, LockMachine, Machine, MachineLog, Merge, SetMachine,
    Split,
};
pub use network::{FloatingIp, Lease, Link, Network, Scan, SetNetwork, Sighting, WantFloatingIp};
pub use problem::{Code, Problem, TextError};
pub use receipt::{Change, NextStep, Receipt};
pub use template::{Defaults, PutTemplate, SetDefaults, Template};
pub use workflow::{
    Reimage, Retry, Workflow, WorkflowProgress, WorkflowStats, WorkflowStep, WorkflowTally,
};

/// The version that stands in every path.
pub const VERSION: u32 = 1;

/// Some of many, and where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Hand it back as `cursor` to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many there are before any filter but the one on the index; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// How Dragonfly is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub site_name: String,
    /// `installed` or `demo`.
    pub mode: String,
    /// Which of the ways to be installed was found, in words.
    pub installed_by: Option<String>,
    /// What every page shows while this is the demo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    pub started_at: String,
    pub ready: bool,
    /// `redb` or `memory`, with its place.
    pub store: String,
    pub machines: u64,
    pub machines_by_state: std::collections::BTreeMap<String, u64>,
    pub conflicts: u64,
    pub events: u64,
    /// The place of the latest event.
    pub cursor: String,
    pub store_bytes: u64,
    pub store_memory_bytes: u64,
    pub ports: Vec<PortUse>,
    /// The links on which machines boot; none while nothing goes on any wire.
    pub links: Vec<Link>,
    /// Machines that were seen on the wire and are not registered.
    pub seen: u64,
    /// Those of them that wait for a person's approval.
    pub waiting: u64,
}

/// A door that Dragonfly listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortUse {
    pub name: String,
    /// An address and port, or a path.
    pub at: String,
    pub purpose: String,
}

/// A tag and how many machines carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagCount {
    pub tag: String,
    pub machines: u64,
}

/// A setting with what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub default: String,
    /// Whether a person set it.
    pub set: bool,
    pub version: u64,
    pub help: String,
    pub example: String,
}

/// A new value for a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSetting {
    pub value: String,
}
