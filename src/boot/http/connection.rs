//! One client of the machine plane, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use nix::sys::socket::{MsgFlags, send as send_now};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, Body, Manner, Status};
use super::request::{Head, MAX_HEAD, Method, Request, read};
use super::route::{Routed, route};
use super::seats::Taken;
use super::{Plane, Seen, send, told_to_stop};
use crate::model::trace::Mark;

/// As long as a client may take for the head of a request, from its first byte on or from its arrival.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// As long as a client may wait before its next request; EDK2 checks a loader's signature between two.
const IDLE_TIME: Duration = Duration::from_mins(1);
/// What a refused client still sends is read for so long, or it would lose the refusal to a reset.
const LINGER_TIME: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 64 * 1024;
/// Read at once; heads of firmware have 200 bytes.
const PIECE: usize = 1024;
/// What a newcomer hears when every seat is at work.
pub(super) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
Content-Length: 46\r\nRetry-After: 5\r\nConnection: close\r\n\r\nevery connection is in use; try again shortly\n";

/// Serves one client until it leaves, is sent away, or the server stops.
pub async fn attend(
    plane: Arc<Plane>,
    socket: TcpStream,
    peer: SocketAddr,
    taken: Taken,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(local) = socket.local_addr() else {
        return; // it is gone already
    };
    // Heads, scripts and the ends of files are wanted at once.
    let _ = socket.set_nodelay(true);
    let mut client = Client {
        plane: &plane,
        socket,
        peer: canonical(peer),
        local: canonical(local),
        taken: &taken,
        buffer: BytesMut::new(),
    };
    if let Err(error) = client.converse(&mut stop).await {
        tracing::debug!(%peer, %error, "machine connection ended");
    }
}

/// Says once that there is no seat; a new socket's buffer holds it at once.
pub fn turn_away(socket: &TcpStream) {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let _ = send_now(socket.as_raw_fd(), FULL, flags);
}

/// An IPv4 address that came in on an IPv6 socket is told as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A transfer that ended before its end tells how long before.
fn short(done: Result<(), (io::Error, u64)>) -> io::Result<()> {
    done.map_err(|(error, left)| {
        let told = format!("{error}, {left} bytes before the end");
        io::Error::new(error.kind(), told)
    })
}

fn sent_away() -> io::Error {
    io::Error::other("its seat was given to another")
}

struct Client<'a> {
    plane: &'a Plane,
    socket: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    taken: &'a Taken,
    /// What came in and was not read as a request yet: part of a head, or heads that came early.
    buffer: BytesMut,
}

impl Client<'_> {
    async fn converse(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        let mut wait = HEAD_TIME;
        loop {
            let (idle, taken) = (self.buffer.is_empty(), self.taken);
            let head = tokio::select! {
                head = self.head(wait) => head?,
                () = told_to_stop(stop), if idle => return Ok(()),
                () = taken.seat.leave.notified() => return Err(sent_away()),
            };
            self.taken.seat.work(true);
            let stays = match head {
                Some(Head::Whole(request, length)) => {
                    self.buffer.advance(length);
                    let stopping = *stop.borrow();
                    self.serve(&request, stopping).await?
                }
                Some(Head::Refused(refused)) => {
                    let answer = Answer::text(refused.status, refused.why);
                    self.send(&answer, Method::Get, self.manner(false, false))
                        .await?;
                    return self.linger().await;
                }
                Some(Head::Part) | None => return Ok(()),
            };
            self.taken.seat.work(false);
            if !stays {
                return self.linger().await;
            }
            wait = IDLE_TIME;
        }
    }

    /// The next head; none when the client left, or did not say a whole one in time.
    async fn head(&mut self, wait: Duration) -> io::Result<Option<Head>> {
        let now = Instant::now();
        let mut deadline = now
            + if self.buffer.is_empty() {
                wait
            } else {
                HEAD_TIME
            };
        // A head ends with a line, so nothing is looked at before a line has ended.
        let mut looks = !self.buffer.is_empty();
        loop {
            if looks {
                match read(&self.buffer) {
                    Head::Part => {}
                    head => return Ok(Some(head)),
                }
            }
            let before = self.buffer.len();
            match timeout_at(deadline, self.receive()).await {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
            if before == 0 {
                deadline = Instant::now() + HEAD_TIME;
            }
            let full = self.buffer.len() >= MAX_HEAD;
            looks = full || self.buffer[before..].contains(&b'\n');
        }
    }

    async fn receive(&mut self) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            let room = MAX_HEAD.saturating_sub(self.buffer.len()).min(PIECE);
            self.buffer.reserve(room);
            match self
                .socket
                .try_read_buf(&mut (&mut self.buffer).limit(room))
            {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Answers a request; whether the connection stays.
    async fn serve(&mut self, request: &Request, stopping: bool) -> io::Result<bool> {
        let Routed { answer, file } = route(self.plane, request, self.peer, self.local).await;
        let stays = request.keep_alive && !stopping;
        let manner = self.manner(stays, request.old);
        let Some(name) = file else {
            return self
                .send(&answer, request.method, manner)
                .await
                .map(|()| stays);
        };
        let name = name.escape_debug().to_string();
        self.tell_begin(&answer, request.method, &name);
        let sent = self.send(&answer, request.method, manner).await;
        self.tell_end(&answer, request.method, &name, &sent);
        sent.map(|()| stays)
    }

    async fn send(&self, answer: &Answer, method: Method, manner: Manner) -> io::Result<()> {
        tokio::select! {
            done = self.write(answer, method, manner) => done,
            () = self.taken.seat.leave.notified() => Err(sent_away()),
        }
    }

    async fn write(&self, answer: &Answer, method: Method, manner: Manner) -> io::Result<()> {
        let (socket, seat) = (&self.socket, &*self.taken.seat);
        let head = answer.head(manner);
        let bare = method == Method::Head || answer.status == Status::NotModified;
        match &answer.body {
            _ if bare => send::bytes(socket, seat, head.as_bytes(), false).await,
            Body::Bytes(bytes) => {
                let whole = [head.as_bytes(), bytes].concat();
                send::bytes(socket, seat, &whole, false).await
            }
            Body::File { file, from, len }
            | Body::Kept {
                file, from, len, ..
            } => {
                send::bytes(socket, seat, head.as_bytes(), *len > 0).await?;
                short(send::file(socket, seat, file, *from, *len).await)
            }
            Body::Growing { growing, from, len } => {
                send::bytes(socket, seat, head.as_bytes(), false).await?;
                short(send::growing(socket, seat, growing, *from, *len).await)
            }
        }
    }

    fn manner(&self, keep_alive: bool, old: bool) -> Manner {
        Manner {
            keep_alive,
            old,
            now: self.plane.clock.now(),
        }
    }

    /// Closes in such a way that the last answer arrives (RFC 9112 9.6).
    async fn linger(&mut self) -> io::Result<()> {
        self.socket.shutdown().await?;
        let mut left = LINGER_BYTES;
        let drain = async {
            while left > 0 {
                self.buffer.clear();
                match self.receive().await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => left = left.saturating_sub(count),
                }
            }
        };
        let _ = timeout(LINGER_TIME, drain).await;
        Ok(())
    }

    fn tell_begin(&self, answer: &Answer, method: Method, name: &str) {
        let size = answer.entity.as_ref().map_or(0, |entity| entity.len);
        match (answer.status, method) {
            (Status::Ok | Status::PartialContent | Status::NotModified, Method::Head) => {
                self.tell(
                    Mark::FileProbed,
                    name,
                    &format!("asked for the size of {name}, {size} bytes"),
                );
            }
            // A download in parts is told once, at its first and at its last byte.
            (Status::Ok | Status::PartialContent, Method::Get) => {
                if answer.part.is_none_or(|(first, _)| first == 0) {
                    self.tell(
                        Mark::FileBegun,
                        name,
                        &format!("fetches {name}, {size} bytes"),
                    );
                }
            }
            (Status::NotModified, Method::Get) => {
                self.tell(Mark::FileDone, name, &format!("has {name} already"));
            }
            (status, _) => {
                let why = match &answer.body {
                    Body::Bytes(bytes) => String::from_utf8_lossy(bytes).trim_end().to_owned(),
                    _ => String::new(),
                };
                let text = format!("asked for {name}: {} ({why})", status.line());
                self.tell(Mark::FileMissing, name, &text);
            }
        }
    }

    fn tell_end(&self, answer: &Answer, method: Method, name: &str, sent: &io::Result<()>) {
        let whole = matches!(answer.status, Status::Ok | Status::PartialContent);
        let Some(entity) = answer
            .entity
            .as_ref()
            .filter(|_| whole && method == Method::Get)
        else {
            return;
        };
        match sent {
            Ok(()) if answer.part.is_none_or(|(_, last)| last + 1 == entity.len) => {
                self.tell(
                    Mark::FileDone,
                    name,
                    &format!("has {name}, {} bytes", entity.len),
                );
            }
            Ok(()) => {}
            Err(error) => {
                self.tell(
                    Mark::FileBroken,
                    name,
                    &format!("stopped fetching {name}: {error}"),
                );
            }
        }
    }

    fn tell(&self, mark: Mark, name: &str, text: &str) {
        self.plane.watcher.seen(&Seen {
            peer: self.peer,
            local: self.local,
            mark,
            name,
            text,
        });
    }
}
