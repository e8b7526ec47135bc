//! The beginning of a flight: where the bytes are, what they have to be, and what of them is here already.

use super::super::checksums::vouched;
use super::super::failure::Failure;
use super::super::oci;
use super::super::record::{self, FORMAT, Partial};
use super::{Course, Sink, Told, blocking};
use crate::model::{Digest, SourceUrl};

impl Course<'_> {
    /// Asks a registry where the bytes are; again before each question, since its tokens do not hold for long.
    pub(super) async fn locate(&mut self) -> Result<(), Failure> {
        let job = &self.flight.job;
        let Some(name) = job.url.oci() else {
            return Ok(());
        };
        let found = self.origin.as_ref().map(|origin| &origin.digest);
        let known = found.or(job.pinned.as_ref());
        let origin = oci::origin(self.upstream, &name, known).await?;
        if let Some(wanted) = &job.checksum
            && wanted.kind() == origin.digest.kind()
            && *wanted != origin.digest
        {
            let (wanted, found) = (wanted.clone(), origin.digest);
            return Err(Failure::Checksum { wanted, found });
        }
        self.origin = Some(origin);
        Ok(())
    }

    pub(super) fn url(&self) -> &SourceUrl {
        let found = self.origin.as_ref().map(|origin| &origin.url);
        found.unwrap_or(&self.flight.job.url)
    }

    pub(super) fn authorization(&self) -> Option<&String> {
        let found = self.origin.as_ref();
        let found = found.and_then(|origin| origin.authorization.as_ref());
        found.or(self.flight.job.authorization.as_ref())
    }

    /// What the bytes have to be, as far as somebody told.
    pub(super) fn checksum(&self) -> Option<&Digest> {
        let told = self.vouched.as_ref().map(|vouched| &vouched.checksum);
        let told = told.or(self.flight.job.checksum.as_ref());
        told.or(self.origin.as_ref().map(|origin| &origin.digest))
    }

    /// Learns what the bytes have to be, and goes on with what an earlier life of the daemon left, where that is of the
    /// same source.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        let job = &self.flight.job;
        if let (None, Some(checksums)) = (&job.checksum, &job.checksums) {
            self.vouched = Some(vouched(self.upstream, checksums, &job.url).await?);
        }
        let kind = self.checksum().map(Digest::kind);
        let (path, job) = (self.path.clone(), self.flight.job.clone());
        let opened = blocking(move || {
            let left = record::read::<Partial>(&path.with_extension("json")).ok();
            let left = left.filter(|left| left.format == FORMAT && left.url == job.url);
            let stored = left.as_ref().map_or(0, |left| left.received);
            Ok((Sink::open(&path, stored, kind)?, left))
        });
        let (sink, left) = opened.await?;
        if let Some(left) = left.filter(|_| sink.stored > 0) {
            self.saved = sink.stored;
            self.known_as = left.tag;
            self.told = Told {
                bytes: left.bytes,
                etag: left.etag,
                last_modified: left.last_modified,
                media: None,
            };
        }
        self.sink = Some(sink);
        self.begun = true;
        Ok(())
    }

    /// Whether a wrong part would be found out at the end.
    pub(super) fn is_known(&self) -> bool {
        self.checksum().is_some() || self.flight.job.pinned.is_some()
    }
}
