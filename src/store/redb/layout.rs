//! The file's header and where its parts begin.
//!
//! ```text
//! 0        4096               4096 + half        4096 + 2 * half
//! | header | journal, half 0  | journal, half 1  | redb image …
//! ```
//!
//! The header is written once, as the last thing of a creation, and never again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use super::crc::crc;
use super::storage::{Storage, io_error};
use crate::store::StoreError;

pub(super) const HEADER_BYTES: u64 = 4096;
/// The journal's halves are zero-filled for real, so that a commit takes no space and no metadata.
pub(super) const HALF_BYTES: u64 = 8 * 1024 * 1024;
pub(super) const MIN_HALF_BYTES: u64 = 16 * 1024;
const MAX_HALF_BYTES: u64 = 1024 * 1024 * 1024;
/// Grows when header or journal change so that an older program would misread them.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"dragonfly store\n";
const USED: usize = 48;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of one half of the journal, a multiple of 4096.
    pub half: u64,
    /// Goes into every frame's checksum, so that no other file's frames pass for this one's.
    pub salt: u64,
}

impl Layout {
    pub fn new(half: u64) -> Self {
        let half = half
            .clamp(MIN_HALF_BYTES, MAX_HALF_BYTES)
            .next_multiple_of(4096);
        Self {
            half,
            salt: RandomState::new().build_hasher().finish(),
        }
    }

    pub fn half_at(&self, half: usize) -> u64 {
        HEADER_BYTES + if half == 0 { 0 } else { self.half }
    }

    /// Where the redb image begins.
    pub fn image_at(&self) -> u64 {
        HEADER_BYTES + 2 * self.half
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(HEADER_BYTES).unwrap_or(USED));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.half.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let sum = crc(&[&bytes]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.resize(4096, 0);
        bytes
    }

    /// Reads the header, and says what is wrong with it or with the file's length.
    pub fn read(storage: &dyn Storage, path: &Path) -> Result<Self, StoreError> {
        let foreign = |what: &str| {
            Err(StoreError::Foreign {
                path: path.into(),
                what: what.into(),
            })
        };
        let damaged = |what: String| {
            Err(StoreError::Damaged {
                path: path.into(),
                what,
            })
        };
        let fault = |error| io_error(path, &error);
        let len = storage.len().map_err(fault)?;
        if len == 0 {
            return foreign("it is empty");
        }
        let mut magic = [0; 16];
        let here = usize::try_from(len.min(16)).unwrap_or(16);
        storage.read_at(&mut magic[..here], 0).map_err(fault)?;
        if here < 16 || &magic != MAGIC {
            return foreign("it does not begin as one does");
        }
        if len < HEADER_BYTES {
            return damaged(format!("it ends after {len} bytes, inside its header"));
        }
        let mut bytes = vec![0; 4096];
        storage.read_at(&mut bytes, 0).map_err(fault)?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(USED - 4) != crc(&[&bytes[..USED - 4]]) {
            return damaged("the checksum of its header is wrong".into());
        }
        if bytes[USED..].iter().any(|byte| *byte != 0) {
            return damaged(
                "there is something behind its header that does not belong there".into(),
            );
        }
        if word(16) > FORMAT {
            return Err(StoreError::Newer {
                path: path.into(),
                found: word(16),
                known: FORMAT,
            });
        }
        let layout = Self {
            half: long(24),
            salt: long(32),
        };
        if layout.half < MIN_HALF_BYTES
            || layout.half > MAX_HALF_BYTES
            || !layout.half.is_multiple_of(4096)
        {
            return damaged(format!("its journal cannot have {} bytes", layout.half));
        }
        if len < layout.image_at() {
            return damaged(format!("it ends after {len} bytes, inside its journal"));
        }
        Ok(layout)
    }
}
