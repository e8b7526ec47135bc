//! What lies on the disk: the files by their digest, and the records that say what they are. Makes room by taking away
//! what was not used for longest and can be had again; what is pinned, uploaded or being read stays.
//!
//! ```text
//! images/blobs/sha256/HEX    whole files, verified
//! images/index/NAME.json     one record per image
//! images/registry/HEX.json   one record per blob or manifest of a registry
//! images/tags/KEY.json       what a registry's tags stood for
//! images/partial/KEY         downloads on their way, KEY.json beside each: how far it has come
//! ```

mod load;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::record::{self, Key, Record};
use super::sums::Summed;
use crate::model::Digest;

pub use room::NoRoom;

/// A whole file. While somebody holds it, it is not taken away.
#[derive(Debug)]
pub struct Blob {
    pub digest: Digest,
    pub bytes: u64,
    pub path: PathBuf,
}

impl Blob {
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

/// A record with what memory alone knows of it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub record: Record,
    /// Why it could not be fetched, the last time that it was tried.
    pub trouble: Option<String>,
}

#[derive(Debug)]
pub struct Stock {
    folder: PathBuf,
    quota: u64,
    state: Mutex<State>,
    /// Records are written one after the other, each as it stands then.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Shown>,
    blobs: BTreeMap<Digest, Arc<Blob>>,
    /// Room that downloads were given, by their key.
    promised: BTreeMap<String, u64>,
    /// Records that differ from what is on the disk in when they were used, and in nothing else.
    stale: BTreeSet<Key>,
}

impl Stock {
    /// Brings the folder in order, makes it where it is not there, and reads what it holds.
    pub fn open(folder: &Path, quota: u64) -> io::Result<Self> {
        let state = load::load(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            quota,
            state: Mutex::new(state),
            writing: Mutex::default(),
        })
    }

    pub fn get(&self, key: &Key) -> Option<Shown> {
        self.state().records.get(key).cloned()
    }

    /// Every record, and whether its bytes are here.
    pub fn all(&self) -> Vec<(Key, Shown, bool)> {
        let state = self.state();
        let here = |record: &Record| {
            let digest = record.digest.as_ref();
            digest.is_some_and(|digest| state.blobs.contains_key(digest))
        };
        let rows = state.records.iter();
        rows.map(|(key, shown)| (key.clone(), shown.clone(), here(&shown.record)))
            .collect()
    }

    /// The file of a record, and the moment written down as its last use.
    pub fn take(&self, key: &Key, now: Timestamp) -> Option<Arc<Blob>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let shown = state.records.get_mut(key)?;
        let blob = state.blobs.get(shown.record.digest.as_ref()?)?.clone();
        shown.record.used_at = Some(now);
        state.stale.insert(key.clone());
        Some(blob)
    }

    /// A file by its digest, whatever it belongs to.
    pub fn blob(&self, digest: &Digest) -> Option<Arc<Blob>> {
        self.state().blobs.get(digest).cloned()
    }

    /// Changes a record in memory, or makes it. What readers see changes at once; [`Self::save`] makes it last.
    pub fn edit(&self, key: &Key, change: impl FnOnce(Option<Shown>) -> Option<Shown>) {
        let mut state = self.state();
        let before = state.records.remove(key);
        if let Some(after) = change(before) {
            state.records.insert(key.clone(), after);
        }
    }

    /// Writes a record down as it stands, or takes its file away where there is none.
    pub fn save(&self, key: &Key) -> io::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.record_path(key);
        let record = {
            let mut state = self.state();
            state.stale.remove(key);
            state.records.get(key).map(|shown| shown.record.clone())
        };
        match record {
            Some(record) => record::write(&path, &record),
            None => record::remove(&path),
        }
    }

    /// Writes down when images were used, as far as that is not on the disk yet.
    pub fn save_uses(&self) {
        let stale = std::mem::take(&mut self.state().stale);
        for key in stale {
            if let Err(error) = self.save(&key) {
                tracing::warn!(?key, %error, "use of an image not written down");
            }
        }
    }

    /// Takes a verified file in: it is on the disk under its digest when this returns.
    pub fn keep(&self, from: &Path, summed: &Summed, bytes: u64) -> io::Result<Arc<Blob>> {
        if let Some(blob) = self.blob(&summed.sha256) {
            record::remove(from)?;
            return Ok(blob);
        }
        let path = self.blob_path(&summed.sha256);
        File::open(from)?.sync_all()?;
        std::fs::rename(from, &path)?;
        record::sync_folder_of(&path)?;
        let blob = Arc::new(Blob {
            digest: summed.sha256.clone(),
            bytes,
            path,
        });
        let mut state = self.state();
        let kept = state.blobs.entry(summed.sha256.clone()).or_insert(blob);
        Ok(Arc::clone(kept))
    }

    /// Takes away what no record speaks of any more, unless it is being read.
    pub fn tidy(&self) {
        let gone = self.state().unspoken();
        for blob in gone {
            if let Err(error) = record::remove(&blob.path) {
                tracing::warn!(blob = %blob.digest, %error, "image not removed");
            }
        }
    }

    /// Takes a file away that is not what its name says.
    pub fn condemn(&self, blob: &Blob) -> io::Result<()> {
        self.state().blobs.remove(&blob.digest);
        record::remove(&blob.path)
    }

    pub fn partial_path(&self, key: &str) -> PathBuf {
        self.folder.join(load::PARTIAL).join(key)
    }

    pub fn tag_path(&self, key: &str) -> PathBuf {
        self.folder.join(load::TAGS).join(format!("{key}.json"))
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(load::BLOBS).join(digest.hex())
    }

    fn record_path(&self, key: &Key) -> PathBuf {
        match key {
            Key::Image(name) => self.folder.join(load::INDEX).join(format!("{name}.json")),
            Key::Registry(digest) => {
                let file = format!("{}.json", digest.hex());
                self.folder.join(load::REGISTRY).join(file)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Strikes out the files that no record speaks of and nobody reads.
    fn unspoken(&mut self) -> Vec<Arc<Blob>> {
        let spoken: BTreeSet<_> = self
            .records
            .values()
            .filter_map(|shown| shown.record.digest.clone())
            .collect();
        let gone: Vec<_> = self
            .blobs
            .values()
            .filter(|blob| !spoken.contains(&blob.digest) && Arc::strong_count(blob) == 1)
            .cloned()
            .collect();
        for blob in &gone {
            self.blobs.remove(&blob.digest);
        }
        gone
    }
}

#[cfg(test)]
mod tests;
