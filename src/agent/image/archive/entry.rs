//! One entry of an archive.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use tar::EntryType;

use super::super::write::is_zero;
use super::folder::{Folder, Place, inner, times};

const XATTR: &[u8] = b"SCHILY.xattr.";
const PAX_SPARSE: &[u8] = b"GNU.sparse.";
/// The name of the archive itself.
const VOLUME: u8 = b'V';
/// Read and written at once; as many zeros in one are a hole.
const CHUNK: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("it leads out of the folder")]
    Escapes,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for EntryError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Who it belongs to and what may be done with it.
struct Facts {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    seconds: u64,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Facts {
    fn of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Self> {
        let mut xattrs = Vec::new();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                if extension.key_bytes().starts_with(PAX_SPARSE) {
                    return Err(io::Error::other(
                        "it is a sparse file in a form that is not known here; pack it with: tar --format=gnu",
                    ));
                }
                if let Some(name) = extension.key_bytes().strip_prefix(XATTR) {
                    xattrs.push((name.to_vec(), extension.value_bytes().to_vec()));
                }
            }
        }
        let header = entry.header();
        let id =
            |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner out of bounds"));
        Ok(Self {
            uid: Uid::from_raw(id(header.uid()?)?),
            gid: Gid::from_raw(id(header.gid()?)?),
            mode: Mode::from_raw_mode(header.mode()? & 0o7777),
            seconds: header.mtime()?,
            xattrs,
        })
    }

    /// The owner first: a change of it takes capabilities and set-id bits away.
    fn give(&self, file: &OwnedFd) -> io::Result<()> {
        rustix::fs::fchown(file, Some(self.uid), Some(self.gid))?;
        for (name, value) in &self.xattrs {
            rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())?;
        }
        rustix::fs::fchmod(file, self.mode)?;
        Ok(())
    }

    fn give_link(&self, place: &Place) -> io::Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = (Some(self.uid), Some(self.gid));
        rustix::fs::chownat(place.folder(), &place.name, uid, gid, nofollow)?;
        rustix::fs::utimensat(place.folder(), &place.name, &times(self.seconds), nofollow)?;
        Ok(())
    }
}

pub fn unpack<R: Read>(
    folder: &mut Folder,
    entry: &mut tar::Entry<'_, R>,
) -> Result<(), EntryError> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader || kind.as_byte() == VOLUME {
        return Ok(()); // of the archive, not of a file
    }
    let path = inner(&entry.path_bytes()).ok_or(EntryError::Escapes)?;
    let facts = Facts::of(entry)?;
    if kind == EntryType::Directory {
        return directory(folder, &path, &facts);
    }
    let Some(place) = folder.place(&path)? else {
        return Err(io::Error::other("it would replace the folder itself").into());
    };
    let there = place.kind()?;
    if matches!(there, Some(FileType::Symlink | FileType::Directory)) || kind == EntryType::Symlink
    {
        folder.forget();
    }
    if kind != EntryType::Link {
        place.clear()?;
    }
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            regular(&place, entry, &facts)
        }
        EntryType::Symlink => {
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            rustix::fs::symlinkat(to.as_slice(), place.folder(), &place.name)?;
            Ok(facts.give_link(&place)?)
        }
        EntryType::Link => {
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            link(folder, &place, &to)
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => node(&place, entry, &facts),
        _ => Err(io::Error::other("it is of no kind that is known here").into()),
    }
}

fn directory(folder: &mut Folder, path: &Path, facts: &Facts) -> Result<(), EntryError> {
    folder.time_later(path, facts.seconds);
    let place = folder.place(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match &place {
        None => folder.itself()?,
        Some(place) => {
            if place.kind()? != Some(FileType::Directory) {
                place.clear()?;
                rustix::fs::mkdirat(place.folder(), &place.name, Mode::RWXU)?;
                folder.forget();
            }
            rustix::fs::openat(place.folder(), &place.name, flags, Mode::empty())?
        }
    };
    Ok(facts.give(&opened)?)
}

fn regular<R: Read>(
    place: &Place,
    entry: &mut tar::Entry<'_, R>,
    facts: &Facts,
) -> Result<(), EntryError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(place.folder(), &place.name, flags, Mode::RUSR | Mode::WUSR)?;
    let file = File::from(opened);
    let len = copy(entry, &file)?;
    file.set_len(len)?;
    let file = OwnedFd::from(file);
    facts.give(&file)?;
    Ok(rustix::fs::futimens(&file, &times(facts.seconds))?)
}

fn copy(from: &mut impl Read, file: &File) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let len = super::super::decode::fill(from, &mut chunk)?;
        if len == 0 {
            return Ok(at);
        }
        if !is_zero(&chunk[..len]) {
            file.write_all_at(&chunk[..len], at)?;
        }
        at += len as u64;
    }
}

/// The other name of a file that was unpacked before.
fn link(folder: &mut Folder, place: &Place, to: &[u8]) -> Result<(), EntryError> {
    let to = inner(to).ok_or(EntryError::Escapes)?;
    let Some(to) = folder.place(&to)? else {
        return Err(io::Error::other("it would be another name of the folder itself").into());
    };
    if to.kind()?.is_none() {
        return Err(io::Error::other("it is another name of what is not there").into());
    }
    if place.kind()?.is_some() {
        if is_same(place, &to)? {
            return Ok(());
        }
        place.clear()?;
    }
    let (from, name) = (to.folder(), &to.name);
    rustix::fs::linkat(from, name, place.folder(), &place.name, AtFlags::empty())?;
    Ok(())
}

fn is_same(one: &Place, other: &Place) -> io::Result<bool> {
    let stat =
        |place: &Place| rustix::fs::statat(place.folder(), &place.name, AtFlags::SYMLINK_NOFOLLOW);
    let (one, other) = (stat(one)?, stat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

fn node<R: Read>(
    place: &Place,
    entry: &tar::Entry<'_, R>,
    facts: &Facts,
) -> Result<(), EntryError> {
    let header = entry.header();
    let (kind, device) = match header.entry_type() {
        EntryType::Char => (FileType::CharacterDevice, numbers(header)?),
        EntryType::Block => (FileType::BlockDevice, numbers(header)?),
        _ => (FileType::Fifo, 0),
    };
    rustix::fs::mknodat(place.folder(), &place.name, kind, facts.mode, device)?;
    facts.give_link(place)?;
    // Neither the umask nor the change of owner has a say in it.
    rustix::fs::chmodat(place.folder(), &place.name, facts.mode, AtFlags::empty())?;
    Ok(())
}

fn numbers(header: &tar::Header) -> io::Result<rustix::fs::Dev> {
    let major = header.device_major()?.unwrap_or_default();
    let minor = header.device_minor()?.unwrap_or_default();
    Ok(rustix::fs::makedev(major, minor))
}
