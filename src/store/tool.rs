//! What can be done with a store that nobody runs: check, export, import, compact.
//!
//! An export is JSON lines: a header, every object with its version (and every deletion whose version is
//! remembered), every event, and a trailer with the SHA-256 of all before it. The export of an import is the
//! import, byte for byte.

mod check;
mod export;
mod import;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::check::{CheckReport, check};
pub use self::export::export;
pub use self::import::import;

use super::redb::Snapshot;
use super::{Key, Object, StoreError};
use crate::model::{Cursor, Event};

const FORMAT: &str = "dragonfly export";
/// Grows when an older program would misread the lines.
const VERSION: u32 = 1;

/// One line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "one line at a time")]
enum Line {
    Header {
        format: String,
        version: u32,
        schema: u32,
        objects: u64,
        events: u64,
        cursor: Cursor,
        floor: Cursor,
    },
    Object {
        version: u64,
        object: Object,
    },
    Deleted {
        key: Key,
        version: u64,
        order: u64,
    },
    Event(Event),
    Trailer {
        objects: u64,
        events: u64,
        sha256: String,
    },
}

/// How many objects (deletions included) and events went through a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    pub objects: u64,
    pub events: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// Writes the store anew without the space that is free in it, and puts it in place of the old one. At a power
/// cut either the old or the new one is there, whole. A link to a store stays one.
pub fn compact(path: &Path) -> Result<CompactReport, StoreError> {
    let own = path.canonicalize();
    let old = Snapshot::open(own.as_deref().unwrap_or(path))?;
    let mut new = old.successor()?;
    old.each_record(|record| {
        let (key, record) = record.map_err(|what| old.damaged(what))?;
        new.record(&key, &record)
    })?;
    old.each_event(|event| new.event(event.map_err(|what| old.damaged(what))?))?;
    Ok(CompactReport {
        bytes_before: old.file_bytes()?,
        bytes_after: new.finish(old.meta.cursor, old.meta.floor)?,
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
