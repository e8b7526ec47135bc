//! What is written down of an image: one small JSON file each, replaced whole, so that the power may go at any moment
//! and a half-written one is never read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Checksums, Digest, ImageName, Proof, SourceUrl};

/// The layout of the records; grows when their meaning changes.
pub const FORMAT: u16 = 1;
/// No record is larger; a file that is was not written here.
const MAX_FILE: u64 = 64 * 1024;

/// Whose bytes they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An image with a name.
    Image(ImageName),
    /// A blob or manifest of a registry, by its digest.
    Registry(Digest),
}

/// An image, or a blob of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub format: u16,
    /// None where a person brought the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SourceUrl>,
    /// What the bytes have to be, as somebody told, or as [`Self::checksums`] told at the first download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Digest>,
    /// Where their vendor tells what they have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    /// The fingerprint of the key that signed what was told there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// SHA-256 of the bytes as they came first; from then on they have to be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What the source called this content, for asking whether it has another now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// What it was called while it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_as: Option<String>,
    /// The media type, where a registry told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    #[serde(default)]
    pub pinned: bool,
}

impl Record {
    pub fn new(url: Option<SourceUrl>, proof: Option<Proof>) -> Self {
        let (checksum, checksums) = match proof {
            Some(Proof::Checksum(checksum)) => (Some(checksum), None),
            Some(Proof::Checksums(checksums)) => (None, Some(checksums)),
            None => (None, None),
        };
        Self {
            format: FORMAT,
            url,
            checksum,
            checksums,
            signer: None,
            digest: None,
            bytes: None,
            etag: None,
            last_modified: None,
            arrived_as: None,
            media: None,
            fetched_at: None,
            used_at: None,
            pinned: false,
        }
    }

    /// What somebody told that the bytes have to be.
    pub fn proof(&self) -> Option<Proof> {
        let told = self.checksums.clone().map(Proof::Checksums);
        told.or_else(|| self.checksum.clone().map(Proof::Checksum))
    }

    /// Whether its bytes may be removed to make room: they can be had again.
    pub const fn can_go(&self) -> bool {
        !self.pinned && self.url.is_some()
    }

    /// What is wrong with it, as it was read.
    pub fn flaw(&self) -> Option<&'static str> {
        use crate::model::digest::DigestKind::Sha256;
        match self {
            Self { format, .. } if *format != FORMAT => Some("its layout is not known here"),
            Self {
                digest: Some(digest),
                ..
            } if digest.kind() != Sha256 => Some("its digest is no SHA-256"),
            Self {
                digest: Some(_),
                bytes: None,
                ..
            } => Some("it has a digest and no length"),
            Self {
                url: None,
                digest: None,
                ..
            } => Some("it comes from nowhere"),
            _ => None,
        }
    }
}

/// How far a download has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    pub format: u16,
    pub url: SourceUrl,
    #[serde(default)]
    pub etag: Option<String>,
    #[serde(default)]
    pub last_modified: Option<String>,
    #[serde(default)]
    pub bytes: Option<u64>,
    /// So many bytes are on the disk for sure.
    pub received: u64,
    /// What clients know it by, where nobody has more of it than is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Reads a record; the error says what is wrong with the file.
pub fn read_record(path: &Path) -> Result<Record, String> {
    let record: Record = read(path)?;
    match record.flaw() {
        Some(flaw) => Err(flaw.to_owned()),
        None => Ok(record),
    }
}

/// Reads a small file of ours.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let about = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() || about.len() > MAX_FILE {
        return Err("it is no small regular file".into());
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Replaces a small file of ours. When it returns, the file is on the disk; when it fails, the old one still is.
pub fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let beside = path.with_extension("new");
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    sync_folder_of(path)
}

/// A new name, or one that is gone, is on the disk when this returns.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| sync_folder_of(path)),
    }
}
