//! Whether somebody has an address before it is offered (RFC 2131 3.1.2).
//!
//! A few addresses are probed ahead, so that a client seldom waits: firmware has little patience.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::net::dhcp::moment::Moment;

/// Who has an address answers within milliseconds; a card that sleeps within this time.
const ANSWER: Duration = Duration::from_millis(500);
/// As long as a probe that nobody answered is believed.
const KEEPS: Duration = Duration::from_mins(5);
/// As many addresses are probed ahead: a few racks' worth, or 256 new clients a second for as long as they come.
pub const AHEAD: usize = 128;
/// As many clients wait for a probe of their own within `CROWD`. Where more come, all that can be probed is probed
/// ahead; the others are served without, as a flood is: it would make a flood of ARP.
pub const MAX_WAITING: usize = 4;
const CROWD: Duration = Duration::from_secs(10);

/// Probes of one link, each perhaps with a question that waits for it.
#[derive(Debug)]
pub struct Probes<Q> {
    running: BTreeMap<Ipv4Addr, Probe<Q>>,
    due: BTreeSet<(Moment, Ipv4Addr)>,
    good: BTreeMap<Ipv4Addr, Moment>,
    /// When the last clients began to wait, at most [`MAX_WAITING`].
    waits: VecDeque<Moment>,
}

#[derive(Debug)]
struct Probe<Q> {
    until: Moment,
    question: Option<Q>,
}

impl<Q> Default for Probes<Q> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
            due: BTreeSet::new(),
            good: BTreeMap::new(),
            waits: VecDeque::new(),
        }
    }
}

impl<Q> Probes<Q> {
    /// Whether an address was found free lately. It is asked once: then the address is on its way to somebody.
    pub fn is_good(&mut self, address: Ipv4Addr, now: Moment) -> bool {
        let at = self.good.remove(&address);
        at.is_some_and(|at| now.since(at) < KEEPS)
    }

    /// An address that was found free lately.
    pub fn good(&mut self, now: Moment) -> Option<Ipv4Addr> {
        while let Some((address, at)) = self.good.pop_first() {
            if now.since(at) < KEEPS {
                return Some(address);
            }
        }
        None
    }

    /// Whether an address was found free, or is asked for.
    pub fn knows(&self, address: Ipv4Addr) -> bool {
        self.running.contains_key(&address) || self.good.contains_key(&address)
    }

    /// Begins a probe for a client, whose question is handed back when too many have waited lately.
    pub fn wait(&mut self, address: Ipv4Addr, question: Q, now: Moment) -> Result<(), Q> {
        while self.waits.front().is_some_and(|at| now.since(*at) >= CROWD) {
            self.waits.pop_front();
        }
        if self.waits.len() >= MAX_WAITING {
            return Err(question);
        }
        self.end(address);
        self.waits.push_back(now);
        self.begin(address, Some(question), now);
        Ok(())
    }

    /// As many more addresses as may be probed ahead.
    pub fn room(&self) -> usize {
        AHEAD.saturating_sub(self.good.len() + self.running.len())
    }

    pub fn ahead(&mut self, address: Ipv4Addr, now: Moment) {
        self.begin(address, None, now);
    }

    fn begin(&mut self, address: Ipv4Addr, question: Option<Q>, now: Moment) {
        let until = now.after(ANSWER);
        self.due.insert((until, address));
        self.running.insert(address, Probe { until, question });
    }

    /// The probes that nobody answered in time: their addresses are free.
    pub fn silent(&mut self, now: Moment) -> Vec<(Ipv4Addr, Q)> {
        let mut asked = Vec::new();
        while let Some((until, address)) = self.due.first().copied()
            && until <= now
        {
            match self.end(address).and_then(|probe| probe.question) {
                Some(question) => asked.push((address, question)),
                None => {
                    self.good.insert(address, now);
                }
            }
        }
        asked
    }

    /// Somebody answered. Says whether that was asked for, and what waited for it.
    pub fn answered(&mut self, address: Ipv4Addr) -> (bool, Option<Q>) {
        let good = self.good.remove(&address).is_some();
        match self.end(address) {
            Some(probe) => (true, probe.question),
            None => (good, None),
        }
    }

    fn end(&mut self, address: Ipv4Addr) -> Option<Probe<Q>> {
        let probe = self.running.remove(&address)?;
        self.due.remove(&(probe.until, address));
        Some(probe)
    }

    /// Whether this client waits for a probe.
    pub fn waits(&self, is: impl Fn(&Q) -> bool) -> bool {
        let questions = self
            .running
            .values()
            .filter_map(|probe| probe.question.as_ref());
        questions.into_iter().any(is)
    }

    pub fn next(&self) -> Option<Moment> {
        self.due.first().map(|(until, _)| *until)
    }
}
