//! Cutting the file, as it comes by, into works: clusters and where they go.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use ring::digest;

use super::super::block::{BLOCK, Block};
use super::super::decode::Piece as Fetched;
use super::super::error::ImageError;
use super::header::{Header, damaged};
use super::map::{Map, Table};

/// Something for one worker to do.
#[derive(Debug)]
pub enum Work {
    /// Bytes of the disk, as they were fetched.
    Plain {
        at: u64,
        block: Arc<Block>,
        part: Range<usize>,
    },
    /// Clusters that follow one another on the disk, each packed in its part of the bytes.
    Packed(Packed),
}

#[derive(Debug)]
pub struct Packed {
    pub at: u64,
    pub bytes: Vec<u8>,
    pub parts: Vec<Range<usize>>,
}

pub struct Assembler<'a> {
    header: &'a Header,
    map: Map,
    output: SyncSender<Work>,
    tables: Tables,
    /// What was fetched and is still needed, with its place in the file: at most what one packed cluster spans.
    window: VecDeque<(u64, Arc<Block>)>,
    received: u64,
    /// The piece that is next, and how much of it is done.
    next: usize,
    done: u64,
    packed: Option<Packed>,
}

impl<'a> Assembler<'a> {
    pub fn new(header: &'a Header, mut map: Map, output: SyncSender<Work>) -> Self {
        Self {
            header,
            tables: Tables::new(std::mem::take(&mut map.tables)),
            map,
            output,
            window: VecDeque::new(),
            received: 0,
            next: 0,
            done: 0,
            packed: None,
        }
    }

    /// The stage. Nothing, when a neighbour is gone.
    pub fn run(mut self, input: &Receiver<Fetched>) -> Result<Option<()>, ImageError> {
        loop {
            match input.recv() {
                Ok(Fetched::Data(block)) => {
                    self.tables.compare(self.received, &block)?;
                    let at = self.received;
                    self.received += block.len() as u64;
                    self.window.push_back((at, block));
                    if self.pass().is_none() {
                        return Ok(None);
                    }
                }
                Ok(Fetched::End) if self.next < self.map.pieces.len() => {
                    return Err(damaged("it is cut off"));
                }
                Ok(Fetched::End) => return Ok(self.flush()),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Works off what is there.
    fn pass(&mut self) -> Option<()> {
        while let Some(piece) = self.map.pieces.get(self.next).cloned() {
            let from = piece.file.start + self.done;
            let to = piece.file.end.min(self.received);
            if from >= to || (piece.packed && to < piece.file.end) {
                break;
            }
            if piece.packed {
                self.pack(piece.file, piece.disk)?;
            } else {
                self.plain(from..to, piece.disk + self.done)?;
                self.done += to - from;
                if to < piece.file.end {
                    break;
                }
            }
            self.next += 1;
            self.done = 0;
        }
        let next = self.map.pieces.get(self.next);
        let needed = next.map_or(u64::MAX, |piece| piece.file.start + self.done);
        while let Some((at, block)) = self.window.front() {
            if at + block.len() as u64 > needed {
                break;
            }
            self.window.pop_front();
        }
        Some(())
    }

    /// The blocks that hold a range of the file, with their parts of it.
    fn parts(&self, file: Range<u64>) -> impl Iterator<Item = (u64, &Arc<Block>, Range<usize>)> {
        self.window.iter().filter_map(move |(at, block)| {
            let from = file.start.max(*at);
            let to = file.end.min(at + block.len() as u64);
            let inside = |place: u64| usize::try_from(place - at).unwrap_or_default();
            (from < to).then(|| (from - file.start, block, inside(from)..inside(to)))
        })
    }

    fn plain(&self, file: Range<u64>, disk: u64) -> Option<()> {
        for (at, block, part) in self.parts(file) {
            let work = Work::Plain {
                at: disk + at,
                block: Arc::clone(block),
                part,
            };
            self.output.send(work).ok()?;
        }
        Some(())
    }

    fn pack(&mut self, file: Range<u64>, disk: u64) -> Option<()> {
        let cluster = self.header.cluster();
        let room = (BLOCK / self.header.cluster_len()).max(1);
        let fits = self.packed.as_ref().is_some_and(|packed| {
            packed.at + packed.parts.len() as u64 * cluster == disk && packed.parts.len() < room
        });
        if !fits {
            self.flush()?;
        }
        let mut packed = self.packed.take().unwrap_or_else(|| Packed {
            at: disk,
            bytes: Vec::new(),
            parts: Vec::with_capacity(room),
        });
        let from = packed.bytes.len();
        for (_, block, part) in self.parts(file) {
            packed.bytes.extend_from_slice(&block[part]);
        }
        packed.parts.push(from..packed.bytes.len());
        self.packed = Some(packed);
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        match self.packed.take() {
            Some(packed) => self.output.send(Work::Packed(packed)).ok(),
            None => Some(()),
        }
    }
}

/// The tables that made the map, compared with what comes by: they were fetched apart, and are under the checksum
/// only when they are the same.
struct Tables {
    tables: std::vec::IntoIter<Table>,
    now: Option<(Table, digest::Context)>,
}

impl Tables {
    fn new(tables: Vec<Table>) -> Self {
        let mut tables = tables.into_iter();
        Self {
            now: tables.next().map(Self::begin),
            tables,
        }
    }

    fn begin(table: Table) -> (Table, digest::Context) {
        (table, digest::Context::new(&digest::SHA256))
    }

    fn compare(&mut self, at: u64, bytes: &[u8]) -> Result<(), ImageError> {
        let end = at + bytes.len() as u64;
        while let Some((table, mut context)) = self.now.take() {
            let from = table.file.start.max(at);
            let to = table.file.end.min(end);
            let inside = |place: u64| usize::try_from(place - at).unwrap_or_default();
            if from < to {
                context.update(&bytes[inside(from)..inside(to)]);
            }
            if table.file.end > end {
                self.now = Some((table, context));
                break;
            }
            if context.finish().as_ref() != table.sum {
                return Err(damaged("its tables changed while it was fetched"));
            }
            self.now = self.tables.next().map(Self::begin);
        }
        Ok(())
    }
}
