//! Writing: a stream of blocks becomes writes to the disk, several at once, and runs of zeros are not written at all.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest;

use super::block::{Block, Pool};
use super::decode::Piece;
use super::disk::Disk;
use super::error::ImageError;
use super::run::Run;

/// Looked at for zeros in one. Shorter runs are written: a disk that is told of each is slower than one that is not.
const GRAIN: usize = 64 << 10;
/// Writers at once, so that the disk has the next block when it is done with one.
pub const WRITERS: usize = 2;

static ZEROS: [u8; GRAIN] = [0; GRAIN];

/// What is to be done to the disk.
#[derive(Debug)]
pub enum Order {
    Write {
        at: u64,
        block: Arc<Block>,
        part: Range<usize>,
    },
    Zero(Range<u64>),
}

/// What was done, so that it can be read back: a sum of the bytes, none for zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrote {
    pub at: u64,
    pub len: u64,
    pub sum: Option<u64>,
}

impl Wrote {
    pub fn new(at: u64, bytes: &[u8]) -> Self {
        Self {
            at,
            len: bytes.len() as u64,
            sum: Some(sum(bytes)),
        }
    }

    pub const fn zeros(range: Range<u64>) -> Self {
        Self {
            at: range.start,
            len: range.end - range.start,
            sum: None,
        }
    }
}

/// As much of a SHA-256 as it takes to see a disk's errors.
pub fn sum(bytes: &[u8]) -> u64 {
    let digest = digest::digest(&digest::SHA256, bytes);
    let first = digest.as_ref().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

pub fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(GRAIN)
        .all(|chunk| chunk == &ZEROS[..chunk.len()])
}

/// The parts of a block that are to be written, and those that are zeros, in order.
pub fn parts(bytes: &[u8]) -> Vec<(Range<usize>, bool)> {
    let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
    let mut at = 0;
    for grain in bytes.chunks(GRAIN) {
        let end = at + grain.len();
        let zero = is_zero(grain);
        match parts.last_mut() {
            Some((part, same)) if *same == zero => part.end = end,
            _ => parts.push((at..end, zero)),
        }
        at = end;
    }
    parts
}

/// What the sieve saw go through.
#[derive(Debug)]
pub struct Sieved {
    pub length: u64,
    /// The first block, which is written when all else is.
    pub head: Option<Arc<Block>>,
}

/// Sorts what is to be written from what is zero.
#[derive(Debug)]
pub struct Sieve<'a> {
    pub run: &'a Run,
    pub disk: &'a Disk,
    pub pool: &'a Arc<Pool>,
    /// Whether the length of the image is not known before its end.
    pub least: bool,
    pub output: SyncSender<Order>,
}

impl Sieve<'_> {
    /// The stage. Nothing, when a neighbour is gone. `look` judges the image by its first block.
    pub fn run(
        self,
        input: &Receiver<Piece>,
        look: impl FnOnce(&[u8]) -> Result<(), ImageError>,
    ) -> Result<Option<Sieved>, ImageError> {
        let mut sieved = Sieved {
            length: 0,
            head: None,
        };
        let mut look = Some(look);
        let mut zeros = 0..0;
        loop {
            let block = match input.recv() {
                Ok(Piece::Data(block)) => block,
                Ok(Piece::End) => break,
                Err(_) => return Ok(None),
            };
            let at = sieved.length;
            sieved.length += block.len() as u64;
            self.disk.hold(sieved.length, self.least)?;
            let Some(block) = self.padded(block) else {
                return Ok(None);
            };
            if let Some(look) = look.take() {
                look(&block)?;
                sieved.head = Some(block);
            } else if self.pass(at, &block, &mut zeros).is_none() {
                return Ok(None);
            }
        }
        if !zeros.is_empty() && self.output.send(Order::Zero(zeros)).is_err() {
            return Ok(None);
        }
        Ok(Some(sieved))
    }

    /// The last block may end in the middle of a sector.
    fn padded(&self, block: Arc<Block>) -> Option<Arc<Block>> {
        let sector = self.disk.sector();
        if block.len() == block.len().next_multiple_of(sector) {
            return Some(block);
        }
        let mut longer = self.pool.take(self.run)?;
        longer.truncate(block.len());
        longer.copy_from_slice(&block);
        longer.pad(sector);
        Some(Arc::new(longer))
    }

    fn pass(&self, at: u64, block: &Arc<Block>, zeros: &mut Range<u64>) -> Option<()> {
        for (part, zero) in parts(block) {
            let range = at + part.start as u64..at + part.end as u64;
            if zero {
                if zeros.is_empty() {
                    zeros.start = range.start;
                }
                zeros.end = range.end;
                continue;
            }
            if !zeros.is_empty() {
                self.output.send(Order::Zero(zeros.clone())).ok()?;
                *zeros = 0..0;
            }
            let order = Order::Write {
                at: range.start,
                block: Arc::clone(block),
                part,
            };
            self.output.send(order).ok()?;
        }
        Some(())
    }
}

/// The last stage, of which there are several. What it wrote is told when it is to be read back.
pub fn run(
    run: &Run,
    disk: &Disk,
    orders: &Mutex<Receiver<Order>>,
    verify: bool,
) -> Result<Vec<Wrote>, ImageError> {
    let mut wrote = Vec::new();
    while !run.is_stopped() {
        let order = {
            let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
            orders.recv()
        };
        match order {
            Ok(Order::Write { at, block, part }) => {
                disk.write(at, &block[part.clone()])?;
                if verify {
                    wrote.push(Wrote::new(at, &block[part]));
                }
            }
            Ok(Order::Zero(range)) => {
                disk.zero(range.clone(), run)?;
                if verify {
                    wrote.push(Wrote::zeros(range));
                }
            }
            Err(_) => break,
        }
    }
    Ok(wrote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_told_from_what_is_to_be_written() {
        let mut bytes = vec![0; GRAIN * 4 + 10];
        assert_eq!(parts(&bytes), [(0..bytes.len(), true)]);
        bytes[GRAIN * 2 - 1] = 1;
        bytes[GRAIN * 2] = 1;
        let end = bytes.len();
        let expected = [
            (0..GRAIN, true),
            (GRAIN..GRAIN * 3, false),
            (GRAIN * 3..end, true),
        ];
        assert_eq!(parts(&bytes), expected);
        bytes[end - 1] = 1;
        assert_eq!(parts(&bytes).last(), Some(&(GRAIN * 4..end, false)));
        assert_eq!(parts(&[]), []);
    }
}
