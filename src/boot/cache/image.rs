//! An image as people are shown it.

use jiff::Timestamp;

use super::Cache;
use super::record::{Key, Record};
use super::stock::Shown;
use crate::model::{Checksums, Digest, ImageName, SourceUrl};

/// An image, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub name: ImageName,
    /// None where a person brought it.
    pub url: Option<SourceUrl>,
    /// What it has to be, as somebody told, or its vendor at the first download.
    pub checksum: Option<Digest>,
    /// Where its vendor tells that.
    pub checksums: Option<Checksums>,
    /// The fingerprint of the key that signed what its vendor told.
    pub signer: Option<String>,
    /// What it is, since its first download.
    pub digest: Option<Digest>,
    pub bytes: Option<u64>,
    pub progress: Progress,
    pub pinned: bool,
    pub fetched_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
}

/// Whether its bytes are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Here,
    /// So many bytes came; with what went wrong and is tried again.
    Arriving(u64, Option<String>),
    /// It is fetched when somebody asks for it.
    Absent,
    /// As before, and the last time that went wrong.
    Failed(String),
}

impl Cache {
    /// Every image, by name.
    pub fn images(&self) -> Vec<Image> {
        let all = self.0.stock.all().into_iter();
        let images = all.filter_map(|(key, shown, here)| match key {
            Key::Image(name) => Some(self.image_of(name, shown, here)),
            Key::Registry(_) => None,
        });
        images.collect()
    }

    pub fn image(&self, name: &ImageName) -> Option<Image> {
        let shown = self.0.stock.get(&Key::Image(name.clone()))?;
        let digest = shown.record.digest.as_ref();
        let here = digest.is_some_and(|digest| self.0.stock.blob(digest).is_some());
        Some(self.image_of(name.clone(), shown, here))
    }

    /// Bytes of everything that is here, and as many as may be.
    pub fn fill(&self) -> (u64, u64) {
        self.0.stock.fill()
    }

    fn image_of(&self, name: ImageName, shown: Shown, here: bool) -> Image {
        let arriving = self.arriving_for(&Key::Image(name.clone()));
        let (progress, length) = match (arriving, here, shown.trouble) {
            (Some((received, bytes, trouble)), ..) => {
                (Progress::Arriving(received, trouble), bytes)
            }
            (None, true, _) => (Progress::Here, None),
            (None, false, Some(why)) => (Progress::Failed(why), None),
            (None, false, None) => (Progress::Absent, None),
        };
        let Record {
            url,
            checksum,
            checksums,
            signer,
            digest,
            bytes,
            pinned,
            fetched_at,
            used_at,
            ..
        } = shown.record;
        Image {
            name,
            url,
            checksum,
            checksums,
            signer,
            digest,
            bytes: length.or(bytes),
            progress,
            pinned,
            fetched_at,
            used_at,
        }
    }

    fn arriving_for(&self, key: &Key) -> Option<(u64, Option<u64>, Option<String>)> {
        let flights = self.flights();
        let flight = flights
            .values()
            .find(|flight| flight.wanted().contains(key))?;
        let arrival = flight.told.borrow();
        let bytes = arrival.arriving.as_ref().and_then(|file| file.bytes);
        Some((arrival.received, bytes, arrival.trouble.clone()))
    }
}
