//! Connections of agents: TLS in good time, requests on it, and an orderly end.
//!
//! A connection that never becomes a session's is closed after [`STRANGER`], so that half-open ones, and callers who
//! only try tokens, hold no seat for long.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::seats::Seat;
use super::{Caller, Endpoint, routes};
use crate::provision::identity::key_of;

/// As long as requests in work may take after the stop; agents ask again by themselves.
pub const GRACE: Duration = Duration::from_secs(1);
/// A handshake is two round trips; a thousand at once take a second here.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// As long as a caller may be here without being let in.
const STRANGER: Duration = Duration::from_mins(1);
/// As long as a connection may lie idle. Agents ask for orders more often.
const IDLE: Duration = Duration::from_mins(2);
const MAX_HEADERS: usize = 32;
/// Bytes of a request's head, and of what is buffered.
const MAX_HEAD: usize = 16 * 1024;
/// When accepting fails, as it does when files run out, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` turns true (or its sender is gone). When it returns, every task that it started is over.
pub async fn serve(listener: TcpListener, endpoint: Arc<Endpoint>, stop: watch::Receiver<bool>) {
    let acceptor = TlsAcceptor::from(endpoint.identity.tls());
    let mut told = stop.clone();
    let mut stopped = pin!(told_to_stop(&mut told));
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = guests.join_next(), if !guests.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "agent connection broke");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let Some(seat) = endpoint.seats.take(peer.ip()) else {
                        tracing::warn!(%peer, "agent turned away: too many connections");
                        continue;
                    };
                    let guest = Guest { peer, _seat: seat, endpoint: Arc::clone(&endpoint) };
                    guests.spawn(guest.attend(socket, acceptor.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "agent connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while guests.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::info!(connections = guests.len(), "agent connections cut");
        guests.shutdown().await;
    }
}

struct Guest {
    peer: SocketAddr,
    _seat: Seat,
    endpoint: Arc<Endpoint>,
}

impl Guest {
    async fn attend(self, socket: TcpStream, acceptor: TlsAcceptor, stop: watch::Receiver<bool>) {
        let peer = self.peer;
        // Answers are small, and wait for nothing more.
        let _ = socket.set_nodelay(true);
        let tls = match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => return tracing::debug!(%peer, "TLS took too long"),
        };
        let shown = tls.get_ref().1.peer_certificates();
        let caller = Caller {
            key: shown.and_then(|chain| chain.first()).and_then(key_of),
            address: peer.ip().to_canonical(),
        };
        self.converse(TokioIo::new(tls), caller, stop).await;
    }

    async fn converse(
        self,
        tls: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
        caller: Caller,
        mut stop: watch::Receiver<bool>,
    ) {
        let (let_in, busy) = (&AtomicBool::new(false), &AtomicBool::new(false));
        let (endpoint, caller) = (&self.endpoint, &caller);
        let service = service_fn(move |request| async move {
            busy.store(true, Ordering::Release);
            let answer = routes::answer(endpoint, caller, request).await;
            busy.store(false, Ordering::Release);
            let_in.fetch_or(answer.let_in, Ordering::AcqRel);
            Ok::<_, std::convert::Infallible>(answer.response)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        let mut connection = pin!(http.serve_connection(tls, service));
        let strange = async {
            tokio::time::sleep(STRANGER).await;
            if let_in.load(Ordering::Acquire) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = connection.as_mut() => if let Err(error) = ended {
                tracing::debug!(peer = %self.peer, %error, "agent connection ended");
            },
            () = strange => tracing::debug!(peer = %self.peer, "agent connection closed: nobody was let in"),
            () = told_to_stop(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                // One that waits for a request, or for an order, has nothing to finish.
                if busy.load(Ordering::Acquire) {
                    let _ = tokio::time::timeout(GRACE / 2, connection).await;
                }
            }
        }
    }
}

/// A sender that is gone will never say stop, and there is nobody left to serve for.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
