//! Unpacking clusters and writing them: what the workers do, each for itself.

use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::super::Job;
use super::super::block::{BLOCK, Block, Pool};
use super::super::disk::Disk;
use super::super::error::ImageError;
use super::super::write::{Wrote, parts};
use super::assemble::{Packed, Work};
use super::header::{Header, Packing};

/// A cluster has 2 MiB at the most, and so does its window.
const WINDOW_LOG: u32 = 21;

/// The beginning of the disk, which is written when all else is.
#[derive(Debug)]
pub struct Head<'a> {
    disk: &'a Disk,
    block: Mutex<Option<Block>>,
}

impl<'a> Head<'a> {
    /// All zeros, of which as many are the disk's as the image has.
    pub fn new(job: &Job<'a>, size: u64) -> Self {
        let mut block = Pool::new(1).take(job.line.run);
        if let Some(block) = &mut block {
            block.fill(0);
            let sector = job.disk.sector();
            block.truncate(usize::try_from(size).unwrap_or(BLOCK));
            block.pad(sector);
        }
        Self {
            disk: job.disk,
            block: Mutex::new(block),
        }
    }

    /// Keeps what belongs to it, and gives back the rest.
    fn keep<'b>(&self, at: u64, bytes: &'b [u8]) -> (u64, &'b [u8]) {
        let Ok(from) = usize::try_from(at) else {
            return (at, bytes);
        };
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = block.as_mut().and_then(|block| block.get_mut(from..)) else {
            return (at, bytes);
        };
        let len = place.len().min(bytes.len());
        place[..len].copy_from_slice(&bytes[..len]);
        (at + len as u64, &bytes[len..])
    }

    pub fn write(self) -> Result<Vec<Wrote>, ImageError> {
        let block = self
            .block
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(block) = block else {
            return Ok(Vec::new());
        };
        self.disk.write(0, &block)?;
        Ok(vec![Wrote::new(0, &block)])
    }
}

/// Where a worker finds its work, and all that it needs for it.
#[derive(Clone, Debug)]
pub struct Works<'a> {
    /// The last worker that goes takes the channel with it, so that nobody is waited for who is gone.
    input: Arc<Mutex<Receiver<Work>>>,
    job: Job<'a>,
    header: &'a Header,
    head: &'a Head<'a>,
    pool: Arc<Pool>,
}

impl<'a> Works<'a> {
    pub fn new(
        input: Receiver<Work>,
        job: &Job<'a>,
        header: &'a Header,
        head: &'a Head<'a>,
        pool: &Arc<Pool>,
    ) -> Self {
        Self {
            input: Arc::new(Mutex::new(input)),
            job: *job,
            header,
            head,
            pool: Arc::clone(pool),
        }
    }

    /// The last stage, of which there are several. What it wrote is told when it is to be read back.
    pub fn run(self) -> Result<Vec<Wrote>, ImageError> {
        let unpacker = Unpacker::new(self.header.packing);
        let mut unpacker = unpacker.map_err(|error| ImageError::Qcow2(error.to_string()))?;
        let mut wrote = Vec::new();
        while !self.job.line.run.is_stopped() {
            let work = {
                let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
                input.recv()
            };
            match work {
                Ok(Work::Plain { at, block, part }) => self.plain(at, &block[part], &mut wrote)?,
                Ok(Work::Packed(packed)) => self.packed(&packed, &mut unpacker, &mut wrote)?,
                Err(_) => break,
            }
        }
        Ok(wrote)
    }

    fn plain(&self, at: u64, bytes: &[u8], wrote: &mut Vec<Wrote>) -> Result<(), ImageError> {
        let sector = self.job.disk.sector();
        if bytes.len() == bytes.len().next_multiple_of(sector) {
            return self.store(at, bytes, wrote);
        }
        // The image, or its file, ends here.
        let Some(mut block) = self.pool.take(self.job.line.run) else {
            return Ok(());
        };
        block.truncate(bytes.len());
        block.copy_from_slice(bytes);
        block.pad(usize::try_from(self.header.pad()).unwrap_or(sector));
        let end = self.header.size.next_multiple_of(sector as u64);
        block.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
        self.store(at, &block, wrote)
    }

    fn packed(
        &self,
        packed: &Packed,
        unpacker: &mut Unpacker,
        wrote: &mut Vec<Wrote>,
    ) -> Result<(), ImageError> {
        let Some(mut block) = self.pool.take(self.job.line.run) else {
            return Ok(());
        };
        let cluster = self.header.cluster_len();
        block.truncate(packed.parts.len() * cluster);
        for (part, into) in packed.parts.iter().zip(block.chunks_exact_mut(cluster)) {
            unpacker
                .unpack(&packed.bytes[part.clone()], into)
                .map_err(|error| {
                    let at = packed.at;
                    ImageError::Qcow2(format!("a cluster after byte {at} is damaged: {error}"))
                })?;
        }
        let left = self.header.size - packed.at;
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        block.pad(self.job.disk.sector());
        self.store(packed.at, &block, wrote)
    }

    fn store(&self, at: u64, bytes: &[u8], wrote: &mut Vec<Wrote>) -> Result<(), ImageError> {
        let (at, bytes) = self.head.keep(at, bytes);
        for (part, zero) in parts(bytes) {
            let range = at + part.start as u64..at + part.end as u64;
            if zero {
                self.job.disk.zero(range.clone(), self.job.line.run)?;
            } else {
                self.job.disk.write(range.start, &bytes[part.clone()])?;
            }
            if self.job.verify {
                wrote.push(if zero {
                    Wrote::zeros(range)
                } else {
                    Wrote::new(range.start, &bytes[part])
                });
            }
        }
        Ok(())
    }
}

/// One cluster after another. What follows a cluster in its last sector is not looked at.
enum Unpacker {
    Deflate(Decompress),
    Zstd(zstd::stream::raw::Decoder<'static>),
}

impl Unpacker {
    fn new(packing: Packing) -> io::Result<Self> {
        Ok(match packing {
            Packing::Deflate => Self::Deflate(Decompress::new(false)),
            Packing::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
                Self::Zstd(decoder)
            }
        })
    }

    /// Fills all of `into`.
    fn unpack(&mut self, bytes: &[u8], into: &mut [u8]) -> io::Result<()> {
        let len = match self {
            Self::Deflate(inflate) => {
                inflate.reset(false);
                inflate.decompress(bytes, into, FlushDecompress::Finish)?;
                inflate.total_out()
            }
            Self::Zstd(decoder) => {
                decoder.reinit()?;
                unpack_zstd(decoder, bytes, into)? as u64
            }
        };
        if len == into.len() as u64 {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it has {len} bytes of {}",
            into.len()
        )))
    }
}

fn unpack_zstd(decoder: &mut impl Operation, bytes: &[u8], into: &mut [u8]) -> io::Result<usize> {
    let (mut input, mut output) = (InBuffer::around(bytes), OutBuffer::around(into));
    while output.pos() < output.capacity() {
        let before = (input.pos(), output.pos());
        decoder.run(&mut input, &mut output)?;
        if (input.pos(), output.pos()) == before {
            break;
        }
    }
    Ok(output.pos())
}
