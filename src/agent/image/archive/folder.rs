//! The folder, which is the root of all that is unpacked into it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// What an entry's name leads to: a folder inside, and a name in it.
#[derive(Debug)]
pub struct Place {
    folder: Rc<OwnedFd>,
    pub name: OsString,
}

impl Place {
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    pub fn kind(&self) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok(Some(FileType::from_raw_mode(there.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes room for something of the same name.
    pub fn clear(&self) -> io::Result<()> {
        let flags = match self.kind()? {
            None => return Ok(()),
            Some(FileType::Directory) => AtFlags::REMOVEDIR,
            Some(_) => AtFlags::empty(),
        };
        Ok(rustix::fs::unlinkat(&*self.folder, &self.name, flags)?)
    }
}

#[derive(Debug)]
pub struct Folder {
    root: Rc<OwnedFd>,
    /// The folder of the entry before; most entries have the same.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Folders with the times that they get when nothing more is put into them.
    times: Vec<(PathBuf, u64)>,
}

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Rc::new(rustix::fs::open(path, PLACE, Mode::empty())?),
            last: None,
            times: Vec::new(),
        })
    }

    /// The place of a path that [`inner`] took apart, none for the folder itself. Folders on the way are made.
    pub fn place(&mut self, path: &Path) -> io::Result<Option<Place>> {
        let Some(name) = path.file_name() else {
            return Ok(None);
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Some(Place {
            folder: self.parent(parent)?,
            name: name.into(),
        }))
    }

    fn parent(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        if path.as_os_str().is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some((_, folder)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(folder));
        }
        let folder = match self.resolve(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path)?,
            other => other?,
        };
        let folder = Rc::new(folder);
        self.last = Some((path.into(), Rc::clone(&folder)));
        Ok(folder)
    }

    fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        let opened = rustix::fs::openat2(&*self.root, path, PLACE, Mode::empty(), INSIDE);
        Ok(opened?)
    }

    fn make(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut so_far = PathBuf::new();
        let mut folder = None;
        for name in path {
            let parent = folder.as_ref().unwrap_or(&self.root);
            match rustix::fs::mkdirat(&**parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => (),
                Err(error) => return Err(error.into()),
            }
            so_far.push(name);
            folder = Some(Rc::new(self.resolve(&so_far)?));
        }
        self.resolve(&so_far)
    }

    pub fn itself(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&*self.root, ".", flags, Mode::empty())?)
    }

    /// What a folder's place holds now may be another than before.
    pub fn forget(&mut self) {
        self.last = None;
    }

    pub fn time_later(&mut self, path: &Path, seconds: u64) {
        self.times.push((path.into(), seconds));
    }

    /// The times of the folders, and all of it on the disk.
    pub fn finish(self) -> io::Result<()> {
        for (path, seconds) in self.times.iter().rev() {
            let here = OsStr::new(".");
            let place = if path.as_os_str().is_empty() {
                Path::new(here)
            } else {
                path
            };
            // It may be gone: a later entry can have its name.
            if let Ok(folder) = self.resolve(place) {
                rustix::fs::utimensat(&folder, here, &times(*seconds), AtFlags::empty())?;
            }
        }
        Ok(rustix::fs::syncfs(self.itself()?)?)
    }
}

pub fn times(seconds: u64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds.try_into().unwrap_or_default(),
            tv_nsec: 0,
        },
    }
}

/// A path of an archive, from the folder on; none when it leads out of it.
pub fn inner(path: &[u8]) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => (),
            b".." => return None,
            name => inner.push(OsStr::from_bytes(name)),
        }
    }
    Some(inner)
}
