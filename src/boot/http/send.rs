//! Bytes to a socket, whole or not at all, with a limit on how long nothing may move.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::seats::Seat;
use crate::boot::cache::Growing;

/// A client that takes nothing for this long is gone: TCP would go on for a quarter of an hour.
const STALL: Duration = Duration::from_secs(30);
/// At most this much in one call: a disk that has to be waited for holds the thread no longer.
const AT_ONCE: u64 = 1024 * 1024;
/// After so much without a wait others have their turn: a socket whose client is as fast as we are never fills up.
const TURN: u64 = 8 * AT_ONCE;

/// Sends these bytes. `more` keeps the last of them back until others follow.
pub async fn bytes(socket: &TcpStream, seat: &Seat, bytes: &[u8], more: bool) -> io::Result<()> {
    let more = if more { nix::libc::MSG_MORE } else { 0 };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::from_bits_retain(more);
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = moved(socket, seat, || Ok(send(socket.as_raw_fd(), rest, flags)?));
        rest = rest.get(count.await?.0..).unwrap_or_default();
    }
    Ok(())
}

/// Sends `len` bytes of a file from `from` on, without reading them into this process. The error holds how many
/// were left.
pub async fn file(
    socket: &TcpStream,
    seat: &Seat,
    file: &File,
    from: u64,
    len: u64,
) -> Result<(), (io::Error, u64)> {
    // The disk is read ahead, twice as far as usual. Without it all goes as well, only slower.
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
    range(socket, seat, file, from, len).await
}

/// The same of a file that is still arriving: each byte as soon as it may be read.
pub async fn growing(
    socket: &TcpStream,
    seat: &Seat,
    growing: &Growing,
    from: u64,
    len: u64,
) -> Result<(), (io::Error, u64)> {
    let mut growing = growing.clone();
    let (mut at, end) = (from, from.saturating_add(len));
    while at < end {
        let ready = growing
            .beyond(at)
            .await
            .map_err(|error| (error, end - at))?;
        let upto = ready.min(end);
        let done = range(socket, seat, growing.file(), at, upto - at).await;
        done.map_err(|(error, left)| (error, left + (end - upto)))?;
        at = upto;
    }
    Ok(())
}

async fn range(
    socket: &TcpStream,
    seat: &Seat,
    file: &File,
    from: u64,
    len: u64,
) -> Result<(), (io::Error, u64)> {
    let mut offset = i64::try_from(from).map_err(|error| (io::Error::other(error), len))?;
    let (mut left, mut unbroken) = (len, 0);
    while left > 0 {
        let most = usize::try_from(left.min(AT_ONCE)).unwrap_or(usize::MAX);
        let done = moved(socket, seat, || {
            Ok(sendfile64(socket, file, Some(&mut offset), most)?)
        });
        let (count, waited) = done.await.map_err(|error| (error, left))?;
        if count == 0 {
            // It has become shorter since its length was told.
            return Err((io::ErrorKind::UnexpectedEof.into(), left));
        }
        left -= count as u64;
        unbroken = if waited { 0 } else { unbroken + count as u64 };
        if unbroken >= TURN {
            tokio::task::yield_now().await;
            unbroken = 0;
        }
    }
    Ok(())
}

/// One call, as soon as the socket takes something: how much it took, and whether that was waited for.
async fn moved(
    socket: &TcpStream,
    seat: &Seat,
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<(usize, bool)> {
    let mut waited = false;
    loop {
        match socket.try_io(Interest::WRITABLE, &mut call) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => {
                seat.moved();
                return done.map(|count| (count, waited));
            }
        }
        in_time(socket.writable()).await?;
        waited = true;
    }
}

async fn in_time(ready: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(STALL, ready)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
