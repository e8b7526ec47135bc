//! Why an image is not here, in words for whoever waits for it.

use std::io;

use super::checksums::Unproven;
use super::oci::NoImage;
use super::stock::NoRoom;
use super::upstream::Trouble;
use crate::model::{Digest, SourceUrl};

/// Why a download ended without an image. Nothing of it is served as whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Source(#[from] Trouble),
    #[error("the source answered {0}")]
    Status(u16),
    #[error("the source broke off after {received} bytes: {why}")]
    Cut { received: u64, why: String },
    #[error("the source told {told} bytes and sent {came}")]
    Length { told: u64, came: u64 },
    #[error("the source sent another part than was asked for")]
    Part,
    #[error("the source packs what it sends: '{0}'")]
    Packed(String),
    #[error("what the source has changed while it was fetched; ask again for the new one")]
    Changed,
    #[error("the checksum is wrong: {found} came, and {wanted} was told")]
    Checksum { wanted: Digest, found: Digest },
    #[error(
        "the source has another content now: {found} came, and {wanted} was pinned at the first download; \
         take the new one with: dragonfly image refresh"
    )]
    Pinned { wanted: Digest, found: Digest },
    #[error("{0}, which tells what it has to be, is not there: {1}")]
    NoChecksums(SourceUrl, Box<Self>),
    #[error("{0}, which tells what it has to be, is not believed: {1}")]
    Unproven(SourceUrl, Unproven),
    #[error(transparent)]
    Registry(#[from] NoImage),
    #[error("the registry does not tell the digest of the tag")]
    NoDigest,
    #[error("the registry wants a token and does not give one")]
    Token,
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("the disk is full")]
    Full,
    #[error("the disk does not do it: {0}")]
    Disk(String),
    /// What was asked for only if it had changed has not.
    #[error("the source still has the same")]
    Same,
    #[error("nobody wants it any more")]
    GivenUp,
    #[error("dragonfly is stopping")]
    Stopping,
}

impl Failure {
    /// Whether the same question may get a better answer in a moment.
    pub fn passes(&self) -> bool {
        match self {
            Self::Source(trouble) => trouble.passes(),
            Self::Status(code) => matches!(code, 408 | 425 | 429 | 500..=599),
            Self::Cut { .. } => true,
            Self::NoChecksums(_, why) => why.passes(),
            _ => false,
        }
    }

    /// Whether the source itself has to change, or what is told of it, before the same question is answered.
    pub fn is_final(&self) -> bool {
        match self {
            Self::NoChecksums(_, why) => why.is_final(),
            Self::Checksum { .. }
            | Self::Pinned { .. }
            | Self::Packed(_)
            | Self::Unproven(..)
            | Self::Registry(_)
            | Self::Status(400..=499) => !self.passes(),
            _ => false,
        }
    }

    /// Whether what has come so far is of use later.
    pub fn keeps_part(&self) -> bool {
        self.passes()
            || matches!(
                self,
                Self::Stopping | Self::NoRoom(_) | Self::Status(401 | 403)
            )
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error.to_string()),
        }
    }
}
