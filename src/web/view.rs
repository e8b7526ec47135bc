//! How the nouns look to clients: written straight from the shared objects into JSON, without a copy.
//!
//! The shapes are those of [`crate::api`]; a test reads each view back as its type and compares.

mod boot;
mod event;
mod hardware;
mod machine;
mod network;
mod workflow;

pub use boot::{diagnosis, state_of, step};
pub use event::{EventView, line, receipt};
pub use hardware::log;
pub use machine::{MachineView, TYPICAL_BYTES, conflict};
pub use network::{floating_ip, lease, link, network, scan, sighting};
pub use workflow::{tally, workflow};

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// A page of things that are shown one after the other.
#[derive(Debug, Serialize)]
pub struct Page<I: Clone + IntoIterator<Item: Serialize>> {
    #[serde(serialize_with = "each")]
    pub items: I,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

fn each<I: Clone + IntoIterator<Item: Serialize>, S: Serializer>(
    items: &I,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.clone())
}

/// Something that is shown as its text.
#[derive(Clone, Copy, Debug)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A row of texts.
struct Texts<I>(I);

impl<I: Clone + Iterator<Item: Display>> Serialize for Texts<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone().map(Text))
    }
}
