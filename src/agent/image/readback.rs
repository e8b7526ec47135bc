//! Reading back: what the disk holds is compared with what it was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Job;
use super::block::{BLOCK, Pool};
use super::disk::Disk;
use super::error::ImageError;
use super::run::Run;
use super::write::{WRITERS, Wrote, is_zero, sum};

/// Reads all of an image of this length, several at once.
pub fn run(
    job: &Job<'_>,
    pool: &Arc<Pool>,
    length: u64,
    wrote: &[Wrote],
) -> Result<(), ImageError> {
    let (run, disk) = (job.line.run, job.disk);
    run.enter("verifying", wrote.iter().map(|one| one.len).sum());
    // A file may end in zeros that were not written.
    disk.end_at(length.next_multiple_of(disk.sector() as u64))?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while let Some(one) = wrote.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if run.is_stopped() {
                        break;
                    }
                    if let Err(error) = compare(run, disk, pool, one) {
                        run.fail(error);
                    }
                }
            });
        }
    });
    Ok(())
}

fn compare(run: &Run, disk: &Disk, pool: &Arc<Pool>, one: &Wrote) -> Result<(), ImageError> {
    let end = one.at + one.len;
    for at in (one.at..end).step_by(BLOCK) {
        let Some(mut block) = pool.take(run) else {
            break;
        };
        block.truncate(usize::try_from(end - at).unwrap_or(BLOCK));
        disk.read(at, &mut block)?;
        let same = match one.sum {
            Some(expected) => sum(&block) == expected,
            None => is_zero(&block),
        };
        if !same {
            return Err(ImageError::ReadBack {
                target: disk.path().into(),
                from: at,
                to: at + block.len() as u64 - 1,
            });
        }
        run.advance(block.len() as u64);
    }
    Ok(())
}
