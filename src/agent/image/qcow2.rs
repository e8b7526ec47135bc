//! A qcow2 image: a map of clusters, and the clusters, in any order.
//!
//! ```text
//! file:  header │ L1 table │ L2 tables and clusters, mixed
//!         L1 ──▶ L2 ──▶ cluster: plain, packed (deflate or zstd), or zeros
//! ```
//!
//! The tables are read first, in parts, and turned into a map that is sorted by where the clusters lie in the *file*.
//! Then the file is fetched once from its first byte to its last, as any other image is: so it is summed, and carried
//! on where it was cut, and each cluster goes to its place on the disk as it comes by. The tables come by again, and
//! have to be what they were.
//!
//! ```text
//! fetch ─┬─ sum
//!        └─ assemble ─┬─ unpack and write
//!                     └─ unpack and write
//! ```

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::block::{BLOCK, Block, Pool};
use super::error::ImageError;
use super::write::Wrote;
use super::{Job, Written, readback};
use crate::agent::http::Fetch;
use crate::model::action::{Compression, ImageFormat};
use crate::model::digest::Digest;

mod assemble;
mod header;
mod map;
mod work;

use assemble::Assembler;
use header::Header;
use map::Map;
use work::{Head, Works};

/// What the stages leave behind.
#[derive(Debug)]
struct Done {
    sum: Option<Digest>,
    wrote: Vec<Wrote>,
}

pub fn write(
    job: &Job<'_>,
    fetch: Fetch<'_>,
    pool: &Arc<Pool>,
    first: Block,
) -> Result<Written, ImageError> {
    let fetched = fetch.length();
    let header = Header::parse(&first)?;
    job.disk.hold(header.size, false)?;
    let sector = job.disk.sector() as u64;
    if header.cluster() < sector {
        return Err(ImageError::Qcow2(format!(
            "its clusters of {} bytes are smaller than the disk's sectors of {sector}",
            header.cluster()
        )));
    }
    job.line.run.enter("reading the map", 0);
    let mut parts = fetch.again();
    let map = Map::read(&header, fetched, |at, into| Ok(parts.read_at(at, into)?))?;
    drop(parts);
    job.destroying(|| {
        for range in &map.zeros {
            job.disk.zero(sectors(range, sector), job.line.run)?;
        }
        job.line.run.enter("writing", fetched);
        let head = Head::new(job, header.size);
        let done = stages(job, fetch, pool, first, (&header, map, &head));
        finish(job, pool, done, head, header.size)?;
        job.disk.end_at(header.size)?;
        Ok(Written {
            fetched,
            length: header.size,
            format: ImageFormat::Qcow2,
            compression: Compression::None,
            checked: job.line.source.checksum.is_some(),
            verified: job.verify,
        })
    })
}

/// The last cluster may end in the middle of a sector.
fn sectors(range: &std::ops::Range<u64>, sector: u64) -> std::ops::Range<u64> {
    range.start..range.end.next_multiple_of(sector)
}

fn finish(
    job: &Job<'_>,
    pool: &Arc<Pool>,
    done: Option<Done>,
    head: Head<'_>,
    length: u64,
) -> Result<(), ImageError> {
    let stopped = || ImageError::Cancelled { waiting: None };
    let done = done.filter(|_| !job.line.run.is_stopped());
    let mut done = done.ok_or_else(stopped)?;
    job.line.check(done.sum.as_ref())?;
    job.disk.sync()?;
    let mut wrote = head.write()?;
    job.disk.sync()?;
    if job.verify {
        done.wrote.append(&mut wrote);
        readback::run(job, pool, length, &done.wrote)?;
    }
    Ok(())
}

/// Runs all stages. Nothing, when one of them failed; the run knows why.
fn stages(
    job: &Job<'_>,
    fetch: Fetch<'_>,
    pool: &Arc<Pool>,
    first: Block,
    (header, map, head): (&Header, Map, &Head<'_>),
) -> Option<Done> {
    let zeros = map.zeros.clone();
    let workers = super::decode::threads().max(2) as usize;
    thread::scope(|scope| {
        let (fetched, sum) = job.line.start_fetch(scope, fetch, pool, first);
        // A work for each worker, and one that it finds when it is done.
        let (output, works) = sync_channel(workers);
        let assembled = scope.spawn(move || {
            let assembler = Assembler::new(header, map, output);
            let done = assembler.run(&fetched);
            done.unwrap_or_else(|error| job.line.fail(error))
        });
        let unpacked = Pool::of(workers, BLOCK.max(header.cluster_len()));
        let works = Works::new(works, job, header, head, &unpacked);
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let works = works.clone();
                scope.spawn(move || works.run().map_or_else(|error| job.line.fail(error), Some))
            })
            .collect();
        drop(works);
        let mut wrote: Vec<_> = zeros.into_iter().map(Wrote::zeros).collect();
        for worker in workers {
            wrote.append(&mut worker.join().ok()??);
        }
        assembled.join().ok()??;
        Some(Done {
            sum: match sum {
                Some(sum) => sum.join().ok()?,
                None => None,
            },
            wrote,
        })
    })
}

#[cfg(test)]
mod tests;
