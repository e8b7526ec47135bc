//! Making a store, and opening one: header, image, journal, and the read model from both.
//!
//! Nothing is written before everything was found good; see [`super::window`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::{Image, Meta, begin};
use super::journal::{self, Journal};
use super::layout::Layout;
use super::migrate::{MIGRATIONS, Migration, SCHEMA, migrate};
use super::record::{decode_commit, parse_record};
use super::storage::{Counted, FileStorage, Storage, io_error, sync_directory};
use super::{Options, image};
use crate::store::read_model::{Gone, MachineKeys, ReadModel, State};
use crate::store::{Object, StoreError};

/// A store that was found good.
pub(super) struct Opened {
    pub storage: Arc<Counted>,
    pub layout: Layout,
    pub image: Image,
    pub model: ReadModel,
    pub journal: Journal,
    /// What the half holds that is not written to, where the image does not hold it yet.
    pub sealed: Vec<Vec<u8>>,
}

/// Makes an empty store at `path`, which appears whole or not at all.
pub(super) fn create(path: &Path, half: u64) -> Result<(), StoreError> {
    let temporary = beside(path, "new");
    // Its lock is held until it has its name.
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::temporary(&temporary)?);
    if path.symlink_metadata().is_ok() {
        // Another process was quicker.
        return remove(&temporary);
    }
    let made = create_on(&storage, path, Layout::new(half), |_| Ok(()));
    if let Err(error) = made {
        remove(&temporary)?;
        return Err(error);
    }
    rename(&temporary, path)
}

pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    std::fs::remove_file(path).map_err(|error| io_error(path, &error))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(|error| io_error(to, &error))?;
    sync_directory(to)
}

/// A hidden neighbour of `path`.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}"))
}

/// Writes an empty store; the header comes last, so that an unfinished one is none.
pub(super) fn create_on(
    storage: &Arc<dyn Storage>,
    path: &Path,
    layout: Layout,
    fill: impl FnOnce(&Image) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let fault = |error| io_error(path, &error);
    storage.set_len(layout.image_at()).map_err(fault)?;
    let mut at = 0;
    while at < layout.image_at() {
        let len = (layout.image_at() - at).min(ZEROS.len() as u64);
        let zeros = &ZEROS[..usize::try_from(len).unwrap_or_default()];
        storage.write_at(zeros, at).map_err(fault)?;
        at += len;
    }
    let image = Image::open(path, storage.clone(), layout.image_at(), 16 * 1024 * 1024)?;
    image.window.lift().map_err(fault)?;
    let meta = Meta {
        schema: SCHEMA,
        ..Meta::default()
    };
    image.write(|txn| begin(txn, &meta))?;
    fill(&image)?;
    drop(image);
    storage.sync().map_err(fault)?;
    storage.write_at(&layout.encode(), 0).map_err(fault)?;
    storage.sync().map_err(fault)
}

/// Whether a storage holds nothing, or a store whose making was cut short.
#[cfg(any(test, feature = "lab"))]
pub(super) fn is_blank(storage: &dyn Storage, path: &Path) -> Result<bool, StoreError> {
    let fault = |error| io_error(path, &error);
    let len = storage.len().map_err(fault)?;
    let mut header = vec![0; usize::try_from(len.min(4096)).unwrap_or_default()];
    storage.read_at(&mut header, 0).map_err(fault)?;
    Ok(header.iter().all(|byte| *byte == 0))
}

/// Opens what a storage holds, and brings an older schema up to date.
pub(super) fn open(storage: Arc<dyn Storage>, options: &Options) -> Result<Opened, StoreError> {
    open_as(storage, options, MIGRATIONS, SCHEMA)
}

pub(super) fn open_as(
    storage: Arc<dyn Storage>,
    options: &Options,
    steps: &[Migration],
    schema: u32,
) -> Result<Opened, StoreError> {
    let path = &options.path;
    let fault = |error| io_error(path, &error);
    let storage = Arc::new(Counted::new(storage));
    let layout = Layout::read(&*storage, path)?;
    let base = layout.image_at();
    let image = Image::open(path, storage.clone(), base, options.cache_bytes)?;
    let (meta, found) = image::guard(path, || settle(&image, &*storage, &layout, steps, schema))??;
    let model = ReadModel::bounded(Box::new(image.clone()), options.body_bytes);
    image::guard(path, || load(&image, &model, &meta))??;
    for frame in &found.frames {
        let planned = decode_commit(&frame.payload).map_err(|what| {
            image.damaged(format!("record {} of its journal: {what}", frame.seq))
        })?;
        model.apply(vec![planned], frame.seq);
    }
    image.window.lift().map_err(fault)?;
    if !found.frames.is_empty() {
        // What a killed process had written is about to be shown, so it has to stay.
        storage.sync().map_err(fault)?;
    }
    let (journal, sealed) = Journal::resume(storage.clone(), layout, meta.applied, found);
    Ok(Opened {
        storage,
        layout,
        image,
        model,
        journal,
        sealed,
    })
}

/// Reads the journal and migrates. Records of an older schema go into the tables first, as they are.
pub(super) fn settle(
    image: &Image,
    storage: &dyn Storage,
    layout: &Layout,
    steps: &[Migration],
    schema: u32,
) -> Result<(Meta, journal::Found), StoreError> {
    let mut meta = image.reader()?.meta()?;
    let found = journal::read(storage, layout, meta.applied);
    let found = found.map_err(|error| io_error(image.path(), &error))?;
    let mut found = found.map_err(|what| image.damaged(what))?;
    if meta.schema < schema {
        let records: Vec<_> = found.frames.drain(..).collect();
        if let Some(last) = records.last().map(|frame| frame.seq) {
            let payloads: Vec<_> = records.into_iter().map(|frame| frame.payload).collect();
            meta = image.checkpoint(&payloads, last)?;
        }
    }
    Ok((migrate(image, meta, steps, schema)?, found))
}

/// Fills the read model from the tables.
fn load(image: &Image, model: &ReadModel, meta: &Meta) -> Result<(), StoreError> {
    let reader = image.reader()?;
    let mut result = Ok(());
    model.load(|state| {
        state.load_log(meta.cursor, meta.floor, meta.events);
        result = reader.objects(|key, value| load_object(image, state, key, value));
    });
    result
}

fn load_object(
    image: &Image,
    state: &mut State,
    key: &[u8],
    value: &[u8],
) -> Result<(), StoreError> {
    let record = parse_record(key, value);
    let (key, record) = record.map_err(|what| {
        let name = super::record::parse_key(key).map(|key| crate::store::key_text(&key));
        image.damaged(format!("{}: {what}", name.unwrap_or("an object".into())))
    })?;
    match record.object {
        Some(object) => {
            let keys = match &object {
                Object::Machine(machine) => Some(MachineKeys::of(machine)),
                _ => None,
            };
            let slot = state.load(key, record.version, keys);
            state.load_body(slot, object, value.len());
        }
        None => state.load_gone(
            key,
            Gone {
                version: record.version,
                order: record.gone.unwrap_or_default(),
            },
        ),
    }
    Ok(())
}
