//! A look at all addresses that may be taken, for a person: who has which.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{FloatingIp, Input, place};
use crate::core::wire::{Found, Scanned};
use crate::net::arp::{Answer, Pace, Packet, Prober};

/// One scan that is under way. It changes nothing.
#[derive(Debug)]
pub struct Scan {
    prober: Prober,
    from: Ipv4Addr,
    found: BTreeMap<Ipv4Addr, Found>,
}

impl FloatingIp {
    /// Starts a scan of the addresses after the host's own; or says why there are none.
    pub fn scan(&self, now: Duration) -> Result<Scan, String> {
        if !self.place.running {
            return Err("the link is down".to_owned());
        }
        let Some(home) = self.place.home(|address| self.is_ours(address)) else {
            return Err("the host has no IPv4 address there yet".to_owned());
        };
        let mut prober = Prober::new(self.mac, Pace::SCAN);
        let mut found = BTreeMap::new();
        for address in place::after(home, self.config.scan) {
            let is_own = self.is_ours(address) || self.is_the_hosts(address);
            // As many as a scan has at most, it has room for.
            let asked = !is_own && prober.ask(now, address);
            found.insert(address, if asked { Found::Free } else { Found::Own });
        }
        Ok(Scan {
            prober,
            from: home.address,
            found,
        })
    }
}

impl Scan {
    pub fn heard(&mut self, packet: &Packet) {
        if let Some(Answer::Taken(address, by)) = self.prober.heard(packet) {
            self.found.insert(address, Found::Taken { by });
        }
    }

    /// What is to be sent now.
    pub fn tick(&mut self, now: Duration) -> Vec<Packet> {
        let answers = self.prober.tick(now, self.from).into_iter();
        let sends = answers.filter_map(|answer| match answer {
            Answer::Send(packet) => Some(packet),
            Answer::Taken(..) | Answer::Free(_) => None,
        });
        sends.collect()
    }

    /// When the next tick is due; none once it is over.
    pub fn next_timer(&self) -> Option<Duration> {
        self.prober.next_timer()
    }

    /// In the order in which they would be taken.
    pub fn found(&self) -> Vec<Scanned> {
        let found = self.found.iter();
        found
            .map(|(address, found)| Scanned {
                address: *address,
                found: *found,
            })
            .collect()
    }
}

/// What of an input a scan hears.
pub(super) fn hears<'a>(input: &Input<'a>) -> Option<&'a Packet> {
    match input {
        Input::Arp(packet) => Some(packet),
        _ => None,
    }
}
