//! Files to the daemon, sent while they are read.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{Ask, Client, LONG};
use crate::cli::failure::Failure;

/// Whatever goes out behind a head.
pub type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// Read at once.
const PIECE: usize = 512 * 1024;

/// A body that is in memory.
pub fn held(bytes: Bytes) -> Sent {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl Client {
    /// Sends the first `bytes` bytes of a file; `told` hears how many have left.
    pub async fn send_file<T: DeserializeOwned>(
        &mut self,
        ask: Ask,
        media: &'static str,
        (file, bytes): (File, u64),
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<T, Failure> {
        let mut request = self.request(&ask).await?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        let request = request.map(|_| StreamBody::new(pieces(file, bytes, told)).boxed_unsync());
        let answered = timeout(LONG, async {
            let sent = self.connected().await?.sender.send_request(request).await;
            let response = sent.map_err(|error| self.broken(&error))?;
            let status = response.status();
            let body = self.collect(response).await?;
            if status.is_success() {
                Ok(body)
            } else {
                Err(self.refusal(status.as_u16(), &body))
            }
        });
        let body = answered.await.map_err(|_| self.slow())??;
        match serde_json::from_slice(&body) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.not_understood(&error.to_string()).await),
        }
    }
}

/// A file that has become shorter meanwhile ends the request, and one that has become longer is cut.
fn pieces(
    file: File,
    bytes: u64,
    told: impl FnMut(u64) + Send + 'static,
) -> impl stream::Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static {
    let begin = (file, 0_u64, told);
    stream::try_unfold(begin, move |(mut file, at, mut told)| async move {
        if at == bytes {
            return Ok(None);
        }
        let want = usize::try_from(bytes - at).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; want];
        let count = file.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(count);
        let at = at + count as u64;
        told(at);
        Ok(Some((Frame::data(piece.into()), (file, at, told))))
    })
}
