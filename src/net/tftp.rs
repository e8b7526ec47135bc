//! The sender of files by TFTP (RFC 1350, 2347, 2348, 2349, 7440).
//!
//! A transfer is a plain state machine ([`Session`]); [`serve`] is the loop around many of them, on one address. What
//! there is to send, and who gets it, is the affair of the [`Files`] that it is given. Nothing is ever written.
//!
//! - [`packet`]: datagrams, parsed and built. - [`name`]: file names, made harmless. - `stream`: what is sent, encoded.
//! - `patience`: when something is sent again. - [`session`]: one transfer. - [`table`]: how many there may be.
//! - `transfer`: a session with its name and its story. - [`server`]: the loop.

pub mod burst;
pub mod name;
pub mod packet;
mod patience;
pub mod server;
pub mod session;
mod stream;
pub mod table;
mod transfer;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::model::trace::Mark;

pub use server::serve;
pub use session::Session;

/// Who asks for what, and by which address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRequest<'a> {
    /// Without a leading `/`, without `\`, `.` and `..`, never empty.
    pub name: &'a str,
    pub peer: SocketAddr,
    pub local: Ipv4Addr,
}

/// What can be fetched.
pub trait Files: Send + Sync {
    /// Opens a file for one transfer. It is called on the loop of all transfers, and so does nothing that takes long.
    fn open(&self, request: &FileRequest<'_>) -> Result<Box<dyn Source>, OpenError>;
}

/// Why a file is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    Missing,
    /// It is not for this one.
    Denied,
    /// Nothing is said at all, as if nobody were here.
    Silence,
}

/// The octets of one file.
#[expect(
    clippy::len_without_is_empty,
    reason = "an empty file is sent as any other"
)]
pub trait Source: Send {
    /// Its length now; a transfer sends so many octets.
    fn len(&self) -> u64;

    /// Reads at a place, as `pread` does: fewer octets than asked for are fine, none are the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Octets that live as long as the program, or are shared with others.
#[derive(Clone, Copy)]
pub struct Embedded<T>(pub T);

impl<T> fmt::Debug for Embedded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

impl<T: AsRef<[u8]> + Send> Source for Embedded<T> {
    fn len(&self) -> u64 {
        self.0.as_ref().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.as_ref();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}

/// A file on a disk.
#[derive(Debug)]
pub struct OnDisk {
    file: std::fs::File,
    length: u64,
}

impl OnDisk {
    /// None but a regular file has a length to be told and places to be read at.
    pub fn new(file: std::fs::File) -> io::Result<Self> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            file,
            length: about.len(),
        })
    }
}

impl Source for OnDisk {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }
}

/// Is told what becomes of transfers.
pub trait Watcher: Send + Sync {
    /// `mark` is one of those that begin with `File`; `text` is for a person, and what came off the wire is escaped in it.
    fn tftp(&self, peer: SocketAddr, mark: Mark, text: String);
}

/// What a server may spend. A transfer holds two descriptors and 34 KiB; with the largest window 256 KiB at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transfers at one time. A request beyond is not answered, and firmware asks again after some seconds.
    pub sessions: usize,
    /// Of these, for one address: machines behind a router share one.
    pub per_peer: usize,
    /// Of these, such as never acknowledged anything. When there are more, one makes room: the oldest of the address
    /// that has most of them, so that a flood from one address displaces its own.
    pub half_open: usize,
    /// Blocks in flight.
    pub window: u16,
    /// All datagrams leave from the port that is asked, for clients behind a filter that knows no TFTP.
    pub single_port: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 256,
            per_peer: 128,
            half_open: 128,
            window: 64,
            single_port: false,
        }
    }
}
