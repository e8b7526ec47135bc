//! The journal: two halves that take turns, each a run of frames.
//!
//! ```text
//! 0      4     8     16    24     28     32
//! | DFJ1 | crc | lap | seq | len  | zero | payload, padded to 512 …
//! ```
//!
//! One frame is one group of commits, one write and one sync. The next frame is written only after that sync,
//! so at most the last frame can be torn: a bad frame with a good later one behind it is damage. The number
//! (`seq`) of a frame is one more than that of the frame before it, in whichever half that was. A half is begun
//! anew only when the image holds all that was in it; what is left of its last lap is then older than the image.

use std::io;
use std::sync::Arc;

use super::crc::crc;
use super::layout::Layout;
use super::storage::Storage;

const MAGIC: &[u8; 4] = b"DFJ1";
const HEAD: usize = 32;
pub(super) const SECTOR: usize = 512;
/// As much of a half as is looked at in one read; whole sectors.
const PIECE: u64 = 64 * 1024;

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub half: usize,
    pub at: u64,
    pub lap: u64,
    pub seq: u64,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn end(&self) -> u64 {
        self.at + padded(self.payload.len())
    }
}

fn padded(payload: usize) -> u64 {
    (HEAD + payload).next_multiple_of(SECTOR) as u64
}

fn encode(salt: u64, lap: u64, seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD + payload.len() + SECTOR);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&lap.to_le_bytes());
    head.extend_from_slice(&seq.to_le_bytes());
    head.extend_from_slice(
        &u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    head.extend_from_slice(&[0; 4]);
    let sum = crc(&[&salt.to_le_bytes(), &head[8..], payload]);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head.extend_from_slice(payload);
    head.resize(head.len().next_multiple_of(SECTOR), 0);
    head
}

/// As many bytes as the payload of a frame that begins so may have; none if no frame begins so.
fn payload_of(head: &[u8]) -> Option<usize> {
    let length = head.get(24..28).filter(|_| head.starts_with(MAGIC))?;
    length
        .try_into()
        .ok()
        .map(|word| u32::from_le_bytes(word) as usize)
}

/// The frame that stood at a place of a half, if it is good.
fn decode(salt: u64, half: usize, at: u64, bytes: &[u8]) -> Option<Frame> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let payload = rest.get(..payload_of(head)?)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    (word(4) == crc(&[&salt.to_le_bytes(), &head[8..], payload])).then(|| Frame {
        half,
        at,
        lap: long(8),
        seq: long(16),
        payload: payload.to_vec(),
    })
}

/// A half that is looked through from its beginning, a piece at a time: memory that was needed once at the
/// start would stay with the process for good.
struct Reel<'a> {
    storage: &'a dyn Storage,
    layout: &'a Layout,
    half: usize,
    /// The place of `piece` in the half.
    from: u64,
    piece: Vec<u8>,
}

impl Reel<'_> {
    /// The beginning of the frame that may stand at a sector.
    fn head(&mut self, at: u64) -> io::Result<&[u8]> {
        if at >= self.from + self.piece.len() as u64 {
            let long = (self.layout.half - at).min(PIECE);
            self.piece.clear();
            self.piece
                .resize(usize::try_from(long).unwrap_or(SECTOR), 0);
            self.from = at;
            let place = self.layout.half_at(self.half) + at;
            self.storage.read_at(&mut self.piece, place)?;
        }
        let from = usize::try_from(at - self.from).unwrap_or(usize::MAX);
        let end = (from + HEAD).min(self.piece.len());
        Ok(self.piece.get(from..end).unwrap_or_default())
    }

    fn frame(&mut self, at: u64) -> io::Result<Option<Frame>> {
        let Some(payload) = payload_of(self.head(at)?) else {
            return Ok(None);
        };
        if (HEAD + payload) as u64 > self.layout.half - at {
            return Ok(None);
        }
        let mut bytes = vec![0; HEAD + payload];
        let place = self.layout.half_at(self.half) + at;
        self.storage.read_at(&mut bytes, place)?;
        Ok(decode(self.layout.salt, self.half, at, &bytes))
    }
}

/// The journal as it was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The frames that the image does not hold yet, in order.
    pub frames: Vec<Frame>,
    /// The highest lap that any good frame is of.
    pub lap: u64,
}

/// Reads the journal of an image that holds all frames up to `applied`.
///
/// A frame that is bad where its number should come next ends the journal, unless a later one is good.
pub(super) fn read(
    storage: &dyn Storage,
    layout: &Layout,
    applied: u64,
) -> io::Result<Result<Found, String>> {
    let mut good = Vec::new();
    let mut lap = 0;
    for half in 0..2 {
        let mut reel = Reel {
            storage,
            layout,
            half,
            from: 0,
            piece: Vec::new(),
        };
        let mut at = 0;
        while at < layout.half {
            let Some(frame) = reel.frame(at)? else {
                at += SECTOR as u64;
                continue;
            };
            lap = lap.max(frame.lap);
            at = frame.end();
            if frame.seq > applied {
                good.push(frame);
            }
        }
    }
    good.sort_by_key(|frame| frame.seq);
    for (frame, expected) in good.iter().zip(applied + 1..) {
        if frame.seq != expected {
            return Ok(Err(format!(
                "its journal has no good record {expected}, but record {} behind it",
                frame.seq
            )));
        }
    }
    Ok(Ok(Found { frames: good, lap }))
}

/// Why a record was not written.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing was changed.
    Undone(io::Error),
    /// Nobody can tell what the disk holds now.
    Unknown(io::Error),
}

/// The half that is written to.
#[derive(Debug)]
pub(super) struct Journal {
    storage: Arc<dyn Storage>,
    layout: Layout,
    half: usize,
    lap: u64,
    at: u64,
    /// The number of the last record.
    pub seq: u64,
    /// What this half holds.
    pub records: Vec<Vec<u8>>,
}

impl Journal {
    /// Goes on behind what was found. Returns what the other half still holds.
    pub fn resume(
        storage: Arc<dyn Storage>,
        layout: Layout,
        applied: u64,
        found: Found,
    ) -> (Self, Vec<Vec<u8>>) {
        let last = found.frames.last();
        let (half, at, lap) = match last {
            Some(frame) => (frame.half, frame.end(), frame.lap),
            None => (0, 0, found.lap + 1),
        };
        let seq = last.map_or(applied, |frame| frame.seq);
        let (here, other): (Vec<_>, Vec<_>) = found
            .frames
            .into_iter()
            .partition(|frame| frame.half == half);
        let payloads = |frames: Vec<Frame>| frames.into_iter().map(|frame| frame.payload).collect();
        let journal = Self {
            storage,
            layout,
            half,
            lap,
            at,
            seq,
            records: payloads(here),
        };
        (journal, payloads(other))
    }

    /// As many bytes as one record may have.
    pub fn capacity(layout: &Layout) -> usize {
        usize::try_from(layout.half).unwrap_or(usize::MAX) - HEAD
    }

    pub fn has_room(&self, payload: usize) -> bool {
        self.at + padded(payload) <= self.layout.half
    }

    /// Turns to the other half, and returns what this one held. The caller has made sure that the image holds
    /// all that the other one held.
    pub fn turn(&mut self) -> Vec<Vec<u8>> {
        self.half = 1 - self.half;
        self.lap += 1;
        self.at = 0;
        std::mem::take(&mut self.records)
    }

    /// Makes one record durable.
    pub fn append(&mut self, payload: Vec<u8>) -> Result<(), Fault> {
        let frame = encode(self.layout.salt, self.lap, self.seq + 1, &payload);
        let place = self.layout.half_at(self.half) + self.at;
        if let Err(error) = self.storage.write_at(&frame, place) {
            if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
                return Err(Fault::Undone(error));
            }
            // Without its first sector the frame is none, however much of it was written.
            return Err(match self.storage.write_at(&[0; SECTOR], place) {
                Ok(()) => Fault::Undone(error),
                Err(_) => Fault::Unknown(error),
            });
        }
        self.storage.sync().map_err(Fault::Unknown)?;
        self.at += frame.len() as u64;
        self.seq += 1;
        self.records.push(payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_frame_with_one_bit_turned_is_none() {
        let bytes = encode(7, 1, 2, b"payload");
        let good = decode(7, 0, 0, &bytes).unwrap();
        assert_eq!(
            (good.lap, good.seq, &good.payload[..]),
            (1, 2, &b"payload"[..])
        );
        assert_eq!(good.end(), 512);
        for bit in 0..(HEAD + 7) * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(7, 0, 0, &bytes), None, "bit {bit}");
        }
        assert_eq!(decode(8, 0, 0, &bytes), None, "another file's salt");
        assert_eq!(decode(7, 0, 0, &bytes[..38]), None, "cut");
    }

    /// Bytes in memory that note how much was asked for at once.
    #[derive(Debug, Default)]
    struct Watched(Mutex<Vec<u8>>, AtomicUsize);

    impl Storage for Watched {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.1.fetch_max(buffer.len(), Ordering::Relaxed);
            let from = usize::try_from(offset).unwrap();
            let bytes = self.0.lock().unwrap();
            buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
            Ok(())
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            let from = usize::try_from(offset).unwrap();
            self.0.lock().unwrap()[from..from + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0
                .lock()
                .unwrap()
                .resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Halves were once read whole, and the eight megabytes stayed with the process for good.
    #[test]
    fn a_journal_is_looked_through_in_pieces_and_every_frame_is_found() {
        let layout = Layout::new(1024 * 1024);
        let storage = Arc::new(Watched::default());
        storage.set_len(layout.image_at()).unwrap();
        let (mut journal, _) = Journal::resume(storage.clone(), layout, 0, Found::default());
        let mut written = 0;
        while journal.has_room(1000 + written) {
            journal.append(vec![7; 1000 + written]).unwrap();
            written += 1;
        }
        journal.turn();
        journal.append(b"the other half".to_vec()).unwrap();
        storage.1.store(0, Ordering::Relaxed);
        let found = read(&*storage, &layout, 3).unwrap().unwrap();
        assert!(written > 100, "{written}");
        assert_eq!(found.frames.len(), written + 1 - 3);
        assert_eq!(found.frames.last().unwrap().payload, b"the other half");
        assert_eq!(found.lap, 2);
        assert!(storage.1.load(Ordering::Relaxed) <= 64 * 1024);
    }

    #[test]
    fn frames_are_padded_to_sectors() {
        assert_eq!(padded(0), 512);
        assert_eq!(padded(480), 512);
        assert_eq!(padded(481), 1024);
    }
}
