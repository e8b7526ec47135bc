//! What can go wrong with an image, in words for the person who asked for it.

use std::io;
use std::path::PathBuf;

use crate::agent::http::HttpError;
use crate::model::digest::Digest;

/// Why an image is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the image is empty")]
    Empty,
    #[error(
        "the disk is too small: the image has {}{}, and {} has {}",
        if *.least { "at least " } else { "" },
        Size(*.image),
        .target.display(),
        Size(*.disk)
    )]
    TooSmall {
        /// No more was unpacked than this; there may be more.
        least: bool,
        image: u64,
        target: PathBuf,
        disk: u64,
    },
    #[error("the checksum is wrong: {wanted} was asked for, and what was fetched has {got}")]
    Checksum { wanted: Digest, got: Digest },
    #[error("the image is damaged: as {format} it cannot be unpacked after {at} bytes: {source}")]
    Corrupt {
        format: &'static str,
        at: u64,
        source: io::Error,
    },
    #[error("the image ends too early: its {format} stream is cut off after {at} unpacked bytes")]
    Short { format: &'static str, at: u64 },
    #[error(
        "unpacking needs more memory than the {mebibytes} MiB that this machine can spare: {what}"
    )]
    Memory { mebibytes: u64, what: &'static str },
    #[error("this is no image of a disk: {what}")]
    NoImage { what: &'static str },
    #[error("the qcow2 image cannot be written: {0}")]
    Qcow2(String),
    #[error("{} cannot be opened: {source}{hint}", .target.display())]
    Open {
        target: PathBuf,
        source: io::Error,
        hint: &'static str,
    },
    #[error("{what} {} failed at byte {at}: {source}{hint}", .target.display())]
    Disk {
        what: &'static str,
        target: PathBuf,
        at: u64,
        source: io::Error,
        hint: &'static str,
    },
    #[error(
        "{} does not give back what was written to it: bytes {from} to {to} differ; the disk is failing",
        .target.display()
    )]
    ReadBack { target: PathBuf, from: u64, to: u64 },
    #[error("the archive cannot be unpacked at '{entry}': {source}{hint}")]
    Archive {
        entry: String,
        source: io::Error,
        hint: &'static str,
    },
    #[error("the archive is not to be trusted: its entry '{entry}' leads out of the folder")]
    Escape { entry: String },
    #[error("it was cancelled{}", .waiting.as_ref().map(|why| format!(" while it waited: {why}")).unwrap_or_default())]
    Cancelled { waiting: Option<String> },
}

/// So many bytes, for a person who thinks in gibibytes.
pub(super) struct Size(pub u64);

impl std::fmt::Display for Size {
    #[allow(clippy::cast_precision_loss, reason = "the bytes stand beside it")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gibibytes = self.0 as f64 / f64::from(1 << 30);
        write!(f, "{} bytes ({gibibytes:.2} GiB)", self.0)
    }
}

/// What the kernel's word means for a disk.
pub(super) fn hint(error: &io::Error) -> &'static str {
    match error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error)
    {
        Some(rustix::io::Errno::IO | rustix::io::Errno::MEDIUMTYPE) => {
            "; the disk is failing, or its cable"
        }
        Some(rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => "; the disk is gone",
        Some(rustix::io::Errno::ROFS | rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
            "; it is protected against writing"
        }
        Some(rustix::io::Errno::BUSY) => "; it is in use: mounted, or a member of an array",
        Some(rustix::io::Errno::NOSPC) => "; there is no space left",
        _ => "",
    }
}
