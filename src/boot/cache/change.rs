//! What a person does to images: each change is looked at first, and then carried out.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::checksums::{Unproven, keyring};
use super::failure::Failure;
use super::flight::{Job, Sink, blocking};
use super::record::{Key, Record};
use super::stock::{Blob, Shown, Stock};
use super::{Cache, flight_key, job_of, short_sum};
use crate::model::{Digest, ImageChange, ImageName, Proof};

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChange {
    #[error("no image is known as '{0}'")]
    Unknown(ImageName),
    #[error("image {0} is there already, {1}")]
    Taken(ImageName, String),
    #[error("image {0} was brought by a person: there is no source to fetch it from")]
    NoSource(ImageName),
    #[error("image {0} has to be {1}: another content needs another checksum")]
    Told(ImageName, Digest),
    #[error("image {0} is not here")]
    NotHere(ImageName),
    #[error("{0}")]
    Grounded(String),
    #[error(transparent)]
    Key(Unproven),
    /// A bundle that is none.
    #[error("the bundle cannot be read: {0}")]
    Bundle(String),
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Cache {
    /// Whether this can be done as things stand. Nothing is changed.
    pub fn check(&self, name: &ImageName, change: &ImageChange) -> Result<(), NoChange> {
        if let ImageChange::Add {
            proof: Some(Proof::Checksums(checksums)),
            ..
        } = change
            && let Some(by) = &checksums.signed
        {
            keyring(&by.key).map_err(NoChange::Key)?;
        }
        let known = self.0.stock.get(&Key::Image(name.clone()));
        let Some(Shown { record, .. }) = known else {
            return match change {
                ImageChange::Add { .. } | ImageChange::Upload { .. } | ImageChange::Import => {
                    Ok(())
                }
                _ => Err(NoChange::Unknown(name.clone())),
            };
        };
        let source = || match &record.url {
            Some(url) => format!("from {url}"),
            None => "brought by a person".into(),
        };
        match change {
            ImageChange::Add { url, proof, .. } => {
                let same = record.url.as_ref() == Some(url)
                    && (proof.is_none() || *proof == record.proof());
                if same {
                    return Ok(());
                }
                Err(NoChange::Taken(name.clone(), source()))
            }
            ImageChange::Upload { .. } => Err(NoChange::Taken(name.clone(), source())),
            ImageChange::Refresh if record.url.is_none() => Err(NoChange::NoSource(name.clone())),
            ImageChange::Refresh => match &record.checksum {
                // Its vendor may tell another one by now.
                _ if record.checksums.is_some() => Ok(()),
                Some(checksum) => Err(NoChange::Told(name.clone(), checksum.clone())),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Does it. What is fetched has begun when this returns. An upload comes in by [`Self::receive`].
    pub async fn change(&self, name: &ImageName, change: ImageChange) -> Result<(), NoChange> {
        self.check(name, &change)?;
        let key = Key::Image(name.clone());
        match change {
            ImageChange::Add { url, proof, pin } => {
                self.0.stock.edit(&key, |known| {
                    let record = Record::new(Some(url), proof);
                    let mut shown = known.unwrap_or(Shown {
                        record,
                        trouble: None,
                    });
                    shown.record.pinned |= pin;
                    Some(shown)
                });
                self.save(key.clone()).await?;
                self.fetch_now(&key, false)
            }
            ImageChange::Refresh => self.fetch_now(&key, true),
            ImageChange::Pin => self.pin(&key, true).await,
            ImageChange::Unpin => self.pin(&key, false).await,
            ImageChange::Remove => {
                self.0.stock.edit(&key, |_| None);
                for flight in self.flights().values() {
                    flight.unwant(&key);
                }
                self.save(key).await?;
                let stock = Arc::clone(&self.0.stock);
                blocking(move || {
                    stock.tidy();
                    Ok(())
                })
                .await?;
                Ok(())
            }
            ImageChange::Upload { .. } | ImageChange::Import => Ok(()),
        }
    }

    async fn pin(&self, key: &Key, pinned: bool) -> Result<(), NoChange> {
        self.0.stock.edit(key, |shown| {
            let mut shown = shown?;
            shown.record.pinned = pinned;
            Some(shown)
        });
        self.save(key.clone()).await
    }

    /// Begins a download, unless the bytes are here; `anew` asks for what lies at the source now.
    fn fetch_now(&self, key: &Key, anew: bool) -> Result<(), NoChange> {
        let Some(shown) = self.0.stock.get(key) else {
            return Ok(());
        };
        let here = self.0.stock.take(key, self.now()).is_some();
        let Some(job) = job_of(&shown.record).filter(|_| anew || !here) else {
            return Ok(());
        };
        let job = if anew {
            let unless = shown.record.etag.filter(|_| here);
            Job {
                checksum: job.checksum.filter(|_| job.checksums.is_none()),
                pinned: None,
                unless,
                ..job
            }
        } else {
            job
        };
        super::locked(&self.0.fallen).remove(&flight_key(&job));
        self.fetch(key.clone(), job)
            .map(drop)
            .map_err(|why| NoChange::Grounded(why.to_string()))
    }

    pub(super) async fn save(&self, key: Key) -> Result<(), NoChange> {
        let stock = Arc::clone(&self.0.stock);
        blocking(move || Ok(stock.save(&key)?)).await?;
        Ok(())
    }

    /// Sums a kept file again. One that is not what it was is taken away, and fetched again when it is asked for.
    pub async fn verify(&self, name: &ImageName) -> Result<Verdict, NoChange> {
        let key = Key::Image(name.clone());
        let known = self.0.stock.get(&key);
        if known.is_none() {
            return Err(NoChange::Unknown(name.clone()));
        }
        let Some(blob) = self.0.stock.take(&key, self.now()) else {
            return Err(NoChange::NotHere(name.clone()));
        };
        let stock = Arc::clone(&self.0.stock);
        let verdict = blocking(move || {
            let file = blob.open()?;
            let mut sums = super::sums::Sums::new(None);
            let bytes = file.metadata()?.len();
            sums.read(&file, bytes)?;
            let found = sums.finish()?.sha256;
            if found == blob.digest {
                return Ok(Verdict::Sound(found));
            }
            tracing::error!(blob = %blob.digest, %found, "kept image is damaged: removed");
            stock.condemn(&blob)?;
            Ok(Verdict::Damaged(found))
        });
        Ok(verdict.await?)
    }

    /// Room for bytes that a person brings.
    pub async fn receive(&self, bytes: u64, checksum: Option<Digest>) -> Result<Upload, NoChange> {
        let place = format!(
            "upload-{}",
            short_sum(&self.0.clock.new_id().to_string(), 16)
        );
        let stock = Arc::clone(&self.0.stock);
        let (path, room) = (stock.partial_path(&place), place.clone());
        let kind = checksum.as_ref().map(Digest::kind);
        let sink = blocking(move || {
            stock.make_room(&room, bytes)?;
            Ok(Sink::open(&stock.partial_path(&room), 0, kind)?)
        });
        Ok(Upload {
            sink: Some(sink.await?),
            stock: Arc::clone(&self.0.stock),
            path,
            place,
            bytes,
            checksum,
        })
    }

    /// A verified file becomes an image that a person brought.
    pub async fn take_in(&self, name: &ImageName, kept: Kept, pin: bool) -> Result<(), NoChange> {
        let mut record = Record::new(None, kept.checksum.clone().map(Proof::Checksum));
        record.digest = Some(kept.blob.digest.clone());
        record.bytes = Some(kept.blob.bytes);
        record.fetched_at = Some(self.now());
        record.pinned = pin;
        let trouble = None;
        let key = Key::Image(name.clone());
        let shown = Shown { record, trouble };
        self.0.stock.edit(&key, |_| Some(shown));
        self.save(key).await?;
        tracing::info!(%name, "image taken in");
        Ok(())
    }
}

/// A verified file that no record speaks of yet: it is gone again with the next tidying, unless it is taken in.
#[derive(Debug)]
pub struct Kept {
    pub(super) blob: Arc<Blob>,
    checksum: Option<Digest>,
}

/// What became of a sum that was taken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Sound(Digest),
    /// It was taken away; this is what it had become.
    Damaged(Digest),
}

/// Bytes that a person brings. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    sink: Option<Sink>,
    stock: Arc<Stock>,
    path: PathBuf,
    place: String,
    bytes: u64,
    checksum: Option<Digest>,
}

impl Upload {
    pub async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), NoChange> {
        let Some(mut sink) = self.sink.take() else {
            return Err(Failure::Part.into());
        };
        let told = self.bytes;
        let sink = blocking(move || {
            sink.write(&batch)?;
            if sink.stored > told {
                let came = sink.stored;
                return Err(Failure::Length { told, came });
            }
            Ok(sink)
        });
        self.sink = Some(sink.await?);
        Ok(())
    }

    /// Verifies the whole, and brings it to the disk.
    pub async fn finish(self) -> Result<Kept, NoChange> {
        Ok(blocking(move || self.settle()).await?)
    }

    fn settle(mut self) -> Result<Kept, Failure> {
        let sink = self.sink.take().ok_or(Failure::Part)?;
        let (summed, came) = sink.finish()?;
        let told = self.bytes;
        if came != told {
            return Err(Failure::Length { told, came });
        }
        if let Some(wanted) = &self.checksum
            && let Some(found) = summed.like(wanted).filter(|found| *found != wanted)
        {
            let (wanted, found) = (wanted.clone(), found.clone());
            return Err(Failure::Checksum { wanted, found });
        }
        let blob = self.stock.keep(&self.path, &summed, came)?;
        let checksum = self.checksum.clone();
        Ok(Kept { blob, checksum })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.stock.forget(&self.place);
        // Once kept, it has another name.
        let _ = std::fs::remove_file(&self.path);
    }
}
