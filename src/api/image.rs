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
    /// What somebody told that it has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
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
    /// It is never removed to make room.
    #[serde(default)]
    pub pin: bool,
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
