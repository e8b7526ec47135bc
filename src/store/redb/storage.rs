//! The bytes under the store: a file, or what a test puts in its place.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::store::StoreError;

/// Bytes by offset. A write is durable when a later [`Storage::sync`] has returned, and may be so before; a
/// sector of 512 bytes is written whole or not at all.
pub trait Storage: Debug + Send + Sync + 'static {
    /// Fills `buffer`; an error when it reaches past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes`, inside the length that was set.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// What is new reads as zero.
    fn set_len(&self, len: u64) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes everything durable that was written and every length that was set.
    fn sync(&self) -> io::Result<()>;
}

/// A locked file.
#[derive(Debug)]
pub(super) struct FileStorage(File);

impl FileStorage {
    /// Opens and locks the file that stands at `path`.
    pub fn open(path: &Path, write: bool) -> Result<Self, StoreError> {
        Self::locked(path, OpenOptions::new().read(true).write(write))
    }

    /// An empty locked file for what will be renamed; what a crash left there is overwritten.
    pub fn temporary(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = Self::locked(path, &options)?;
        file.0.set_len(0).map_err(|error| io_error(path, &error))?;
        Ok(file)
    }

    /// Tries again when the file was renamed between its opening and its locking.
    fn locked(path: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        loop {
            let file = options
                .open(path)
                .map_err(|error| open_error(path, &error))?;
            lock(&file, path)?;
            let own = file.metadata().map_err(|error| io_error(path, &error))?;
            if !own.is_file() {
                return Err(StoreError::Foreign {
                    path: path.into(),
                    what: "it is not a regular file".into(),
                });
            }
            match std::fs::metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Self(file));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(open_error(path, &error));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(io_error(path, &error)),
    }
}

impl Storage for FileStorage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// Takes the space at once where the file system can, so that a full disk is met here and not half way
    /// through a transaction.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        if len > now {
            let signed = |value: u64| {
                i64::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
            };
            match fallocate(
                &self.0,
                FallocateFlags::empty(),
                signed(now)?,
                signed(len - now)?,
            ) {
                Ok(()) => return Ok(()),
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
                Err(error) => {
                    // What was taken before the space ran out is given back.
                    self.0.set_len(now)?;
                    return Err(error.into());
                }
            }
        }
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Counts the syncs of another storage, and remembers that one failed.
#[derive(Debug)]
pub(super) struct Counted {
    inner: Arc<dyn Storage>,
    pub syncs: AtomicU64,
    pub failed: AtomicBool,
}

impl Counted {
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            syncs: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }
}

impl Storage for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner
            .sync()
            .inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| io_error(path, &error))
}

fn open_error(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::ReadOnly {
            path: path.into(),
            why: error.to_string(),
        },
        io::ErrorKind::NotFound => match path.read_link() {
            Ok(target) => StoreError::Io {
                path: path.into(),
                what: format!(
                    "it is a link to {}, where there is nothing; mount its disk, or remove the link to begin anew",
                    target.display()
                ),
            },
            Err(_) => io_error(path, error),
        },
        _ => io_error(path, error),
    }
}

/// What an error of the operating system means for the store.
pub(super) fn io_error(path: &Path, error: &io::Error) -> StoreError {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => StoreError::Full { path: path.into() },
        ReadOnlyFilesystem => StoreError::ReadOnly {
            path: path.into(),
            why: error.to_string(),
        },
        _ => StoreError::Io {
            path: path.into(),
            what: match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EIO | Errno::ENXIO | Errno::ENODEV) => {
                    format!(
                        "{error}: the disk fails; look at it (dmesg, smartctl) and have a backup at hand"
                    )
                }
                _ => error.to_string(),
            },
        },
    }
}
