//! Forward migrations: from what an older version wrote to what this one reads.
//!
//! A schema is the shape of the JSON in the tables. A step rewrites every object and event in one transaction
//! together with the schema's number, so a power cut leaves the old shape or the new one.

use redb::{ReadableTable, WriteTransaction};
use serde_json::Value;

use super::image::{EVENTS, Image, Meta, OBJECTS, put_meta};
use super::record::{seal, unseal};
use crate::store::StoreError;
use crate::store::plan::encode;

/// The shape that this version writes.
pub(in crate::store) const SCHEMA: u32 = 3;
/// The oldest shape that reads as this one does: what came since are kinds of objects and of events.
pub(in crate::store) const ALIKE_SINCE: u32 = 1;

/// One step from a schema to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    pub from: u32,
    /// Rewrites `{"version":…,"object":…}`.
    pub object: fn(&mut Value),
    pub event: fn(&mut Value),
}

/// Every step there is, in order. Schema 1 is the first; 2 brought networks and leases, 3 templates and workflows, each
/// of which a program that knows only what was before would take for damage.
pub(super) const MIGRATIONS: &[Migration] = &[new_kinds(1), new_kinds(2)];

/// A step that brought kinds of objects and of events, and changed none that there were.
const fn new_kinds(from: u32) -> Migration {
    Migration {
        from,
        object: |_| (),
        event: |_| (),
    }
}

/// As many values as are held in memory at once.
const CHUNK: usize = 1000;

/// Takes the image to `schema`, or says why it cannot be read.
pub(super) fn migrate(
    image: &Image,
    mut meta: Meta,
    steps: &[Migration],
    schema: u32,
) -> Result<Meta, StoreError> {
    if meta.schema > schema {
        return Err(StoreError::Newer {
            path: image.path().into(),
            found: meta.schema,
            known: schema,
        });
    }
    while meta.schema < schema {
        let step = steps.iter().find(|step| step.from == meta.schema);
        let step =
            step.ok_or_else(|| image.damaged(format!("its schema {} never was", meta.schema)))?;
        meta.schema += 1;
        image
            .write(|txn| {
                let done = objects(txn, step.object)?.and(events(txn, step.event)?);
                put_meta(txn, &meta)?;
                Ok(done)
            })?
            .map_err(|what| image.damaged(what))?;
    }
    Ok(meta)
}

/// A value's own fault, apart from the table's.
type Rewritten = Result<Result<(), String>, redb::Error>;

fn objects(txn: &WriteTransaction, rewrite: fn(&mut Value)) -> Rewritten {
    let mut table = txn.open_table(OBJECTS)?;
    let mut from: Vec<u8> = Vec::new();
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        for row in table.range(&from[..]..)?.take(CHUNK) {
            let (key, value) = row?;
            chunk.push((key.value().to_vec(), value.value().to_vec()));
        }
        let Some((last, _)) = chunk.last() else {
            return Ok(Ok(()));
        };
        from = [last, &[0][..]].concat();
        for (key, value) in chunk {
            match rewritten(&key, &value, rewrite) {
                Ok(value) => drop(table.insert(&key[..], &value[..])?),
                Err(what) => return Ok(Err(what)),
            }
        }
    }
}

fn events(txn: &WriteTransaction, rewrite: fn(&mut Value)) -> Rewritten {
    let mut table = txn.open_table(EVENTS)?;
    let mut from = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        for row in table.range(from..)?.take(CHUNK) {
            let (key, value) = row?;
            chunk.push((key.value(), value.value().to_vec()));
        }
        let Some((last, _)) = chunk.last() else {
            return Ok(Ok(()));
        };
        from = last + 1;
        for (cursor, value) in chunk {
            match rewritten(&cursor.to_be_bytes(), &value, rewrite) {
                Ok(value) => drop(table.insert(cursor, &value[..])?),
                Err(what) => return Ok(Err(what)),
            }
        }
    }
}

fn rewritten(key: &[u8], value: &[u8], rewrite: fn(&mut Value)) -> Result<Vec<u8>, String> {
    let json = unseal(key, value)?;
    let mut value: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    rewrite(&mut value);
    Ok(seal(key, &encode(&value)))
}
