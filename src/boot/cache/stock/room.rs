//! Room for what comes: within the quota, and without filling the disk that the store is on.

use std::io;
use std::sync::Arc;

use nix::sys::statvfs::statvfs;

use super::super::record::{self, Key};
use super::{Blob, State, Stock};

/// So much of the disk, and no more than [`MOST_LEFT`], is left to the store and to everybody else.
const LEFT_PART: u64 = 20;
const MOST_LEFT: u64 = 1024 * 1024 * 1024;

/// Why there is no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    #[error(
        "{wanted} bytes do not fit into the quota of {quota} bytes: what is left is pinned, uploaded or in use; \
         raise images.quota, or remove something: dragonfly image rm"
    )]
    Quota { wanted: u64, quota: u64 },
    #[error("the disk has no room for {wanted} more bytes: free some space")]
    Disk { wanted: u64 },
    #[error("the disk cannot be asked for its room: {0}")]
    Unknown(String),
}

impl Stock {
    /// Promises `bytes` to the download of this key, and takes away for it what can go. The promise stands until
    /// [`Self::forget`].
    pub fn make_room(&self, key: &str, bytes: u64) -> Result<(), NoRoom> {
        let mut gone = Vec::new();
        let made = self.find_room(key, bytes, &mut gone);
        for key in gone {
            if let Err(error) = self.save(&key) {
                tracing::warn!(?key, %error, "record of a removed image not written");
            }
        }
        made
    }

    pub fn forget(&self, key: &str) {
        self.state().promised.remove(key);
    }

    /// Bytes of everything that is here, and as many as may be.
    pub fn fill(&self) -> (u64, u64) {
        (self.state().used(), self.quota)
    }

    fn find_room(&self, key: &str, bytes: u64, gone: &mut Vec<Key>) -> Result<(), NoRoom> {
        let mut state = self.state();
        let had = state.promised.remove(key).unwrap_or_default();
        let more = bytes.saturating_sub(had);
        loop {
            let fits = state.used().saturating_add(bytes) <= self.quota;
            if fits && self.disk_has(more)? {
                state.promised.insert(key.to_owned(), bytes);
                return Ok(());
            }
            let Some(blob) = state.oldest() else {
                state.promised.insert(key.to_owned(), had);
                return Err(if fits {
                    NoRoom::Disk { wanted: more }
                } else {
                    let quota = self.quota;
                    let wanted = bytes;
                    NoRoom::Quota { wanted, quota }
                });
            };
            gone.extend(state.evict(&blob));
            tracing::info!(blob = %blob.digest, bytes = blob.bytes, "image removed to make room");
            record::remove(&blob.path).map_err(|error| NoRoom::Unknown(error.to_string()))?;
        }
    }

    fn disk_has(&self, bytes: u64) -> Result<bool, NoRoom> {
        let disk = statvfs(&self.folder)
            .map_err(|error| NoRoom::Unknown(io::Error::from(error).to_string()))?;
        let whole = disk.blocks() * disk.fragment_size();
        let free = disk.blocks_available() * disk.fragment_size();
        let left = (whole / LEFT_PART).min(MOST_LEFT);
        Ok(bytes.saturating_add(left) <= free)
    }
}

impl State {
    fn used(&self) -> u64 {
        let kept = self.blobs.values().map(|blob| blob.bytes);
        kept.chain(self.promised.values().copied()).sum()
    }

    /// Of those that can go and that nobody reads, the one that was not used for longest.
    fn oldest(&self) -> Option<Arc<Blob>> {
        let idle = self
            .blobs
            .values()
            .filter(|blob| Arc::strong_count(blob) == 1);
        let ranked = idle.filter_map(|blob| {
            let own = self
                .records
                .values()
                .filter(|shown| shown.record.digest.as_ref() == Some(&blob.digest));
            let stays = own.clone().any(|shown| !shown.record.can_go());
            let used = own.filter_map(|shown| shown.record.used_at.or(shown.record.fetched_at));
            (!stays).then(|| (used.max(), blob))
        });
        let oldest = ranked.min_by_key(|(used, blob)| (*used, &blob.digest));
        oldest.map(|(_, blob)| Arc::clone(blob))
    }

    /// Strikes a file out. Images keep their record, and are fetched again when they are asked for.
    fn evict(&mut self, blob: &Blob) -> Vec<Key> {
        self.blobs.remove(&blob.digest);
        let of_registry = Key::Registry(blob.digest.clone());
        let removed = self.records.remove(&of_registry);
        removed.map(|_| of_registry).into_iter().collect()
    }
}
