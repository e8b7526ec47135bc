//! A whole store to read from end to end, and one to be written from end to end: what the tools work on.
//!
//! A snapshot is the tables with the journal's rest laid over them. Its file is locked and never written to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Layout;
use super::image::{EVENTS, Image, Meta, OBJECTS, SUBJECTS, guard, put_meta};
use super::journal::Found;
use super::migrate::{MIGRATIONS, SCHEMA};
use super::open::{beside, create_on, remove, rename, settle};
use super::record::{
    AUDIT, Op, Record, key_bytes, ops, parse_event, parse_key, parse_record, seal, subject_row,
};
use super::storage::{FileStorage, Storage, io_error};
use crate::model::Event;
use crate::store::plan::encode;
use crate::store::read_model::SubjectKey;
use crate::store::{Key, StoreError, key_text};

/// redb's cache while a tool works.
const CACHE: usize = 16 * 1024 * 1024;
/// As many objects or events as one transaction of a new store takes in.
const BATCH: usize = 1000;

/// A store that is read as a whole.
pub(in crate::store) struct Snapshot {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    layout: Layout,
    image: Image,
    /// Where the log stands, the journal's rest included.
    pub meta: Meta,
    /// What the journal says of objects, where it says it later than the tables.
    objects: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    events: Vec<(u64, Vec<u8>)>,
}

impl Snapshot {
    /// A store whose tables are whole: what is passed on from it lacks nothing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_by(path, true)
    }

    /// A store that may be damaged.
    pub fn open_as_it_is(path: &Path) -> Result<Self, StoreError> {
        Self::open_by(path, false)
    }

    fn open_by(path: &Path, whole: bool) -> Result<Self, StoreError> {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(path, false)?);
        let layout = Layout::read(&*storage, path)?;
        let image = if whole {
            Image::open_whole(path, storage.clone(), layout.image_at(), CACHE)?
        } else {
            Image::open(path, storage.clone(), layout.image_at(), CACHE)?
        };
        let (meta, found) = guard(path, || {
            settle(&image, &*storage, &layout, MIGRATIONS, SCHEMA)
        })??;
        let mut snapshot = Self {
            path: path.into(),
            storage,
            layout,
            image,
            meta,
            objects: BTreeMap::new(),
            events: Vec::new(),
        };
        snapshot.overlay(&found)?;
        Ok(snapshot)
    }

    fn overlay(&mut self, found: &Found) -> Result<(), StoreError> {
        for frame in &found.frames {
            let ops = ops(&frame.payload).map_err(|what| {
                self.damaged(format!("record {} of its journal: {what}", frame.seq))
            })?;
            for op in ops {
                match op {
                    Op::Put { key, value } => {
                        self.objects.insert(key.into(), Some(value.into()));
                    }
                    Op::Remove { key } => {
                        self.objects.insert(key.into(), None);
                    }
                    Op::Tell { cursor, value, .. } => {
                        self.events.push((cursor, value.into()));
                        self.meta.cursor = self.meta.cursor.max(cursor);
                        self.meta.events += 1;
                    }
                }
            }
        }
        Ok(())
    }

    pub fn file_bytes(&self) -> Result<u64, StoreError> {
        self.storage
            .len()
            .map_err(|error| io_error(&self.path, &error))
    }

    pub fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            what,
        }
    }

    /// Every object and remembered deletion in the order of keys, each decoded or with what is wrong with it.
    pub fn each_record(
        &self,
        mut each: impl FnMut(Result<(Key, Record), String>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut decoded = |key: &[u8], value: &[u8]| {
            let name = parse_key(key).map_or_else(|_| "an object".into(), |key| key_text(&key));
            each(parse_record(key, value).map_err(|what| format!("{name}: {what}")))
        };
        let mut later = self.objects.iter().peekable();
        guard(&self.path, || {
            self.image.reader()?.objects(|key, value| {
                while let Some((new, put)) = later.next_if(|(new, _)| &new[..] < key) {
                    put.as_ref().map_or(Ok(()), |value| decoded(new, value))?;
                }
                match later.next_if(|(new, _)| &new[..] == key) {
                    Some((new, Some(value))) => decoded(new, value),
                    Some((_, None)) => Ok(()),
                    None => decoded(key, value),
                }
            })
        })??;
        for (new, put) in later {
            put.as_ref().map_or(Ok(()), |value| decoded(new, value))?;
        }
        Ok(())
    }

    /// Every event, oldest first, each decoded or with what is wrong with it.
    pub fn each_event(
        &self,
        mut each: impl FnMut(Result<Event, String>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut decoded = |cursor: u64, value: &[u8]| {
            let place = crate::model::Cursor::from_raw(cursor);
            each(parse_event(cursor, value).map_err(|what| format!("event {place}: {what}")))
        };
        guard(&self.path, || {
            self.image.reader()?.each_event(0, |cursor, value| {
                decoded(cursor, value)?;
                Ok(true)
            })
        })??;
        for (cursor, value) in &self.events {
            decoded(*cursor, value)?;
        }
        Ok(())
    }

    /// How many rows the table of subjects has, those of the audit log included.
    pub fn subject_rows(&self) -> Result<u64, StoreError> {
        guard(&self.path, || self.image.reader()?.subject_count())?
    }

    /// Whether an event has its rows in the table of subjects.
    pub fn has_subject_rows(&self, event: &Event) -> Result<bool, StoreError> {
        let cursor = event.cursor.raw();
        let own = subject_row(SubjectKey::from(&event.subject), cursor);
        let audit = event.audit.then(|| subject_row(AUDIT, cursor));
        guard(&self.path, || {
            let reader = self.image.reader()?;
            let mut there = true;
            for row in [Some(own), audit].into_iter().flatten() {
                there &= reader.has_subject_row(&row)?;
            }
            Ok(there)
        })?
    }

    /// Whether only the journal holds an event.
    pub fn is_in_journal(&self, event: &Event) -> bool {
        let first = self.events.first();
        first.is_some_and(|(first, _)| event.cursor.raw() >= *first)
    }

    /// What redb says of its own pages.
    pub fn pages_are_sound(&self) -> Result<bool, StoreError> {
        let held = Image::open(
            &self.path,
            self.storage.clone(),
            self.layout.image_at(),
            CACHE,
        )?;
        held.into_soundness()
    }

    /// An empty store of the same shape, to replace this one.
    pub fn successor(&self) -> Result<Builder, StoreError> {
        let temporary = beside(&self.path, "compact");
        let layout = Layout::new(self.layout.half);
        Builder::begin(temporary, self.path.clone(), layout, true)
    }
}

/// A store that is written as a whole. It has its name only once it is finished; dropped before, it is gone.
pub(in crate::store) struct Builder {
    temporary: PathBuf,
    path: PathBuf,
    storage: Arc<dyn Storage>,
    image: Option<Image>,
    meta: Meta,
    replace: bool,
    objects: BTreeMap<Vec<u8>, Vec<u8>>,
    events: Vec<Event>,
    finished: bool,
}

impl Builder {
    /// A store at a path where there is none.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::Import {
                path: path.into(),
                what: "something is there already; move it away first".into(),
            });
        }
        let layout = Layout::new(super::layout::HALF_BYTES);
        Self::begin(beside(path, "new"), path.into(), layout, false)
    }

    fn begin(
        temporary: PathBuf,
        path: PathBuf,
        layout: Layout,
        replace: bool,
    ) -> Result<Self, StoreError> {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::temporary(&temporary)?);
        let mut builder = Self {
            temporary,
            path,
            storage,
            image: None,
            meta: Meta::default(),
            replace,
            objects: BTreeMap::new(),
            events: Vec::new(),
            finished: false,
        };
        create_on(&builder.storage, &builder.path, layout, |_| Ok(()))?;
        builder.image = Some(Image::open(
            &builder.path,
            builder.storage.clone(),
            layout.image_at(),
            CACHE,
        )?);
        builder
            .image()?
            .window
            .lift()
            .map_err(|error| io_error(&builder.path, &error))?;
        Ok(builder)
    }

    fn image(&self) -> Result<&Image, StoreError> {
        self.image.as_ref().ok_or(StoreError::Closed)
    }

    pub fn record(&mut self, key: &Key, record: &Record) -> Result<(), StoreError> {
        let key = key_bytes(key);
        let value = seal(&key, &encode(record));
        self.objects.insert(key, value);
        if self.objects.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    pub fn event(&mut self, event: Event) -> Result<(), StoreError> {
        self.events.push(event);
        if self.events.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let objects = std::mem::take(&mut self.objects);
        let events = std::mem::take(&mut self.events);
        self.image()?.write(|txn| {
            let mut table = txn.open_table(OBJECTS)?;
            for (key, value) in &objects {
                table.insert(&key[..], &value[..])?;
            }
            let mut table = txn.open_table(EVENTS)?;
            let mut rows = txn.open_table(SUBJECTS)?;
            for event in &events {
                let cursor = event.cursor.raw();
                let value = seal(&cursor.to_be_bytes(), &encode(event));
                table.insert(cursor, &value[..])?;
                rows.insert(
                    &subject_row(SubjectKey::from(&event.subject), cursor),
                    event.audit,
                )?;
                if event.audit {
                    rows.insert(&subject_row(AUDIT, cursor), true)?;
                }
            }
            Ok(())
        })?;
        self.meta.events += events.len() as u64;
        Ok(())
    }

    /// Writes where the log stands, makes all of it durable, and gives the file its name.
    pub fn finish(mut self, cursor: u64, floor: u64) -> Result<u64, StoreError> {
        let path = self.path.clone();
        let fault = |error| io_error(&path, &error);
        self.flush()?;
        self.meta.schema = SCHEMA;
        self.meta.cursor = cursor;
        self.meta.floor = floor;
        let meta = self.meta;
        self.image()?.write(|txn| put_meta(txn, &meta))?;
        // Closing it lets redb give back the pages that it kept in reserve.
        self.image = None;
        self.storage.sync().map_err(fault)?;
        if !self.replace && self.path.symlink_metadata().is_ok() {
            return Err(StoreError::Import {
                path: self.path.clone(),
                what: "something appeared there meanwhile".into(),
            });
        }
        rename(&self.temporary, &self.path)?;
        self.finished = true;
        self.storage.len().map_err(fault)
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.image = None;
        if !self.finished {
            // What cannot be removed is overwritten by the next attempt.
            let _ = remove(&self.temporary);
        }
    }
}
