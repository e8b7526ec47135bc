//! The redb image: the tables at the end of the file, brought up to date by checkpoints.
//!
//! | table | key | value |
//! |---|---|---|
//! | `objects` | kind and id | version and object, or version and deletion |
//! | `events` | place | event |
//! | `subjects` | subject and place; once more under the audit log | whether it is audit |
//! | `meta` | `meta` | schema, last journal record applied, log's end and floor, count of events |

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::record::{
    AUDIT, Op, key_bytes, ops, parse_event, parse_record, seal, subject_row, unseal,
};
use super::storage::{Storage, io_error};
use super::window::Window;
use crate::model::Event;
use crate::store::plan::encode;
use crate::store::read_model::{Backing, Span, SubjectKey, View};
use crate::store::{Key, StoreError, Stored};

pub(super) const OBJECTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("objects");
pub(super) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
pub(super) const SUBJECTS: TableDefinition<&[u8; 25], bool> = TableDefinition::new("subjects");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const META_KEY: &str = "meta";

/// Where the image stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Meta {
    pub schema: u32,
    /// The last journal record that the image holds.
    pub applied: u64,
    /// The place of the last event that there ever was.
    pub cursor: u64,
    /// The place of the last event that retention removed.
    pub floor: u64,
    /// How many events there are.
    pub events: u64,
}

/// The open image. It can be closed and opened again under its readers.
#[derive(Clone)]
pub(super) struct Image {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    base: u64,
    cache: usize,
    database: Arc<RwLock<Arc<Held>>>,
    /// redb has met an error, and could not be opened anew yet.
    broken: Arc<AtomicBool>,
    /// Until it is lifted, writes stay in memory.
    pub window: Arc<Window>,
}

impl Image {
    /// Opens the image, or makes an empty one. Whatever redb writes to mend itself stays in memory until
    /// [`Window::lift`]: a file that turns out to be damaged is left as it is.
    pub fn open(
        path: &Path,
        storage: Arc<dyn Storage>,
        base: u64,
        cache: usize,
    ) -> Result<Self, StoreError> {
        let window = Window::held(storage.clone(), base).map_err(|error| io_error(path, &error))?;
        let window = Arc::new(window);
        let database = open_database(path, &window, cache)?;
        Ok(Self {
            path: path.into(),
            storage,
            base,
            cache,
            database: Arc::new(RwLock::new(Arc::new(database))),
            broken: Arc::default(),
            window,
        })
    }

    /// Opens the image after a look at the checksums of all its pages. redb believes a page that it reads later as
    /// it is, and one with a wrong number of rows would hide the others.
    pub fn open_whole(
        path: &Path,
        storage: Arc<dyn Storage>,
        base: u64,
        cache: usize,
    ) -> Result<Self, StoreError> {
        let image = Self::open(path, storage, base, cache)?;
        let mut held = image
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let database = Arc::get_mut(&mut held).ok_or(StoreError::Closed)?;
        database.verify()?;
        drop(held);
        Ok(image)
    }

    /// Opens the image anew after redb has met an error and refuses to go on. Where that fails, it is tried
    /// again before the next checkpoint or trim.
    pub fn reopen(&self) -> Result<(), StoreError> {
        self.broken.store(true, Ordering::Release);
        let window = Window::open(self.storage.clone(), self.base);
        let database = open_database(&self.path, &Arc::new(window), self.cache)?;
        let mut held = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(database);
        self.broken.store(false, Ordering::Release);
        Ok(())
    }

    /// Has redb look at the checksums of all its pages. Nobody else may hold this image.
    pub fn into_soundness(self) -> Result<bool, StoreError> {
        let path = self.path.clone();
        let held = Arc::into_inner(self.database).map(RwLock::into_inner);
        let held = held.map(|held| held.unwrap_or_else(PoisonError::into_inner));
        let mut held = held.and_then(Arc::into_inner).ok_or(StoreError::Closed)?;
        let database = held.database.as_mut().ok_or(StoreError::Closed)?;
        let checked = guard(&path, || database.check_integrity())?;
        checked.map_err(|error| fault(&path, error))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn database(&self) -> Arc<Held> {
        let held = self.database.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    pub fn reader(&self) -> Result<Reader, StoreError> {
        let held = self.database();
        let database = held.database().map_err(|e| self.fault(e))?;
        let txn = database.begin_read().map_err(|e| self.fault(e))?;
        Ok(Reader {
            path: self.path.clone(),
            txn,
        })
    }

    /// For the one that writes, before it looks.
    pub fn mend(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Acquire) {
            return self.reopen();
        }
        Ok(())
    }

    /// One durable transaction.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let run = || {
            let held = self.database();
            let mut txn = held.database()?.begin_write().map_err(redb::Error::from)?;
            // The allocator's state is saved with each commit, so that an open after a crash need not look
            // at every page.
            txn.set_quick_repair(true);
            let done = change(&txn)?;
            txn.commit().map_err(redb::Error::from)?;
            Ok(done)
        };
        guard(&self.path, run)?.map_err(|error: redb::Error| self.fault(error))
    }

    /// Takes journal records into the tables. Each key is written once, in order.
    pub fn checkpoint(&self, records: &[Vec<u8>], applied: u64) -> Result<Meta, StoreError> {
        self.mend()?;
        let mut objects = BTreeMap::new();
        let mut events = Vec::new();
        for record in records {
            for op in ops(record).map_err(|what| self.damaged(format!("in its journal, {what}")))? {
                match op {
                    Op::Put { key, value } => drop(objects.insert(key, Some(value))),
                    Op::Remove { key } => drop(objects.insert(key, None)),
                    Op::Tell { .. } => events.push(op),
                }
            }
        }
        let mut meta = self.reader()?.meta()?;
        if meta.applied >= applied {
            // An attempt that was taken for failed had landed.
            return Ok(meta);
        }
        meta.applied = applied;
        meta.events += events.len() as u64;
        self.write(|txn| {
            put_objects(txn, objects)?;
            put_events(txn, &events, &mut meta)?;
            put_meta(txn, &meta)?;
            Ok(meta)
        })
    }

    pub fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            what,
        }
    }

    fn fault(&self, error: impl Into<redb::Error>) -> StoreError {
        fault(&self.path, error)
    }
}

impl Backing for Image {
    fn view(&self) -> Result<Box<dyn View>, StoreError> {
        Ok(Box::new(self.reader()?))
    }
}

/// An open database. redb writes once more when it is closed, and what it panics at then stays here.
struct Held {
    path: PathBuf,
    /// None only while it is closed.
    database: Option<Database>,
}

impl Held {
    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

impl Held {
    /// What redb mends here, the journal still holds.
    fn verify(&mut self) -> Result<(), StoreError> {
        let Some(database) = &mut self.database else {
            return Ok(());
        };
        let checked = guard(&self.path, || database.check_integrity())?;
        checked
            .map(drop)
            .map_err(|error| match redb::Error::from(error) {
                redb::Error::Corrupted(what) => StoreError::Damaged {
                    path: self.path.clone(),
                    what: format!(
                        "the checksums of its tables are wrong ({what}); `dragonfly store check` says where"
                    ),
                },
                other => fault(&self.path, other),
            })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let database = self.database.take();
        // Nobody can be told any more; what was acknowledged is in the file, and its next opening looks at it all.
        let _ = guard(&self.path, || drop(database));
    }
}

fn open_database(path: &Path, window: &Arc<Window>, cache: usize) -> Result<Held, StoreError> {
    let window = window.clone();
    let opened = guard(path, move || {
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        builder.create_with_backend(window.backend())
    })?;
    let held = opened.map(|database| Held {
        path: path.into(),
        database: Some(database),
    });
    held.map_err(|error| match error.into() {
        // What redb cannot make sense of, it reports as invalid data, and a cut file as its end.
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Damaged {
                path: path.into(),
                what: format!("in its tables: {error}"),
            }
        }
        other => fault(path, other),
    })
}

/// redb panics on some damage; that too is an error with a name.
pub(super) fn guard<T>(path: &Path, run: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        StoreError::Damaged {
            path: path.into(),
            what: format!(
                "its tables contradict each other ({})",
                text.unwrap_or("no reason given")
            ),
        }
    })
}

pub(super) fn fault(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => io_error(path, &error),
        redb::Error::PreviousIo => StoreError::Io {
            path: path.into(),
            what: "an earlier read or write failed; look at the disk (dmesg, smartctl, df), then restart Dragonfly"
                .into(),
        },
        // A thread panicked inside redb, which it does at damage alone.
        redb::Error::LockPoisoned(_) => StoreError::Damaged {
            path: path.into(),
            what: "its tables contradict each other".into(),
        },
        redb::Error::Corrupted(what) => StoreError::Damaged {
            path: path.into(),
            what: format!("in its tables: {what}"),
        },
        other @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)) => StoreError::Damaged {
            path: path.into(),
            what: other.to_string(),
        },
        other => StoreError::Io {
            path: path.into(),
            what: other.to_string(),
        },
    }
}

fn put_objects(
    txn: &WriteTransaction,
    objects: BTreeMap<&[u8], Option<&[u8]>>,
) -> Result<(), redb::Error> {
    let mut table = txn.open_table(OBJECTS)?;
    for (key, value) in objects {
        match value {
            Some(value) => drop(table.insert(key, value)?),
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

fn put_events(
    txn: &WriteTransaction,
    events: &[Op<'_>],
    meta: &mut Meta,
) -> Result<(), redb::Error> {
    let mut table = txn.open_table(EVENTS)?;
    let mut rows = BTreeMap::new();
    for op in events {
        if let Op::Tell {
            cursor,
            subject,
            audit,
            value,
        } = op
        {
            table.insert(*cursor, *value)?;
            rows.insert(subject_row(*subject, *cursor), *audit);
            if *audit {
                rows.insert(subject_row(AUDIT, *cursor), true);
            }
            meta.cursor = meta.cursor.max(*cursor);
        }
    }
    let mut table = txn.open_table(SUBJECTS)?;
    for (row, audit) in rows {
        table.insert(&row, audit)?;
    }
    Ok(())
}

pub(super) fn put_meta(txn: &WriteTransaction, meta: &Meta) -> Result<(), redb::Error> {
    let value = seal(META_KEY.as_bytes(), &encode(meta));
    txn.open_table(META)?.insert(META_KEY, &value[..])?;
    Ok(())
}

/// Makes the tables of a new store.
pub(super) fn begin(txn: &WriteTransaction, meta: &Meta) -> Result<(), redb::Error> {
    txn.open_table(OBJECTS)?;
    txn.open_table(EVENTS)?;
    txn.open_table(SUBJECTS)?;
    put_meta(txn, meta)
}

/// The tables as they were at one moment.
pub(super) struct Reader {
    path: PathBuf,
    pub txn: ReadTransaction,
}

impl Reader {
    pub fn meta(&self) -> Result<Meta, StoreError> {
        let table = self.txn.open_table(META).map_err(|e| self.fault(e))?;
        let value = table.get(META_KEY).map_err(|e| self.fault(e))?;
        let value = value.ok_or_else(|| self.damaged("its meta record is missing".into()))?;
        let json = unseal(META_KEY.as_bytes(), value.value());
        let meta = json.and_then(|json| serde_json::from_slice(json).map_err(|e| e.to_string()));
        meta.map_err(|what| self.damaged(format!("its meta record is bad: {what}")))
    }

    /// Every object or deletion with its key, in the order of keys.
    pub fn objects(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let table = self.txn.open_table(OBJECTS).map_err(|e| self.fault(e))?;
        for row in table.iter().map_err(|e| self.fault(e))? {
            let (key, value) = row.map_err(|e| self.fault(e))?;
            each(key.value(), value.value())?;
        }
        Ok(())
    }

    /// The events from a place on, until `each` has enough.
    pub fn each_event(
        &self,
        from: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let table = self.txn.open_table(EVENTS).map_err(|e| self.fault(e))?;
        for row in table.range(from..).map_err(|e| self.fault(e))? {
            let (cursor, value) = row.map_err(|e| self.fault(e))?;
            if !each(cursor.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }

    /// How many events of the audit log there are.
    pub fn audit_count(&self) -> Result<u64, StoreError> {
        let table = self.txn.open_table(SUBJECTS).map_err(|e| self.fault(e))?;
        let (low, high) = (subject_row(AUDIT, 0), subject_row(AUDIT, u64::MAX));
        let rows = table
            .range::<&[u8; 25]>(&low..&high)
            .map_err(|e| self.fault(e))?;
        let mut count = 0;
        for row in rows {
            row.map_err(|e| self.fault(e))?;
            count += 1;
        }
        Ok(count)
    }

    /// How many rows the table of subjects has.
    pub fn subject_count(&self) -> Result<u64, StoreError> {
        let table = self.txn.open_table(SUBJECTS).map_err(|e| self.fault(e))?;
        table.len().map_err(|e| self.fault(e))
    }

    pub fn has_subject_row(&self, row: &[u8; 25]) -> Result<bool, StoreError> {
        let table = self.txn.open_table(SUBJECTS).map_err(|e| self.fault(e))?;
        Ok(table.get(row).map_err(|e| self.fault(e))?.is_some())
    }

    /// The places of a subject's events in a span.
    fn places(&self, span: &Span) -> Result<Option<Vec<u64>>, StoreError> {
        let subject = match &span.subject {
            Some(subject) => SubjectKey::from(subject),
            None if span.audit_only => AUDIT,
            None => return Ok(None),
        };
        let table = self.txn.open_table(SUBJECTS).map_err(|e| self.fault(e))?;
        let low = subject_row(subject, span.after.saturating_add(1));
        let high = subject_row(subject, span.before);
        if low >= high {
            return Ok(Some(Vec::new()));
        }
        let rows = table
            .range::<&[u8; 25]>(&low..&high)
            .map_err(|e| self.fault(e))?;
        let mut places = Vec::new();
        let mut take = |row: Result<(redb::AccessGuard<'_, &[u8; 25]>, _), redb::StorageError>| {
            let (row, audit): (_, redb::AccessGuard<'_, bool>) = row.map_err(|e| self.fault(e))?;
            if audit.value() || !span.audit_only {
                let mut place = [0; 8];
                place.copy_from_slice(&row.value()[17..]);
                places.push(u64::from_be_bytes(place));
            }
            Ok::<_, StoreError>(places.len() < span.limit)
        };
        if span.newest_first {
            for row in rows.rev() {
                if !take(row)? {
                    break;
                }
            }
        } else {
            for row in rows {
                if !take(row)? {
                    break;
                }
            }
        }
        Ok(Some(places))
    }

    fn decode(&self, cursor: u64, value: &[u8]) -> Result<Event, StoreError> {
        let place = crate::model::Cursor::from_raw(cursor);
        parse_event(cursor, value).map_err(|what| self.damaged(format!("event {place}: {what}")))
    }

    pub fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            what,
        }
    }

    pub fn fault(&self, error: impl Into<redb::Error>) -> StoreError {
        fault(&self.path, error)
    }

    fn read_object(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let bytes = key_bytes(key);
        let table = self.txn.open_table(OBJECTS).map_err(|e| self.fault(e))?;
        let Some(value) = table.get(&bytes[..]).map_err(|e| self.fault(e))? else {
            return Ok(None);
        };
        let record = parse_record(&bytes, value.value());
        let (_, record) = record
            .map_err(|what| self.damaged(format!("{}: {what}", crate::store::key_text(key))))?;
        Ok(record.object.map(|object| Stored {
            version: record.version,
            object,
        }))
    }

    fn read_events(&self, span: &Span) -> Result<Vec<Event>, StoreError> {
        let table = self.txn.open_table(EVENTS).map_err(|e| self.fault(e))?;
        let mut events = Vec::new();
        if let Some(places) = self.places(span)? {
            for place in places {
                let value = table.get(place).map_err(|e| self.fault(e))?;
                let value =
                    value.ok_or_else(|| self.damaged(format!("event {place} is missing")))?;
                events.push(self.decode(place, value.value())?);
            }
            return Ok(events);
        }
        if span.after.saturating_add(1) >= span.before {
            return Ok(events);
        }
        let rows = table
            .range(span.after + 1..span.before)
            .map_err(|e| self.fault(e))?;
        let mut take =
            |row: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>), _>| {
                let (cursor, value) = row.map_err(|e: redb::StorageError| self.fault(e))?;
                events.push(self.decode(cursor.value(), value.value())?);
                Ok::<_, StoreError>(events.len() < span.limit)
            };
        if span.newest_first {
            for row in rows.rev() {
                if !take(row)? {
                    break;
                }
            }
        } else {
            for row in rows {
                if !take(row)? {
                    break;
                }
            }
        }
        Ok(events)
    }
}

impl View for Reader {
    fn object(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        guard(&self.path, || self.read_object(key))?
    }

    fn events(&self, span: &Span) -> Result<Vec<Event>, StoreError> {
        guard(&self.path, || self.read_events(span))?
    }

    fn floor(&self) -> Result<u64, StoreError> {
        Ok(self.meta()?.floor)
    }
}
