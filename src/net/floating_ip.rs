//! The address that is held beside the host's own (RFC 5227).
//!
//! [`FloatingIp`] is the machine, without a socket or a clock: it looks for a free address, claims it, defends it,
//! moves when somebody else keeps using it, and takes it up again after a restart. It is sure of three things:
//!
//! - An address is on the link only while it is in the record, which is durable first. So a daemon that was killed
//!   knows what is its own, and removes nothing else: what is not in the record is the host's.
//! - A new address answers before the old one is taken off.
//! - What it holds has the prefix 32 and no route, so that the host goes on speaking as itself.
//!
//! - `search`: the way to an address, with `claim`, the probes. - `hold`: the address that is had. - `place`: the link.
//! - `pool`: what others give out. - `report`: what a person is told. - `scan`: a look for a person.
//! - `keeper`, `kernel`: the shell that does what comes out.

mod claim;
mod hold;
mod keeper;
mod kernel;
mod place;
mod pool;
mod report;
mod scan;
mod search;
#[cfg(test)]
mod tests;

use std::mem;
use std::net::Ipv4Addr;
use std::time::Duration;

use claim::Dice;
use hold::Hold;
use search::{Goal, Search};

use super::arp::Packet;
use crate::model::MacAddr;
use crate::model::network::{Floating, Held, OnConflict, Want};

pub use claim::{ANNOUNCE_WAIT, PROBE_MAX, PROBE_MIN, PROBE_NUM, PROBE_WAIT};
pub use hold::{ANNOUNCE_INTERVAL, ANNOUNCE_NUM, DEFEND_INTERVAL};
pub use keeper::{Keeper, Records, Setting};
pub use place::Place;
pub use report::Report;
pub use scan::Scan;
pub use search::{MAX_CONFLICTS, RATE_LIMIT_INTERVAL};

/// An address outside of all the host's subnets is left after this long: a DHCP client in between two leases
/// has none for a moment.
const STRAY: Duration = Duration::from_secs(15);

/// The machine of one link. Times are counted from one fixed moment of the caller's, and never run backwards.
#[derive(Debug)]
pub struct FloatingIp {
    mac: MacAddr,
    config: Floating,
    place: Place,
    dice: Dice,
    now: Duration,
    /// What the record says.
    recorded: Option<Ipv4Addr>,
    /// What it should say, and when that is tried again, after the store refused it.
    unwritten: Option<(Duration, Option<Record>)>,
    hold: Option<Hold>,
    search: Option<Search>,
    /// Nothing is searched before that.
    pause: Option<Duration>,
    /// Claims and addresses lost to others, one soon after the other, and when the last one.
    lost: u8,
    lost_last: Duration,
    /// Who has the address that is wanted; another one is good enough then.
    wanted_is_with: Option<MacAddr>,
    /// Since when what is held lies outside of all subnets.
    stray: Option<Duration>,
    /// Why it was let go for good.
    released: Option<String>,
    /// Why the last search came to nothing.
    trouble: Option<String>,
    seen: Option<pool::Seen>,
    told: Option<Report>,
    out: Vec<Output>,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The link, the host's addresses or its cards changed.
    Place(Place),
    /// What a person wants changed.
    Config(Floating),
    /// Somebody spoke on the link.
    Arp(&'a Packet),
    /// The time of [`FloatingIp::next_timer`] has come; at any other time it does no harm.
    Tick,
    /// What became of [`Output::Record`].
    Recorded(Result<(), String>),
    /// What became of [`Output::Add`].
    Added(Ipv4Addr, Result<(), String>),
    /// A person lets it go, until they want something else.
    Release,
    /// A DHCP server that is not ours offered or leased an address.
    Offered { server: Ipv4Addr, address: Ipv4Addr },
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Send(Packet),
    /// Write it down so that it lasts, and tell with [`Input::Recorded`] before anything else is told.
    Record(Option<Record>),
    /// Put it on the link, and tell with [`Input::Added`].
    Add(Ipv4Addr),
    /// Take it off the link; one that is not there is as good.
    Remove(Ipv4Addr),
    /// What a person is told changed.
    Report(Report),
}

/// What is ours on the link, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub address: Ipv4Addr,
    pub leaving: Option<Ipv4Addr>,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Nothing,
    /// The host has the wanted address itself.
    Hosts(Ipv4Addr),
    Keep,
    Seek(Goal),
}

impl FloatingIp {
    /// With `held` of the record. The first tick is due at once: an address that is still on the link is announced with it.
    pub fn new(
        mac: MacAddr,
        seed: u64,
        config: Floating,
        held: Option<&Held>,
        place: Place,
    ) -> Self {
        let mut machine = Self {
            mac,
            config,
            place: Place::default(),
            dice: Dice::new(seed),
            now: Duration::ZERO,
            recorded: held.map(|held| held.address),
            unwritten: None,
            hold: None,
            search: None,
            pause: None,
            lost: 0,
            lost_last: Duration::ZERO,
            wanted_is_with: None,
            stray: None,
            released: None,
            trouble: None,
            seen: None,
            told: None,
            out: Vec::new(),
        };
        if let Some((held, leaving)) = held.and_then(|held| Some((held, held.leaving?))) {
            // The daemon ended in the middle of a move.
            machine.record(Some(held.address), None);
            machine.placed(place);
            machine.remove(leaving);
        } else {
            machine.placed(place);
        }
        machine
    }

    pub fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Place(place) => self.placed(place),
            Input::Config(config) => self.configured(config),
            Input::Arp(packet) => self.heard(packet),
            Input::Tick => {}
            Input::Recorded(result) => self.was_recorded(result),
            Input::Added(address, result) => self.was_added(address, result),
            Input::Release => self.release("a person let it go".to_owned()),
            Input::Offered { server, address } => pool::note(&mut self.seen, server, address),
        }
        self.tick_search();
        self.tick_hold();
        self.settle();
        self.tick_record();
        self.report();
        mem::take(&mut self.out)
    }

    /// When the next tick is due.
    pub fn next_timer(&self) -> Option<Duration> {
        let hold = self.hold.as_ref();
        let stray = self
            .stray
            .filter(|_| self.search.is_none() && self.pause.is_none());
        [
            self.told.is_none().then_some(Duration::ZERO),
            self.search.as_ref().and_then(Search::next_timer),
            hold.and_then(|hold| hold.next_timer(self.place.running)),
            self.pause,
            self.unwritten
                .map(|(again, _)| again)
                .filter(|again| *again < Duration::MAX),
            stray.map(|since| since + STRAY).filter(|at| *at > self.now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Where machines are answered; none: at the host's own address.
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self.aim() {
            Aim::Hosts(address) => Some(address),
            _ => self.hold.as_ref().map(|hold| hold.address),
        }
    }

    /// Whether an address of ours is on the link, or should be.
    pub fn holds(&self) -> bool {
        self.hold.is_some()
    }

    fn placed(&mut self, place: Place) {
        let before = mem::replace(&mut self.place, place);
        if before.addresses != self.place.addresses {
            self.pause = None;
        }
        if !self.place.running && self.search.as_ref().is_some_and(Search::needs_wire) {
            self.search = None;
        }
        let ours = self.recorded.filter(|address| self.place.has(*address));
        match &mut self.hold {
            None => {
                let running = self.place.running;
                self.hold = ours.map(|address| Hold::adopted(address, self.now, running));
            }
            Some(hold) => {
                let came_back = self.place.running && !before.running;
                hold.placed(
                    self.now,
                    &self.place,
                    came_back,
                    &mut self.dice,
                    &mut self.out,
                );
            }
        }
    }

    fn configured(&mut self, config: Floating) {
        if config == self.config {
            return;
        }
        self.config = config;
        self.pause = None;
        self.lost = 0;
        self.wanted_is_with = None;
        self.released = None;
        self.trouble = None;
        if self.search.as_ref().is_some_and(Search::needs_wire) {
            self.search = None;
        }
    }

    fn heard(&mut self, packet: &Packet) {
        let sender = packet.sender_mac;
        if sender == self.mac || self.place.macs.contains(&sender) {
            return;
        }
        self.hear_search(packet);
        let Some(hold) = &mut self.hold else { return };
        if packet.sender != hold.address {
            return;
        }
        if hold.defends(self.now, self.mac, sender, &mut self.out) {
            return;
        }
        let address = hold.address;
        match self.config.on_conflict {
            OnConflict::Move => {
                hold.give_way(sender);
                if self.config.want == Want::Address(address) {
                    self.wanted_is_with = Some(sender);
                }
                self.count_lost(sender);
            }
            OnConflict::Release => {
                self.release(format!(
                    "{sender} kept using {address}, so it was let go, as configured"
                ));
            }
        }
    }

    fn release(&mut self, why: String) {
        self.released = Some(why);
        self.let_go();
    }

    /// Gives up what is held and what is sought.
    fn let_go(&mut self) {
        self.search = None;
        self.stray = None;
        if let Some(hold) = self.hold.take() {
            self.remove(hold.address);
        }
        if self.recorded.is_some() {
            self.record(None, None);
        }
    }

    fn remove(&mut self, address: Ipv4Addr) {
        self.out.push(Output::Remove(address));
        // What the kernel tells comes later.
        self.place.forget(address);
    }

    /// What is ours, so that it lasts.
    fn record(&mut self, address: Option<Ipv4Addr>, leaving: Option<Ipv4Addr>) {
        self.recorded = address;
        let record = address.map(|address| Record { address, leaving });
        // Until it is told that it is written.
        self.unwritten = Some((Duration::MAX, record));
        self.out.push(Output::Record(record));
    }

    fn tick_record(&mut self) {
        if let Some((again, record)) = &mut self.unwritten
            && self.now >= *again
        {
            *again = Duration::MAX;
            self.out.push(Output::Record(*record));
        }
    }

    /// Takes the next step towards the aim.
    fn settle(&mut self) {
        if self
            .search
            .as_ref()
            .is_some_and(|search| !search.needs_wire())
        {
            return;
        }
        let hosts = |hold: &Hold| self.is_the_hosts(hold.address);
        if self.hold.as_ref().is_some_and(hosts) {
            // Somebody gave it to the host itself. It stays there; what we put on is taken off.
            self.let_go();
        }
        self.note_stray();
        match self.aim() {
            Aim::Nothing | Aim::Hosts(_) => self.let_go(),
            Aim::Keep => self.search = None,
            Aim::Seek(goal) => {
                if self.search.is_none() && self.pause.is_none() && self.place.running {
                    self.seek(goal);
                }
            }
        }
    }

    fn aim(&self) -> Aim {
        if self.released.is_some() {
            return Aim::Nothing;
        }
        let had = self.hold.as_ref().map(|hold| hold.address);
        match self.config.want {
            Want::Off => Aim::Nothing,
            Want::Address(wanted) if self.is_the_hosts(wanted) => Aim::Hosts(wanted),
            Want::Address(wanted) if self.wanted_is_with.is_none() => {
                if had == Some(wanted) {
                    Aim::Keep
                } else {
                    Aim::Seek(Goal::This(wanted))
                }
            }
            Want::Auto | Want::Address(_) => match (&self.hold, self.recorded) {
                (Some(hold), _) if hold.gives_way_to().is_none() && !self.is_stray() => Aim::Keep,
                (None, Some(before)) if !self.is_the_hosts(before) => {
                    Aim::Seek(Goal::Again(before))
                }
                _ => Aim::Seek(Goal::Free),
            },
        }
    }

    fn is_the_hosts(&self, address: Ipv4Addr) -> bool {
        self.place
            .is_the_hosts(address, |other| self.is_ours(other))
    }

    fn is_ours(&self, address: Ipv4Addr) -> bool {
        self.recorded == Some(address)
            || self
                .hold
                .as_ref()
                .is_some_and(|hold| hold.address == address)
    }

    fn note_stray(&mut self) {
        let inside = |hold: &Hold| {
            let mut own = self.place.own(|address| self.is_ours(address)).peekable();
            own.peek().is_none() || own.any(|entry| entry.contains(hold.address))
        };
        match &self.hold {
            Some(hold) if !inside(hold) => self.stray = self.stray.or(Some(self.now)),
            _ => self.stray = None,
        }
    }

    fn is_stray(&self) -> bool {
        self.stray.is_some_and(|since| self.now >= since + STRAY)
    }
}
