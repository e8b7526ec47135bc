//! A store as JSON lines.

use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FORMAT, Line, Passed, VERSION, hex};
use crate::model::Cursor;
use crate::store::Key;
use crate::store::StoreError;
use crate::store::plan::encode;
use crate::store::redb::{Record, Snapshot};

/// Writes all of the store at `path` to `out`. The store is locked meanwhile, and not changed.
pub fn export(path: &Path, out: impl Write) -> Result<Passed, StoreError> {
    let store = Snapshot::open(path)?;
    let mut passed = Passed::default();
    store.each_record(|_| {
        passed.objects += 1;
        Ok(())
    })?;
    store.each_event(|_| {
        passed.events += 1;
        Ok(())
    })?;
    let mut lines = Lines {
        out: io::BufWriter::new(out),
        hash: Sha256::new(),
    };
    lines.put(&Line::Header {
        format: FORMAT.into(),
        version: VERSION,
        schema: store.meta.schema,
        objects: passed.objects,
        events: passed.events,
        cursor: Cursor::from_raw(store.meta.cursor),
        floor: Cursor::from_raw(store.meta.floor),
    })?;
    store.each_record(|record| {
        let (key, record) = record.map_err(|what| store.damaged(what))?;
        lines.put(&line(key, record))
    })?;
    store
        .each_event(|event| lines.put(&Line::Event(event.map_err(|what| store.damaged(what))?)))?;
    lines.end(passed)?;
    Ok(passed)
}

fn line(key: Key, record: Record) -> Line {
    let version = record.version;
    match record.object {
        Some(object) => Line::Object { version, object },
        None => Line::Deleted {
            key,
            version,
            order: record.gone.unwrap_or_default(),
        },
    }
}

struct Lines<W: Write> {
    out: io::BufWriter<W>,
    hash: Sha256,
}

impl<W: Write> Lines<W> {
    fn put(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut bytes = encode(line);
        bytes.push(b'\n');
        self.hash.update(&bytes);
        self.out.write_all(&bytes).map_err(|error| output(&error))
    }

    fn end(mut self, passed: Passed) -> Result<(), StoreError> {
        let sha256 = hex(&self.hash.finalize_reset());
        let Passed { objects, events } = passed;
        self.put(&Line::Trailer {
            objects,
            events,
            sha256,
        })?;
        self.out.flush().map_err(|error| output(&error))
    }
}

fn output(error: &io::Error) -> StoreError {
    StoreError::Io {
        path: "export".into(),
        what: error.to_string(),
    }
}
