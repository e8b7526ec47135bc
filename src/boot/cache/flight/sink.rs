//! Where a download's bytes go: into the file and into the sums. What comes a second time is compared instead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::failure::Failure;
use super::super::sums::{Summed, Sums};
use crate::model::digest::DigestKind;

/// Compared at once.
const PIECE: usize = 16 * 1024;

#[derive(Debug)]
pub struct Sink {
    pub file: Arc<File>,
    sums: Sums,
    /// Bytes that are in the file and in the sums.
    pub stored: u64,
    /// Where the next bytes belong.
    pub at: u64,
}

impl Sink {
    /// Goes on behind the first `stored` bytes of the file, or begins it. What lies behind them is cut off.
    pub fn open(path: &Path, stored: u64, kind: Option<DigestKind>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let stored = if file.metadata()?.len() < stored {
            0
        } else {
            stored
        };
        file.set_len(stored)?;
        let mut sums = Sums::new(kind);
        sums.read(&file, stored)?;
        Ok(Self {
            file: Arc::new(file),
            sums,
            stored,
            at: stored,
        })
    }

    pub fn write(&mut self, batch: &[Bytes]) -> Result<(), Failure> {
        for bytes in batch {
            let again = self.stored.saturating_sub(self.at);
            let again = usize::try_from(again).map_or(bytes.len(), |again| again.min(bytes.len()));
            self.compare(&bytes[..again])?;
            let new = &bytes[again..];
            self.file.write_all_at(new, self.at)?;
            self.sums.update(new);
            self.at += new.len() as u64;
            self.stored = self.stored.max(self.at);
        }
        Ok(())
    }

    fn compare(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut own = [0; PIECE];
        for piece in bytes.chunks(PIECE) {
            let own = &mut own[..piece.len()];
            self.file.read_exact_at(own, self.at)?;
            if own != piece {
                return Err(Failure::Changed);
            }
            self.at += piece.len() as u64;
        }
        Ok(())
    }

    /// The sums of all that was stored.
    pub fn finish(self) -> io::Result<(Summed, u64)> {
        Ok((self.sums.finish()?, self.stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn what_comes_again_is_compared_and_the_rest_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut sink = Sink::open(&path, 0, None).unwrap();
        sink.write(&[bytes("abc"), bytes("de")]).unwrap();
        sink.at = 0;
        sink.write(&[bytes("a"), bytes("bcdefg")]).unwrap();
        let (summed, len) = sink.finish().unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), len),
            (b"abcdefg".to_vec(), 7)
        );
        let mut whole = Sums::new(None);
        whole.update(b"abcdefg");
        assert_eq!(summed, whole.finish().unwrap());
    }

    #[test]
    fn what_comes_again_otherwise_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(&folder.path().join("x"), 0, None).unwrap();
        sink.write(&[bytes("abcde")]).unwrap();
        sink.at = 0;
        assert_eq!(sink.write(&[bytes("abXde")]), Err(Failure::Changed));
    }

    #[test]
    fn what_was_written_behind_the_last_sure_byte_is_cut_off_and_the_sums_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abcXX").unwrap();
        let mut sink = Sink::open(&path, 3, Some(DigestKind::Sha512)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        sink.write(&[bytes("de")]).unwrap();
        let mut whole = Sums::new(Some(DigestKind::Sha512));
        whole.update(b"abcde");
        assert_eq!(sink.finish().unwrap().0, whole.finish().unwrap());
    }

    #[test]
    fn a_file_that_is_shorter_than_was_told_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(Sink::open(&path, 5, None).unwrap().stored, 0);
    }
}
