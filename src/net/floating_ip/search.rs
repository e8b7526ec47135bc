//! The way to an address: a look at all candidates at once, then the proper claim of the first free one.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::claim::{Claim, Step};
use super::hold::Hold;
use super::{FloatingIp, Output, Record, place};
use crate::model::MacAddr;
use crate::net::arp::{Answer, Pace, Packet, Prober};

/// RFC 5227, section 1.1.
pub const MAX_CONFLICTS: u8 = 10;
pub const RATE_LIMIT_INTERVAL: Duration = Duration::from_mins(1);

/// What was lost longer ago is forgotten.
const LATELY: Duration = Duration::from_mins(10);

/// After a store or a kernel that refused.
const AGAIN: Duration = Duration::from_secs(5);

/// Which address is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    This(Ipv4Addr),
    /// The one that was held before.
    Again(Ipv4Addr),
    /// The first free one after the host's own.
    Free,
}

#[derive(Debug)]
pub(super) enum Search {
    /// Who of these is there?
    Look(Look),
    Claim {
        goal: Goal,
        claim: Claim,
        /// What is left when it is lost.
        rest: VecDeque<Ipv4Addr>,
    },
    /// It was won, and is being written down.
    Record(Ipv4Addr),
    /// It is written down, and is being put on the link.
    Add(Ipv4Addr),
}

#[derive(Debug)]
pub(super) struct Look {
    prober: Prober,
    /// In the order in which they are taken.
    all: Vec<Ipv4Addr>,
    taken: BTreeMap<Ipv4Addr, MacAddr>,
}

impl Search {
    /// Whether it is still asking around; what comes after that is finished, whatever happens.
    pub(super) fn needs_wire(&self) -> bool {
        matches!(self, Self::Look(_) | Self::Claim { .. })
    }

    pub(super) fn next_timer(&self) -> Option<Duration> {
        match self {
            // A look that ended is evaluated at once.
            Self::Look(look) => Some(look.prober.next_timer().unwrap_or_default()),
            Self::Claim { claim, .. } => Some(claim.next_timer()),
            Self::Record(_) | Self::Add(_) => None,
        }
    }
}

impl FloatingIp {
    pub(super) fn seek(&mut self, goal: Goal) {
        match goal {
            Goal::This(address) | Goal::Again(address) => {
                self.claim(goal, VecDeque::from([address]));
            }
            Goal::Free => self.look(),
        }
        // A look asks at once.
        self.tick_search();
    }

    fn look(&mut self) {
        let Some(home) = self.place.home(|address| self.is_ours(address)) else {
            return;
        };
        let free = |address: &Ipv4Addr| !self.is_the_hosts(*address) && !self.is_ours(*address);
        let all: Vec<_> = place::after(home, self.config.scan).filter(free).collect();
        if all.is_empty() {
            let network = home.network();
            self.nothing_free(format!(
                "no address after {} is left in {network}/{}; set one",
                home.address, home.prefix
            ));
            return;
        }
        let mut prober = Prober::new(self.mac, Pace::LOOK);
        for address in &all {
            // Room for more than a scan can be long.
            let _ = prober.ask(self.now, *address);
        }
        self.search = Some(Search::Look(Look {
            prober,
            all,
            taken: BTreeMap::new(),
        }));
    }

    fn claim(&mut self, goal: Goal, mut rest: VecDeque<Ipv4Addr>) {
        self.search = rest.pop_front().map(|address| Search::Claim {
            goal,
            claim: Claim::start(address, self.now, &mut self.dice),
            rest,
        });
    }

    pub(super) fn hear_search(&mut self, packet: &Packet) {
        match &mut self.search {
            Some(Search::Look(look)) => {
                look.prober.heard(packet);
                // Who speaks as one of them, and who is about to claim it.
                let about = if packet.is_probe() {
                    packet.target
                } else {
                    packet.sender
                };
                if look.all.contains(&about) {
                    look.taken.insert(about, packet.sender_mac);
                }
            }
            Some(Search::Claim { claim, .. }) if claim.is_lost_by(packet) => {
                self.lose(packet.sender_mac);
            }
            _ => {}
        }
    }

    pub(super) fn tick_search(&mut self) {
        self.pause.take_if(|until| self.now >= *until);
        match &mut self.search {
            Some(Search::Look(look)) => {
                // As the host itself, who is asked back.
                let home = self.place.home(|address| self.recorded == Some(address));
                let from = home.map_or(Ipv4Addr::UNSPECIFIED, |home| home.address);
                for answer in look.prober.tick(self.now, from) {
                    if let Answer::Send(packet) = answer {
                        self.out.push(Output::Send(packet));
                    }
                }
                if look.prober.next_timer().is_none() {
                    self.choose();
                }
            }
            Some(Search::Claim { claim, .. }) => {
                let address = claim.address;
                match claim.tick(self.now, self.mac, &mut self.dice) {
                    Some(Step::Probe(packet)) => self.out.push(Output::Send(packet)),
                    Some(Step::Won) => self.win(address),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// The look is over.
    fn choose(&mut self) {
        let Some(Search::Look(look)) = self.search.take() else {
            return;
        };
        let is_free = |address: &Ipv4Addr| !look.taken.contains_key(address);
        let free: VecDeque<_> = look.all.iter().copied().filter(is_free).collect();
        if free.is_empty() {
            self.nothing_free(all_taken(&look.all, &look.taken));
        } else {
            self.claim(Goal::Free, free);
        }
    }

    /// Somebody else has the address that is being claimed, or claims it too.
    fn lose(&mut self, to: MacAddr) {
        let Some(Search::Claim { goal, claim, rest }) = self.search.take() else {
            return;
        };
        let address = claim.address;
        let too_many = self.count_lost(to);
        match goal {
            Goal::Free if too_many => {}
            Goal::Free if rest.is_empty() => {
                self.nothing_free(format!("the last free address, {address}, went to {to}"));
            }
            Goal::Free => self.claim(goal, rest),
            // What is held stays held.
            Goal::This(_) if self.hold.is_some() => self.wanted_is_with = Some(to),
            Goal::This(_) => {
                self.nothing_free(format!("{address} is in use by {to}; set another one"));
            }
            Goal::Again(_) => self.record(None, None),
        }
    }

    /// RFC 5227, section 2.1.1: after so many, no more than one attempt a minute. True: it is so far.
    pub(super) fn count_lost(&mut self, to: MacAddr) -> bool {
        let lately = self.lost > 0 && self.now < self.lost_last + LATELY;
        self.lost = if lately {
            self.lost.saturating_add(1)
        } else {
            1
        };
        self.lost_last = self.now;
        let too_many = self.lost >= MAX_CONFLICTS;
        if too_many {
            let lost = self.lost;
            self.nothing_free(format!(
                "{lost} addresses were lost to others lately, the last one to {to}"
            ));
        }
        too_many
    }

    /// Nothing is had on this way; later again.
    fn nothing_free(&mut self, why: String) {
        self.search = None;
        self.pause = Some(self.now + RATE_LIMIT_INTERVAL);
        self.trouble = Some(why);
        // RFC 5227, section 2.4: an address that another keeps using is used no longer.
        if self
            .hold
            .as_ref()
            .is_some_and(|hold| hold.gives_way_to().is_some())
        {
            self.let_go();
        }
    }

    fn win(&mut self, address: Ipv4Addr) {
        self.search = Some(Search::Record(address));
        let leaving = self.hold.as_ref().map(|hold| hold.address);
        self.record(Some(address), leaving);
    }

    pub(super) fn was_recorded(&mut self, result: Result<(), String>) {
        let unwritten = self.unwritten.take();
        let Some(Search::Record(address)) = self.search else {
            let again = unwritten.filter(|_| result.is_err());
            self.unwritten = again.map(|(_, record)| (self.now + AGAIN, record));
            return;
        };
        match result {
            Ok(()) => {
                self.search = Some(Search::Add(address));
                self.out.push(Output::Add(address));
            }
            Err(why) => {
                self.recorded = self.hold.as_ref().map(|hold| hold.address);
                let record = self.recorded.map(|address| Record {
                    address,
                    leaving: None,
                });
                self.unwritten = Some((self.now + AGAIN, record));
                self.try_later(format!(
                    "{address} could not be written down, so it was not taken: {why}"
                ));
            }
        }
    }

    pub(super) fn was_added(&mut self, address: Ipv4Addr, result: Result<(), String>) {
        match (&self.search, result) {
            (Some(Search::Add(claimed)), Ok(())) if *claimed == address => {
                self.search = None;
                self.trouble = None;
                let before = self.hold.replace(Hold::claimed(address, self.now));
                self.place.note(address);
                if let Some(before) = before {
                    self.remove(before.address);
                    self.record(Some(address), None);
                }
            }
            (Some(Search::Add(claimed)), Err(why)) if *claimed == address => {
                let before = self.hold.as_ref().map(|hold| hold.address);
                self.record(before, None);
                self.try_later(format!("{address} could not be put on the link: {why}"));
            }
            (_, result) => self.was_put_back(address, result),
        }
    }

    fn try_later(&mut self, why: String) {
        self.search = None;
        self.pause = Some(self.now + AGAIN);
        self.trouble = Some(why);
    }
}

fn all_taken(all: &[Ipv4Addr], taken: &BTreeMap<Ipv4Addr, MacAddr>) -> String {
    let (Some(first), Some(last), Some(by)) = (all.first(), all.last(), taken.values().next())
    else {
        return "there is no address to take".to_owned();
    };
    let what = match all.len() {
        1 => format!("{first} is in use by {by}"),
        count if taken.values().all(|other| other == by) => {
            format!(
                "{by} answers for all {count} addresses from {first} to {last}, as a router with proxy ARP does"
            )
        }
        count => format!("all {count} addresses from {first} to {last} are in use"),
    };
    format!("{what}; set one, or let more be looked at")
}
