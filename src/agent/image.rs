//! Writing an image over a disk: fetch, check, unpack and write, all at once.
//!
//! ```text
//! fetch ─┬─ sum                       blocks of 1 MiB out of two pools, so that memory has its bound
//!        └─ unpack ── sieve ─┬─ write
//!                            └─ write
//! ```
//!
//! Each box is a thread. The sieve tells zeros from bytes, and keeps the first block back: it is written when all the
//! rest is on the disk and the checksum is right, so that a disk with half an image on it never boots. A qcow2 image
//! takes another way behind the first block: see `qcow2`. Nothing is remembered: called again, it starts anew.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::agent::http::{HttpError, Url};
use crate::model::action::{Compression, ImageFormat};
use crate::model::agent::Progress;
use crate::model::digest::Digest;

mod archive;
mod block;
mod decode;
mod disk;
mod error;
mod fetch;
mod line;
mod memory;
mod qcow2;
mod raw;
mod readback;
mod run;
mod sniff;
mod write;

#[cfg(test)]
mod tests;

pub use archive::{Unpacked, unpack};
use block::Pool;
use disk::Disk;
pub use error::ImageError;
use line::Line;
use run::{Gauge, Run};

/// As often as an image is begun that changes on the way.
const TRIES: u32 = 3;
/// How often the caller hears.
const TELLS: Duration = Duration::from_millis(500);

/// Where the image comes from, and what it is.
#[derive(Clone, Debug)]
pub struct Source {
    pub url: Url,
    /// Over the bytes that are fetched.
    pub checksum: Option<Digest>,
    /// Told by the first bytes where it is absent.
    pub format: Option<ImageFormat>,
    pub compression: Option<Compression>,
}

impl Source {
    pub fn new(url: Url) -> Self {
        Self {
            url,
            checksum: None,
            format: None,
            compression: None,
        }
    }
}

/// A block device, or a file that stands for one.
#[derive(Clone, Debug)]
pub struct Target {
    pub path: PathBuf,
}

impl Target {
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().into(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Read back what was written, and compare.
    pub verify: bool,
    /// Bytes that unpacking may take; found out where it is absent.
    pub memory: Option<u64>,
}

/// What stands on the disk now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Of the source.
    pub fetched: u64,
    /// Of the image as the disk has it.
    pub length: u64,
    pub format: ImageFormat,
    pub compression: Compression,
    /// The checksum was asked for, and is right.
    pub checked: bool,
    /// It was read back, and is the same.
    pub verified: bool,
}

/// Writes an image over the whole of a disk, from its first byte on. What lies behind the image's end stays.
///
/// `progress` is called twice a second from the calling thread, and by its answer may cancel. A server that is away
/// is asked again until then; one that has another content on the way has it written from its first byte on.
pub fn write_image(
    source: &Source,
    target: &Target,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Written, ImageError> {
    for _ in 1..TRIES {
        match write_once(source, target, options, progress) {
            Err(ImageError::Http(HttpError::Changed { .. })) => {}
            done => return done,
        }
    }
    write_once(source, target, options, progress)
}

fn write_once(
    source: &Source,
    target: &Target,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Written, ImageError> {
    watched(progress, |run| {
        let disk = Disk::open(&target.path)?;
        let job = Job {
            line: Line::new(run, source, options),
            disk: &disk,
            verify: options.verify,
        };
        job.write()
    })
}

/// Runs the work in a thread of its own, and tells the caller how far it is meanwhile.
fn watched<T: Send>(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    work: impl FnOnce(&Run) -> Result<T, ImageError> + Send,
) -> Result<T, ImageError> {
    let run = Run::new();
    let mut gauge = Gauge::new();
    let done = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let done = work(&run);
            run.finish();
            done
        });
        while !worker.is_finished() && !run.wait_finished(TELLS) {
            if progress(gauge.read(&run)).is_break() {
                let waiting = run.what_keeps_it();
                run.fail(ImageError::Cancelled { waiting });
            }
        }
        worker.join()
    });
    let _ = progress(gauge.read(&run));
    let stopped = || ImageError::Cancelled { waiting: None };
    match (run.error(), done) {
        (Some(cause), _) => Err(cause),
        (None, Ok(Err(ImageError::Http(HttpError::Stopped))) | Err(_)) => Err(stopped()),
        (None, Ok(done)) => done,
    }
}

/// One image on its way to one disk.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    line: Line<'a>,
    disk: &'a Disk,
    verify: bool,
}

impl Job<'_> {
    fn write(&self) -> Result<Written, ImageError> {
        let pool = Pool::new(fetch::BLOCKS);
        let (fetch, first) = self.line.open(&pool)?;
        let source = self.line.source;
        let compression = source.compression;
        let compression = compression.unwrap_or_else(|| sniff::compression(&first));
        let plain = compression == Compression::None && source.format != Some(ImageFormat::Raw);
        if plain && sniff::is_qcow2(&first) {
            qcow2::write(self, fetch, &pool, first)
        } else {
            raw::write(self, fetch, &pool, first, compression)
        }
    }

    /// Work after which nothing of the disk is what it was: unless it ends well, nothing of it boots.
    fn destroying<T>(&self, work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
        self.disk.blank(self.line.run)?;
        let done = work();
        if done.is_err() || self.line.run.is_stopped() {
            // The disk may be gone, and with it what could boot.
            let _ = self.disk.blank(&Run::new());
        }
        done
    }
}
