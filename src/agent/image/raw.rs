//! An image that is the disk's own bytes, compressed or not.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::block::{Block, Pool};
use super::decode::Piece;
use super::error::ImageError;
use super::line::{BLOCKS, Handle, Scope};
use super::write::{self, Order, Sieve, Sieved, WRITERS, Wrote};
use super::{Job, Written, readback, sniff};
use crate::agent::http::Fetch;
use crate::model::action::{Compression, ImageFormat};
use crate::model::digest::Digest;

/// What the stages leave behind.
#[derive(Debug)]
struct Done {
    sum: Option<Digest>,
    sieved: Sieved,
    wrote: Vec<Wrote>,
}

pub fn write(
    job: &Job<'_>,
    fetch: Fetch<'_>,
    pool: &Arc<Pool>,
    first: Block,
    compression: Compression,
) -> Result<Written, ImageError> {
    let fetched = fetch.length();
    if compression == Compression::None {
        job.disk.hold(fetched, false)?;
        sniff::judge(&first, job.line.source.format)?;
    }
    job.destroying(|| {
        job.line.run.enter("writing", fetched);
        let done = stages(job, fetch, pool, first, compression);
        let length = finish(job, pool, done)?;
        Ok(Written {
            fetched,
            length,
            format: ImageFormat::Raw,
            compression,
            checked: job.line.source.checksum.is_some(),
            verified: job.verify,
        })
    })
}

/// What is left to do when all bytes but the first block are with the disk. How many there are.
fn finish(job: &Job<'_>, pool: &Arc<Pool>, done: Option<Done>) -> Result<u64, ImageError> {
    let stopped = || ImageError::Cancelled { waiting: None };
    let done = done.filter(|_| !job.line.run.is_stopped());
    let mut done = done.ok_or_else(stopped)?;
    job.line.check(done.sum.as_ref())?;
    let head = done.sieved.head.take().ok_or(ImageError::Empty)?;
    job.disk.sync()?;
    job.disk.write(0, &head)?;
    job.disk.sync()?;
    if job.verify {
        done.wrote.push(Wrote::new(0, &head));
        drop(head);
        readback::run(job, pool, done.sieved.length, &done.wrote)?;
    }
    job.disk.end_at(done.sieved.length)?;
    Ok(done.sieved.length)
}

/// Runs all stages. Nothing, when one of them failed; the run knows why.
fn stages(
    job: &Job<'_>,
    fetch: Fetch<'_>,
    pool: &Arc<Pool>,
    first: Block,
    compression: Compression,
) -> Option<Done> {
    thread::scope(|scope| {
        let (fetched, sum) = job.line.start_fetch(scope, fetch, pool, first);
        let (unpacked, pool) = job.line.start_decode(scope, compression, fetched, pool);
        let (orders, sieve) = start_sieve(scope, *job, compression, unpacked, pool);
        let writers = start_writers(scope, *job, orders);
        let mut wrote = Vec::new();
        for writer in writers {
            wrote.append(&mut writer.join().ok()??);
        }
        Some(Done {
            sum: match sum {
                Some(sum) => sum.join().ok()?,
                None => None,
            },
            sieved: sieve.join().ok()??,
            wrote,
        })
    })
}

fn start_sieve<'scope>(
    scope: Scope<'scope, '_>,
    job: Job<'scope>,
    compression: Compression,
    input: Receiver<Piece>,
    pool: Arc<Pool>,
) -> (Receiver<Order>, Handle<'scope, Sieved>) {
    let (output, orders) = sync_channel(BLOCKS);
    let handle = scope.spawn(move || {
        let sieve = Sieve {
            run: job.line.run,
            disk: job.disk,
            pool: &pool,
            least: compression != Compression::None,
            output,
        };
        let done = sieve.run(&input, |first| sniff::judge(first, job.line.source.format));
        done.unwrap_or_else(|error| job.line.fail(error))
    });
    (orders, handle)
}

fn start_writers<'scope>(
    scope: Scope<'scope, '_>,
    job: Job<'scope>,
    orders: Receiver<Order>,
) -> Vec<Handle<'scope, Vec<Wrote>>> {
    // The last writer that goes takes the channel with it, so that the sieve does not wait for nobody.
    let orders = Arc::new(Mutex::new(orders));
    let start = |_| {
        let orders = Arc::clone(&orders);
        scope.spawn(move || {
            let done = write::run(job.line.run, job.disk, &orders, job.verify);
            done.map_or_else(|error| job.line.fail(error), Some)
        })
    };
    (0..WRITERS).map(start).collect()
}
