//! Many images in one file, for places without a way to the outside: a tar archive of files by their digest and records
//! by their name. A bundle is believed only when every file in it has the digest that it is named by; until its end was
//! read nothing of it is an image.
//!
//! ```text
//! blobs/sha256/HEX    a file, before the first record that speaks of it
//! images/NAME.json    a record
//! ```

mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use tokio::task::spawn_blocking;

use self::tar::{BLOCK, END, fill};
use super::Cache;
use super::change::{Kept, NoChange, Upload};
use super::record::{Key, Record};
use super::stock::{Blob, Shown};
use crate::model::{Digest, ImageName};

const BLOBS: &str = "blobs/sha256/";
const IMAGES: &str = "images/";
/// Read at once.
const PIECE: u64 = 1024 * 1024;
/// No record is larger.
const MAX_RECORD: u64 = 64 * 1024;
/// As many images as one bundle holds; each record is held in memory until the end.
const MAX_IMAGES: usize = 1000;

/// A bundle on its way out.
#[derive(Debug)]
pub struct Export {
    /// Of the whole archive.
    pub bytes: u64,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    /// A file, opened when its turn comes, and how far it was read.
    File(Arc<Blob>, Option<Arc<File>>, u64),
}

impl Cache {
    /// These images in one bundle; all that are here when none is named.
    pub fn export(&self, names: &[ImageName]) -> Result<Export, NoChange> {
        let all = if names.is_empty() {
            let here = self.images().into_iter();
            here.filter(|image| image.progress == super::Progress::Here)
                .map(|image| image.name)
                .collect()
        } else {
            names.to_vec()
        };
        let mut export = Export {
            bytes: 0,
            parts: Vec::new(),
        };
        let mut held = BTreeSet::new();
        for name in &all {
            let key = Key::Image(name.clone());
            let shown = self.0.stock.get(&key);
            let shown = shown.ok_or_else(|| NoChange::Unknown(name.clone()))?;
            let blob = self.0.stock.take(&key, self.now());
            let blob = blob.ok_or_else(|| NoChange::NotHere(name.clone()))?;
            if held.insert(blob.digest.clone()) {
                export.blob(blob);
            }
            let record = serde_json::to_vec(&shown.record);
            let record = record.map_err(|error| NoChange::Bundle(error.to_string()))?;
            export.record(name, record);
        }
        export.part(Bytes::from_static(&END));
        export.parts.reverse();
        Ok(export)
    }
}

impl Export {
    fn part(&mut self, bytes: Bytes) {
        self.bytes += bytes.len() as u64;
        self.parts.push(Part::Bytes(bytes));
    }

    fn blob(&mut self, blob: Arc<Blob>) {
        let name = format!("{BLOBS}{}", blob.digest.hex());
        let bytes = blob.bytes;
        self.part(Bytes::copy_from_slice(&tar::header(&name, bytes)));
        self.parts.push(Part::File(blob, None, 0));
        self.bytes += bytes;
        self.part(Bytes::from_static(&END[..fill(bytes)]));
    }

    fn record(&mut self, name: &ImageName, record: Vec<u8>) {
        let size = record.len() as u64;
        let head = tar::header(&format!("{IMAGES}{name}.json"), size);
        self.part(Bytes::copy_from_slice(&head));
        self.part(record.into());
        self.part(Bytes::from_static(&END[..fill(size)]));
    }

    /// The archive's bytes, in order.
    pub fn stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self.parts, |mut parts| async move {
            loop {
                match parts.pop() {
                    None => return Ok(None),
                    Some(Part::Bytes(bytes)) if bytes.is_empty() => {}
                    Some(Part::Bytes(bytes)) => return Ok(Some((bytes, parts))),
                    Some(Part::File(blob, _, at)) if at == blob.bytes => {}
                    Some(Part::File(blob, file, at)) => {
                        let (file, bytes) = piece(Arc::clone(&blob), file, at).await?;
                        let next = at + bytes.len() as u64;
                        parts.push(Part::File(blob, Some(file), next));
                        return Ok(Some((bytes, parts)));
                    }
                }
            }
        })
    }
}

async fn piece(
    blob: Arc<Blob>,
    file: Option<Arc<File>>,
    at: u64,
) -> io::Result<(Arc<File>, Bytes)> {
    let read = spawn_blocking(move || {
        let file = match file {
            Some(file) => file,
            None => Arc::new(blob.open()?),
        };
        let want = usize::try_from(PIECE.min(blob.bytes - at)).unwrap_or_default();
        let mut bytes = vec![0; want];
        file.read_exact_at(&mut bytes, at)?;
        Ok((file, bytes.into()))
    });
    read.await.map_err(io::Error::other)?
}

/// A bundle on its way in.
#[derive(Debug)]
pub struct Import {
    cache: Cache,
    buffer: BytesMut,
    state: State,
    kept: BTreeMap<Digest, Kept>,
    records: Vec<(ImageName, Record)>,
}

#[derive(Debug)]
enum State {
    Header,
    Blob(Digest, Box<Upload>, u64),
    Record(ImageName, u64),
    Fill(usize),
    End,
}

impl Cache {
    pub fn import(&self) -> Import {
        Import {
            cache: self.clone(),
            buffer: BytesMut::new(),
            state: State::Header,
            kept: BTreeMap::new(),
            records: Vec::new(),
        }
    }
}

impl Import {
    /// The next bytes of the archive.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NoChange> {
        self.buffer.extend_from_slice(bytes);
        while self.step().await? {}
        Ok(())
    }

    /// Takes one step, if there are bytes enough for it.
    async fn step(&mut self) -> Result<bool, NoChange> {
        match std::mem::replace(&mut self.state, State::End) {
            State::Header if self.buffer.len() < BLOCK => {
                self.state = State::Header;
                Ok(false)
            }
            State::Header => self.header().await.map(|()| true),
            State::Fill(left) => {
                let have = left.min(self.buffer.len());
                self.buffer.advance(have);
                let whole = have == left;
                self.state = if whole {
                    State::Header
                } else {
                    State::Fill(left - have)
                };
                Ok(whole)
            }
            State::Blob(digest, upload, left) => self.blob(digest, upload, left).await,
            State::Record(name, size) => self.record(name, size),
            State::End => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    async fn header(&mut self) -> Result<(), NoChange> {
        let mut block = [0; BLOCK];
        self.buffer.copy_to_slice(&mut block);
        let read = tar::read(&block).map_err(|why| NoChange::Bundle(why.into()))?;
        let Some((name, size)) = read else {
            return Ok(());
        };
        let foreign = || NoChange::Bundle(format!("'{}' has no place in one", name.escape_debug()));
        if let Some(sum) = name.strip_prefix(BLOBS) {
            let digest: Digest = sum.parse().map_err(|_| foreign())?;
            let upload = self.cache.receive(size, Some(digest.clone())).await?;
            self.state = State::Blob(digest, Box::new(upload), size);
            return Ok(());
        }
        let stem = name
            .strip_prefix(IMAGES)
            .and_then(|file| file.strip_suffix(".json"));
        let image = stem
            .and_then(|stem| stem.parse().ok())
            .ok_or_else(foreign)?;
        if size > MAX_RECORD || self.records.len() >= MAX_IMAGES {
            return Err(NoChange::Bundle("it holds more than a bundle does".into()));
        }
        self.state = State::Record(image, size);
        Ok(())
    }

    async fn blob(
        &mut self,
        digest: Digest,
        mut upload: Box<Upload>,
        left: u64,
    ) -> Result<bool, NoChange> {
        let have =
            usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
        let bytes = self.buffer.split_to(have).freeze();
        let left = left - bytes.len() as u64;
        if !bytes.is_empty() {
            upload.write(vec![bytes]).await?;
        }
        if left > 0 {
            self.state = State::Blob(digest, upload, left);
            return Ok(false);
        }
        let kept = upload.finish().await?;
        self.state = State::Fill(fill(kept.blob.bytes));
        self.kept.insert(digest, kept);
        Ok(true)
    }

    fn record(&mut self, name: ImageName, size: u64) -> Result<bool, NoChange> {
        let want = usize::try_from(size).unwrap_or(usize::MAX);
        if self.buffer.len() < want {
            self.state = State::Record(name, size);
            return Ok(false);
        }
        let bytes = self.buffer.split_to(want);
        let wrong = |why: &str| NoChange::Bundle(format!("the record of {name} {why}"));
        let record: Record = serde_json::from_slice(&bytes).map_err(|_| wrong("is damaged"))?;
        if record.flaw().is_some() {
            return Err(wrong("is of another version"));
        }
        let told = record.digest.as_ref().zip(record.bytes);
        let kept = told.and_then(|(digest, bytes)| {
            let kept = self.kept.get(digest)?;
            (kept.blob.bytes == bytes).then_some(())
        });
        kept.ok_or_else(|| wrong("speaks of a file that is not in it"))?;
        let known = self.cache.0.stock.get(&Key::Image(name.clone()));
        let known = known.and_then(|shown| shown.record.digest.or(shown.record.checksum));
        if known
            .as_ref()
            .is_some_and(|known| record.digest.as_ref() != Some(known))
        {
            return Err(NoChange::Taken(name, "with another content".into()));
        }
        self.records.push((name, record));
        self.state = State::Fill(fill(size));
        Ok(true)
    }

    /// Whether the archive came to its end, and the names of the images in it.
    pub fn names(&self) -> Result<Vec<ImageName>, NoChange> {
        match self.state {
            State::End => Ok(self.records.iter().map(|(name, _)| name.clone()).collect()),
            _ => Err(NoChange::Bundle("it breaks off before its end".into())),
        }
    }

    /// Makes images of what came.
    pub async fn finish(self) -> Result<(), NoChange> {
        self.names()?;
        let now = self.cache.now();
        for (name, mut record) in self.records {
            record.fetched_at = Some(now);
            record.used_at = None;
            // Its bytes were verified here, the signature over its checksum was not.
            record.signer = None;
            let key = Key::Image(name);
            let trouble = None;
            self.cache
                .0
                .stock
                .edit(&key, |_| Some(Shown { record, trouble }));
            self.cache.save(key).await?;
        }
        Ok(())
    }
}
