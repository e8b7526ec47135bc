//! The network's own DHCP server, where a person wants us to be it (N7).
//!
//! A lease is written down before its ACK leaves. An address is probed before its first offer. Who boots the network gets
//! its boot instructions with its address.

pub mod book;
pub mod identity;
mod message;
pub mod probe;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::{Frame, Instructions, Reply, View, send};
use super::classify::Client;
use super::engine::{Output, Scene};
use super::moment::{Moment, later};
use super::packet::{Kind, Packet, code};
use crate::model::trace::Mark;
use crate::model::{Lease, MacAddr};
use book::{Book, Claim, Record};
use message::{acknowledgement, inform, offer, refuse};
use probe::Probes;

/// Acknowledgements that wait for the disk: more than it writes in the second that a client waits.
pub const MAX_WRITES: usize = 4_096;

/// An address on which somebody else was found rests as long.
const STRANGER_RESTS: Duration = Duration::from_mins(10);
/// A client that comes back within this time gets its old address.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How often old leases are looked for, and how many go at once.
const TIDY: Duration = Duration::from_mins(1);
const TIDY_COUNT: usize = 64;
/// Far longer than a client waits for its acknowledgement.
const DISK_TAKES: Duration = Duration::from_mins(1);

/// A message to the server.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub packet: &'a Packet,
    pub client: &'a Client,
    pub frame: &'a Frame<'a>,
    /// None for who does not boot the network, or has nothing to boot.
    pub instructions: Option<&'a Instructions>,
    /// Whether there is a record of the machine.
    pub known: bool,
}

/// A DISCOVER that waits for a probe.
#[derive(Debug)]
struct Question {
    packet: Packet,
    client: Client,
    src_mac: MacAddr,
    frame: (std::net::SocketAddrV4, std::net::SocketAddrV4, Option<u16>),
    instructions: Option<Instructions>,
    known: bool,
}

impl Question {
    fn of(asked: &Asked<'_>) -> Self {
        Self {
            packet: asked.packet.clone(),
            client: asked.client.clone(),
            src_mac: asked.frame.src_mac,
            frame: (asked.frame.src, asked.frame.dst, asked.frame.vlan),
            instructions: asked.instructions.cloned(),
            known: asked.known,
        }
    }

    fn ask<T>(&self, then: impl FnOnce(&Asked<'_>) -> T) -> T {
        let (src, dst, vlan) = self.frame;
        let frame = Frame {
            src_mac: self.src_mac,
            src,
            dst,
            vlan,
            payload: &[],
        };
        then(&Asked {
            packet: &self.packet,
            client: &self.client,
            frame: &frame,
            instructions: self.instructions.as_ref(),
            known: self.known,
        })
    }
}

/// A change of leases on its way to the disk.
#[derive(Debug)]
struct Writing {
    address: Ipv4Addr,
    /// What is true again when it could not be written.
    before: Option<Record>,
    /// None where nobody waits for it.
    ack: Option<Ack>,
    since: Moment,
}

/// An acknowledgement that waits for the disk.
#[derive(Debug)]
pub struct Ack {
    client: Client,
    address: Ipv4Addr,
    reply: Reply,
}

/// The server of one link.
#[derive(Debug, Default)]
pub struct Server {
    book: Book,
    probes: Probes<Question>,
    writes: BTreeMap<u64, Writing>,
    busy: BTreeSet<Ipv4Addr>,
    token: u64,
    tidied: Moment,
    /// Whether the network is served, so that something can be due.
    serves: bool,
}

impl Server {
    pub fn load(&mut self, leases: impl IntoIterator<Item = Lease>) {
        self.book.load(leases);
    }

    pub fn handle(&mut self, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        self.serves = true;
        self.book.sync(scene.view);
        let client = asked.client;
        if client.is_relayed() && !scene.view.on_link(client.giaddr) {
            let text = format!("no address for a client of the relay {}", client.giaddr);
            let why = "the pool is for the network of the link, and the relay stands in another";
            scene.trace(client.mac, Mark::Silent, text, why);
            return;
        }
        match client.kind {
            Kind::Discover => self.discover(asked, scene),
            Kind::Request => self.request(asked, scene),
            Kind::Decline => self.decline(asked, scene),
            Kind::Release => self.release(asked, scene),
            Kind::Inform => inform(asked, scene),
            Kind::Offer | Kind::Ack | Kind::Nak => {}
        }
    }

    /// RFC 2131 4.3.1.
    fn discover(&mut self, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        let (client, view) = (asked.client, scene.view);
        if self
            .probes
            .waits(|question| question.client.mac == client.mac)
        {
            return;
        }
        if let Some(own) = self.book.own(client, view, scene.now) {
            let had = self.book.claim(own, client, view, scene.now) == Claim::Own;
            return self.propose(own, had, asked, scene);
        }
        let wanted = asked.packet.options.address(code::REQUESTED_ADDRESS);
        let wanted = wanted
            .filter(|address| self.book.claim(*address, client, view, scene.now) == Claim::Free);
        if let Some(wanted) = wanted {
            return self.propose(wanted, false, asked, scene);
        }
        while let Some(good) = self.probes.good(scene.moment) {
            if self.book.claim(good, client, view, scene.now) == Claim::Free {
                return self.propose(good, true, asked, scene);
            }
        }
        match self.book.find(asked.known, scene.now, scene.moment) {
            Some(address) => self.propose(address, false, asked, scene),
            None => none_left(client.mac, scene),
        }
    }

    /// Offers an address, after a probe where it was not found free lately and is not the client's own.
    fn propose(&mut self, address: Ipv4Addr, sure: bool, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        self.book
            .hold(address, asked.client, asked.known, scene.moment);
        let sure = sure || self.probes.is_good(address, scene.moment);
        if !sure {
            let question = Question::of(asked);
            if self.probes.wait(address, question, scene.moment).is_ok() {
                scene.out.push(Output::Probe { address });
                self.probe_ahead(scene);
                return;
            }
        }
        offer(address, asked, scene);
        self.probe_ahead(scene);
    }

    fn probe_ahead(&mut self, scene: &mut Scene<'_>) {
        for _ in 0..self.probes.room() {
            let next = self.book.next_free();
            let Some(address) = next.filter(|address| !self.probes.knows(*address)) else {
                return;
            };
            self.probes.ahead(address, scene.moment);
            scene.out.push(Output::Probe { address });
        }
    }

    /// Somebody answered for an address: it is left alone, and who waited for it gets another.
    pub fn probe_answered(&mut self, address: Ipv4Addr, by: MacAddr, scene: &mut Scene<'_>) {
        let (asked, question) = self.probes.answered(address);
        if !asked {
            return;
        }
        let itself = question
            .as_ref()
            .is_some_and(|question| question.client.mac == by);
        if let Some(question) = question.as_ref().filter(|_| itself) {
            question.ask(|asked| offer(address, asked, scene));
            return;
        }
        self.set_aside(address, scene);
        if let Some(question) = question {
            let text = format!("{address} is in use by {by}; another is looked for");
            scene.trace(question.client.mac, Mark::Silent, text, "no offer yet");
            question.ask(|asked| self.discover(asked, scene));
        }
    }

    /// RFC 2131 4.3.2.
    fn request(&mut self, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        let (client, view) = (asked.client, scene.view);
        let options = &asked.packet.options;
        let chosen = options.address(code::SERVER_ID);
        if chosen.is_some_and(|server| !view.is_ours(server)) {
            self.book.unhold(client);
            return;
        }
        let has = (!client.ciaddr.is_unspecified()).then_some(client.ciaddr);
        let Some(address) = options.address(code::REQUESTED_ADDRESS).or(has) else {
            return;
        };
        if self.busy.contains(&address) {
            // Its lease is on its way to the disk, and the acknowledgement follows.
            return;
        }
        let reserved = view.config.dhcp.reservations.get(&client.mac);
        let moved = reserved.filter(|reserved| {
            let claim = self.book.claim(**reserved, client, view, scene.now);
            **reserved != address && matches!(claim, Claim::Own | Claim::Free)
        });
        let claim = self.book.claim(address, client, view, scene.now);
        let why = match (claim, moved) {
            (_, Some(_)) => "another address is reserved for it",
            (Claim::Taken, _) => "another has the address",
            (Claim::Foreign, _) if !view.on_link(address) => "the address is of another network",
            (Claim::Foreign, _) => "the address is none that is given out here",
            (Claim::Own | Claim::Free, None) => return self.lease(address, asked, scene),
        };
        refuse(address, asked, why, scene);
    }

    /// Writes the lease down; the acknowledgement waits for the disk.
    fn lease(&mut self, address: Ipv4Addr, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        let client = asked.client;
        if self.writes.len() >= MAX_WRITES {
            let why = "too many leases wait for the disk; it asks again";
            scene.trace(client.mac, Mark::Silent, "no answer", why);
            return;
        }
        let seconds = Duration::from_secs(scene.view.config.dhcp.lease_seconds.into());
        let record = Record::of(client, later(scene.now, seconds));
        let packet = acknowledgement(address, asked, scene.view);
        let reason = "the lease is written down";
        let reply = send(
            &packet,
            asked.packet,
            client,
            asked.frame,
            scene.view,
            reason,
        );
        let ack = Some(Ack {
            client: client.clone(),
            address,
            reply,
        });
        self.write(address, record, ack, scene);
    }

    fn write(
        &mut self,
        address: Ipv4Addr,
        record: Record,
        ack: Option<Ack>,
        scene: &mut Scene<'_>,
    ) {
        self.token += 1;
        let token = self.token;
        let leases = vec![record.lease(scene.view.link, address)];
        let before = self.book.put(address, record);
        self.busy.insert(address);
        self.writes.insert(
            token,
            Writing {
                address,
                before,
                ack,
                since: scene.moment,
            },
        );
        let drop = Vec::new();
        scene.out.push(Output::WriteLeases {
            token,
            leases,
            drop,
        });
    }

    /// The disk's answer. What could not be written is not true, and nobody is told of it.
    pub fn written(&mut self, token: u64, ok: bool, scene: &mut Scene<'_>) {
        let Some(ack) = self.settle(token, ok) else {
            return;
        };
        let address = ack.address;
        if ok {
            scene.serve(
                &ack.client,
                Mark::Acknowledged,
                address.to_string(),
                ack.reply,
            );
        } else {
            let why = "the lease could not be written down; it asks again";
            let text = format!("no acknowledgement of {address}");
            scene.trace(ack.client.mac, Mark::Silent, text, why);
        }
    }

    /// Makes true what was written, and undoes what was not. Hands back who waits for it.
    pub fn settle(&mut self, token: u64, ok: bool) -> Option<Ack> {
        let Writing {
            address,
            before,
            ack,
            ..
        } = self.writes.remove(&token)?;
        self.busy.remove(&address);
        if !ok {
            self.book.drop(address);
            if let Some(before) = before {
                self.book.put(address, before);
            }
        }
        ack
    }

    /// RFC 2131 4.3.3: the client found somebody else there.
    fn decline(&mut self, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        let (client, options) = (asked.client, &asked.packet.options);
        let Some(address) = options.address(code::REQUESTED_ADDRESS) else {
            return;
        };
        if is_for_us(options.address(code::SERVER_ID), scene.view)
            && self.book.claim(address, client, scene.view, scene.now) == Claim::Own
        {
            self.set_aside(address, scene);
            let text = format!("it declined {address}: somebody else is there");
            scene.trace(
                client.mac,
                Mark::Refused,
                text,
                "the address rests for ten minutes",
            );
        }
    }

    fn set_aside(&mut self, address: Ipv4Addr, scene: &mut Scene<'_>) {
        if self.busy.contains(&address) || self.writes.len() >= MAX_WRITES {
            return;
        }
        let record = Record::stranger(later(scene.now, STRANGER_RESTS));
        self.write(address, record, None, scene);
    }

    /// RFC 2131 4.3.4.
    fn release(&mut self, asked: &Asked<'_>, scene: &mut Scene<'_>) {
        let (client, address) = (asked.client, asked.client.ciaddr);
        let named = is_for_us(asked.packet.options.address(code::SERVER_ID), scene.view);
        let own = self.book.claim(address, client, scene.view, scene.now) == Claim::Own;
        if named && own && !self.busy.contains(&address) {
            self.book.unhold(client);
            self.strike_out(vec![address], scene);
        }
    }

    /// Drops leases, here and on the disk. One that stays on the disk for a fault of it is over all the same.
    fn strike_out(&mut self, addresses: Vec<Ipv4Addr>, scene: &mut Scene<'_>) {
        for address in &addresses {
            self.book.drop(*address);
        }
        self.token += 1;
        scene.out.push(Output::WriteLeases {
            token: self.token,
            leases: Vec::new(),
            drop: addresses,
        });
    }

    pub fn tick(&mut self, scene: &mut Scene<'_>) {
        self.serves = true;
        self.book.sync(scene.view);
        self.give_up_on_the_disk(scene);
        self.book.expire_holds(scene.moment);
        for (address, question) in self.probes.silent(scene.moment) {
            question.ask(|asked| offer(address, asked, scene));
        }
        if scene.moment.since(self.tidied) >= TIDY {
            self.tidied = scene.moment;
            let over = earlier(scene.now, REMEMBERED);
            let mut gone = self.book.long_over(over, TIDY_COUNT);
            gone.retain(|address| !self.busy.contains(address));
            if !gone.is_empty() {
                self.strike_out(gone, scene);
            }
        }
    }

    /// A write of which nothing was heard for a long time counts as failed, so that its address is not lost.
    fn give_up_on_the_disk(&mut self, scene: &mut Scene<'_>) {
        while let Some((token, writing)) = self.writes.first_key_value()
            && scene.moment.since(writing.since) >= DISK_TAKES
        {
            let token = *token;
            self.written(token, false, scene);
        }
    }

    /// The network is no more served by us: nothing is due, and nothing on offer.
    pub fn rest(&mut self) {
        if self.serves {
            self.serves = false;
            self.probes = Probes::default();
            self.book.release_all();
        }
    }

    pub fn next(&self) -> Option<Moment> {
        if !self.serves {
            return None;
        }
        let tidy =
            (!self.book.is_empty() || !self.writes.is_empty()).then(|| self.tidied.after(TIDY));
        let timers = [self.book.next(), self.probes.next(), tidy];
        timers.into_iter().flatten().min()
    }

    pub const fn book(&self) -> &Book {
        &self.book
    }
}

fn earlier(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn is_for_us(server: Option<Ipv4Addr>, view: &View<'_>) -> bool {
    server.is_some_and(|server| view.is_ours(server))
}

fn none_left(mac: MacAddr, scene: &mut Scene<'_>) {
    let why = match scene.view.config.dhcp.pool {
        Some(_) => {
            "every address of the pool is given out; make the pool larger or the leases shorter"
        }
        None => "there is no pool, and no address is reserved for it",
    };
    scene.trace(mac, Mark::Silent, "no address is left", why);
}
