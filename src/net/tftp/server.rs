//! The loop around transfers, on one address.
//!
//! Requests come to the listener; each transfer then has a socket of its own, connected to its client, which the kernel
//! keeps strangers away from (RFC 1350 section 4). In single-port mode all goes through the listener.

mod port;
mod shared;
mod sys;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::burst::Burst;
use super::packet::Request;
use super::session::Input;
use super::table::{Entry, Table};
use super::transfer::{Asked, House, Transfer};
use super::{Files, Limits, Watcher};

use port::Port;

/// Requests are at most 512 octets long (RFC 2347 section 2); firmware that pads them is heard, too.
const REQUEST: usize = 1500;
/// An ACK has 4 octets; of an ERROR its beginning is enough.
const ANSWER: usize = 512;

/// Sends files until `stop` becomes true. `listener` is bound to one IPv4 address, so that answers leave from it.
pub async fn serve(
    listener: UdpSocket,
    files: Arc<dyn Files>,
    watcher: Arc<dyn Watcher>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let IpAddr::V4(local) = listener.local_addr()?.ip() else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    let house = Arc::new(House {
        files,
        watcher,
        local,
        limits,
    });
    let port = Port::new(listener.into_std()?)?;
    // An error of the channel says that whoever could have stopped it is gone.
    let stopped = stop.wait_for(|stop| *stop);
    if limits.single_port {
        tokio::select! {
            _ = stopped => Ok(()),
            never = shared::run(&house, &port) => match never {},
        }
    } else {
        let mut server = Server::new(house, port);
        tokio::select! {
            _ = stopped => {}
            never = server.run() => match never {},
        }
        server.tasks.shutdown().await;
        Ok(())
    }
}

/// Time since the server began, as sessions count it.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> Duration {
        self.0.elapsed()
    }

    fn at(self, moment: Duration) -> Instant {
        self.0 + moment
    }
}

enum Never {}

/// Each transfer is a task with a socket.
struct Server {
    house: Arc<House>,
    listener: Port,
    clock: Clock,
    table: Table<AbortHandle>,
    tasks: JoinSet<(SocketAddr, u64)>,
    burst: Burst,
}

impl Server {
    fn new(house: Arc<House>, listener: Port) -> Self {
        Self {
            table: Table::new(house.limits),
            house,
            listener,
            clock: Clock::start(),
            tasks: JoinSet::new(),
            burst: Burst::default(),
        }
    }

    async fn run(&mut self) -> Never {
        let mut datagram = [0; REQUEST];
        let mut rest = false;
        loop {
            tokio::select! {
                received = self.listener.recv_from(&mut datagram, rest) => {
                    rest = received.is_ok();
                    if let Ok((length, peer)) = received {
                        self.take(peer, &datagram[..length]).await;
                    }
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok((peer, id)) = ended {
                        self.table.ended(peer, id);
                    }
                }
            }
        }
    }

    async fn take(&mut self, peer: SocketAddr, datagram: &[u8]) {
        match Asked::parse(peer, datagram, &mut self.burst) {
            Asked::Refused => self.listener.send(Some(peer), &self.burst).await,
            Asked::Read(request) if self.makes_room(peer, datagram) => {
                self.begin(peer, &request, datagram).await;
            }
            Asked::Nothing | Asked::Read(_) => {}
        }
    }

    fn makes_room(&mut self, peer: SocketAddr, datagram: &[u8]) -> bool {
        let admission = self.table.admit(peer, datagram);
        if let Some(old) = admission.replaced {
            old.driver.abort();
            if !old.is_half_open() && !old.driver.is_finished() {
                self.house.tell_replaced(peer);
            }
        }
        if let Some(old) = admission.displaced {
            old.driver.abort();
        }
        admission.granted
    }

    async fn begin(&mut self, peer: SocketAddr, request: &Request<'_>, datagram: &[u8]) {
        let port = match Port::to(self.house.local, peer) {
            Ok(port) => port,
            Err(error) => {
                tracing::warn!(%peer, %error, "no socket for a TFTP transfer");
                return;
            }
        };
        let now = self.clock.now();
        let mut burst = Burst::default();
        let begun = self
            .house
            .begin(peer, request, port.path_mtu(), now, &mut burst);
        let Some(transfer) = begun else {
            port.send(None, &burst).await;
            return;
        };
        let (id, clock) = (self.table.next_id(), self.clock);
        let answered = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&answered);
        let driver = self.tasks.spawn(async move {
            drive(transfer, port, burst, clock, &heard).await;
            (peer, id)
        });
        let entry = Entry {
            id,
            request: datagram.into(),
            answered,
            driver,
        };
        self.table.insert(peer, entry);
    }
}

/// One transfer to its end.
async fn drive(
    mut transfer: Transfer,
    port: Port,
    mut burst: Burst,
    clock: Clock,
    answered: &AtomicBool,
) {
    let mut buffer = [0; ANSWER];
    let mut rest = false;
    let alarm = tokio::time::sleep_until(clock.at(transfer.deadline()));
    tokio::pin!(alarm);
    loop {
        port.send(None, &burst).await;
        transfer.read_ahead();
        let received = tokio::select! {
            biased;
            received = port.recv(&mut buffer, rest) => received,
            // What came along with an earlier answer comes before the clock.
            () = &mut alarm => port.try_recv(&mut buffer),
        };
        let input = match received.map_err(|error| error.kind()) {
            Ok(length) => Input::Datagram(&buffer[..length]),
            Err(io::ErrorKind::ConnectionRefused) => Input::Gone,
            // Nothing came; or a router or an interface in trouble spoke, and what it says passes.
            Err(_) => Input::Tick,
        };
        if !transfer.handle(clock.now(), input, &mut burst) {
            break;
        }
        rest = burst.is_empty();
        if !transfer.is_half_open() {
            answered.store(true, Ordering::Relaxed);
        }
        // Only ever moved when it has to be: most of the time it is too early, and the session says so.
        let due = clock.at(transfer.deadline());
        if alarm.is_elapsed() || due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
    }
    port.send(None, &burst).await;
}
