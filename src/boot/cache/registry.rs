//! Container registries, pulled through: machines ask for `/v2/ALIAS/NAME/…` as the distribution specification has it,
//! and what they get lies in the same store as images do. Only registries that the configuration names are asked.
//!
//! A digest says what the bytes are, so blobs and manifests by digest are fetched once and never looked at again. A tag
//! is looked up at the registry when that was not done within [`FRESH`]; where the registry does not answer, or nothing
//! is fetched, what the tag stood for last is given.

pub mod reference;
pub(super) mod token;

use std::collections::BTreeMap;
use std::sync::Mutex;

use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use self::reference::{Item, Reference, Wanted};
use self::token::{Challenge, Token};
use super::failure::Failure;
use super::flight::Job;
use super::record::{self, FORMAT, Key, Record};
use super::stock::Shown;
use super::upstream::{Question, Reply, Upstream};
use super::{Cache, FIRST_WORD, Missing, Opened, locked, short_sum};
use crate::model::{Digest, Proof, SourceUrl};

/// What a tag stands for is not asked again within this: a rack that boots asks once.
pub const FRESH: SignedDuration = SignedDuration::from_mins(1);
/// As many turns as are told apart.
const TURNS: usize = 16;
/// As many tags and tokens as are remembered; the oldest go first.
const MOST_KNOWN: usize = 4096;
/// Every form of manifest that a client may want, as one question: what the registry has is what is kept.
pub(super) const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The registries, by the alias that machines use.
pub type Registries = BTreeMap<String, SourceUrl>;

/// What is remembered of registries.
#[derive(Debug, Default)]
pub struct Memory {
    tags: Mutex<BTreeMap<String, Tag>>,
    tokens: Mutex<BTreeMap<String, Token>>,
    /// Of those who ask for the same at the same time, one asks the registry and the others wait for its answer.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

impl Memory {
    async fn turn(&self, place: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let sum = place.bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        self.turns[sum % TURNS].lock().await
    }
}

/// What a tag stood for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tag {
    format: u16,
    digest: Digest,
    at: Timestamp,
}

impl Cache {
    /// A blob or manifest of a registry, to be sent; with its digest.
    pub async fn pull(&self, wanted: &Wanted) -> Result<(Opened, Digest), Missing> {
        let shown = wanted.to_string();
        let Some(base) = self.0.registries.get(&wanted.alias) else {
            return Err(Missing::Absent(shown));
        };
        let digest = match &wanted.reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => self.tag(base, wanted, tag).await?,
        };
        let opened = self.by_digest(base, wanted, &digest).await?;
        Ok((opened, digest))
    }

    async fn by_digest(
        &self,
        base: &SourceUrl,
        wanted: &Wanted,
        digest: &Digest,
    ) -> Result<Opened, Missing> {
        let name = wanted.to_string();
        let key = Key::Registry(digest.clone());
        let url = wanted.url(base, &digest.to_string());
        let url: SourceUrl = url.parse().map_err(|_| Missing::Absent(name.clone()))?;
        self.0.stock.edit(&key, |known| {
            Some(known.unwrap_or_else(|| Shown {
                record: Record::new(Some(url.clone()), Some(Proof::Checksum(digest.clone()))),
                trouble: None,
            }))
        });
        let here = self.0.stock.blob(digest).is_some();
        let job = if here || self.0.offline {
            None
        } else {
            let authorization = self.authorization(&url, base, wanted).await;
            Some(Job {
                url,
                checksum: Some(digest.clone()),
                checksums: None,
                pinned: None,
                unless: None,
                authorization: authorization.map_err(|why| failed(&name, &why))?,
                accept: (wanted.item == Item::Manifest).then(|| MANIFESTS.to_owned()),
            })
        };
        if wanted.item == Item::Blob {
            return self.open_registry(&key, &name, job).await;
        }
        // A manifest is small, and its media type is known at its end.
        let arriving = self.open_registry(&key, &name, job).await?;
        drop(arriving);
        self.landed_soon(&key).await;
        self.open_registry(&key, &name, None).await
    }

    async fn open_registry(
        &self,
        key: &Key,
        name: &str,
        job: Option<Job>,
    ) -> Result<Opened, Missing> {
        let shown = self.0.stock.get(key);
        let shown = shown.ok_or_else(|| Missing::Absent(name.to_owned()))?;
        let opened = self.open_key(key, &shown, name, job).await;
        if opened.is_err() && shown.record.digest.is_none() {
            // Whoever asks for digests that are nowhere leaves nothing behind.
            let landed = |known: Option<Shown>| known.filter(|shown| shown.record.digest.is_some());
            self.0.stock.edit(key, landed);
        }
        opened
    }

    /// Waits for a download of this key to be over.
    async fn landed_soon(&self, key: &Key) {
        let flight = {
            let flights = self.flights();
            let mut all = flights.values();
            all.find(|flight| flight.wanted().contains(key)).cloned()
        };
        if let Some(flight) = flight {
            let _ = timeout(FIRST_WORD, flight.over()).await;
        }
    }

    /// What a tag stands for now, or stood for last.
    async fn tag(&self, base: &SourceUrl, wanted: &Wanted, tag: &str) -> Result<Digest, Missing> {
        let name = wanted.to_string();
        let place = short_sum(&format!("{base}\n{name}"), 16);
        let _turn = self.0.memory.turn(&place).await;
        let known = self.known_tag(&place);
        let now = self.now();
        if let Some(known) = &known
            && (self.0.offline || now.duration_since(known.at) < FRESH)
        {
            return Ok(known.digest.clone());
        }
        if self.0.offline {
            return Err(Missing::Offline(name));
        }
        match self.look_up(base, wanted, tag).await {
            Ok(digest) => {
                self.remember(&place, &digest, now);
                Ok(digest)
            }
            Err(Failure::Status(404)) => Err(Missing::Absent(name)),
            Err(failure) => match known {
                Some(known) => {
                    tracing::warn!(%name, %failure, "registry does not tell: its last word is given");
                    Ok(known.digest)
                }
                None => Err(failed(&name, &failure)),
            },
        }
    }

    async fn look_up(
        &self,
        base: &SourceUrl,
        wanted: &Wanted,
        tag: &str,
    ) -> Result<Digest, Failure> {
        let url: SourceUrl = wanted.url(base, tag).parse().map_err(|_| Failure::Part)?;
        let authorization = self.authorization(&url, base, wanted).await?;
        let mut question = Question::get(url).header(ACCEPT, MANIFESTS);
        question.method = Method::HEAD;
        if let Some(authorization) = authorization {
            question = question.header(AUTHORIZATION, &authorization);
        }
        let reply = self.0.upstream.ask(&question).await?;
        if reply.status != StatusCode::OK {
            return Err(Failure::Status(reply.status.as_u16()));
        }
        let digest = reply.header(&DIGEST).and_then(|text| text.parse().ok());
        digest.ok_or(Failure::NoDigest)
    }

    /// What this registry wants to be told before it gives: nothing, or a token, asked for where it says.
    async fn authorization(
        &self,
        url: &SourceUrl,
        base: &SourceUrl,
        wanted: &Wanted,
    ) -> Result<Option<String>, Failure> {
        let scope = format!("{base} {}", wanted.name);
        let now = self.now();
        if let Some(token) = locked(&self.0.memory.tokens).get(&scope)
            && token.holds(now)
        {
            return Ok(token.header());
        }
        let mut question = Question::get(url.clone()).header(ACCEPT, MANIFESTS);
        question.method = Method::HEAD;
        let reply = self.0.upstream.ask(&question).await?;
        let token = if reply.status == StatusCode::UNAUTHORIZED {
            let challenge = challenge(&reply).ok_or(Failure::Status(401))?;
            fetch(&self.0.upstream, &challenge, base, now).await?
        } else {
            Token::none(now)
        };
        let header = token.header();
        let mut tokens = locked(&self.0.memory.tokens);
        tokens.insert(scope, token);
        while tokens.len() > MOST_KNOWN {
            tokens.pop_first();
        }
        Ok(header)
    }

    fn known_tag(&self, place: &str) -> Option<Tag> {
        let known = locked(&self.0.memory.tags).get(place).cloned();
        known.or_else(|| {
            let read = record::read::<Tag>(&self.0.stock.tag_path(place));
            read.ok().filter(|tag| tag.format == FORMAT)
        })
    }

    fn remember(&self, place: &str, digest: &Digest, at: Timestamp) {
        let tag = Tag {
            format: FORMAT,
            digest: digest.clone(),
            at,
        };
        let before = {
            let mut tags = locked(&self.0.memory.tags);
            let before = tags.insert(place.to_owned(), tag.clone());
            while tags.len() > MOST_KNOWN {
                tags.pop_first();
            }
            before
        };
        if before.is_some_and(|before| before.digest == tag.digest) {
            return;
        }
        if let Err(error) = record::write(&self.0.stock.tag_path(place), &tag) {
            tracing::warn!(%error, "tag of a registry not written down");
        }
    }
}

fn challenge(reply: &Reply) -> Option<Challenge> {
    let mut all = reply.headers.get_all(WWW_AUTHENTICATE).iter();
    all.find_map(|value| Challenge::read(value.to_str().ok()?))
}

async fn fetch(
    upstream: &Upstream,
    challenge: &Challenge,
    base: &SourceUrl,
    now: Timestamp,
) -> Result<Token, Failure> {
    let body = token_body(upstream, challenge, base).await?;
    Token::read(&body, now).ok_or(Failure::Token)
}

/// What is answered where a registry says that its tokens are had.
pub(super) async fn token_body(
    upstream: &Upstream,
    challenge: &Challenge,
    base: &SourceUrl,
) -> Result<Vec<u8>, Failure> {
    let url: SourceUrl = challenge.url().parse().map_err(|_| Failure::Token)?;
    if base.as_str().starts_with("https:") && !url.as_str().starts_with("https:") {
        return Err(Failure::Token);
    }
    let reply = upstream.ask(&Question::get(url)).await?;
    if reply.status != StatusCode::OK {
        return Err(Failure::Status(reply.status.as_u16()));
    }
    reply.small(token::MAX).await.map_err(|_| Failure::Token)
}

fn failed(name: &str, why: &Failure) -> Missing {
    match why {
        Failure::Status(404) => Missing::Absent(name.to_owned()),
        why => Missing::of(name, why),
    }
}
