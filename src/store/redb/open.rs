//! Making a store, and opening one: header, image, journal, and the read model from both.
//!
//! Nothing is written before everything was found good; see [`super::window`].

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use super::image::{Image, Meta, Reader, begin};
use super::journal::{self, Journal};
use super::layout::Layout;
use super::migrate::{MIGRATIONS, Migration, SCHEMA, migrate};
use super::record::{Record, decode_commit, parse_record};
use super::storage::{Counted, FileStorage, Storage, io_error, sync_directory};
use super::{Options, image};
use crate::store::read_model::{Gone, Keys, ReadModel, State};
use crate::store::{Key, StoreError};

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
    let image = Image::open_whole(path, storage.clone(), base, options.cache_bytes)?;
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

/// As many rows as a decoder is handed at once, and as many such batches as are on their way for each decoder.
const BATCH: usize = 256;
const AHEAD: usize = 4;
/// As many decoders as there are at most: one reader cannot feed more.
const MAX_DECODERS: usize = 4;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;
type Decoded = Result<Vec<Loaded>, StoreError>;

/// One row, decoded.
struct Loaded {
    key: Key,
    record: Record,
    keys: Option<Keys>,
    bytes: usize,
}

/// Fills the read model from the tables. Decoding is most of the work, so it is shared by threads.
fn load(image: &Image, model: &ReadModel, meta: &Meta) -> Result<(), StoreError> {
    let reader = image.reader()?;
    let decoders = std::thread::available_parallelism().map_or(1, usize::from);
    let mut result = Ok(());
    model.load(|state| {
        state.load_log(meta.cursor, meta.floor, meta.events);
        result = load_objects(image, &reader, state, decoders.min(MAX_DECODERS));
    });
    result
}

/// This thread reads rows and takes in what was decoded; it never waits for a decoder while one waits for it.
fn load_objects(
    image: &Image,
    reader: &Reader,
    state: &mut State,
    decoders: usize,
) -> Result<(), StoreError> {
    // No more than this is on its way, so nobody waits to hand something over.
    let ahead = decoders * AHEAD;
    let (give, queue) = mpsc::sync_channel::<Rows>(ahead + 1);
    let (done, decoded) = mpsc::sync_channel::<Decoded>(ahead + 1);
    let queue = &Mutex::new(queue);
    std::thread::scope(|scope| {
        // Dropped at the end, however that comes, so that the decoders end too.
        let give = give;
        for _ in 0..decoders {
            let done = done.clone();
            scope.spawn(move || decode_batches(image, queue, &done));
        }
        drop(done);
        let mut rows = Rows::with_capacity(BATCH);
        let mut waiting = 0;
        reader.objects(|key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            if rows.len() < BATCH {
                return Ok(());
            }
            while waiting >= ahead {
                waiting -= 1;
                take_in(state, &decoded)?;
            }
            waiting += 1;
            give.send(std::mem::replace(&mut rows, Rows::with_capacity(BATCH)))
                .map_err(|_| StoreError::Closed)
        })?;
        give.send(rows).map_err(|_| StoreError::Closed)?;
        drop(give);
        for _ in 0..=waiting {
            take_in(state, &decoded)?;
        }
        Ok(())
    })
}

fn decode_batches(image: &Image, queue: &Mutex<Receiver<Rows>>, done: &SyncSender<Decoded>) {
    loop {
        let rows = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(rows) = rows else { return };
        let decoded = rows
            .into_iter()
            .map(|(key, value)| decode(image, &key, &value));
        if done.send(decoded.collect()).is_err() {
            return;
        }
    }
}

fn decode(image: &Image, key: &[u8], value: &[u8]) -> Result<Loaded, StoreError> {
    let (key, record) = parse_record(key, value).map_err(|what| {
        let name = super::record::parse_key(key).map(|key| crate::store::key_text(&key));
        image.damaged(format!("{}: {what}", name.unwrap_or("an object".into())))
    })?;
    let keys = record.object.as_ref().and_then(Keys::of);
    Ok(Loaded {
        key,
        record,
        keys,
        bytes: value.len(),
    })
}

fn take_in(state: &mut State, decoded: &Receiver<Decoded>) -> Result<(), StoreError> {
    let batch = decoded.recv().map_err(|_| StoreError::Closed)??;
    for row in batch {
        let (key, record) = (row.key, row.record);
        if let Some(object) = record.object {
            let slot = state.load(key, record.version, row.keys);
            state.load_body(slot, object, row.bytes);
        } else {
            let order = record.gone.unwrap_or_default();
            let version = record.version;
            state.load_gone(key, Gone { version, order });
        }
    }
    Ok(())
}
