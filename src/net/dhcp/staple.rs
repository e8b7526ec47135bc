//! Stapling: the real server's own lease, with our boot instructions on it (N5).
//!
//! For firmware that takes one offer and looks at no other. Its DISCOVER and REQUEST are forwarded to the real server as a
//! relay does, and OFFER and ACK are issued again with every option of the server's, but for its identifier, which
//! becomes ours, so that the client stays with us. No ACK of ours goes before the server's.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::answer::{EVERYBODY, Frame, Instructions, Reply, SERVER_PORT, View, send};
use super::classify::Client;
use super::crowd::{Crowd, Standing};
use super::moment::Moment;
use super::packet::{Kind, MAX_PAYLOAD, Op, Packet, code};
use crate::model::MacAddr;

/// Conversations of strangers and of known machines: each holds one offer, of a frame at most.
pub const MAX_STRANGERS: usize = 512;
pub const MAX_KNOWN: usize = 2_048;

/// A server that answers relays does so within this time, a conflict probe of its own included.
const SERVER_TAKES: Duration = Duration::from_secs(4);
/// Servers hold an address that they offered about as long for the one to whom they offered it.
const OFFER_KEEPS: Duration = Duration::from_mins(10);
/// RFC 1542 4.1.1.
const MAX_HOPS: u8 = 16;

/// What the real server shall not see: with them it might give boot instructions of its own, or none but to the
/// classes that it knows.
const TAKEN_OUT: [u8; 5] = [
    code::VENDOR_CLASS,
    code::ARCH,
    code::UNDI,
    code::UUID,
    code::RELAY,
];

/// A client of ours whose lease is another's.
#[derive(Debug)]
struct Relay {
    client: Client,
    /// Its last message, without options.
    asked: Packet,
    vlan: Option<u16>,
    /// None for the renewal of a system that boots no more.
    instructions: Option<Instructions>,
    /// The real server, by its own identifier.
    server: Option<Ipv4Addr>,
    offer: Option<Remembered>,
    /// The address that was offered to this transaction.
    offered: Option<Ipv4Addr>,
    /// What the real server has to answer yet.
    pending: Option<Kind>,
    /// Until when it may take before it counts as silent.
    waiting: Option<Moment>,
}

/// An offer as the real server sent it.
#[derive(Debug)]
struct Remembered {
    packet: Packet,
    at: Moment,
}

/// All stapled conversations of a link.
#[derive(Debug)]
pub struct Staple {
    relays: Crowd<MacAddr, Relay>,
    /// When a server that did not answer yet counts as silent; one for each relay at most.
    due: BTreeSet<(Moment, MacAddr)>,
}

impl Default for Staple {
    fn default() -> Self {
        Self {
            relays: Crowd::new(MAX_STRANGERS, MAX_KNOWN),
            due: BTreeSet::new(),
        }
    }
}

/// A message of a client that is to be relayed.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub packet: &'a Packet,
    pub client: &'a Client,
    pub frame: &'a Frame<'a>,
    pub standing: Standing,
}

/// What the real server said, issued again.
#[derive(Debug)]
pub struct Stapled {
    pub mac: MacAddr,
    pub kind: Kind,
    pub server: Ipv4Addr,
    pub address: Ipv4Addr,
    pub reply: Reply,
}

impl Staple {
    /// Relays a DISCOVER. The offer of an earlier attempt, where there is one, goes to the client at once.
    pub fn discover(
        &mut self,
        asked: &Asked<'_>,
        instructions: &Instructions,
        view: &View<'_>,
        now: Moment,
    ) -> (Option<Stapled>, Reply) {
        let mac = asked.client.mac;
        let relay = self.hear(asked, Some(instructions));
        let is_new = relay.asked.xid != asked.packet.xid || relay.offered.is_none();
        relay.listen(asked);
        relay.offered = None;
        let fresh = relay
            .offer
            .as_ref()
            .filter(|offer| now.since(offer.at) < OFFER_KEEPS);
        let early = fresh.filter(|_| is_new).map(|offer| offer.packet.clone());
        let early = early.map(|packet| {
            relay.offered = Some(packet.yiaddr);
            let reason =
                "the real server's offer to its last attempt, at once: it takes the first one only";
            relay.issue(&packet, view, reason)
        });
        let reason = "relayed, so that the real server's own lease carries our boot instructions";
        let reply = forward(asked, None, view, reason);
        self.expect(mac, now);
        (early, reply)
    }

    /// Relays a REQUEST that names us as its server, or a renewal. After a restart of ours the server is unknown;
    /// then it asks whoever gave the lease (RFC 2131 4.3.2, INIT-REBOOT).
    pub fn request(
        &mut self,
        asked: &Asked<'_>,
        instructions: Option<&Instructions>,
        view: &View<'_>,
        now: Moment,
    ) -> Reply {
        let relay = self.hear(asked, instructions);
        relay.listen(asked);
        let server = relay.server;
        self.expect(asked.client.mac, now);
        let reason = "relayed, since the lease is the real server's own";
        forward(asked, server, view, reason)
    }

    /// Relays a RELEASE or DECLINE, which nobody answers.
    pub fn give_up(&mut self, asked: &Asked<'_>, view: &View<'_>) -> Option<Reply> {
        let mac = asked.client.mac;
        let relay = self.relays.remove(&mac)?;
        self.forget(mac, relay.waiting);
        let reason = "relayed, since the lease is the real server's own";
        Some(forward(asked, relay.server, view, reason))
    }

    /// Whether a lease of this machine was stapled.
    pub fn knows(&self, mac: MacAddr) -> bool {
        self.relays
            .get(&mac)
            .is_some_and(|relay| relay.server.is_some())
    }

    /// What the real server answers to a relayed message; none when it answers no question of ours.
    pub fn answered(&mut self, packet: &Packet, view: &View<'_>, now: Moment) -> Option<Stapled> {
        let mac = packet.mac()?;
        let kind = packet.kind()?;
        let relay = self.relays.get_mut(&mac)?;
        if relay.asked.xid != packet.xid {
            return None;
        }
        let fits = match kind {
            // More than one server may offer.
            Kind::Offer => relay.client.kind == Kind::Discover,
            Kind::Ack | Kind::Nak => relay.pending == Some(Kind::Request),
            _ => false,
        };
        if !fits {
            return None;
        }
        relay.pending = None;
        let waited = relay.waiting.take();
        let stapled = relay.take(packet, kind, view, now);
        self.forget(mac, waited);
        stapled
    }

    /// The machines whose real server has been silent for too long, with what it was asked.
    pub fn silent(&mut self, now: Moment) -> Vec<(MacAddr, Kind)> {
        let mut silent = Vec::new();
        while let Some((at, mac)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            if let Some(relay) = self.relays.get_mut(&mac) {
                relay.waiting = None;
                silent.push((mac, relay.client.kind));
            }
        }
        silent
    }

    pub fn next(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn len(&self) -> usize {
        self.relays.len()
    }

    pub fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    fn hear(&mut self, asked: &Asked<'_>, instructions: Option<&Instructions>) -> &mut Relay {
        let mac = asked.client.mac;
        let new = || Relay {
            client: asked.client.clone(),
            asked: Packet::reply_to(asked.packet, asked.client.kind),
            vlan: asked.frame.vlan,
            instructions: None,
            server: None,
            offer: None,
            offered: None,
            pending: None,
            waiting: None,
        };
        if let Some((gone, relay)) = self.relays.admit(&mac, asked.standing) {
            self.forget(gone, relay.waiting);
        }
        let relay = self.relays.hear(mac, asked.standing, new);
        relay.instructions = instructions.cloned();
        relay
    }

    fn expect(&mut self, mac: MacAddr, now: Moment) {
        let Some(relay) = self.relays.get_mut(&mac) else {
            return;
        };
        let at = *relay.waiting.get_or_insert(now.after(SERVER_TAKES));
        self.due.insert((at, mac));
    }

    fn forget(&mut self, mac: MacAddr, waiting: Option<Moment>) {
        if let Some(at) = waiting {
            self.due.remove(&(at, mac));
        }
    }
}

impl Relay {
    fn listen(&mut self, asked: &Asked<'_>) {
        let (packet, client) = (asked.packet, asked.client);
        self.asked = Packet {
            ciaddr: packet.ciaddr,
            secs: packet.secs,
            ..Packet::reply_to(packet, client.kind)
        };
        self.client = client.clone();
        self.pending = Some(client.kind);
        self.vlan = asked.frame.vlan;
    }

    fn take(
        &mut self,
        packet: &Packet,
        kind: Kind,
        view: &View<'_>,
        now: Moment,
    ) -> Option<Stapled> {
        match kind {
            Kind::Offer => {
                // The first server's offer stands; the client was told nothing of the others.
                let other = self.offered.is_some_and(|address| address != packet.yiaddr);
                let again = self.offered == Some(packet.yiaddr);
                if other && !self.is_own(packet) {
                    return None;
                }
                self.server = packet.options.address(code::SERVER_ID).or(self.server);
                self.offer = Some(Remembered {
                    packet: packet.clone(),
                    at: now,
                });
                self.offered = Some(packet.yiaddr);
                let reason = "the real server's offer, with boot instructions";
                (!again).then(|| self.issue(packet, view, reason))
            }
            Kind::Ack => {
                self.server = packet.options.address(code::SERVER_ID).or(self.server);
                let reason = "the real server's acknowledgement, with boot instructions";
                Some(self.issue(packet, view, reason))
            }
            _ => {
                self.offer = None;
                self.offered = None;
                let reason = "the real server refused, and that is passed on";
                Some(self.issue(packet, view, reason))
            }
        }
    }

    /// Whether it comes from the server whose offer was remembered.
    fn is_own(&self, packet: &Packet) -> bool {
        packet.options.address(code::SERVER_ID) == self.server
    }

    /// The server's message as ours: yiaddr and options as they are, our identifier, our instructions.
    fn issue(&self, real: &Packet, view: &View<'_>, reason: &'static str) -> Stapled {
        let mut packet = real.clone();
        packet.hops = 0;
        packet.xid = self.asked.xid;
        packet.flags = self.asked.flags;
        packet.giaddr = Ipv4Addr::UNSPECIFIED;
        packet.options.take(code::RELAY);
        let kind = packet.kind().unwrap_or(Kind::Nak);
        let server = packet.options.address(code::SERVER_ID);
        packet.options.set(code::SERVER_ID, view.server.octets());
        if let Some(instructions) = self.instructions.as_ref().filter(|_| kind != Kind::Nak) {
            instructions.put_on(&mut packet);
            instructions.end_the_wait(&mut packet);
        }
        let frame = Frame {
            src_mac: self.client.mac,
            src: SocketAddrV4::new(self.client.ciaddr, SERVER_PORT),
            dst: SocketAddrV4::new(view.server, SERVER_PORT),
            vlan: self.vlan,
            payload: &[],
        };
        Stapled {
            mac: self.client.mac,
            kind,
            server: server.or(self.server).unwrap_or(Ipv4Addr::UNSPECIFIED),
            address: packet.yiaddr,
            reply: send(&packet, &self.asked, &self.client, &frame, view, reason),
        }
    }
}

/// Whether this is a message that we relayed, seen again: no other relay has our address.
pub fn is_own(packet: &Packet, view: &View<'_>) -> bool {
    packet.op == Op::Request && packet.giaddr == view.own
}

/// The client's message on its way to the real server (RFC 1542 4.1.1), with the server's own identifier.
fn forward(
    asked: &Asked<'_>,
    server: Option<Ipv4Addr>,
    view: &View<'_>,
    reason: &'static str,
) -> Reply {
    let mut packet = asked.packet.clone();
    packet.giaddr = view.own;
    packet.hops = packet.hops.saturating_add(1).min(MAX_HOPS);
    for code in TAKEN_OUT {
        packet.options.take(code);
    }
    if packet.options.take(code::SERVER_ID).is_some()
        && let Some(server) = server
    {
        packet.options.set(code::SERVER_ID, server.octets());
    }
    Reply {
        dst_mac: EVERYBODY,
        dst: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
        src: SocketAddrV4::new(view.own, SERVER_PORT),
        vlan: asked.frame.vlan,
        payload: packet.write(MAX_PAYLOAD),
        reason,
    }
}
