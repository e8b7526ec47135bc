//! A file that grows: one task writes it, and whoever wants it reads as far as it is ready. The last byte is ready only
//! when the whole is verified, so nobody gets to the end of a file that is wrong.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::failure::Failure;

/// How far a download is.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// Known as soon as the source has answered.
    pub arriving: Option<Arc<Arriving>>,
    /// Bytes that came.
    pub received: u64,
    /// Bytes that may be read.
    pub ready: u64,
    /// How it ended: well, or why not.
    pub end: Option<Result<(), Failure>>,
    /// What went wrong on the way and is being tried again.
    pub trouble: Option<String>,
}

/// The file itself.
#[derive(Debug)]
pub struct Arriving {
    pub file: Arc<File>,
    /// Its length, where the source told it.
    pub bytes: Option<u64>,
    /// What it is called while nobody knows its digest.
    pub tag: String,
}

/// A reader's hold on it.
#[derive(Clone, Debug)]
pub struct Growing {
    pub arriving: Arc<Arriving>,
    told: watch::Receiver<Arrival>,
}

impl Growing {
    pub const fn new(arriving: Arc<Arriving>, told: watch::Receiver<Arrival>) -> Self {
        Self { arriving, told }
    }

    pub fn file(&self) -> &File {
        &self.arriving.file
    }

    /// Waits until more than the first `at` bytes are ready, and tells how many are. A download ends within its own
    /// limits, so this does too.
    pub async fn beyond(&mut self, at: u64) -> io::Result<u64> {
        let seen = self
            .told
            .wait_for(|arrival| arrival.ready > at || arrival.end.is_some())
            .await;
        let arrival = seen.map_err(|_| io::Error::other("the download was given up"))?;
        match &arrival.end {
            _ if arrival.ready > at => Ok(arrival.ready),
            Some(Err(failure)) => Err(io::Error::other(failure.to_string())),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
