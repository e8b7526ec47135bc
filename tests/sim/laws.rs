//! What has to be true after every step, whatever the wire does.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use dragonfly::model::network::{Holder, Serve};
use dragonfly::model::{MacAddr, Rung};
use dragonfly::net::dhcp::Reply;
use dragonfly::net::dhcp::packet::{Kind as Message, Op, Packet, code};
use dragonfly::net::dhcp::server::book::MAX_HOLDS;
use dragonfly::net::dhcp::{ladder, staple};
use dragonfly::net::tftp::Limits;
use jiff::SignedDuration;

use crate::appliance::{self, Appliance};
use crate::firmware::Kind;
use crate::foreign::Foreign;
use crate::person::Seat;
use crate::scenario::Scenario;
use crate::talk;
use crate::wire::{Datagram, Time};

/// As many addresses as a network of this size has.
const POOL: usize = 254;

#[derive(Clone, Debug, Default)]
pub struct Laws {
    pub broken: Option<String>,
    /// The addresses that the real server acknowledged, as far as it reached us, with their transactions.
    acknowledged: BTreeSet<(MacAddr, u32, Ipv4Addr)>,
}

impl Laws {
    pub fn break_with(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| what.to_owned());
    }

    /// What the real server told us, as a relay.
    pub fn reached_us(&mut self, datagram: &Datagram, foreign: MacAddr) {
        if datagram.src_mac != foreign || *datagram.dst.ip() != appliance::OWN {
            return;
        }
        let Ok(packet) = Packet::read(&datagram.payload) else {
            return;
        };
        if let (Some(Message::Ack), Some(mac)) = (packet.kind(), packet.mac()) {
            self.acknowledged.insert((mac, packet.xid, packet.yiaddr));
        }
    }

    pub fn writes(&mut self, scenario: &Scenario) {
        if scenario.serve != Serve::Server {
            self.break_with("a lease is written beside another server");
        }
    }

    /// What we say.
    pub fn reply(
        &mut self,
        reply: &Reply,
        scenario: &Scenario,
        seats: &[Seat],
        appliance: &Appliance,
        foreign: Option<&Foreign>,
        now: Time,
    ) {
        let Ok(packet) = Packet::read(&reply.payload) else {
            return self.break_with("we send what is no DHCP message");
        };
        let Some(mac) = packet.mac() else {
            return self.break_with("we answer nobody");
        };
        let Some(seat) = seats.iter().find(|seat| seat.machine.mac == mac) else {
            return self.break_with("we answer somebody who is not there");
        };
        if packet.op == Op::Request {
            return self.relays(&packet, scenario, seat);
        }
        let file = talk::file(&packet);
        if seat.machine.speaks == Kind::Ipxe && !file.is_empty() && !file.starts_with("http://") {
            // What was under way when the machine went on from firmware to iPXE is no fault.
            let fresh = packet.options.get(code::BOOT_FILE);
            if fresh.is_some() && now > seat.on_at && self.is_of_ipxe(&packet, seat) {
                self.break_with("iPXE is told to load iPXE");
            }
        }
        match scenario.serve {
            Serve::Server => self.own_lease(&packet, appliance, now),
            _ => self.beside(&packet, mac, scenario, seat, foreign),
        }
    }

    fn is_of_ipxe(&self, packet: &Packet, seat: &Seat) -> bool {
        self.broken.is_none() && seat.machine.is_asking(packet.xid)
    }

    fn relays(&mut self, packet: &Packet, scenario: &Scenario, seat: &Seat) {
        let allowed = scenario.serve == Serve::Proxy && scenario.rungs.contains(&Rung::Staple);
        if !allowed || packet.giaddr != appliance::OWN {
            self.break_with("something is relayed that must not be");
        }
        if !seat.machine.kind.boots() {
            self.break_with("a plain client's question is relayed");
        }
    }

    /// Beside another server.
    fn beside(
        &mut self,
        packet: &Packet,
        mac: MacAddr,
        scenario: &Scenario,
        seat: &Seat,
        foreign: Option<&Foreign>,
    ) {
        if !seat.machine.kind.boots() {
            return self.break_with("a plain client hears from us");
        }
        if packet.yiaddr.is_unspecified() {
            return;
        }
        if !scenario.rungs.contains(&Rung::Staple) {
            return self.break_with("an address is given out beside another server");
        }
        let real = foreign.and_then(|server| server.leases.get(&mac));
        if real != Some(&packet.yiaddr) {
            return self.break_with("a stapled address is not the real server's own");
        }
        let acknowledged = (mac, packet.xid, packet.yiaddr);
        if packet.kind() == Some(Message::Ack) && !self.acknowledged.contains(&acknowledged) {
            self.break_with("an acknowledgement of ours goes before the real server's");
        }
    }

    /// As the network's own server: a lease is durable before its acknowledgement leaves.
    fn own_lease(&mut self, packet: &Packet, appliance: &Appliance, now: Time) {
        if packet.kind() != Some(Message::Ack) || packet.yiaddr.is_unspecified() {
            return;
        }
        let seconds = packet.options.number(code::LEASE_TIME).unwrap_or(0);
        let promised = SignedDuration::from_secs(i64::from(seconds) - 1);
        let promised = appliance.clock(now).checked_add(promised).expect("a time");
        let jumped = now.saturating_sub(appliance.jumped) < Duration::from_secs(1);
        let kept = appliance
            .disk
            .leases
            .get(&packet.yiaddr)
            .is_some_and(|lease| {
                let holder = match &lease.holder {
                    Holder::Client { mac, .. } => Some(*mac),
                    Holder::Stranger => None,
                };
                holder == packet.mac() && (jumped || lease.until >= promised)
            });
        if !kept {
            self.break_with("a lease is acknowledged that is not durable");
        }
    }

    /// A machine takes an address.
    pub fn holds(
        &mut self,
        place: usize,
        address: Ipv4Addr,
        server: Ipv4Addr,
        now: Time,
        seats: &[Seat],
        foreign: Option<&Foreign>,
    ) {
        let others = seats
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place);
        let mut others = others.map(|(_, seat)| seat);
        let taken =
            others.find(|seat| seat.machine.address == Some(address) && now < seat.holds_until);
        if let Some(other) = taken {
            let (one, other) = (seats[place].machine.mac, other.machine.mac);
            self.break_with(&format!("{one} and {other} both hold {address}"));
        }
        if let Some(real) = foreign {
            let given = real.given.get(&seats[place].machine.mac);
            if given != Some(&address) {
                self.break_with("a machine holds what the real server never gave it");
            }
            let ours = [appliance::OWN, appliance::FLOATING].contains(&server);
            if ours && !seats[place].machine.kind.boots() {
                self.break_with("a plain client took us for its server");
            }
        }
    }

    /// Nothing grows without bound.
    pub fn bounds(&mut self, appliance: &Appliance) {
        let engine = &appliance.engine;
        let book = engine.server().book();
        let sizes = [
            (
                appliance.transfers(),
                Limits::default().sessions,
                "transfers",
            ),
            (
                engine.ladder().len(),
                ladder::MAX_STRANGERS + ladder::MAX_KNOWN,
                "climbs",
            ),
            (
                engine.stapled(),
                staple::MAX_STRANGERS + staple::MAX_KNOWN,
                "relayed questions",
            ),
            (book.len(), POOL, "leases"),
            (book.holds(), MAX_HOLDS, "promised addresses"),
        ];
        for (size, most, what) in sizes {
            if size > most {
                self.break_with(&format!("{what} pile up: {size}"));
            }
        }
    }

    /// What was said of a boot that failed; none when it was nothing.
    pub fn cause(
        seat: &Seat,
        appliance: &Appliance,
        crashed: &[Time],
        now: Time,
    ) -> Option<String> {
        if let Some(said) = appliance.cause(seat.machine.mac, now) {
            return Some(said);
        }
        if crashed.iter().any(|at| (seat.on_at..=now).contains(at)) {
            return Some("we were restarted in the midst of it".to_owned());
        }
        if !seat.reached {
            return Some("none of its questions reached us".to_owned());
        }
        None
    }
}
