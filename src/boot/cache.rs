//! The images that machines are given: fetched once however many ask, verified before they are kept, and sent while
//! they arrive.
//!
//! A [`Cache`] is cheap to clone. Whoever renders for machines sees it as a [`crate::model::ImageShelf`]: `image:NAME`
//! becomes the path of [`ImageShelf::lookup`], a URL in a template becomes that of [`ImageShelf::adopt`].
//!
//! - `record`: what is written down of an image. - `stock`: files, records, room. - `flight`: one download, and
//!   `growing` what its readers see of it. - `upstream`: http and https to the sources. - `sums`: checksums.
//! - `checksums`: what vendors tell that their files have to be, and `openpgp`: whether they signed that.
//! - `failure`: what goes wrong. - [`image`]: what people are shown. - [`change`]: what they do. - `bundle`:
//!   many images in one file. - [`registry`]: container registries, and `oci`: images in them.

mod bundle;
pub mod change;
mod checksums;
mod failure;
mod flight;
mod growing;
pub mod image;
mod oci;
mod openpgp;
mod record;
pub mod registry;
mod stock;
mod sums;
mod upstream;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::failure::Failure;
use self::flight::{Fetched, Flight, Job};
use self::record::{Key, Record};
use self::registry::{Memory, Registries};
use self::stock::{Blob, Shown, Stock};
use self::upstream::Upstream;
use crate::core::Clock;
use crate::model::digest::hex;
use crate::model::field::FieldError;
use crate::model::{Checksums, ImageName, ImageShelf, KnownImage, Proof, SourceUrl};

pub use bundle::{Export, Import};
pub use change::{Kept, NoChange, Upload};
pub use growing::Growing;
pub use image::{Image, Progress};
pub use upstream::Environment;

/// Downloads that wait for the keeper to take them; it does at once.
const WAITING: usize = 64;
/// As many downloads as go on at once: more would only share the same line to the outside.
const MOST_FLIGHTS: usize = 16;
/// As long as a client waits for a source's first word. Installers give up after a minute.
const FIRST_WORD: Duration = Duration::from_secs(25);
/// A source that failed is not asked again for a client before this has passed; a person's own wish is heeded at once.
const REST: SignedDuration = SignedDuration::from_secs(5);
/// Uses are written down this often; the power may take that much of what is known of them.
const SAVE_USES: Duration = Duration::from_mins(5);

/// What a cache is built with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder that is its own.
    pub folder: PathBuf,
    /// As many bytes as all files may have.
    pub quota: u64,
    /// Nothing is fetched: what is here is served, and what is not is missing.
    pub offline: bool,
    pub registries: Registries,
    pub environment: Environment,
}

/// The image cache.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

struct Inner {
    stock: Arc<Stock>,
    upstream: Upstream,
    offline: bool,
    registries: Registries,
    memory: Memory,
    clock: Arc<dyn Clock>,
    flights: Mutex<BTreeMap<String, Arc<Flight>>>,
    fallen: Mutex<BTreeMap<String, (Timestamp, Failure)>>,
    departures: mpsc::Sender<Arc<Flight>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// Flies the downloads of a cache. Without one nothing is fetched.
#[derive(Debug)]
pub struct Keeper {
    cache: Cache,
    departures: mpsc::Receiver<Arc<Flight>>,
}

/// Something to send.
#[derive(Debug)]
pub struct Opened {
    pub content: Content,
    pub bytes: u64,
    /// Its digest, quoted, once that is known.
    pub tag: String,
    /// What it was called while it arrived: a client that began then may go on now.
    pub first_tag: String,
    pub media: Option<String>,
}

#[derive(Debug)]
pub enum Content {
    Whole(File, Lease),
    Growing(Growing),
}

/// While it is held, the file is not taken away.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held, not read")] Arc<Blob>);

/// Why an image is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("there is no {0}; `dragonfly image list` tells which images there are")]
    Absent(String),
    #[error("{0} is not here, and nothing is fetched: images.mode is offline")]
    Offline(String),
    #[error("{0} cannot be fetched: {1}")]
    Failed(String, String),
    /// It came, or did not, in a way that asking again does not mend.
    #[error("{0} cannot be had: {1}")]
    Wrong(String, String),
    #[error("{0} is being fetched, and its source tells no length: try again in a moment")]
    Unsized(String),
    #[error("{0} is being fetched, and its source has not answered yet: try again in a moment")]
    Slow(String),
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, String),
}

impl Missing {
    fn of(name: &str, failure: &Failure) -> Self {
        let (name, why) = (name.to_owned(), failure.to_string());
        if failure.is_final() {
            Self::Wrong(name, why)
        } else {
            Self::Failed(name, why)
        }
    }
}

impl Cache {
    /// Reads what the folder holds. Nothing is fetched before the keeper runs.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> io::Result<(Self, Keeper)> {
        let stock = Stock::open(&settings.folder, settings.quota)?;
        let (departures, waiting) = mpsc::channel(WAITING);
        let cache = Self(Arc::new(Inner {
            stock: Arc::new(stock),
            upstream: Upstream::new(&settings.environment),
            offline: settings.offline,
            registries: settings.registries.clone(),
            memory: Memory::default(),
            clock,
            flights: Mutex::default(),
            fallen: Mutex::default(),
            departures,
        }));
        let keeper = Keeper {
            cache: cache.clone(),
            departures: waiting,
        };
        Ok((cache, keeper))
    }

    /// The image of this name, to be sent; its download begins, or is joined, where it is not here.
    pub async fn serve(&self, name: &str) -> Result<Opened, Missing> {
        let absent = || Missing::Absent(name.escape_debug().to_string());
        let key = Key::Image(name.parse().map_err(|_| absent())?);
        let shown = self.0.stock.get(&key).ok_or_else(absent)?;
        self.open_key(&key, &shown, name, None).await
    }

    /// The same for whatever has a record.
    async fn open_key(
        &self,
        key: &Key,
        shown: &Shown,
        name: &str,
        job: Option<Job>,
    ) -> Result<Opened, Missing> {
        if let Some(blob) = self.0.stock.take(key, self.0.clock.now()) {
            return whole(&blob, &shown.record, name);
        }
        let job = job.or_else(|| job_of(&shown.record));
        let Some(job) = job else {
            let why = "a person brought it, and it is lost: bring it again".to_owned();
            return Err(Missing::Wrong(name.to_owned(), why));
        };
        if let Some(failure) = self.fell_lately(&flight_key(&job)) {
            return Err(Missing::of(name, &failure));
        }
        let flight = self.fetch(key.clone(), job).map_err(|why| why.told(name))?;
        self.arriving(&flight, &shown.record, name).await
    }

    /// Waits for the source's first word.
    async fn arriving(
        &self,
        flight: &Arc<Flight>,
        record: &Record,
        name: &str,
    ) -> Result<Opened, Missing> {
        let mut told = flight.told.subscribe();
        let seen = timeout(
            FIRST_WORD,
            told.wait_for(|arrival| match &arrival.arriving {
                Some(arriving) => arriving.bytes.is_some() || arrival.end.is_some(),
                None => arrival.end.is_some(),
            }),
        );
        let Ok(Ok(arrival)) = seen.await.map(|seen| seen.map(|seen| seen.clone())) else {
            let answered = told.borrow().arriving.is_some();
            let name = name.to_owned();
            return Err(if answered {
                Missing::Unsized(name)
            } else {
                Missing::Slow(name)
            });
        };
        if let Some(Err(failure)) = &arrival.end {
            return Err(Missing::of(name, failure));
        }
        let Some(arriving) = arrival.arriving else {
            return Err(Missing::Slow(name.to_owned()));
        };
        // Without a length nothing is read before the end, and then all of it is there.
        let bytes = arriving.bytes.unwrap_or(arrival.ready);
        let known = record.digest.as_ref().or(record.checksum.as_ref());
        let first = arriving.tag.clone();
        Ok(Opened {
            content: Content::Growing(Growing::new(arriving, told)),
            bytes,
            tag: known
                .filter(|digest| digest.kind() == crate::model::digest::DigestKind::Sha256)
                .map_or_else(|| first.clone(), |digest| format!("\"{digest}\"")),
            first_tag: first,
            media: record.media.clone(),
        })
    }

    /// The download of this job: the one that is on its way, or a new one.
    fn fetch(&self, key: Key, job: Job) -> Result<Arc<Flight>, Grounded> {
        if self.0.offline {
            return Err(Grounded::Offline);
        }
        let mut flights = self.flights();
        let place = flight_key(&job);
        if let Some(flight) = flights.get(&place) {
            flight.want(key);
            return Ok(Arc::clone(flight));
        }
        if flights.len() >= MOST_FLIGHTS {
            return Err(Grounded::Busy);
        }
        let tag = format!("\"arriving-{}\"", self.0.clock.new_id().simple());
        let flight = Arc::new(Flight::new(place.clone(), tag, job));
        flight.want(key);
        let waiting = self.0.departures.try_send(Arc::clone(&flight));
        waiting.map_err(|_| Grounded::Stopping)?;
        locked(&self.0.fallen).remove(&place);
        flights.insert(place, Arc::clone(&flight));
        Ok(flight)
    }

    /// What a source said a moment ago.
    fn fell_lately(&self, key: &str) -> Option<Failure> {
        let now = self.0.clock.now();
        let mut fallen = locked(&self.0.fallen);
        fallen.retain(|_, (at, _)| now.duration_since(*at) < REST);
        fallen.get(key).map(|(_, failure)| failure.clone())
    }

    /// Writes down how a download ended: in memory first, so that nobody falls between it and its file.
    async fn landed(&self, flight: &Flight, ended: Result<Fetched, Failure>) {
        let now = self.0.clock.now();
        let wanted = {
            let mut flights = self.flights();
            let wanted = flight.wanted();
            for key in &wanted {
                self.0
                    .stock
                    .edit(key, |shown| Some(settled(shown?, flight, &ended, now)));
            }
            if let Err(failure) = &ended
                && *failure != Failure::Same
            {
                let fell = (now, failure.clone());
                locked(&self.0.fallen).insert(flight.key.clone(), fell);
            }
            flights.remove(&flight.key);
            wanted
        };
        flight.over.send_replace(true);
        match &ended {
            Ok(fetched) => {
                let (url, digest) = (&flight.job.url, &fetched.blob.digest);
                tracing::info!(%url, %digest, bytes = fetched.blob.bytes, "image fetched");
            }
            Err(Failure::Same) => {
                tracing::info!(url = %flight.job.url, "image is still the same at its source");
                return;
            }
            Err(failure) => {
                tracing::warn!(url = %flight.job.url, %failure, "image not fetched");
                return;
            }
        }
        let stock = Arc::clone(&self.0.stock);
        let saved = flight::blocking(move || {
            for key in &wanted {
                stock.save(key)?;
            }
            stock.tidy();
            Ok(())
        });
        if let Err(error) = saved.await {
            tracing::warn!(%error, "record of an image not written");
        }
    }

    /// Begins again with what a stop or a power cut ended.
    fn resume(&self) {
        for (key, shown, here) in self.0.stock.all() {
            let job = job_of(&shown.record).filter(|_| !here);
            let Some(job) = job.filter(|_| matches!(key, Key::Image(_))) else {
                continue;
            };
            let part = self.0.stock.partial_path(&flight_key(&job));
            if part.exists()
                && let Err(why) = self.fetch(key, job)
            {
                tracing::info!(%why, "download not gone on with");
            }
        }
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Flight>>> {
        locked(&self.0.flights)
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Why no download began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Grounded {
    #[error("nothing is fetched: images.mode is offline")]
    Offline,
    #[error(
        "{MOST_FLIGHTS} downloads are on their way already: try again when one of them is done"
    )]
    Busy,
    #[error("dragonfly is stopping")]
    Stopping,
}

impl Grounded {
    fn told(self, name: &str) -> Missing {
        match self {
            Self::Offline => Missing::Offline(name.to_owned()),
            other => Missing::Failed(name.to_owned(), other.to_string()),
        }
    }
}

impl Keeper {
    /// Flies every download, until `stop` turns true; then those on their way are let go, to be gone on with later.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        self.cache.resume();
        let mut flying = JoinSet::new();
        let told = stop.clone();
        let mut uses = tokio::time::interval(SAVE_USES);
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(flight) = self.departures.recv() => {
                    flying.spawn(fly(self.cache.clone(), flight, told.clone()));
                }
                Some(ended) = flying.join_next(), if !flying.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "download of an image broke");
                    }
                }
                _ = uses.tick() => self.save_uses().await,
            }
        }
        while flying.join_next().await.is_some() {}
        self.save_uses().await;
        Ok(())
    }

    async fn save_uses(&self) {
        let stock = Arc::clone(&self.cache.0.stock);
        let _ = tokio::task::spawn_blocking(move || stock.save_uses()).await;
    }
}

/// A sender that is gone will never say stop, and there is nobody left to fetch for.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn fly(cache: Cache, flight: Arc<Flight>, stop: watch::Receiver<bool>) {
    let (stock, upstream) = (&cache.0.stock, &cache.0.upstream);
    let ended = flight.fly(stock, upstream, stop).await;
    cache.landed(&flight, ended).await;
}

/// A file that is here.
fn whole(blob: &Arc<Blob>, record: &Record, name: &str) -> Result<Opened, Missing> {
    let file = blob
        .open()
        .map_err(|error| Missing::Unreadable(name.to_owned(), error.to_string()))?;
    Ok(Opened {
        content: Content::Whole(file, Lease(Arc::clone(blob))),
        bytes: blob.bytes,
        tag: format!("\"{}\"", blob.digest),
        first_tag: record.arrived_as.clone().unwrap_or_default(),
        media: record.media.clone(),
    })
}

/// A record after a download that was for it.
fn settled(
    mut shown: Shown,
    flight: &Flight,
    ended: &Result<Fetched, Failure>,
    now: Timestamp,
) -> Shown {
    match ended {
        Ok(fetched) => {
            let record = &mut shown.record;
            record.digest = Some(fetched.blob.digest.clone());
            if let Some(vouched) = &fetched.vouched {
                record.checksum = Some(vouched.checksum.clone());
                record.signer.clone_from(&vouched.signer);
            }
            record.bytes = Some(fetched.blob.bytes);
            record.etag.clone_from(&fetched.etag);
            record.last_modified.clone_from(&fetched.last_modified);
            record.fetched_at = Some(now);
            record.arrived_as = Some(flight.tag());
            if flight.job.accept.is_some() {
                record.media.clone_from(&fetched.media);
            }
            shown.trouble = None;
        }
        Err(Failure::Same) => shown.trouble = None,
        Err(failure) => shown.trouble = Some(failure.to_string()),
    }
    shown
}

/// How a record's bytes are had again; not at all where a person brought them.
fn job_of(record: &Record) -> Option<Job> {
    Some(Job {
        url: record.url.clone()?,
        checksum: record.checksum.clone(),
        checksums: record.checksums.clone(),
        pinned: record.digest.clone(),
        unless: None,
        authorization: None,
        accept: None,
    })
}

/// The same for the same bytes from the same place.
fn flight_key(job: &Job) -> String {
    let parts = [
        Some(job.url.to_string()),
        job.checksum.as_ref().map(ToString::to_string),
        job.checksums.as_ref().map(written),
        job.pinned.as_ref().map(ToString::to_string),
    ];
    short_sum(&parts.map(Option::unwrap_or_default).join("\n"), 16)
}

/// With all that it is believed by.
fn written(checksums: &Checksums) -> String {
    serde_json::to_string(checksums).unwrap_or_default()
}

fn short_sum(text: &str, bytes: usize) -> String {
    let sum = Sha256::digest(text.as_bytes());
    hex(sum.get(..bytes).unwrap_or_default())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ImageShelf for Cache {
    fn lookup(&self, name: &ImageName) -> Option<KnownImage> {
        let shown = self.0.stock.get(&Key::Image(name.clone()))?;
        let record = shown.record;
        Some(KnownImage {
            path: name.path(),
            digest: record.checksum.or(record.digest),
            bytes: record.bytes,
        })
    }

    fn adopt(&self, url: &str, proof: Option<&Proof>) -> Result<ImageName, FieldError> {
        let url: SourceUrl = url.parse()?;
        let name = adopted_name(&url, proof)?;
        let record = Record::new(Some(url), proof.cloned());
        let mut new = false;
        let key = Key::Image(name.clone());
        self.0.stock.edit(&key, |known| {
            new = known.is_none();
            let trouble = None;
            known.or(Some(Shown { record, trouble }))
        });
        if new && let Err(error) = self.0.stock.save(&key) {
            tracing::warn!(%name, %error, "record of an image not written");
        }
        Ok(name)
    }
}

/// The name of the file, and something that tells it from others of that name.
fn adopted_name(url: &SourceUrl, proof: Option<&Proof>) -> Result<ImageName, FieldError> {
    let told = match proof {
        Some(Proof::Checksum(checksum)) => checksum.to_string(),
        Some(Proof::Checksums(told)) => written(told),
        None => String::new(),
    };
    let whole = format!("{url}\n{told}");
    let mark = short_sum(&whole, 6);
    let fits = |c: &char| c.is_ascii_alphanumeric() || "._+-".contains(*c);
    let most = ImageName::MAX - mark.len() - 1;
    let file: String = url.file_name().chars().filter(fits).take(most).collect();
    let file = file.trim_start_matches(['.', '_', '+', '-']);
    let file = if file.is_empty() { "file" } else { file };
    // The mark stands in front: the end of a file's name tells firmware what it is.
    format!("{mark}-{file}").parse()
}

#[cfg(test)]
mod tests;
