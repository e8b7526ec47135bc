//! What an image is written to: a disk, or a file that stands for one. Past the page cache where that can be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::block::{BLOCK, Pool};
use super::error::{ImageError, hint};
use super::run::Run;

/// As many bytes as the kernel is told to zero at once, so that a cancellation is heard between.
const ZEROED_AT_ONCE: u64 = 256 << 20;
/// Blocks of what is a file, so that they suit every file system.
const FILE_SECTOR: usize = 4096;

/// How zeros come to be where something else may have been, the fastest first. A disk that cannot do one of them
/// says so, and the next is tried; in the end they are written.
const PUNCH: u8 = 0;
const ZERO_RANGE: u8 = 1;

#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
    /// None of a file, which grows.
    size: Option<u64>,
    sector: usize,
    zeroing: AtomicU8,
}

impl Disk {
    /// A disk has to be nobody's: one that is mounted, or a member of an array, is refused. A file is emptied.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        open(path).map_err(|source| ImageError::Open {
            target: path.into(),
            hint: hint(&source),
            source,
        })
    }

    /// The least that can be written, and what every write is a multiple of.
    pub fn sector(&self) -> usize {
        self.sector
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses what has no room.
    pub fn hold(&self, image: u64, least: bool) -> Result<(), ImageError> {
        match self.size {
            Some(disk) if image > disk => Err(ImageError::TooSmall {
                least,
                image,
                target: self.path.clone(),
                disk,
            }),
            _ => Ok(()),
        }
    }

    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), ImageError> {
        let done = self.file.write_all_at(bytes, at);
        done.map_err(|error| self.failed("writing", at, error))
    }

    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), ImageError> {
        let done = self.file.read_exact_at(into, at);
        done.map_err(|error| self.failed("reading back", at, error))
    }

    /// Makes a range zeros. Runs of zeros in an image cannot just be skipped: what the disk held before would show.
    pub fn zero(&self, range: Range<u64>, run: &Run) -> Result<(), ImageError> {
        if self.size.is_none() {
            return Ok(()); // a file was emptied, and what is not written of it is a hole
        }
        let mut at = range.start;
        while at < range.end && !run.is_stopped() {
            let len = ZEROED_AT_ONCE.min(range.end - at);
            self.zero_some(at, len, run)
                .map_err(|error| self.failed("zeroing", at, error))?;
            at += len;
        }
        Ok(())
    }

    fn zero_some(&self, at: u64, len: u64, run: &Run) -> io::Result<()> {
        loop {
            let way = self.zeroing.load(Ordering::Relaxed);
            let flags = match way {
                // On a block device: the zeros come of an unmapping, or not at all (blkdev_fallocate).
                PUNCH => FallocateFlags::PUNCH_HOLE,
                ZERO_RANGE => FallocateFlags::ZERO_RANGE,
                _ => return self.write_zeros(at, len, run),
            };
            match rustix::fs::fallocate(&self.file, flags | FallocateFlags::KEEP_SIZE, at, len) {
                Ok(()) => return Ok(()),
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::REMOTEIO) => {
                    self.zeroing.fetch_max(way + 1, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_zeros(&self, at: u64, len: u64, run: &Run) -> io::Result<()> {
        let Some(mut zeros) = Pool::new(1).take(run) else {
            return Ok(());
        };
        zeros.fill(0);
        let end = at + len;
        for at in (at..end).step_by(BLOCK) {
            let most = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
            self.file.write_all_at(&zeros[..most], at)?;
        }
        Ok(())
    }

    /// Takes away that by which firmware would know a disk with half an image on it: both ends, where partition
    /// tables and boot sectors lie. The image's first block is written last, so that they stay away until it is whole.
    pub fn blank(&self, run: &Run) -> Result<(), ImageError> {
        let Some(size) = self.size else {
            return self.cut(0);
        };
        let end = BLOCK as u64;
        self.zero(0..end.min(size), run)?;
        self.zero(size.saturating_sub(end).max(end.min(size))..size, run)?;
        self.sync()
    }

    pub fn sync(&self) -> Result<(), ImageError> {
        let done = self.file.sync_data();
        done.map_err(|error| self.failed("writing out", 0, error))
    }

    /// Of a file: its true length, which need be no multiple of a sector.
    pub fn end_at(&self, length: u64) -> Result<(), ImageError> {
        match self.size {
            Some(_) => Ok(()),
            None => self.cut(length),
        }
    }

    fn cut(&self, length: u64) -> Result<(), ImageError> {
        let done = self.file.set_len(length);
        done.map_err(|error| self.failed("ending", length, error))
    }

    fn failed(&self, what: &'static str, at: u64, source: io::Error) -> ImageError {
        ImageError::Disk {
            what,
            target: self.path.clone(),
            at,
            hint: hint(&source),
            source,
        }
    }
}

fn open(path: &Path) -> io::Result<Disk> {
    let is_disk = match fs::metadata(path) {
        Ok(there) => there.file_type().is_block_device(),
        // What is missing under /dev would become a file in memory.
        Err(error) if path.starts_with("/dev") => return Err(error),
        Err(_) => false,
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let exclusive = if is_disk {
        OFlags::EXCL
    } else {
        options.create(true).truncate(true);
        OFlags::empty()
    };
    options.custom_flags(flags(OFlags::DIRECT | exclusive));
    let mut file = match options.open(path) {
        // Not every file system can (tmpfs).
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            options.custom_flags(flags(exclusive)).open(path)?
        }
        other => other?,
    };
    let (size, sector) = if is_disk {
        let sector = rustix::fs::ioctl_blksszget(&file)?;
        let size = file.seek(SeekFrom::End(0))?;
        (Some(size), usize::try_from(sector).unwrap_or(FILE_SECTOR))
    } else {
        (None, FILE_SECTOR)
    };
    Ok(Disk {
        file,
        path: path.into(),
        size,
        sector,
        zeroing: AtomicU8::new(PUNCH),
    })
}

fn flags(flags: OFlags) -> i32 {
    i32::from_ne_bytes(flags.bits().to_ne_bytes())
}
