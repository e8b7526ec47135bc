//! The book of addresses: which are leased, offered, free or somebody else's.
//!
//! Every question is answered in logarithmic time, by address and by client, so that a book of a hundred thousand
//! leases is no slower than an empty one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;

use super::identity::{Identity, bytes_of, hex_of};
use crate::model::network::{Holder, rules::MAX_POOL};
use crate::model::{Lease, LinkName, MacAddr};
use crate::net::dhcp::answer::View;
use crate::net::dhcp::classify::Client;
use crate::net::dhcp::moment::Moment;

/// As many addresses are offered and not yet asked for: more clients do not ask within `OFFER_HOLDS`.
pub const MAX_HOLDS: usize = 8_192;

/// A client asks for what it was offered within seconds; EDK2 collects offers for four.
const OFFER_HOLDS: Duration = Duration::from_secs(30);
/// What is left of it when a client that meant it had asked.
const STEADY: Duration = Duration::from_secs(20);

/// A lease, or an address on which somebody else was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// None for somebody else's.
    pub holder: Option<Identity>,
    pub hostname: Option<String>,
    pub until: Timestamp,
    /// It was given to firmware or iPXE, so the system that follows on the same card may go on with it.
    pub boots: bool,
}

impl Record {
    pub fn of(client: &Client, until: Timestamp) -> Self {
        Self {
            holder: Some(Identity::of(client)),
            hostname: client.hostname.clone(),
            until,
            boots: client.boots(),
        }
    }

    pub const fn stranger(until: Timestamp) -> Self {
        Self {
            holder: None,
            hostname: None,
            until,
            boots: false,
        }
    }

    /// Whether it is this client's: the same one, or the same card in another stage of its boot.
    fn is_of(&self, client: &Client) -> bool {
        let Some(holder) = &self.holder else {
            return false;
        };
        let stage = holder.mac == client.mac && (self.boots || client.boots());
        stage || *holder == Identity::of(client)
    }

    pub fn lease(&self, link: &LinkName, address: Ipv4Addr) -> Lease {
        let holder = self
            .holder
            .as_ref()
            .map_or(Holder::Stranger, |holder| Holder::Client {
                mac: holder.mac,
                client_id: holder.id.as_deref().map(hex_of),
                hostname: self.hostname.clone(),
            });
        Lease {
            link: link.clone(),
            address,
            holder,
            until: self.until,
        }
    }
}

#[derive(Debug)]
struct Hold {
    holder: Identity,
    until: Moment,
    known: bool,
}

/// What an address is to a client that wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is or was its own, or was offered to it.
    Own,
    /// Nobody has it, and it may be given out to this client.
    Free,
    /// Another has it, or it is reserved for another.
    Taken,
    /// It is none that is given out here.
    Foreign,
}

/// Addresses of one link.
#[derive(Debug, Default)]
pub struct Book {
    records: BTreeMap<u32, Record>,
    /// The address that each client had last, and each card.
    clients: HashMap<Identity, u32>,
    cards: HashMap<MacAddr, u32>,
    ends: BTreeSet<(Timestamp, u32)>,
    holds: BTreeMap<u32, Hold>,
    held: HashMap<Identity, u32>,
    hold_ends: BTreeSet<(Moment, u32)>,
    /// The addresses of the pool that nobody has and none is reserved. At most [`MAX_POOL`].
    free: BTreeSet<u32>,
    reserved: BTreeMap<u32, MacAddr>,
    /// Where the search for a free address goes on, so that one that was given back rests as long as it can.
    cursor: u32,
    pool: Pooled,
    world: Option<Surroundings>,
}

/// The addresses of the pool, but for those that are nobody's to have: network, broadcast, ours, the router's.
#[derive(Debug, Default)]
struct Pooled {
    range: Option<RangeInclusive<u32>>,
    never: Vec<u32>,
}

impl Pooled {
    fn of(view: &View<'_>) -> Self {
        let (mask, own) = (view.mask().to_bits(), view.own.to_bits());
        let dhcp = &view.config.dhcp;
        let range = dhcp.pool.map(|pool| {
            let first = pool.first.to_bits().max(own & mask);
            let last = pool.last.to_bits().min(own | !mask);
            first..=last.min(first.saturating_add(MAX_POOL - 1))
        });
        let ours = [view.own, view.server, view.routed].map(Ipv4Addr::to_bits);
        let router = dhcp.router.map(Ipv4Addr::to_bits);
        let ends = [own & mask, own | !mask];
        Self {
            range,
            never: ours.into_iter().chain(router).chain(ends).collect(),
        }
    }

    fn has(&self, bits: u32) -> bool {
        let inside = self
            .range
            .as_ref()
            .is_some_and(|range| range.contains(&bits));
        inside && !self.never.contains(&bits)
    }
}

/// What the set of free addresses follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Surroundings {
    version: u64,
    ours: [Ipv4Addr; 3],
    prefix: u8,
}

impl Book {
    pub fn load(&mut self, leases: impl IntoIterator<Item = Lease>) {
        for lease in leases {
            let record = match lease.holder {
                Holder::Client {
                    mac,
                    client_id,
                    hostname,
                } => Record {
                    holder: Some(Identity {
                        mac,
                        id: client_id.as_deref().and_then(bytes_of),
                    }),
                    hostname,
                    until: lease.until,
                    boots: false,
                },
                Holder::Stranger => Record::stranger(lease.until),
            };
            self.put(lease.address, record);
        }
    }

    /// Makes the set of free addresses anew when the network or our addresses changed.
    pub fn sync(&mut self, view: &View<'_>) {
        let world = Surroundings {
            version: view.version,
            ours: [view.own, view.server, view.routed],
            prefix: view.prefix,
        };
        if self.world == Some(world) {
            return;
        }
        self.world = Some(world);
        let dhcp = &view.config.dhcp;
        let reservations = dhcp.reservations.iter();
        self.reserved = reservations
            .map(|(mac, address)| (address.to_bits(), *mac))
            .collect();
        self.pool = Pooled::of(view);
        let range = self.pool.range.clone().into_iter().flatten();
        self.free = range.filter(|bits| self.is_free(*bits)).collect();
    }

    /// The address that is this client's: reserved, leased or offered.
    pub fn own(&self, client: &Client, view: &View<'_>, now: Timestamp) -> Option<Ipv4Addr> {
        let identity = Identity::of(client);
        let reserved = view.config.dhcp.reservations.get(&client.mac).copied();
        let leased = self
            .clients
            .get(&identity)
            .or_else(|| self.cards.get(&client.mac));
        let offered = self.held.get(&identity);
        let others = leased
            .into_iter()
            .chain(offered)
            .copied()
            .map(Ipv4Addr::from_bits);
        let mine = |address: &Ipv4Addr| self.claim(*address, client, view, now) == Claim::Own;
        let reserved = reserved.filter(|address| {
            let claim = self.claim(*address, client, view, now);
            matches!(claim, Claim::Own | Claim::Free)
        });
        reserved.or_else(|| others.into_iter().find(mine))
    }

    pub fn claim(
        &self,
        address: Ipv4Addr,
        client: &Client,
        view: &View<'_>,
        now: Timestamp,
    ) -> Claim {
        let bits = address.to_bits();
        let reserved = self.reserved.get(&bits);
        let given = self.pool.has(bits) || reserved.is_some();
        if !view.on_link(address) || view.is_ours(address) || !given {
            return Claim::Foreign;
        }
        if reserved.is_some_and(|mac| *mac != client.mac) {
            return Claim::Taken;
        }
        match (self.records.get(&bits), self.holds.get(&bits)) {
            (Some(record), _) if record.is_of(client) => Claim::Own,
            (Some(record), _) if record.until > now => Claim::Taken,
            (_, Some(hold)) if hold.holder == Identity::of(client) => Claim::Own,
            (_, Some(_)) => Claim::Taken,
            // Nobody has it, or its lease is over.
            (_, None) => Claim::Free,
        }
    }

    /// A free address; where there is none, the one whose lease ended first; where there is none either, the one that
    /// was offered to a stranger longest ago: to a known machine at once, to others when it was not asked for.
    pub fn find(&mut self, known: bool, now: Timestamp, moment: Moment) -> Option<Ipv4Addr> {
        self.next_free().or_else(|| self.ended(now)).or_else(|| {
            let bits = self.strangers_hold(known, moment)?;
            self.release(bits);
            Some(Ipv4Addr::from_bits(bits))
        })
    }

    /// The free address after the last one that was found.
    pub fn next_free(&mut self) -> Option<Ipv4Addr> {
        let next = self.free.range(self.cursor..).next();
        let bits = next.or(self.free.first()).copied()?;
        self.cursor = bits.wrapping_add(1);
        Some(Ipv4Addr::from_bits(bits))
    }

    /// The address whose lease ended longest ago; freed, when it is one to give out at all.
    fn ended(&mut self, now: Timestamp) -> Option<Ipv4Addr> {
        let over = self.ends.range(..=(now, u32::MAX));
        let fit = |bits: &u32| {
            self.pool.has(*bits)
                && !self.reserved.contains_key(bits)
                && !self.holds.contains_key(bits)
        };
        // A few are reserved or on offer; the search is bounded so that they cannot make it long.
        let bits = over.map(|(_, bits)| *bits).take(64).find(fit)?;
        self.drop(Ipv4Addr::from_bits(bits));
        Some(Ipv4Addr::from_bits(bits))
    }

    fn strangers_hold(&self, known: bool, now: Moment) -> Option<u32> {
        let until = now.after(if known { OFFER_HOLDS } else { STEADY });
        let mut oldest = self.hold_ends.range(..=(until, u32::MAX)).take(64);
        let stranger = |bits: &u32| self.holds.get(bits).is_some_and(|hold| !hold.known);
        oldest.find_map(|(_, bits)| stranger(bits).then_some(*bits))
    }

    /// Keeps an address for the client to whom it was offered.
    pub fn hold(&mut self, address: Ipv4Addr, client: &Client, known: bool, now: Moment) {
        let (bits, holder) = (address.to_bits(), Identity::of(client));
        if let Some(other) = self.held.get(&holder).copied() {
            self.release(other);
        }
        self.release(bits);
        if self.holds.len() >= MAX_HOLDS
            && let Some((_, oldest)) = self.hold_ends.first().copied()
        {
            self.release(oldest);
        }
        self.free.remove(&bits);
        let until = now.after(OFFER_HOLDS);
        self.hold_ends.insert((until, bits));
        self.held.insert(holder.clone(), bits);
        let hold = Hold {
            holder,
            until,
            known,
        };
        self.holds.insert(bits, hold);
    }

    /// Takes back what was offered to a client that went elsewhere.
    pub fn unhold(&mut self, client: &Client) {
        if let Some(bits) = self.held.get(&Identity::of(client)).copied() {
            self.release(bits);
        }
    }

    fn release(&mut self, bits: u32) {
        let Some(hold) = self.holds.remove(&bits) else {
            return;
        };
        self.hold_ends.remove(&(hold.until, bits));
        self.held.remove(&hold.holder);
        self.give_back(bits);
    }

    /// The offers that nobody took in time.
    pub fn expire_holds(&mut self, now: Moment) {
        while let Some((until, bits)) = self.hold_ends.first().copied()
            && until <= now
        {
            self.hold_ends.pop_first();
            self.release(bits);
        }
    }

    pub fn release_all(&mut self) {
        while let Some((_, bits)) = self.hold_ends.pop_first() {
            self.release(bits);
        }
    }

    pub fn next(&self) -> Option<Moment> {
        self.hold_ends.first().map(|(until, _)| *until)
    }

    /// Writes a record; what stood there before is handed back.
    pub fn put(&mut self, address: Ipv4Addr, record: Record) -> Option<Record> {
        let before = self.take(address);
        let bits = address.to_bits();
        self.release(bits);
        self.free.remove(&bits);
        if let Some(holder) = &record.holder {
            self.clients.insert(holder.clone(), bits);
            self.cards.insert(holder.mac, bits);
        }
        self.ends.insert((record.until, bits));
        self.records.insert(bits, record);
        before
    }

    /// Strikes a record out; the address is free again.
    pub fn drop(&mut self, address: Ipv4Addr) -> Option<Record> {
        let record = self.take(address);
        self.give_back(address.to_bits());
        record
    }

    fn take(&mut self, address: Ipv4Addr) -> Option<Record> {
        let bits = address.to_bits();
        let record = self.records.remove(&bits)?;
        self.ends.remove(&(record.until, bits));
        if let Some(holder) = &record.holder {
            if self.clients.get(holder) == Some(&bits) {
                self.clients.remove(holder);
            }
            if self.cards.get(&holder.mac) == Some(&bits) {
                self.cards.remove(&holder.mac);
            }
        }
        Some(record)
    }

    /// An address of the pool is free again, unless something stands in the way; the next change of the network
    /// would find it too.
    fn give_back(&mut self, bits: u32) {
        if self.is_free(bits) {
            self.free.insert(bits);
        }
    }

    fn is_free(&self, bits: u32) -> bool {
        let used = self.records.contains_key(&bits) || self.holds.contains_key(&bits);
        self.pool.has(bits) && !used && !self.reserved.contains_key(&bits)
    }

    /// The records that ended before `moment`, a few at a time.
    pub fn long_over(&self, moment: Timestamp, count: usize) -> Vec<Ipv4Addr> {
        let over = self.ends.range(..(moment, 0)).take(count);
        over.map(|(_, bits)| Ipv4Addr::from_bits(*bits)).collect()
    }

    pub fn record(&self, address: Ipv4Addr) -> Option<&Record> {
        self.records.get(&address.to_bits())
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn holds(&self) -> usize {
        self.holds.len()
    }
}
