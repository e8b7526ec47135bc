//! Where the files of a boot come from, for TFTP and HTTP alike.
//!
//! A name is looked for in the person's own folder first and then in the folders with the distribution's loaders;
//! two scripts are rendered instead, for the address that was asked. No name leads out of its folder: it is taken
//! apart and checked as text, and the kernel resolves it beneath the folder, links included (openat2,
//! `RESOLVE_BENEATH`). Only regular files are served.

mod name;

use std::fs::{File, Metadata};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::environments::Environments;
use super::ipxe::{ScriptError, Scripts};
use super::loaders::{AUTOEXEC, ENTRY, SIGNED, folders};

pub use name::{Name, NameError};

/// Serves names. Nothing is kept open between two requests, so that a file may be replaced at any time.
#[derive(Debug)]
pub struct Files {
    own: PathBuf,
    loaders: Vec<PathBuf>,
    scripts: Scripts,
    environments: Environments,
}

/// Something to send.
#[derive(Debug)]
pub struct Opened {
    pub content: Content,
    pub len: u64,
    /// Changes when the content does; quoted, as HTTP wants it.
    pub tag: String,
    /// None for what is made on request.
    pub modified: Option<Timestamp>,
}

#[derive(Debug)]
pub enum Content {
    File(File),
    Bytes(Bytes),
}

/// Why nothing is sent. The words are for whoever asked, and name no folder of the server.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("there is no file {0}")]
    Absent(Name),
    #[error("{0} is not a regular file")]
    NotAFile(Name),
    #[error("{0} cannot be read: {1}")]
    Unreadable(Name, #[source] io::Error),
    #[error("{0} cannot be made: {1}")]
    Script(Name, #[source] ScriptError),
}

impl Files {
    /// `own` is the person's folder, `loaders` are those of the distribution; neither needs to be there yet.
    pub const fn new(own: PathBuf, loaders: Vec<PathBuf>, scripts: Scripts) -> Self {
        Self {
            own,
            loaders,
            scripts,
            environments: Environments::new(PathBuf::new()),
        }
    }

    /// With boot environments out of this folder.
    #[must_use]
    pub fn with_environments(self, folder: PathBuf) -> Self {
        Self {
            environments: Environments::new(folder),
            ..self
        }
    }

    pub const fn environments(&self) -> &Environments {
        &self.environments
    }

    pub const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// What `name` stands for. `server` is the machine plane's address that whoever asks can reach.
    pub fn open(&self, name: &str, server: SocketAddr) -> Result<Opened, Missing> {
        let name: Name = name.parse()?;
        if let Some(file) = self.find(&name)? {
            return Ok(file);
        }
        let script = match name.as_str() {
            ENTRY => self.scripts.entry(server),
            other if is_autoexec(other) => self.scripts.autoexec(server),
            _ => return Err(Missing::Absent(name)),
        };
        script
            .map(Opened::text)
            .map_err(|error| Missing::Script(name, error))
    }

    /// Whether a file of this name could be sent now.
    pub fn has(&self, name: &str) -> bool {
        let name = name.parse::<Name>();
        name.is_ok_and(|name| matches!(self.find(&name), Ok(Some(_))))
    }

    fn find(&self, name: &Name) -> Result<Option<Opened>, Missing> {
        find(name, &self.places(name))
    }

    /// Folder and path, in the order in which they are tried.
    fn places<'a>(&'a self, name: &'a Name) -> Vec<(&'a Path, &'a str)> {
        let whole = name.as_str();
        let mut places = vec![(self.own.as_path(), whole)];
        if let Some(file) = flat(whole) {
            if file != whole {
                places.push((&self.own, file));
            }
            let theirs = self.loaders.iter().map(|folder| (folder.as_path(), file));
            places.extend(theirs);
        }
        places
    }
}

/// The name without its platform's folder: a distribution's loaders lie side by side. What is asked beside a signed
/// shim is signed too, or it is not found at all.
fn flat(name: &str) -> Option<&str> {
    match name.split_once('/') {
        None => Some(name),
        Some((SIGNED, _)) => None,
        Some((folder, file)) => {
            let platform = folders().any(|known| known == folder);
            (platform && !file.contains('/')).then_some(file)
        }
    }
}

/// Beside every loader, and beside one that was named without its folder.
fn is_autoexec(name: &str) -> bool {
    match name.strip_suffix(AUTOEXEC) {
        Some("") => true,
        Some(folder) => folders().any(|known| folder.strip_suffix('/') == Some(known)),
        None => false,
    }
}

/// The first that is there, each a path in its folder.
pub(super) fn find(name: &Name, places: &[(&Path, &str)]) -> Result<Option<Opened>, Missing> {
    for (folder, path) in places {
        match open_beneath(folder, path) {
            Ok(file) => return opened(name, file).map(Some),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            // It leads out of its folder: for whoever asks, it is not there.
            Err(Errno::EXDEV | Errno::ELOOP) => {
                tracing::warn!(folder = %folder.display(), %name, "link out of a boot folder");
            }
            Err(Errno::ENXIO) => return Err(Missing::NotAFile(name.clone())),
            Err(error) => return Err(Missing::Unreadable(name.clone(), error.into())),
        }
    }
    Ok(None)
}

fn open_beneath(folder: &Path, path: &str) -> Result<File, Errno> {
    let root = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
        .open(folder)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    // Without O_NONBLOCK a pipe in the folder would hold the thread until somebody writes into it.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how).map(File::from)
}

fn opened(name: &Name, file: File) -> Result<Opened, Missing> {
    let about = file
        .metadata()
        .map_err(|error| Missing::Unreadable(name.clone(), error))?;
    if !about.is_file() {
        return Err(Missing::NotAFile(name.clone()));
    }
    Ok(Opened {
        len: about.len(),
        tag: tag(&about),
        modified: Timestamp::from_second(about.mtime()).ok(),
        content: Content::File(file),
    })
}

/// A file that is replaced has another inode, one that is written to another time.
fn tag(about: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        about.len(),
        about.ino(),
        about.mtime(),
        about.mtime_nsec()
    )
}

impl Opened {
    /// Text that was made for this request.
    pub fn text(text: String) -> Self {
        use sha2::{Digest, Sha256};
        let bytes = Bytes::from(text);
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let fold = |tag: u64, byte: &u8| tag << 8 | u64::from(*byte);
        Self {
            len: bytes.len() as u64,
            tag: format!("\"{:016x}\"", digest.iter().take(8).fold(0, fold)),
            modified: None,
            content: Content::Bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
