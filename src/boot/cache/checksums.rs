//! What a vendor tells that its files have to be: one small file of checksums, fetched before the image and believed when
//! it is signed by the key that was named for it. What it told once is written into the image's record, so that nobody,
//! the vendor included, puts another content in its place later.

mod keys;
mod lines;

use std::io::ErrorKind;

use hyper::StatusCode;

use super::failure::Failure;
use super::openpgp::{self, Flaw, Keyring};
use super::upstream::{Question, Upstream};
use crate::model::{Checksums, Digest, SigningKey, SourceUrl};

pub use lines::NoLine;

/// No file of checksums is larger; a distribution's whole mirror has one of some 100 KiB.
const MAX_FILE: usize = 1024 * 1024;
/// No signature is larger.
const MAX_SIGNATURE: usize = 64 * 1024;

/// What a vendor told of one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    pub checksum: Digest,
    /// The fingerprint of the key that signed it.
    pub signer: Option<String>,
}

/// Why what a vendor tells is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("its signature {0}: {1}")]
    Beside(SourceUrl, Flaw),
    #[error("the signature in it: {0}")]
    Inside(Flaw),
    #[error("{0} cannot be used: {1}")]
    Key(String, Flaw),
    #[error("it is no text")]
    NoText,
    #[error(transparent)]
    Line(#[from] NoLine),
    #[error("{0}")]
    TooLarge(String),
}

/// What the image at `url` has to be.
pub async fn vouched(
    upstream: &Upstream,
    checksums: &Checksums,
    url: &SourceUrl,
) -> Result<Vouched, Failure> {
    let at = &checksums.url;
    let file = small(upstream, at, MAX_FILE).await?;
    let signature = match checksums
        .signed
        .as_ref()
        .and_then(|by| by.signature.as_ref())
    {
        Some(signature) => Some(small(upstream, signature, MAX_SIGNATURE).await?),
        None => None,
    };
    let read = read(checksums, &file, signature.as_deref(), url.file_name());
    let read = read.map_err(|why| Failure::Unproven(at.clone(), why))?;
    let signer = read.signer.as_deref().unwrap_or("nobody");
    tracing::info!(%url, checksum = %read.checksum, signer, "checksum told by its vendor");
    Ok(read)
}

fn read(
    checksums: &Checksums,
    file: &[u8],
    signature: Option<&[u8]>,
    name: &str,
) -> Result<Vouched, Unproven> {
    let Some(by) = &checksums.signed else {
        return told(file, name, None);
    };
    let keys = keyring(&by.key)?;
    if let (Some(at), Some(signature)) = (&by.signature, signature) {
        let signer = openpgp::detached(&keys, file, signature);
        let signer = signer.map_err(|flaw| Unproven::Beside(at.clone(), flaw))?;
        return told(file, name, Some(signer));
    }
    let (text, signer) = openpgp::signed_text(&keys, file).map_err(Unproven::Inside)?;
    told(text.as_bytes(), name, Some(signer))
}

fn told(file: &[u8], name: &str, signer: Option<String>) -> Result<Vouched, Unproven> {
    let text = str::from_utf8(file).map_err(|_| Unproven::NoText)?;
    let checksum = lines::find(text, name)?;
    Ok(Vouched { checksum, signer })
}

/// The keys that a key's name or armor stands for.
pub fn keyring(key: &SigningKey) -> Result<Keyring, Unproven> {
    let file = key
        .name()
        .map_or_else(|| key.as_str(), |name| keys::shipped(name));
    let wrong = |flaw| Unproven::Key(key.shown().to_owned(), flaw);
    Keyring::read(file.as_bytes()).map_err(wrong)
}

/// A small file, whole.
async fn small(upstream: &Upstream, url: &SourceUrl, most: usize) -> Result<Vec<u8>, Failure> {
    let gone = |why: Failure| Failure::NoChecksums(url.clone(), Box::new(why));
    let asked = upstream.ask(&Question::get(url.clone())).await;
    let reply = asked.map_err(|trouble| gone(trouble.into()))?;
    if reply.status != StatusCode::OK {
        return Err(gone(Failure::Status(reply.status.as_u16())));
    }
    reply.small(most).await.map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            Failure::Unproven(url.clone(), Unproven::TooLarge(error.to_string()))
        }
        _ => gone(Failure::Cut {
            received: 0,
            why: error.to_string(),
        }),
    })
}
