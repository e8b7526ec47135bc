//! An image in a container registry: its name leads to a manifest, the manifest to the one layer that is the image, and
//! that is a blob like any other, whose digest says what it has to be.

use hyper::header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::failure::Failure;
use super::registry::{self, MANIFESTS, token};
use super::upstream::{Question, Reply, Upstream};
use crate::model::oci::{OciName, OciReference};
use crate::model::{Digest, SourceUrl};

/// No manifest is larger, as the distribution specification advises registries.
const MAX: usize = 4 * 1024 * 1024;
/// As many layers or platforms as an error names.
const SHOWN: usize = 8;

/// Where the bytes of an image are asked for, and what they have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub url: SourceUrl,
    pub digest: Digest,
    pub authorization: Option<String>,
}

/// Why a registry's image is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    #[error("the registry's manifest cannot be read: {0}")]
    Unread(String),
    #[error("the registry sent another manifest than was asked for: {0}")]
    Other(Digest),
    #[error("there is none for the platform {0}; there are {1}")]
    Platform(String, String),
    #[error("an image is one layer, and this has {0}: {1}")]
    Layers(usize, String),
}

/// Asks the registry. What was fetched once is asked for by its digest, whatever its tag stands for by now.
pub async fn origin(
    upstream: &Upstream,
    name: &OciName,
    known: Option<&Digest>,
) -> Result<Origin, Failure> {
    let mut asking = Asking {
        upstream,
        name,
        authorization: None,
    };
    let digest = match known {
        Some(digest) => {
            // Only to learn whether it wants a token.
            let mut question = Question::get(asking.url("blobs", &digest.to_string())?);
            question.method = Method::HEAD;
            asking.ask(question).await?;
            digest.clone()
        }
        None => asking.layer().await?,
    };
    Ok(Origin {
        url: asking.url("blobs", &digest.to_string())?,
        digest,
        authorization: asking.authorization,
    })
}

struct Asking<'a> {
    upstream: &'a Upstream,
    name: &'a OciName,
    authorization: Option<String>,
}

impl Asking<'_> {
    fn url(&self, kind: &str, reference: &str) -> Result<SourceUrl, Failure> {
        let unread = || NoImage::Unread(format!("{reference} has no place in a URL"));
        Ok(self.name.url(kind, reference).ok_or_else(unread)?)
    }

    /// The digest of the one layer.
    async fn layer(&mut self) -> Result<Digest, Failure> {
        let mut manifest = self.manifest(&self.name.reference).await?;
        if !manifest.manifests.is_empty() {
            let chosen = manifest.of_platform(&self.name.arch)?;
            manifest = self.manifest(&OciReference::Digest(chosen)).await?;
        }
        Ok(manifest.only_layer()?)
    }

    async fn manifest(&mut self, reference: &OciReference) -> Result<Manifest, Failure> {
        let url = self.url("manifests", &reference.to_string())?;
        let question = Question::get(url).header(ACCEPT, MANIFESTS);
        let reply = self.ask(question).await?;
        if reply.status != StatusCode::OK {
            return Err(Failure::Status(reply.status.as_u16()));
        }
        let body = reply.small(MAX).await.map_err(|error| Failure::Cut {
            received: 0,
            why: error.to_string(),
        })?;
        if let OciReference::Digest(wanted) = reference
            && super::sums::of(wanted.kind(), &body).as_ref() != Some(wanted)
        {
            return Err(NoImage::Other(wanted.clone()).into());
        }
        let read = serde_json::from_slice(&body);
        Ok(read.map_err(|error| NoImage::Unread(error.to_string()))?)
    }

    /// Asks, and once more with a token where the registry wants one.
    async fn ask(&mut self, question: Question) -> Result<Reply, Failure> {
        let reply = self.ask_with(&question).await?;
        if reply.status != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(reply);
        }
        let mut all = reply.headers.get_all(WWW_AUTHENTICATE).iter();
        let challenge = all.find_map(|value| token::Challenge::read(value.to_str().ok()?));
        let challenge = challenge.ok_or(Failure::Status(401))?;
        let body = registry::token_body(self.upstream, &challenge, &question.url).await?;
        self.authorization = Some(token::header_of(&body).ok_or(Failure::Token)?);
        self.ask_with(&question).await
    }

    async fn ask_with(&self, question: &Question) -> Result<Reply, Failure> {
        let question = question.clone();
        let question = match &self.authorization {
            Some(text) => question.header(AUTHORIZATION, text),
            None => question,
        };
        Ok(self.upstream.ask(&question).await?)
    }
}

/// A manifest, or an index of those of several platforms.
#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Entry>,
    #[serde(default)]
    layers: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    architecture: String,
}

impl Manifest {
    fn of_platform(&self, arch: &str) -> Result<Digest, NoImage> {
        let is = |entry: &&Entry| {
            let platform = entry.platform.as_ref();
            platform.is_some_and(|platform| platform.architecture == arch)
        };
        let found = self.manifests.iter().find(is);
        // What has one content for all says nothing of platforms.
        let only = match &self.manifests[..] {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        found
            .or(only)
            .map(|entry| entry.digest.clone())
            .ok_or_else(|| {
                let platforms = self
                    .manifests
                    .iter()
                    .filter_map(|entry| entry.platform.as_ref());
                let names: Vec<_> = platforms
                    .take(SHOWN)
                    .map(|p| p.architecture.escape_debug().to_string())
                    .collect();
                NoImage::Platform(arch.to_owned(), names.join(", "))
            })
    }

    fn only_layer(&self) -> Result<Digest, NoImage> {
        if let [layer] = &self.layers[..] {
            return Ok(layer.digest.clone());
        }
        let shown =
            |layer: &Entry| format!("{} ({})", layer.digest, layer.media_type.escape_debug());
        let names: Vec<_> = self.layers.iter().take(SHOWN).map(shown).collect();
        Err(NoImage::Layers(self.layers.len(), names.join(", ")))
    }
}
