//! Serves a router on its listeners: seats for so many connections, limits on each, and an orderly end.
//!
//! A listener has [`SEATS`] seats. When they are all taken, the connection that has waited longest without
//! a request in work gives its seat to the newcomer; so half-open connections, however many, keep nobody
//! out. Only when every seat is at work is the newcomer told to come back. Each listener has seats of its
//! own, so that a crowd on TCP leaves the socket free.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt;

use super::peer::Peer;
use super::watched::Watched;

/// As many connections as one listener serves at once: a lab of people and scripts, and 64 streams.
pub const SEATS: usize = 256;
/// As long as a client may take to send the head of a request, and to sit idle before the next.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// As many header fields as a request may have.
pub const MAX_HEADERS: usize = 64;
/// As many bytes as the head of a request may have, and as are buffered for one connection.
pub const MAX_HEAD: usize = 32 * 1024;
/// An answer that was just written is given this long to leave before its seat can be taken away.
const SETTLE: Duration = Duration::from_millis(100);
/// When accepting fails, as it does when files run out, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a newcomer hears when every seat is at work. It is not in JSON by way of a handler: none is free.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 243\r\n\r\n\
{\"type\":\"urn:dragonfly:problem:unavailable\",\"title\":\"Not just now\",\"status\":503,\
\"detail\":\"every connection is taken and at work\",\"code\":\"unavailable\",\
\"hint\":\"try again in a moment, or close some event streams\",\"request_id\":\"\",\"retryable\":true}";

/// The doors to serve.
#[derive(Debug, Default)]
pub struct Listeners {
    pub tcp: Vec<TcpListener>,
    pub unix: Vec<UnixListener>,
}

/// Tells a request that the server stops; put beside [`Peer`] into every request.
#[derive(Clone, Debug)]
pub struct Stop(pub watch::Receiver<bool>);

/// Serves until `stop` turns true (or its sender is gone), then lets requests in work finish, and after
/// `deadline` ends what is left. When it returns, every task that it started is over.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    stop: watch::Receiver<bool>,
    deadline: Duration,
) {
    let mut doors = JoinSet::new();
    for listener in listeners.tcp {
        doors.spawn(Door::new(router.clone(), stop.clone()).keep(listener, deadline));
    }
    for listener in listeners.unix {
        doors.spawn(Door::new(router.clone(), stop.clone()).keep(listener, deadline));
    }
    while doors.join_next().await.is_some() {}
}

/// What accepts connections, whatever their kind.
trait Listener: Send + 'static {
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    fn peer(socket: &Self::Socket) -> impl Future<Output = io::Result<Peer>> + Send;
}

impl Listener for TcpListener {
    type Socket = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (socket, _) = self.accept().await?;
        // Pages and events are small and wanted at once.
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    async fn peer(socket: &TcpStream) -> io::Result<Peer> {
        socket.peer_addr().map(Peer::Tcp)
    }
}

impl Listener for UnixListener {
    type Socket = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(socket, _)| socket)
    }

    async fn peer(socket: &UnixStream) -> io::Result<Peer> {
        Peer::of(socket).await
    }
}

/// One listener with its seats.
struct Door {
    router: Router,
    stop: watch::Receiver<bool>,
    seats: Arc<Seats>,
}

impl Door {
    fn new(router: Router, stop: watch::Receiver<bool>) -> Self {
        Self {
            router,
            stop,
            seats: Arc::default(),
        }
    }

    async fn keep<L: Listener>(self, listener: L, deadline: Duration) {
        let mut stop = self.stop.clone();
        let mut stopped = pin!(told_to_stop(&mut stop));
        let mut guests = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = guests.join_next(), if !guests.is_empty() => log_panic(&ended),
                accepted = listener.next() => match accepted {
                    Ok(socket) => match self.seats.take() {
                        Some(seat) => {
                            guests.spawn(self.attend::<L>(socket, seat));
                        }
                        None => turn_away(socket).await,
                    },
                    Err(error) => {
                        tracing::warn!(%error, "connection not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        let all = async { while guests.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!(
                connections = guests.len(),
                "connections cut at the deadline"
            );
            guests.shutdown().await;
        }
    }

    fn attend<L: Listener>(
        &self,
        socket: L::Socket,
        seat: Taken,
    ) -> impl Future<Output = ()> + Send + use<L> {
        let (router, stop) = (self.router.clone(), self.stop.clone());
        async move {
            match L::peer(&socket).await {
                Ok(peer) => converse(socket, peer, router, &seat, stop).await,
                Err(error) => tracing::debug!(%error, "peer unknown"),
            }
        }
    }
}

/// One connection, from its first request to its end.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: S,
    peer: Peer,
    router: Router,
    taken: &Taken,
    mut stop: watch::Receiver<bool>,
) {
    let seat = &taken.seat;
    let told = Stop(stop.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let work = Work::begin(seat.clone());
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(told.clone());
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { answer.await.map(|response| until_sent(response, work)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(Watched::new(socket)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.leave.notified() => return,
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            // One that only waits for a request has nothing to finish.
            let settled = async {
                while seat.busy() {
                    tokio::time::sleep(SETTLE / 4).await;
                }
                tokio::time::sleep(SETTLE).await;
            };
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = settled => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// A sender that is gone will never say stop, and there is nobody left to serve for.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Keeps the seat at work until the last byte of the answer was handed over.
fn until_sent(response: Response<Body>, work: Work) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &work;
            frame
        }))
    })
}

async fn turn_away<S: AsyncWrite + Unpin>(mut socket: S) {
    // The send buffer of a new socket holds this at once; one that does not gets nothing.
    let _ = tokio::time::timeout(ACCEPT_PAUSE, socket.write_all(FULL)).await;
    let _ = socket.shutdown().await;
}

fn log_panic(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "connection broke");
    }
}

/// The seats of one listener, the longest taken first.
#[derive(Debug, Default)]
struct Seats {
    taken: Mutex<BTreeMap<u64, Arc<Seat>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Seat {
    at_work: AtomicBool,
    served: AtomicBool,
    /// Since when it is idle, once it has served.
    idle_since: Mutex<Instant>,
    leave: Notify,
}

/// A seat, given back when dropped.
#[derive(Debug)]
struct Taken {
    seats: Arc<Seats>,
    number: u64,
    seat: Arc<Seat>,
}

/// A request in work on a seat.
struct Work(Arc<Seat>);

impl Seats {
    /// A free seat, or that of the connection which has been idle for longest.
    fn take(self: &Arc<Self>) -> Option<Taken> {
        let mut taken = self.locked();
        if taken.len() >= SEATS {
            let idle = taken
                .iter()
                .find(|(_, seat)| seat.can_go())
                .map(|(number, _)| *number)?;
            if let Some(seat) = taken.remove(&idle) {
                seat.leave.notify_one();
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            at_work: AtomicBool::new(false),
            served: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            leave: Notify::new(),
        });
        taken.insert(number, seat.clone());
        Some(Taken {
            seats: self.clone(),
            number,
            seat,
        })
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn busy(&self) -> bool {
        self.at_work.load(Ordering::Acquire)
    }

    /// One that never asked has nothing to lose; one that did may have an answer on its way.
    fn can_go(&self) -> bool {
        let settled = || {
            let since = self
                .idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            since.elapsed() >= SETTLE
        };
        !self.busy() && (!self.served.load(Ordering::Acquire) || settled())
    }
}

impl Work {
    fn begin(seat: Arc<Seat>) -> Self {
        seat.served.store(true, Ordering::Release);
        seat.at_work.store(true, Ordering::Release);
        Self(seat)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        *self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.at_work.store(false, Ordering::Release);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.locked().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_idle_for_longest_gives_its_seat_and_those_at_work_keep_theirs() {
        let seats = Arc::new(Seats::default());
        let all: Vec<_> = (0..SEATS).map(|_| seats.take().unwrap()).collect();
        let works: Vec<_> = all
            .iter()
            .map(|taken| Work::begin(taken.seat.clone()))
            .collect();
        assert!(seats.take().is_none());
        let newcomer = {
            all[7].seat.at_work.store(false, Ordering::Release);
            all[7].seat.served.store(false, Ordering::Release);
            seats.take()
        };
        assert!(newcomer.is_some());
        assert!(!seats.locked().contains_key(&7));
        drop(works);
    }

    #[test]
    fn the_words_for_a_full_house_are_as_long_as_they_say() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(format!("content-length: {}", body.len()).as_str()),
            "{}",
            body.len()
        );
        assert!(serde_json::from_str::<crate::api::Problem>(body).is_ok());
    }
}
