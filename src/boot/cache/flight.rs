//! One download, however many wait for it: asks the source, goes on where it was cut, writes what comes down and tells
//! how far it is, and verifies the whole before it is kept.
//!
//! A cut source is asked again, with pauses that grow, until [`TRIES`] questions in a row brought nothing. It goes on by
//! Range where the source says that the content is still the same; otherwise it sends all again, which is compared with
//! what is here. So no file is ever made of two.

mod begin;
mod reply;
mod sink;

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, IF_NONE_MATCH, IF_RANGE, RANGE};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use self::reply::{Sends, Told};
use super::checksums::Vouched;
use super::failure::Failure;
use super::growing::{Arrival, Arriving};
use super::oci::Origin;
use super::record::{self, FORMAT, Key, Partial};
use super::stock::{Blob, Stock};
use super::upstream::{Question, Reply, Upstream};
use crate::model::{Checksums, Digest, SourceUrl};

pub use sink::Sink;

/// Questions in a row that bring no more bytes; with the pauses between them, a source may be away for a minute.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// So much that came and was not written yet is held in memory.
const MOST_HELD: usize = 4 * 1024 * 1024;
/// After so many bytes it is written down how far it is, so that no more has to be fetched again after a power cut.
const SAVE_EVERY: u64 = 64 * 1024 * 1024;
/// Room is asked for in steps where the source tells no length.
const ROOM_STEP: u64 = 64 * 1024 * 1024;

/// What is fetched, and what it has to be.
#[derive(Clone, Debug)]
pub struct Job {
    pub url: SourceUrl,
    pub checksum: Option<Digest>,
    /// Where its checksum is told, while that is not known; asked before the download begins.
    pub checksums: Option<Checksums>,
    /// SHA-256 of the first download.
    pub pinned: Option<Digest>,
    /// What the source called the content that is here: it is wanted only if it has another one.
    pub unless: Option<String>,
    pub authorization: Option<String>,
    pub accept: Option<String>,
}

/// A download on its way.
#[derive(Debug)]
pub struct Flight {
    /// The name of its file: the same for the same URL and checksum.
    pub key: String,
    /// What its content is called while nobody knows its digest, and the source has no name for it either: another one
    /// for each download.
    own_tag: String,
    pub job: Job,
    pub told: watch::Sender<Arrival>,
    /// Whose bytes these will be.
    pub wanted: Mutex<BTreeSet<Key>>,
    /// Turns true when nobody wants it any more.
    given_up: watch::Sender<bool>,
    /// Turns true when its end is written down.
    pub over: watch::Sender<bool>,
}

/// A content that was fetched, verified and kept.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub blob: Arc<Blob>,
    /// What its vendor told that it has to be.
    pub vouched: Option<Vouched>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media: Option<String>,
}

impl Flight {
    pub fn new(key: String, own_tag: String, job: Job) -> Self {
        Self {
            key,
            own_tag,
            job,
            told: watch::Sender::default(),
            wanted: Mutex::default(),
            given_up: watch::Sender::default(),
            over: watch::Sender::default(),
        }
    }

    pub fn want(&self, key: Key) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(key);
    }

    /// Nobody wants it for this record any more; without any it is given up.
    pub fn unwant(&self, key: &Key) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.remove(key) && wanted.is_empty() {
            self.given_up.send_replace(true);
        }
    }

    /// What its content is called while nobody knows its digest.
    pub fn tag(&self) -> String {
        let told = self.told.borrow();
        let arriving = told.arriving.as_ref();
        arriving.map_or_else(|| self.own_tag.clone(), |arriving| arriving.tag.clone())
    }

    /// Waits until it has landed or fallen, and that is written down.
    pub async fn over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    pub fn wanted(&self) -> BTreeSet<Key> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.clone()
    }

    /// Flies until it lands or falls, or `stop` turns true.
    pub async fn fly(
        &self,
        stock: &Arc<Stock>,
        upstream: &Upstream,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Fetched, Failure> {
        let mut course = Course::new(self, stock, upstream);
        let mut given_up = self.given_up.subscribe();
        let ended = tokio::select! {
            ended = course.run() => ended,
            _ = stop.wait_for(|stop| *stop) => Err(Failure::Stopping),
            _ = given_up.wait_for(|given_up| *given_up) => Err(Failure::GivenUp),
        };
        let ended = match ended {
            Ok(sink) => course.land(sink).await,
            Err(failure) => Err(failure),
        };
        course.clear(ended.as_ref().err()).await;
        if let Err(failure) = &ended {
            let failure = failure.clone();
            self.told
                .send_modify(|arrival| arrival.end = arrival.end.take().or(Some(Err(failure))));
        }
        ended
    }
}

/// What a flight knows on its way.
struct Course<'a> {
    flight: &'a Flight,
    stock: &'a Arc<Stock>,
    upstream: &'a Upstream,
    path: PathBuf,
    vouched: Option<Vouched>,
    /// Where a registry has the bytes.
    origin: Option<Origin>,
    /// What is here was opened, to be gone on with.
    begun: bool,
    sink: Option<Sink>,
    writing: Option<Written>,
    saving: Option<JoinHandle<()>>,
    saved: u64,
    told: Told,
    /// What clients of an earlier flight know its part by.
    known_as: Option<String>,
}

type Written = JoinHandle<(Sink, Result<(), Failure>)>;

impl<'a> Course<'a> {
    fn new(flight: &'a Flight, stock: &'a Arc<Stock>, upstream: &'a Upstream) -> Self {
        Self {
            flight,
            stock,
            upstream,
            path: stock.partial_path(&flight.key),
            vouched: None,
            origin: None,
            begun: false,
            sink: None,
            writing: None,
            saving: None,
            saved: 0,
            told: Told::default(),
            known_as: None,
        }
    }

    /// Until every byte is in the file.
    async fn run(&mut self) -> Result<Sink, Failure> {
        let (mut pause, mut tries) = (FIRST_PAUSE, 0);
        loop {
            let before = self.stored();
            let failure = match self.attempt().await {
                Ok(()) => return self.sink.take().ok_or(Failure::Part),
                Err(failure) if failure.passes() => failure,
                Err(failure) => return Err(failure),
            };
            if self.stored() > before {
                (pause, tries) = (FIRST_PAUSE, 0);
            }
            tries += 1;
            if tries >= TRIES {
                return Err(failure);
            }
            tracing::info!(url = %self.flight.job.url, %failure, "source asked again in a moment");
            let trouble = Some(failure.to_string());
            self.flight
                .told
                .send_modify(|arrival| arrival.trouble = trouble);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn stored(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.stored)
    }

    /// One question, and what comes of it.
    async fn attempt(&mut self) -> Result<(), Failure> {
        self.locate().await?;
        if !self.begun {
            self.begin().await?;
        }
        let from = self.stored();
        let same = self.told.same().cloned();
        let mut question = Question::get(self.url().clone());
        if let Some(accept) = &self.flight.job.accept {
            question = question.header(ACCEPT, accept);
        }
        if let Some(authorization) = self.authorization() {
            question = question.header(AUTHORIZATION, authorization);
        }
        // A tag is of one URL, and a registry's layers have one each.
        let unless = self.flight.job.unless.as_ref();
        if let Some(tag) = unless.filter(|_| self.origin.is_none()) {
            question = question.header(IF_NONE_MATCH, tag);
        }
        let by_part = from > 0 && (same.is_some() || self.is_known());
        if by_part {
            question = question.header(RANGE, &format!("bytes={from}-"));
            if let Some(same) = &same {
                question = question.header(IF_RANGE, same);
            }
        }
        let mut reply = self.upstream.ask(&question).await?;
        let asked = if by_part { from } else { 0 };
        match reply::read(&reply, asked)? {
            Sends::From(at, told) => self.take_off(at, told).await?,
            Sends::Behind if self.told.bytes == Some(from) => return Ok(()),
            Sends::Behind => return Err(Failure::Changed),
            Sends::Same => return Err(Failure::Same),
        }
        self.pump(&mut reply).await
    }

    /// The source answers: makes room, and lets readers begin.
    async fn take_off(&mut self, at: u64, told: Told) -> Result<(), Failure> {
        let known = self.flight.told.borrow().arriving.clone();
        if let Some(before) = self.told.bytes.filter(|_| self.stored() > 0)
            && told.bytes.is_some_and(|now| now != before)
        {
            return Err(Failure::Changed);
        }
        let bytes = told.bytes.or(self.told.bytes);
        self.told = Told { bytes, ..told };
        let Some(sink) = self.sink.as_mut() else {
            return Err(Failure::Part);
        };
        sink.at = at;
        if known.is_some() {
            self.flight
                .told
                .send_modify(|arrival| arrival.trouble = None);
            return Ok(());
        }
        let file = Arc::clone(&sink.file);
        let (stock, key) = (Arc::clone(self.stock), self.flight.key.clone());
        let wanted = self.told.bytes.unwrap_or(ROOM_STEP);
        blocking(move || Ok(stock.make_room(&key, wanted)?)).await?;
        let bytes = self.told.bytes;
        let tag = self.told.tag(&self.flight.key);
        let tag = tag.or_else(|| self.known_as.take());
        let tag = tag.unwrap_or_else(|| self.flight.own_tag.clone());
        self.flight.told.send_modify(|arrival| {
            arrival.arriving = Some(Arc::new(Arriving { file, bytes, tag }));
            arrival.trouble = None;
        });
        self.tell();
        Ok(())
    }

    /// Moves what comes into the file; reads on while it is written.
    async fn pump(&mut self, reply: &mut Reply) -> Result<(), Failure> {
        let (mut batch, mut held) = (Vec::new(), 0);
        let mut came: Option<Result<(), String>> = None;
        loop {
            if self.writing.is_none() && !batch.is_empty() {
                self.write(std::mem::take(&mut batch))?;
                held = 0;
            }
            if let (None, Some(ended)) = (&self.writing, &came) {
                self.tell();
                let received = self.stored();
                return ended.clone().map_err(|why| Failure::Cut { received, why });
            }
            tokio::select! {
                written = written(&mut self.writing) => {
                    self.writing = None;
                    let (sink, done) = written?;
                    self.sink = Some(sink);
                    done?;
                    self.check_length()?;
                    self.tell();
                    self.save();
                }
                piece = reply.next(), if came.is_none() && held < MOST_HELD => match piece {
                    Ok(Some(bytes)) => {
                        held += bytes.len();
                        batch.push(bytes);
                    }
                    Ok(None) => came = Some(Ok(())),
                    Err(error) => came = Some(Err(told_cut(&error))),
                },
            }
        }
    }

    fn write(&mut self, batch: Vec<Bytes>) -> Result<(), Failure> {
        let Some(mut sink) = self.sink.take() else {
            return Err(Failure::Part);
        };
        let (stock, key) = (Arc::clone(self.stock), self.flight.key.clone());
        let unsized_ = self.told.bytes.is_none();
        self.writing = Some(spawn_blocking(move || {
            let done = sink.write(&batch).and_then(|()| {
                if unsized_ {
                    let steps = sink.stored / ROOM_STEP + 1;
                    stock.make_room(&key, steps * ROOM_STEP)?;
                }
                Ok(())
            });
            (sink, done)
        }));
        Ok(())
    }

    fn check_length(&self) -> Result<(), Failure> {
        match (self.told.bytes, self.stored()) {
            (Some(told), came) if came > told => Err(Failure::Length { told, came }),
            _ => Ok(()),
        }
    }

    /// Readers get all but the last byte: that one goes with the verdict.
    fn tell(&self) {
        let stored = self.stored();
        let ready = match self.told.bytes {
            Some(bytes) => stored.min(bytes.saturating_sub(1)),
            None => 0,
        };
        self.flight.told.send_modify(|arrival| {
            arrival.received = stored;
            arrival.ready = arrival.ready.max(ready);
        });
    }

    /// Writes down how far it is, beside the download itself: first the bytes, then what is said of them.
    fn save(&mut self) {
        let Some(sink) = self.sink.as_ref() else {
            return;
        };
        let idle = self.saving.as_ref().is_none_or(JoinHandle::is_finished);
        if !idle || sink.stored < self.saved + SAVE_EVERY {
            return;
        }
        self.saved = sink.stored;
        let file = Arc::clone(&sink.file);
        let (path, partial) = (
            self.path.with_extension("json"),
            self.partial(sink.stored, None),
        );
        self.saving = Some(spawn_blocking(move || {
            let saved = file
                .sync_data()
                .and_then(|()| record::write(&path, &partial));
            if let Err(error) = saved {
                tracing::debug!(%error, "state of a download not written down");
            }
        }));
    }

    fn partial(&self, received: u64, tag: Option<String>) -> Partial {
        Partial {
            format: FORMAT,
            url: self.flight.job.url.clone(),
            etag: self.told.etag.clone(),
            last_modified: self.told.last_modified.clone(),
            bytes: self.told.bytes,
            received,
            tag,
        }
    }

    /// The verdict, and what comes of it.
    async fn land(&mut self, sink: Sink) -> Result<Fetched, Failure> {
        let (stock, path) = (Arc::clone(self.stock), self.path.clone());
        let (summed, bytes) = sink.finish()?;
        if let Some(told) = self.told.bytes.filter(|told| *told != bytes) {
            return Err(Failure::Length { told, came: bytes });
        }
        let job = &self.flight.job;
        if let Some(wanted) = self.checksum()
            && let Some(found) = summed.like(wanted).filter(|found| *found != wanted)
        {
            let (wanted, found) = (wanted.clone(), found.clone());
            return Err(Failure::Checksum { wanted, found });
        }
        if let Some(wanted) = job
            .pinned
            .as_ref()
            .filter(|wanted| **wanted != summed.sha256)
        {
            let (wanted, found) = (wanted.clone(), summed.sha256);
            return Err(Failure::Pinned { wanted, found });
        }
        self.flight.told.send_modify(|arrival| {
            (arrival.received, arrival.ready) = (bytes, bytes);
            arrival.end = Some(Ok(()));
        });
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let blob = blocking(move || {
            let blob = stock.keep(&path, &summed, bytes)?;
            record::remove(&path.with_extension("json"))?;
            Ok(blob)
        });
        Ok(Fetched {
            blob: blob.await?,
            vouched: self.vouched.take(),
            etag: self.told.etag.clone(),
            last_modified: self.told.last_modified.clone(),
            media: self.told.media.clone(),
        })
    }

    /// Leaves what can be gone on with, and nothing else.
    async fn clear(&mut self, failure: Option<&Failure>) {
        if let Some(Ok((sink, _))) = match self.writing.take() {
            Some(writing) => Some(writing.await),
            None => None,
        } {
            self.sink = Some(sink);
        }
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let keeps = failure.is_some_and(Failure::keeps_part) && self.stored() > 0;
        let known_as = match &self.flight.told.borrow().arriving {
            Some(arriving) => Some(arriving.tag.clone()),
            None => self.known_as.take(),
        };
        let left = keeps.then(|| self.partial(self.stored(), known_as));
        let file = self.sink.take().map(|sink| sink.file);
        // What an earlier life left and this one did not come to is left for the next.
        let untouched = !self.begun && failure.is_some_and(Failure::keeps_part);
        let (path, failed) = (self.path.clone(), failure.is_some() && !untouched);
        let cleared = blocking(move || {
            let state = path.with_extension("json");
            match (left, file) {
                (Some(left), Some(file)) => {
                    file.sync_data()?;
                    record::write(&state, &left)?;
                }
                _ if failed => {
                    record::remove(&path)?;
                    record::remove(&state)?;
                }
                _ => {}
            }
            Ok(())
        });
        if let Err(error) = cleared.await {
            tracing::warn!(%error, "download not tidied up");
        }
        self.stock.forget(&self.flight.key);
    }
}

/// The write in work; never, when there is none.
async fn written(writing: &mut Option<Written>) -> Result<(Sink, Result<(), Failure>), Failure> {
    match writing {
        Some(writing) => writing
            .await
            .map_err(|error| Failure::Disk(error.to_string())),
        None => pending().await,
    }
}

/// Runs what waits for the disk where it holds nobody else up.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::Disk(error.to_string())))
}

fn told_cut(error: &std::io::Error) -> String {
    let deepest = error.get_ref().and_then(|inner| inner.source());
    deepest.map_or_else(|| error.to_string(), ToString::to_string)
}
