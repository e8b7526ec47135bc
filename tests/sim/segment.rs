//! The segment of a [`World`]: who gets what is sent, and when.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use dragonfly::model::MacAddr;
use dragonfly::net::dhcp::packet::{Kind as Message, Packet};

use crate::machine::Event;
use crate::person::Seat;
use crate::wire::{Datagram, EVERYBODY};
use crate::world::{FIRST_OF_POOL, Happening, World};
use crate::{appliance, foreign};

/// Who is on the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Appliance,
    Foreign,
    Machine(usize),
}

/// Whoever uses an address that nobody gave out.
const SQUATTER: MacAddr = MacAddr::new([0x00, 0x50, 0x56, 0, 0, 1]);

impl World {
    pub fn arrives(&mut self, node: Node, datagram: &Datagram) {
        match node {
            Node::Appliance => {
                let from = |seat: &&mut Seat| seat.machine.mac == datagram.src_mac;
                if let Some(seat) = self.seats.iter_mut().find(from) {
                    seat.reached |= is_question(datagram);
                }
                self.laws.reached_us(datagram, foreign::MAC);
                let effects = self.appliance.heard(datagram, self.now);
                self.effects(effects);
            }
            Node::Foreign => {
                let Some(server) = &mut self.foreign else {
                    return;
                };
                let Some(answer) = server.heard(datagram, &mut self.dice) else {
                    return;
                };
                let thinks = server.thinks();
                self.carry(Node::Foreign, &answer, thinks);
            }
            Node::Machine(place) => {
                if self.seats[place].machine.hears(datagram) {
                    self.act(place, Event::Heard(datagram));
                }
            }
        }
    }

    pub fn send(
        &mut self,
        from: Node,
        mac: MacAddr,
        src: SocketAddrV4,
        dst: SocketAddrV4,
        payload: Vec<u8>,
    ) {
        let Some(dst_mac) = self.resolve(*dst.ip()) else {
            return;
        };
        let payload = payload.into();
        let datagram = Datagram {
            src_mac: mac,
            dst_mac,
            src,
            dst,
            payload,
        };
        self.carry(from, &datagram, Duration::ZERO);
    }

    /// Whether somebody uses an address of our pool whom nobody gave it.
    pub fn is_squatted(&self, address: Ipv4Addr) -> bool {
        let [.., last] = address.octets();
        let place = last.checked_sub(FIRST_OF_POOL);
        place.is_some_and(|place| place % 2 == 0 && place / 2 < self.scenario.squatters)
    }

    /// What ARP would say.
    pub fn resolve(&self, address: Ipv4Addr) -> Option<MacAddr> {
        if address.is_broadcast() {
            return Some(EVERYBODY);
        }
        match address {
            appliance::OWN | appliance::FLOATING => Some(appliance::MAC),
            foreign::ADDRESS => Some(foreign::MAC),
            _ if self.is_squatted(address) => Some(SQUATTER),
            _ => {
                let mut machines = self.seats.iter().map(|seat| &seat.machine);
                let found = machines.find(|machine| machine.address == Some(address));
                found.map(|machine| machine.mac)
            }
        }
    }

    /// Each receiver gets its own copies, late, twice or not at all.
    pub fn carry(&mut self, from: Node, datagram: &Datagram, after: Duration) {
        let cut = self.now < self.cut_until;
        // The blocks of a file would push all else out of the story.
        let ports = [datagram.src.port(), datagram.dst.port()];
        if ports.iter().any(|port| matches!(port, 67 | 69 | 4011)) {
            self.tell(|| format!("{}{}", describe(datagram), if cut { " (cut)" } else { "" }));
        }
        if cut {
            return;
        }
        for node in self.receivers(from, datagram.dst_mac) {
            for delay in self
                .scenario
                .faults
                .carry(&mut self.dice)
                .into_iter()
                .flatten()
            {
                self.queue(after + delay, Happening::Arrives(node, datagram.clone()));
            }
        }
    }

    pub fn receivers(&self, from: Node, to: MacAddr) -> Vec<Node> {
        let machines = self.seats.iter().enumerate();
        let machines = machines.filter(|(_, seat)| seat.machine.is_on());
        let machines = machines.map(|(place, seat)| (Node::Machine(place), seat.machine.mac));
        let servers = [
            (Node::Appliance, appliance::MAC),
            (Node::Foreign, foreign::MAC),
        ];
        let all = servers.into_iter().chain(machines);
        let hears =
            |(node, mac): &(Node, MacAddr)| *node != from && (to == EVERYBODY || to == *mac);
        all.filter(hears).map(|(node, _)| node).collect()
    }
}

/// A REQUEST that is meant for the real server tells us of a machine, and asks us nothing.
fn is_question(datagram: &Datagram) -> bool {
    let kind = || Packet::read(&datagram.payload).ok()?.kind();
    datagram.dst.port() != 67 || kind() == Some(Message::Discover)
}

fn describe(datagram: &Datagram) -> String {
    let Datagram {
        src_mac,
        dst_mac,
        src,
        dst,
        payload,
    } = datagram;
    let what = Packet::read(payload).ok();
    let what = what
        .filter(|_| matches!(dst.port(), 67 | 68 | 4011))
        .map_or_else(
            || {
                format!(
                    "{} octets {:?}",
                    payload.len(),
                    &payload[..payload.len().min(4)]
                )
            },
            |packet| {
                let kind = packet.kind().map_or("?", Message::name);
                let file = crate::talk::file(&packet);
                format!(
                    "{kind} xid {:08x} of {:?} yiaddr {} {file}",
                    packet.xid,
                    packet.mac(),
                    packet.yiaddr
                )
            },
        );
    format!("{src_mac} {src} > {dst_mac} {dst}: {what}")
}
