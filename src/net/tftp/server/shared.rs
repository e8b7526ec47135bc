//! Single-port mode: all transfers through the port of requests, told apart by their clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::tftp::burst::Burst;
use crate::net::tftp::packet::Request;
use crate::net::tftp::session::Input;
use crate::net::tftp::table::{Entry, Table};
use crate::net::tftp::transfer::{Asked, House, Transfer};

use super::port::{ETHERNET, Port};
use super::{Clock, Never, REQUEST};

/// Datagrams that are taken before the clock is looked at.
const AT_ONCE: usize = 64;
/// The clock is looked at so often at least.
const IDLE: Duration = Duration::from_mins(1);

struct Shared<'a> {
    house: &'a Arc<House>,
    port: &'a Port,
    clock: Clock,
    table: Table<Transfer>,
    burst: Burst,
    /// No transfer is due before.
    due: Duration,
}

pub(super) async fn run(house: &Arc<House>, port: &Port) -> Never {
    let mut shared = Shared {
        house,
        port,
        clock: Clock::start(),
        table: Table::new(house.limits),
        burst: Burst::default(),
        due: IDLE,
    };
    let mut datagram = [0; REQUEST];
    let mut rest = false;
    loop {
        let alarm = tokio::time::sleep_until(shared.clock.at(shared.due));
        tokio::select! {
            received = port.recv_from(&mut datagram, rest) => {
                let (mut received, mut taken) = (received.ok(), 0);
                while let Some((length, peer)) = received {
                    shared.take(peer, &datagram[..length]).await;
                    taken += 1;
                    let more = (taken < AT_ONCE).then(|| port.try_recv_from(&mut datagram));
                    received = more.and_then(Result::ok);
                }
                rest = taken == AT_ONCE;
            }
            () = alarm => shared.tick().await,
        }
    }
}

impl Shared<'_> {
    async fn take(&mut self, peer: SocketAddr, datagram: &[u8]) {
        match Asked::parse(peer, datagram, &mut self.burst) {
            Asked::Nothing => self.goes_on(peer, datagram).await,
            Asked::Refused => self.port.send(Some(peer), &self.burst).await,
            Asked::Read(request) if self.makes_room(peer, datagram) => {
                self.begin(peer, &request, datagram).await;
            }
            Asked::Read(_) => {}
        }
    }

    async fn goes_on(&mut self, peer: SocketAddr, datagram: &[u8]) {
        let Some(entry) = self.table.get_mut(peer) else {
            return;
        };
        let now = self.clock.now();
        let transfer = &mut entry.driver;
        let goes = transfer.handle(now, Input::Datagram(datagram), &mut self.burst);
        if !transfer.is_half_open() {
            entry.answered.store(true, Ordering::Relaxed);
        }
        self.due = self.due.min(transfer.deadline());
        self.port.send(Some(peer), &self.burst).await;
        if goes {
            transfer.read_ahead();
        } else {
            self.table.remove(peer);
        }
    }

    fn makes_room(&mut self, peer: SocketAddr, datagram: &[u8]) -> bool {
        let admission = self.table.admit(peer, datagram);
        if admission.replaced.is_some_and(|old| !old.is_half_open()) {
            self.house.tell_replaced(peer);
        }
        admission.granted
    }

    async fn begin(&mut self, peer: SocketAddr, request: &Request<'_>, datagram: &[u8]) {
        // A socket that is connected for a moment knows the path; nothing is sent from it.
        let mtu = Port::to(self.house.local, peer).map_or(ETHERNET, |port| port.path_mtu());
        let now = self.clock.now();
        let begun = self.house.begin(peer, request, mtu, now, &mut self.burst);
        if let Some(transfer) = begun {
            self.due = self.due.min(transfer.deadline());
            let entry = Entry {
                id: self.table.next_id(),
                request: datagram.into(),
                answered: Arc::new(AtomicBool::new(false)),
                driver: transfer,
            };
            self.table.insert(peer, entry);
        }
        self.port.send(Some(peer), &self.burst).await;
    }

    /// Looks at all transfers, of which there are few.
    async fn tick(&mut self) {
        let now = self.clock.now();
        self.due = now + IDLE;
        let mut over = Vec::new();
        for (peer, entry) in self.table.values_mut() {
            let goes = entry.driver.handle(now, Input::Tick, &mut self.burst);
            self.port.send(Some(*peer), &self.burst).await;
            if goes {
                self.due = self.due.min(entry.driver.deadline());
            } else {
                over.push(*peer);
            }
        }
        for peer in over {
            self.table.remove(peer);
        }
    }
}
