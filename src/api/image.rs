//! Images that are kept for machines, as the API shows and takes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An image, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    #[schema(example = "debian-13.raw.zst")]
    pub name: String,
    /// Below the address of the machine plane.
    #[schema(example = "/images/debian-13.raw.zst")]
    pub path: String,
    /// `here`; `arriving`; `absent`: it is fetched when somebody asks for it; `failed`: as before, and the last time
    /// that went wrong.
    pub state: String,
    /// What went wrong, or is being tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its URL; absent where a person brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it has to be, as somebody told, or as its vendor told at the first download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Where its vendor tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    /// The fingerprint of the key that signed what its vendor told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// What it is, since its first download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How much of it has come, while it arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    pub pinned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
}

/// A new image from a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddImage {
    #[schema(example = "debian-13.raw.zst")]
    pub name: String,
    #[schema(example = "https://images.example.net/debian-13.raw.zst")]
    pub url: String,
    /// `sha256:…` or `sha512:…`; without one, what comes first is what it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Instead of that, where its vendor tells its checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
    /// It is never removed to make room.
    #[serde(default)]
    pub pin: bool,
}

/// Where a vendor tells the checksums of its files, and how they are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    /// A file with a line for the image.
    #[schema(example = "https://images.example.net/SHA256SUMS")]
    pub url: String,
    /// Its signature; without one, it is signed in itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://images.example.net/SHA256SUMS.gpg")]
    pub signature: Option<String>,
    /// Who signed it: the name of a key that comes with Dragonfly, or an armored public key. Without one, it is not
    /// signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ubuntu-cloudimage")]
    pub key: Option<String>,
}

/// What came in with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// The names of the images in it.
    pub images: Vec<String>,
}

/// What became of summing a kept image again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageVerdict {
    pub name: String,
    /// Whether its bytes are what they were; if not, they were taken away.
    pub sound: bool,
    /// What they are.
    pub digest: String,
}
