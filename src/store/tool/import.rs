//! A new store from JSON lines. Until the trailer was seen and found true, there is no store.

use std::io::{BufRead, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FORMAT, Line, Passed, VERSION, hex};
use crate::model::Cursor;
use crate::store::redb::{ALIKE_SINCE, Builder, Record, SCHEMA};
use crate::store::{Key, StoreError};

/// As many bytes as one line may have: more than any commit could have held.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// Makes a store at `path`, where there must be none, from an export.
pub fn import(input: impl BufRead, path: &Path) -> Result<Passed, StoreError> {
    let mut store = Builder::new(path)?;
    let mut lines = Lines {
        input,
        hash: Sha256::new(),
        number: 0,
    };
    let refused = |number: u64, what: String| StoreError::Import {
        path: path.into(),
        what: format!("line {number} of the export: {what}"),
    };
    let mut log = match lines.next() {
        Ok((Some(header), _)) => Log::begin(header).map_err(|what| refused(1, what))?,
        Ok((None, _)) => return Err(refused(1, "it is empty".into())),
        Err(what) => return Err(refused(1, what)),
    };
    loop {
        let (line, sha256) = lines.next().map_err(|what| refused(lines.number, what))?;
        let what = match line {
            Some(Line::Object { version, object }) => {
                let key = object.key();
                let record = Record {
                    version,
                    object: Some(object),
                    gone: None,
                };
                log.record(&key, version)
                    .map(|()| store.record(&key, &record))
            }
            Some(Line::Deleted {
                key,
                version,
                order,
            }) => {
                let record = Record {
                    version,
                    object: None,
                    gone: Some(order),
                };
                log.record(&key, version)
                    .map(|()| store.record(&key, &record))
            }
            Some(Line::Event(event)) => log.event(event.cursor).map(|()| store.event(event)),
            Some(trailer @ Line::Trailer { .. }) => {
                log.end(&trailer, &sha256)
                    .map_err(|what| refused(lines.number, what))?;
                break;
            }
            Some(Line::Header { .. }) => Err("there is a second header".into()),
            None => Err("it ends without a trailer: it was cut off".into()),
        };
        what.map_err(|what| refused(lines.number, what))??;
    }
    if lines
        .next()
        .map_err(|what| refused(lines.number, what))?
        .0
        .is_some()
    {
        return Err(refused(
            lines.number,
            "there is something behind the trailer".into(),
        ));
    }
    store.finish(log.cursor.raw(), log.floor.raw())?;
    Ok(log.seen)
}

struct Lines<R> {
    input: R,
    hash: Sha256,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line, and the hash of all before it.
    fn next(&mut self) -> Result<(Option<Line>, String), String> {
        self.number += 1;
        let mut bytes = Vec::new();
        let mut limited = self.input.by_ref().take(MAX_LINE + 1);
        limited
            .read_until(b'\n', &mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Ok((None, String::new()));
        }
        if bytes.len() as u64 > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        if bytes.pop() != Some(b'\n') {
            return Err("it has no end: it was cut off".into());
        }
        let line = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let before = hex(&self.hash.clone().finalize());
        self.hash.update(&bytes);
        self.hash.update(b"\n");
        Ok((Some(line), before))
    }
}

/// What the header promised, and what came.
struct Log {
    promised: Passed,
    seen: Passed,
    cursor: Cursor,
    floor: Cursor,
    last: Cursor,
}

impl Log {
    fn begin(header: Line) -> Result<Self, String> {
        let Line::Header {
            format,
            version,
            schema,
            objects,
            events,
            cursor,
            floor,
        } = header
        else {
            return Err("it has no header".into());
        };
        if format != FORMAT {
            return Err(format!(
                "its format is '{}', not '{FORMAT}'",
                format.escape_default()
            ));
        }
        if version != VERSION || !(ALIKE_SINCE..=SCHEMA).contains(&schema) {
            return Err(format!(
                "it is of version {version} and schema {schema}; this program reads version {VERSION} and schemas {ALIKE_SINCE} to {SCHEMA}"
            ));
        }
        Ok(Self {
            promised: Passed { objects, events },
            seen: Passed::default(),
            cursor,
            floor,
            last: Cursor::START,
        })
    }

    fn record(&mut self, key: &Key, version: u64) -> Result<(), String> {
        if self.seen.events > 0 {
            return Err(format!(
                "{} stands behind events",
                super::super::key_text(key)
            ));
        }
        if version == 0 {
            return Err(format!("{} has version 0", super::super::key_text(key)));
        }
        self.seen.objects += 1;
        Ok(())
    }

    fn event(&mut self, cursor: Cursor) -> Result<(), String> {
        if cursor <= self.last || cursor > self.cursor {
            return Err(format!("event {cursor} is out of order"));
        }
        self.last = cursor;
        self.seen.events += 1;
        Ok(())
    }

    fn end(&self, trailer: &Line, hash: &str) -> Result<(), String> {
        let Line::Trailer {
            objects,
            events,
            sha256,
        } = trailer
        else {
            return Err("it has no trailer".into());
        };
        let told = Passed {
            objects: *objects,
            events: *events,
        };
        if told != self.seen || told != self.promised {
            return Err(
                "there are not as many objects and events as header and trailer say".into(),
            );
        }
        if sha256 != hash {
            return Err("its SHA-256 is another: it was edited or damaged".into());
        }
        Ok(())
    }
}
