//! Unpacking: a stream of compressed blocks becomes a stream of unpacked ones.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::MtStreamBuilder;

use super::block::{BLOCK, Block, Pool};
use super::error::ImageError;
use super::run::Run;
use crate::model::action::Compression;

/// A window of zstd as a power of two: 128 MiB, what `zstd --ultra -22` and `--long` ask for at the most.
const MAX_WINDOW_LOG: u32 = 27;
const MEBIBYTE: u64 = 1 << 20;

/// What goes from stage to stage: blocks, and a word that there are no more. A channel that ends without it was left.
#[derive(Clone, Debug)]
pub enum Piece {
    Data(Arc<Block>),
    End,
}

pub const fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "plain",
        Compression::Gzip => "gzip",
        Compression::Bzip2 => "bzip2",
        Compression::Xz => "xz",
        Compression::Zstd => "zstd",
    }
}

/// The stage.
#[derive(Debug)]
pub struct Decoder<'a> {
    pub run: &'a Run,
    pub compression: Compression,
    pub memory: u64,
    pub pool: &'a Arc<Pool>,
}

impl Decoder<'_> {
    /// Until the input's end. Nothing, when a neighbour is gone.
    pub fn run(
        &self,
        input: Receiver<Piece>,
        output: &SyncSender<Piece>,
    ) -> Result<Option<()>, ImageError> {
        let mut unpacked = 0;
        let failed = |at, error| wrong(self.compression, self.memory, at, error);
        let input = Stream::new(input);
        let reader = reader(self.compression, self.memory, input);
        let mut reader = reader.map_err(|error| failed(0, error))?;
        while let Some(mut block) = self.pool.take(self.run) {
            let len = match fill(&mut *reader, &mut block) {
                Ok(len) => len,
                Err(error) if self.run.is_stopped() || is_left(&error) => break,
                Err(error) => return Err(failed(unpacked, error)),
            };
            block.truncate(len);
            unpacked += len as u64;
            if len > 0 && output.send(Piece::Data(Arc::new(block))).is_err() {
                break;
            }
            if len < BLOCK {
                return Ok(output.send(Piece::End).is_ok().then_some(()));
            }
        }
        Ok(None)
    }
}

/// Everything there is in the input, unpacked: of all members, streams and frames that follow one another.
pub fn reader<'a>(
    compression: Compression,
    memory: u64,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Members::<GzDecoder<_>>::new(input, memory)?),
        Compression::Bzip2 => Box::new(Members::<BzDecoder<_>>::new(input, memory)?),
        Compression::Xz => Box::new(Members::<XzDecoder<_>>::new(input, memory)?),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_WINDOW_LOG.min(memory.max(MEBIBYTE).ilog2()))?;
            Box::new(decoder)
        }
    })
}

pub fn threads() -> u32 {
    let there = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(there).unwrap_or(1).min(8)
}

/// Fills as much as there is.
pub fn fill(reader: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match reader.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn wrong(compression: Compression, memory: u64, at: u64, error: io::Error) -> ImageError {
    let format = name(compression);
    if error.kind() == ErrorKind::UnexpectedEof {
        return ImageError::Short { format, at };
    }
    let text = error.to_string();
    if text.contains("memory") {
        let what = "it was compressed with a very large dictionary or window";
        return ImageError::Memory {
            mebibytes: memory / MEBIBYTE,
            what,
        };
    }
    ImageError::Corrupt {
        format,
        at,
        source: error,
    }
}

/// One of the streams that may follow one another in a file.
trait Member: Read + Sized {
    type Input: BufRead;

    fn start(input: Self::Input, memory: u64) -> io::Result<Self>;
    fn end(self) -> Self::Input;
}

impl<R: BufRead> Member for GzDecoder<R> {
    type Input = R;

    fn start(input: R, _: u64) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Member for BzDecoder<R> {
    type Input = R;

    fn start(input: R, _: u64) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Member for XzDecoder<R> {
    type Input = R;

    /// Blocks that tell their sizes are unpacked beside one another, as far as half the memory goes.
    fn start(input: R, memory: u64) -> io::Result<Self> {
        let stream = MtStreamBuilder::new()
            .threads(threads())
            .memlimit_threading(memory / 2)
            .memlimit_stop(memory)
            .decoder()?;
        Ok(Self::new_stream(input, stream))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

/// All of them, and the zeros behind the last, by which tools fill a block.
struct Members<M> {
    member: Option<M>,
    memory: u64,
}

impl<M: Member> Members<M> {
    fn new(input: M::Input, memory: u64) -> io::Result<Self> {
        let member = Some(M::start(input, memory)?);
        Ok(Self { member, memory })
    }
}

impl<M: Member> Read for Members<M> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.member.take() else {
                break;
            };
            let mut input = member.end();
            while input.fill_buf()?.first() == Some(&0) {
                input.consume(1);
            }
            if !input.fill_buf()?.is_empty() {
                self.member = Some(M::start(input, self.memory)?);
            }
        }
        Ok(0)
    }
}

/// The blocks of a channel, as something to read from without copying.
pub struct Stream {
    input: Receiver<Piece>,
    block: Option<Arc<Block>>,
    at: usize,
    ended: bool,
}

impl Stream {
    pub fn new(input: Receiver<Piece>) -> Self {
        Self {
            input,
            block: None,
            at: 0,
            ended: false,
        }
    }
}

/// The stage before is gone, and has told why itself.
#[derive(Debug, thiserror::Error)]
#[error("the stage before is gone")]
struct Left;

fn is_left(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner
        .and_then(|inner| inner.downcast_ref::<Left>())
        .is_some()
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let is_used_up =
            |block: &Option<Arc<Block>>| block.as_ref().is_none_or(|block| self.at >= block.len());
        if is_used_up(&self.block) && !self.ended {
            self.block = None;
            self.at = 0;
            match self.input.recv() {
                Ok(Piece::Data(block)) => self.block = Some(block),
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(io::Error::other(Left)),
            }
        }
        Ok(self.block.as_ref().map_or(&[], |block| &block[self.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let len = held.len().min(into.len());
        into[..len].copy_from_slice(&held[..len]);
        self.consume(len);
        Ok(len)
    }
}
