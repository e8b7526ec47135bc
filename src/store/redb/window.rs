//! The part of the file that redb sees, and a curtain before it.
//!
//! redb mends its image when it opens it after a crash. While the curtain is down, what it writes stays in
//! memory, so that nothing is written to a file before all of it was found good; [`Window::lift`] then writes
//! it in the order in which redb did, syncs included. A reader of a file that is not ours to change never lifts.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::storage::Storage;

const BLOCK: u64 = 4096;

/// A view of a storage from `base` on.
#[derive(Debug)]
pub(super) struct Window {
    storage: Arc<dyn Storage>,
    base: u64,
    curtain: Mutex<Option<Curtain>>,
}

/// What was written and not passed on.
#[derive(Debug)]
struct Curtain {
    len: u64,
    blocks: HashMap<u64, Box<[u8]>>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Window {
    /// Passes everything on.
    pub fn open(storage: Arc<dyn Storage>, base: u64) -> Self {
        Self {
            storage,
            base,
            curtain: Mutex::new(None),
        }
    }

    /// Keeps writes to itself until it is lifted.
    pub fn held(storage: Arc<dyn Storage>, base: u64) -> io::Result<Self> {
        let len = storage.len()?.saturating_sub(base);
        let window = Self::open(storage, base);
        *window.curtain() = Some(Curtain {
            len,
            blocks: HashMap::new(),
            steps: Vec::new(),
        });
        Ok(window)
    }

    /// What redb is given.
    pub fn backend(self: &Arc<Self>) -> impl StorageBackend {
        Seen(self.clone())
    }

    /// Does what was held back, and from then on passes everything on.
    pub fn lift(&self) -> io::Result<()> {
        let mut held = self.curtain();
        let Some(curtain) = held.as_ref() else {
            return Ok(());
        };
        for step in &curtain.steps {
            match step {
                Step::Write(offset, bytes) => self.storage.write_at(bytes, self.base + offset)?,
                Step::SetLen(len) => self.storage.set_len(self.base + len)?,
                Step::Sync => self.storage.sync()?,
            }
        }
        *held = None;
        Ok(())
    }

    fn curtain(&self) -> MutexGuard<'_, Option<Curtain>> {
        self.curtain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Curtain {
    /// Overlays what was read at `offset` with what was written since.
    fn show(&self, offset: u64, out: &mut [u8]) {
        let end = offset + out.len() as u64;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            if let Some(bytes) = self.blocks.get(&block) {
                let start = block * BLOCK;
                let (from, to) = (offset.max(start), end.min(start + BLOCK));
                let size = |value: u64| usize::try_from(value).unwrap_or_default();
                out[size(from - offset)..size(to - offset)]
                    .copy_from_slice(&bytes[size(from - start)..size(to - start)]);
            }
        }
    }
}

/// redb's own face of a [`Window`].
#[derive(Debug)]
struct Seen(Arc<Window>);

impl Seen {
    /// What the storage holds, and zeros where it ends.
    fn below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let len = self.0.storage.len()?.saturating_sub(self.0.base);
        let here = len.saturating_sub(offset).min(out.len() as u64);
        let (here, beyond) = out.split_at_mut(usize::try_from(here).unwrap_or_default());
        beyond.fill(0);
        if here.is_empty() {
            return Ok(());
        }
        self.0.storage.read_at(here, self.0.base + offset)
    }
}

impl StorageBackend for Seen {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.curtain() {
            Some(curtain) => Ok(curtain.len),
            None => Ok(self.0.storage.len()?.saturating_sub(self.0.base)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.0.curtain();
        let Some(curtain) = &*held else {
            drop(held);
            return self.0.storage.read_at(out, self.0.base + offset);
        };
        if offset + out.len() as u64 > curtain.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.below(offset, out)?;
        curtain.show(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut held = self.0.curtain();
        let Some(curtain) = &mut *held else {
            drop(held);
            return self.0.storage.set_len(self.0.base + len);
        };
        if len < curtain.len {
            // Should it grow again, what was cut off reads as zero.
            for block in len / BLOCK..curtain.len.div_ceil(BLOCK) {
                let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or_default()];
                let keep = usize::try_from(len.saturating_sub(block * BLOCK).min(BLOCK));
                let keep = keep.unwrap_or_default();
                if keep > 0 {
                    self.below(block * BLOCK, &mut bytes[..keep])?;
                    curtain.show(block * BLOCK, &mut bytes[..keep]);
                }
                curtain.blocks.insert(block, bytes.into());
            }
        }
        curtain.len = len;
        curtain.steps.push(Step::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut held = self.0.curtain();
        let Some(curtain) = &mut *held else {
            drop(held);
            return self.0.storage.sync();
        };
        curtain.steps.push(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut held = self.0.curtain();
        let Some(curtain) = &mut *held else {
            drop(held);
            return self.0.storage.write_at(data, self.0.base + offset);
        };
        let end = offset + data.len() as u64;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            let start = block * BLOCK;
            let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or_default()];
            self.below(start, &mut bytes)?;
            curtain.show(start, &mut bytes);
            let (from, to) = (offset.max(start), end.min(start + BLOCK));
            let size = |value: u64| usize::try_from(value).unwrap_or_default();
            bytes[size(from - start)..size(to - start)]
                .copy_from_slice(&data[size(from - offset)..size(to - offset)]);
            curtain.blocks.insert(block, bytes.into());
        }
        curtain.steps.push(Step::Write(offset, data.to_vec()));
        Ok(())
    }
}
