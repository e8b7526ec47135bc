//! The stages that every image and every archive goes through: fetch, sum, unpack.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use super::block::{Block, Pool};
use super::decode::{Decoder, Piece};
use super::error::ImageError;
use super::run::Run;
use super::{Options, Source, fetch, memory};
use crate::agent::http::Fetch;
use crate::model::action::Compression;
use crate::model::digest::Digest;

/// Blocks of what is unpacked: 24 MiB between the decoder and the disk.
pub const BLOCKS: usize = 24;

pub type Scope<'scope, 'env> = &'scope thread::Scope<'scope, 'env>;
/// A stage that leaves something behind, unless it failed; the run knows why.
pub type Handle<'scope, T> = ScopedJoinHandle<'scope, Option<T>>;

#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub run: &'a Run,
    pub source: &'a Source,
    memory: u64,
}

impl<'a> Line<'a> {
    pub fn new(run: &'a Run, source: &'a Source, options: &Options) -> Self {
        Self {
            run,
            source,
            memory: options.memory.unwrap_or_else(memory::spare),
        }
    }

    /// What a stage leaves behind when it fails.
    pub fn fail<T>(&self, error: ImageError) -> Option<T> {
        self.run.fail(error);
        None
    }

    /// The source, and its first block, by which it is told what it is.
    pub fn open(&self, pool: &Arc<Pool>) -> Result<(Fetch<'a>, Block), ImageError> {
        self.run.enter("fetching", 0);
        let mut fetch = Fetch::open(self.source.url.clone(), self.run)?;
        let stopped = || ImageError::Cancelled { waiting: None };
        let mut first = pool.take(self.run).ok_or_else(stopped)?;
        let len = fetch.fill(&mut first)?;
        first.truncate(len);
        if first.is_empty() {
            return Err(ImageError::Empty);
        }
        Ok((fetch, first))
    }

    /// The channels of all stages hold as much as the pools; it is these that bound what is on its way.
    pub fn start_fetch<'scope>(
        &self,
        scope: Scope<'scope, '_>,
        mut fetch: Fetch<'scope>,
        pool: &Arc<Pool>,
        first: Block,
    ) -> (Receiver<Piece>, Option<Handle<'scope, Digest>>)
    where
        'a: 'scope,
    {
        let (line, pool) = (*self, Arc::clone(pool));
        let (output, fetched) = sync_channel(fetch::BLOCKS);
        let mut outputs = vec![output];
        let sum = line.source.checksum.as_ref().map(|wanted| {
            let (output, input) = sync_channel(fetch::BLOCKS);
            outputs.push(output);
            scope.spawn(move || fetch::sum(wanted.kind(), &input))
        });
        scope.spawn(move || {
            let done = fetch::run(line.run, &mut fetch, &pool, first, &outputs);
            done.unwrap_or_else(|error| line.fail(error))
        });
        (fetched, sum)
    }

    /// Gives the pool that the unpacked blocks are of, too.
    pub fn start_decode<'scope>(
        &self,
        scope: Scope<'scope, '_>,
        compression: Compression,
        fetched: Receiver<Piece>,
        fetching: &Arc<Pool>,
    ) -> (Receiver<Piece>, Arc<Pool>)
    where
        'a: 'scope,
    {
        if compression == Compression::None {
            return (fetched, Arc::clone(fetching));
        }
        let (line, pool) = (*self, Pool::new(BLOCKS));
        let own = Arc::clone(&pool);
        let (output, unpacked) = sync_channel(BLOCKS);
        scope.spawn(move || {
            let decoder = Decoder {
                run: line.run,
                compression,
                memory: line.memory,
                pool: &own,
            };
            let done = decoder.run(fetched, &output);
            done.unwrap_or_else(|error| line.fail(error))
        });
        (unpacked, pool)
    }

    pub fn check(&self, sum: Option<&Digest>) -> Result<(), ImageError> {
        match (&self.source.checksum, sum) {
            (Some(wanted), Some(got)) if wanted != got => Err(ImageError::Checksum {
                wanted: wanted.clone(),
                got: got.clone(),
            }),
            _ => Ok(()),
        }
    }
}
