//! The client of both: so many connections at once on one thread, which throw away what they receive.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What one call may throw away.
const AT_ONCE: usize = 1 << 20;

/// Fetches these parts (from, bytes), each on a connection of its own; how many bytes came.
pub fn fetch(address: SocketAddr, path: &'static str, parts: &[(u64, u64)]) -> io::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().build()?;
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for &(from, len) in parts {
            all.spawn(one(address, path, from, len));
        }
        let mut bytes = 0;
        while let Some(done) = all.join_next().await {
            bytes += done??;
        }
        Ok(bytes)
    })
}

async fn one(address: SocketAddr, path: &str, from: u64, len: u64) -> io::Result<u64> {
    let mut socket = TcpStream::connect(address).await?;
    let last = from + len - 1;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nRange: bytes={from}-{last}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let early = head(&mut socket).await?;
    let mut left = len - early;
    // MSG_TRUNC on TCP (tcp(7)): the bytes are dropped in the kernel, and the buffer is not written to.
    let mut buffer = vec![0; AT_ONCE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        let took = socket.try_io(Interest::READABLE, || {
            Ok(recv(
                socket.as_raw_fd(),
                &mut buffer[..most],
                MsgFlags::MSG_TRUNC,
            )?)
        });
        match took {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => left -= count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Reads the head and says how many bytes of the body came with it.
async fn head(socket: &mut TcpStream) -> io::Result<u64> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            if !bytes.starts_with(b"HTTP/1.1 206 ") {
                let said = String::from_utf8_lossy(&bytes[..at]);
                return Err(io::Error::other(said.into_owned()));
            }
            return Ok((bytes.len() - at - 4) as u64);
        }
    }
}
