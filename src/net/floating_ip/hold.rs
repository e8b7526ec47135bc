//! An address that is had: announced, defended, put back on the link, made sure of when the cable was out.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::claim::{Claim, Dice, Step};
use super::{FloatingIp, Output, Place};
use crate::model::MacAddr;
use crate::net::arp::Packet;

/// RFC 5227, section 1.1.
pub const ANNOUNCE_NUM: u8 = 2;
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Between two attempts to put an address on a link that refuses it.
const PUT_BACK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Hold {
    pub(super) address: Ipv4Addr,
    /// Still to be said, the next one when.
    announcements: u8,
    announce: Duration,
    /// The cable was out: somebody may have taken the address meanwhile.
    recheck: Option<Claim>,
    /// The last one who spoke as this address, and when.
    conflict: Option<(Duration, MacAddr)>,
    /// He keeps using it: another one is looked for.
    way_for: Option<MacAddr>,
    /// It is not on the link, and could not be put there: why, and when it is tried again.
    refused: Option<(Duration, String)>,
}

impl Hold {
    /// It was on the link already.
    pub(super) fn adopted(address: Ipv4Addr, now: Duration, running: bool) -> Self {
        Self {
            address,
            // With the cable out it is made sure of first, once that is in.
            announcements: if running { ANNOUNCE_NUM } else { 0 },
            announce: now,
            recheck: None,
            conflict: None,
            way_for: None,
            refused: None,
        }
    }

    /// It was claimed, and put on the link just now.
    pub(super) fn claimed(address: Ipv4Addr, now: Duration) -> Self {
        Self::adopted(address, now, true)
    }

    pub(super) fn placed(
        &mut self,
        now: Duration,
        place: &Place,
        came_back: bool,
        dice: &mut Dice,
        out: &mut Vec<Output>,
    ) {
        if place.has(self.address) {
            self.refused = None;
        } else if self.refused.is_none() {
            out.push(Output::Add(self.address));
        }
        if !place.running {
            self.recheck = None;
            self.announcements = 0;
        } else if came_back && self.way_for.is_none() {
            self.recheck = Some(Claim::start(self.address, now, dice));
        }
    }

    /// RFC 5227, section 2.4 (b): one announcement, when there was no other conflict lately. False: it is lost.
    pub(super) fn defends(
        &mut self,
        now: Duration,
        own: MacAddr,
        other: MacAddr,
        out: &mut Vec<Output>,
    ) -> bool {
        if self.way_for.is_some() {
            return true;
        }
        let last = self.conflict.replace((now, other));
        let lately = last.is_some_and(|(at, _)| now < at + DEFEND_INTERVAL);
        // While it is made sure of, the other one is who has it.
        if lately || self.recheck.is_some() {
            return false;
        }
        out.push(Output::Send(Packet::announcement(own, self.address)));
        true
    }

    pub(super) fn give_way(&mut self, other: MacAddr) {
        self.way_for = Some(other);
        self.recheck = None;
        self.announcements = 0;
    }

    pub(super) fn gives_way_to(&self) -> Option<MacAddr> {
        self.way_for
    }

    pub(super) fn is_rechecked(&self) -> bool {
        self.recheck.is_some()
    }

    pub(super) fn last_conflict(&self) -> Option<MacAddr> {
        self.conflict.map(|(_, other)| other)
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refused.as_ref().map(|(_, why)| why.as_str())
    }

    pub(super) fn next_timer(&self, running: bool) -> Option<Duration> {
        let announce = (running && self.announcements > 0).then_some(self.announce);
        let recheck = self.recheck.as_ref().map(Claim::next_timer);
        let refused = self.refused.as_ref().map(|(again, _)| *again);
        [announce, recheck, refused].into_iter().flatten().min()
    }

    fn announce_from(&mut self, now: Duration) {
        self.announcements = ANNOUNCE_NUM;
        self.announce = now;
    }
}

impl FloatingIp {
    pub(super) fn tick_hold(&mut self) {
        let Some(hold) = &mut self.hold else { return };
        if let Some(claim) = &mut hold.recheck {
            match claim.tick(self.now, self.mac, &mut self.dice) {
                Some(Step::Probe(packet)) => self.out.push(Output::Send(packet)),
                Some(Step::Won) => {
                    hold.recheck = None;
                    hold.announce_from(self.now);
                }
                None => {}
            }
        }
        if self.place.running && hold.announcements > 0 && self.now >= hold.announce {
            hold.announcements -= 1;
            hold.announce = self.now + ANNOUNCE_INTERVAL;
            let words = Packet::announcement(self.mac, hold.address);
            self.out.push(Output::Send(words));
        }
        if hold
            .refused
            .take_if(|(again, _)| self.now >= *again)
            .is_some()
        {
            self.out.push(Output::Add(hold.address));
        }
    }

    /// Somebody took it off, and it was put back; or it could not be.
    pub(super) fn was_put_back(&mut self, address: Ipv4Addr, result: Result<(), String>) {
        let Some(hold) = self.hold.as_mut().filter(|hold| hold.address == address) else {
            return;
        };
        match result {
            Ok(()) => {
                self.place.note(address);
                if hold.recheck.is_none() && hold.way_for.is_none() {
                    hold.announce_from(self.now);
                }
            }
            Err(why) => hold.refused = Some((self.now + PUT_BACK_AGAIN, why)),
        }
    }
}
