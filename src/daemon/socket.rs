//! The unix socket: made so that at no moment more than its owner and its group can reach it.
//!
//! A socket that a dead daemon left is replaced. One that answers belongs to a living daemon, and anything that
//! is no socket belongs to somebody else: neither is touched.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Group, chown};

use super::failure::Failure;
use crate::core::config::SocketConfig;

/// As many connections as the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// A listening socket whose file goes when it goes.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for Door {
    fn drop(&mut self) {
        // Only what we made: somebody may have put another in its place.
        if std::fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode)
        {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Makes the socket, and the folder around it.
pub(super) fn open(config: &SocketConfig) -> Result<(UnixListener, Door), Failure> {
    let path = config.path.as_path();
    make_room(path)?;
    let listener = bound(path).map_err(|error| failed(path, "cannot be made", &error))?;
    let mode = share(config);
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| failed(path, "cannot be given its permissions", &error))?;
    let meta = std::fs::symlink_metadata(path).map_err(|error| failed(path, "is gone", &error))?;
    let door = Door {
        path: path.into(),
        inode: (meta.dev(), meta.ino()),
    };
    Ok((listener, door))
}

/// Sees to it that the folder is there and nothing lies at `path`.
fn make_room(path: &Path) -> Result<(), Failure> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|error| failed(folder, "cannot be made", &error))?;
    }
    let meta = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "cannot be looked at", &error)),
        Ok(meta) => meta,
    };
    if !meta.file_type().is_socket() {
        let detail = format!(
            "{} is there and is no socket; it was left as it is",
            path.display()
        );
        return Err(
            Failure::new(detail).hint("move it away, or choose another place with --socket")
        );
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "socket of a dead daemon replaced");
            std::fs::remove_file(path).map_err(|error| failed(path, "cannot be replaced", &error))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(path, "cannot be looked at", &error)),
        Ok(_) => {
            let detail = format!(
                "socket {} belongs to a daemon that is running",
                path.display()
            );
            Err(Failure::unavailable(detail)
                .hint("stop that one first, or choose another place with --socket"))
        }
    }
}

fn bound(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file takes its mode from the socket: at no moment is it open to others.
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd.into())
}

/// Gives the socket to the group; the mode to use, which is the owner's alone where there is no such group.
fn share(config: &SocketConfig) -> u32 {
    let group = Group::from_name(&config.group).ok().flatten();
    let path = config.path.display();
    let Some(group) = group else {
        tracing::warn!(
            group = config.group, %path,
            "socket is open to its owner alone: there is no such group; make it with: groupadd --system {}",
            config.group
        );
        return config.mode & 0o700;
    };
    match chown(&config.path, None, Some(group.gid)) {
        Ok(()) => config.mode,
        Err(error) => {
            tracing::warn!(
                group = config.group, %path, %error,
                "socket is open to its owner alone: it cannot be given to the group; run the daemon as a member of it, or as root"
            );
            config.mode & 0o700
        }
    }
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => {
            Some("run it as a user who may write there, or choose another place with --socket")
        }
        ErrorKind::ReadOnlyFilesystem => Some("choose another place with --socket"),
        _ => None,
    };
    Failure {
        hint: hint.map(Into::into),
        ..Failure::unavailable(format!("socket {}: {what}: {error}", path.display()))
    }
}
