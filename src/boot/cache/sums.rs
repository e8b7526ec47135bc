//! Checksums over bytes as they pass: SHA-256 always, for it names the file, and SHA-512 where that is what was told.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256, Sha512};

use crate::model::Digest;
use crate::model::digest::DigestKind;

/// Read at once where a file is summed.
const PIECE: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Sums {
    sha256: Sha256,
    sha512: Option<Sha512>,
}

/// All sums of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summed {
    pub sha256: Digest,
    sha512: Option<Digest>,
}

impl Sums {
    pub fn new(kind: Option<DigestKind>) -> Self {
        Self {
            sha256: Sha256::new(),
            sha512: (kind == Some(DigestKind::Sha512)).then(Sha512::new),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// The first `len` bytes of a file.
    pub fn read(&mut self, file: &File, len: u64) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < len {
            let want = usize::try_from(len - at).map_or(PIECE, |left| left.min(PIECE));
            file.read_exact_at(&mut piece[..want], at)?;
            self.update(&piece[..want]);
            at += want as u64;
        }
        Ok(())
    }

    pub fn finish(self) -> io::Result<Summed> {
        let made = |kind, bytes: &[u8]| {
            Digest::of(kind, bytes).ok_or_else(|| io::Error::other("a sum has another length"))
        };
        Ok(Summed {
            sha256: made(DigestKind::Sha256, &self.sha256.finalize())?,
            sha512: match self.sha512 {
                Some(sum) => Some(made(DigestKind::Sha512, &sum.finalize())?),
                None => None,
            },
        })
    }
}

/// The sum of a small content that is in memory.
pub fn of(kind: DigestKind, bytes: &[u8]) -> Option<Digest> {
    match kind {
        DigestKind::Sha256 => Digest::of(kind, &Sha256::digest(bytes)),
        DigestKind::Sha512 => Digest::of(kind, &Sha512::digest(bytes)),
    }
}

impl Summed {
    /// The sum of the same kind as `wanted`, where it was taken.
    pub fn like(&self, wanted: &Digest) -> Option<&Digest> {
        match wanted.kind() {
            DigestKind::Sha256 => Some(&self.sha256),
            DigestKind::Sha512 => self.sha512.as_ref(),
        }
    }
}
