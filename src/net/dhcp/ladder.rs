//! The fallback ladder: which way a machine is answered, by what its earlier boots came to.
//!
//! One rung per boot attempt, from the lowest that the network allows. An attempt that was answered and after which
//! nothing was fetched takes the next one to the next rung; after the last it names the likely cause and begins anew.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::classify::{Client, Firmware};
use super::crowd::{Crowd, Standing};
use super::moment::Moment;
use crate::model::snippets::Topic;
use crate::model::{MacAddr, Rung};

/// As many machines that nobody knows are remembered: more do not boot within the minute that an attempt lasts.
pub const MAX_STRANGERS: usize = 4_096;
/// As many that are known or fetched something.
pub const MAX_KNOWN: usize = 16_384;

/// EDK2 waits up to 32 s between two questions, so an attempt is over when nothing was heard for longer.
const SILENCE: Duration = Duration::from_mins(1);
/// A new transaction within this time belongs to the old attempt: no firmware gives up that fast.
const RESTART: Duration = Duration::from_secs(5);
/// A fetch and a question belong to one boot when no more time lies between them.
const CHAINED: Duration = Duration::from_mins(5);

/// What was seen of one attempt, for the cause of its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub foreign_offer: Option<Ipv4Addr>,
    pub foreign_boot: Option<Ipv4Addr>,
    /// It asked for its address.
    pub requested: bool,
    pub binl_asked: bool,
    pub relay_silent: bool,
    pub acknowledged: bool,
}

/// Why an attempt came to nothing, as far as it can be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another server gives boot instructions too, and firmware prefers those that come with the address.
    ForeignBoot(Ipv4Addr),
    /// Nobody gave it an address.
    NoAddress,
    /// It took an address and never came to us: it does not merge offers, or our answers do not arrive.
    Ignored,
    /// It asked on port 4011, and did not fetch what it was told.
    FileNotFetched,
    /// The real server does not answer relays.
    RelaySilent,
    /// iPXE runs, and did not fetch its script.
    ScriptNotFetched,
}

impl Cause {
    fn of(attempt: &Attempt) -> Self {
        let facts = &attempt.facts;
        if attempt.chained {
            return Self::ScriptNotFetched;
        }
        if let Some(server) = facts.foreign_boot {
            return Self::ForeignBoot(server);
        }
        if facts.relay_silent {
            return Self::RelaySilent;
        }
        if facts.binl_asked || facts.acknowledged {
            return Self::FileNotFetched;
        }
        if facts.foreign_offer.is_none() && !facts.requested {
            return Self::NoAddress;
        }
        Self::Ignored
    }

    /// The snippet that cures it.
    pub const fn snippet(self) -> Topic {
        match self {
            Self::ForeignBoot(_) => Topic::NoBootOptions,
            Self::NoAddress => Topic::DhcpPool,
            Self::Ignored => Topic::BootOptions,
            Self::FileNotFetched | Self::ScriptNotFetched => Topic::Firewall,
            Self::RelaySilent => Topic::AllowRelay,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ForeignBoot(server) => write!(
                f,
                "the DHCP server {server} sends boot instructions of its own, and firmware prefers them to ours"
            ),
            Self::NoAddress => f.write_str(
                "no DHCP server offered it an address, or the switch keeps the answers back (DHCP snooping)",
            ),
            Self::Ignored => f.write_str(
                "it took an address and ignored our offer: its firmware does not merge offers, or the switch drops ours (DHCP snooping)",
            ),
            Self::FileNotFetched => f.write_str(
                "it was told what to boot and did not fetch it: a firewall on the way, or no route to us",
            ),
            Self::RelaySilent => f.write_str(
                "the real DHCP server did not answer the relayed request: it ignores relays, or the switch drops them (DHCP snooping)",
            ),
            Self::ScriptNotFetched => f.write_str(
                "iPXE started and did not fetch its script: the link was not up in time (spanning tree, LACP), or a firewall is on the way",
            ),
        }
    }
}

/// What an attempt came to that fetched nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub failed: Rung,
    /// The rung of the next attempt; none at the end of the ladder.
    pub next: Option<Rung>,
    pub cause: Cause,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    xid: u32,
    secs: u16,
    started: Moment,
    last: Moment,
    rung: Rung,
    /// iPXE that was loaded from us asks: the rung did its work.
    chained: bool,
    fetched: bool,
    judged: bool,
    facts: Facts,
}

#[derive(Clone, Copy, Debug)]
struct Climb {
    rung: Rung,
    worked: Option<Rung>,
    /// In a row.
    failures: u8,
    fetched: Option<Moment>,
    attempt: Option<Attempt>,
}

/// The attempts of all machines of a link.
#[derive(Debug)]
pub struct Ladder {
    climbs: Crowd<MacAddr, Climb>,
    /// When each attempt is over that was not judged yet; as many as there are climbs at most.
    due: BTreeSet<(Moment, MacAddr)>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            climbs: Crowd::new(MAX_STRANGERS, MAX_KNOWN),
            due: BTreeSet::new(),
        }
    }
}

/// Who asks, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Climber<'a> {
    pub client: &'a Client,
    pub standing: Standing,
    /// The rung that worked, by its record.
    pub worked: Option<Rung>,
}

impl Ladder {
    /// The rung on which this question is answered, and what the attempt before it came to when it begins a new one.
    pub fn ask(
        &mut self,
        climber: &Climber<'_>,
        rungs: &BTreeSet<Rung>,
        now: Moment,
    ) -> (Option<Rung>, Option<Verdict>) {
        let Some(first) = rungs.first().copied() else {
            return (None, None);
        };
        let client = climber.client;
        let worked = climber.worked.filter(|rung| rungs.contains(rung));
        self.admit(client.mac, climber.standing);
        let climb = self.climbs.hear(client.mac, climber.standing, || Climb {
            rung: worked.unwrap_or(first),
            worked,
            failures: 0,
            fetched: None,
            attempt: None,
        });
        let same = climb
            .attempt
            .is_some_and(|attempt| attempt.is_same(client, now));
        let mut verdict = None;
        let before = climb.attempt;
        if !same {
            verdict = climb.judge(rungs);
            climb.begin(client, rungs, now);
        }
        let rung = climb
            .attempt
            .as_mut()
            .map(|attempt| attempt.hear(client, now));
        self.forget(client.mac, before);
        self.expect(client.mac);
        (rung, verdict)
    }

    /// The firmware goes another way (HTTP boot): what it fetches from now on tells nothing of the rung.
    pub fn leave(&mut self, mac: MacAddr, rungs: &BTreeSet<Rung>) -> Option<Verdict> {
        let climb = self.climbs.get_mut(&mac)?;
        let verdict = climb.judge(rungs);
        let attempt = climb.attempt.take();
        self.forget(mac, attempt);
        verdict
    }

    /// Notes what was seen of the attempt that runs. Says whether there is one.
    pub fn note(&mut self, mac: MacAddr, now: Moment, note: impl FnOnce(&mut Facts)) -> bool {
        let Some(attempt) = self.running(mac) else {
            return false;
        };
        let before = *attempt;
        attempt.last = now;
        note(&mut attempt.facts);
        self.forget(mac, Some(before));
        self.expect(mac);
        true
    }

    /// The rung of the attempt that runs.
    pub fn rung(&self, mac: MacAddr) -> Option<Rung> {
        let attempt = self.climbs.get(&mac)?.attempt?;
        (!attempt.judged).then_some(attempt.rung)
    }

    /// The machine fetched something. Says which rung brought it here when that is news.
    pub fn fetched(&mut self, mac: MacAddr, now: Moment) -> Option<Rung> {
        let before = self.climbs.get(&mac)?.attempt?;
        if now.since(before.last) > CHAINED {
            return None;
        }
        self.admit(mac, Standing::Known);
        let climb = self.climbs.hear(mac, Standing::Known, || Climb {
            rung: before.rung,
            worked: None,
            failures: 0,
            fetched: None,
            attempt: Some(before),
        });
        climb.fetched = Some(now);
        climb.failures = 0;
        climb.rung = before.rung;
        if let Some(attempt) = &mut climb.attempt {
            attempt.fetched = true;
        }
        let news = climb.worked != Some(before.rung);
        climb.worked = Some(before.rung);
        self.forget(mac, Some(before));
        news.then_some(before.rung)
    }

    /// What the attempts came to that are over by now.
    pub fn judge(&mut self, rungs: &BTreeSet<Rung>, now: Moment) -> Vec<(MacAddr, Verdict)> {
        let mut verdicts = Vec::new();
        while let Some((at, mac)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let verdict = self
                .climbs
                .get_mut(&mac)
                .and_then(|climb| climb.judge(rungs));
            verdicts.extend(verdict.map(|verdict| (mac, verdict)));
        }
        verdicts
    }

    pub fn next(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// As many machines as are remembered.
    pub fn len(&self) -> usize {
        self.climbs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.climbs.is_empty()
    }

    fn admit(&mut self, mac: MacAddr, standing: Standing) {
        if let Some((gone, climb)) = self.climbs.admit(&mac, standing) {
            self.forget(gone, climb.attempt);
        }
    }

    fn running(&mut self, mac: MacAddr) -> Option<&mut Attempt> {
        let attempt = self.climbs.get_mut(&mac)?.attempt.as_mut()?;
        (!attempt.judged).then_some(attempt)
    }

    fn forget(&mut self, mac: MacAddr, attempt: Option<Attempt>) {
        if let Some(attempt) = attempt {
            self.due.remove(&(attempt.over(), mac));
        }
    }

    fn expect(&mut self, mac: MacAddr) {
        let attempt = self.climbs.get(&mac).and_then(|climb| climb.attempt);
        if let Some(attempt) = attempt.filter(|attempt| !attempt.judged && !attempt.fetched) {
            self.due.insert((attempt.over(), mac));
        }
    }
}

impl Attempt {
    /// RFC 2131 4.1 leaves the choice of xid to the client: some take a new one for each question, and `secs`
    /// rises. iPXE keeps other things in `secs`.
    fn is_same(&self, client: &Client, now: Moment) -> bool {
        if self.xid == client.xid {
            return true;
        }
        if self.fetched || self.judged {
            return false;
        }
        let counts = !matches!(client.firmware, Firmware::Ipxe(_));
        let rises = counts && client.secs > self.secs && now.since(self.last) < SILENCE;
        let soon = now.since(self.last) < RESTART && now.since(self.started) < SILENCE;
        rises || soon
    }

    fn hear(&mut self, client: &Client, now: Moment) -> Rung {
        self.xid = client.xid;
        self.secs = client.secs;
        self.last = now;
        self.rung
    }

    const fn over(&self) -> Moment {
        self.last.after(SILENCE)
    }
}

impl Climb {
    fn begin(&mut self, client: &Client, rungs: &BTreeSet<Rung>, now: Moment) {
        let is_ipxe = matches!(client.firmware, Firmware::Ipxe(_));
        let lately = self.fetched.is_some_and(|at| now.since(at) < CHAINED);
        if !rungs.contains(&self.rung) {
            self.rung = rungs.first().copied().unwrap_or(self.rung);
        }
        self.attempt = Some(Attempt {
            xid: client.xid,
            secs: client.secs,
            started: now,
            last: now,
            rung: self.rung,
            chained: is_ipxe && lately,
            fetched: false,
            judged: false,
            facts: Facts::default(),
        });
    }

    /// Takes the next attempt to its rung, once. A rung that worked before is left at the second failure in a row: a
    /// cable was out, or somebody pressed a key. So is stapling, where a client took the real server's own offer: it
    /// comes first as long as we know none to send at once, which is from the second attempt on.
    fn judge(&mut self, rungs: &BTreeSet<Rung>) -> Option<Verdict> {
        let attempt = self.attempt.as_mut()?;
        if attempt.judged || attempt.fetched {
            return None;
        }
        attempt.judged = true;
        let (failed, cause) = (attempt.rung, Cause::of(attempt));
        let verdict = |next| {
            Some(Verdict {
                failed,
                next,
                cause,
            })
        };
        if attempt.chained {
            return verdict(Some(failed));
        }
        self.failures = self.failures.saturating_add(1);
        let outrun = failed == Rung::Staple && cause == Cause::Ignored;
        let stays = self.worked == Some(failed) || outrun;
        if stays && self.failures < 2 && rungs.contains(&failed) {
            return verdict(Some(failed));
        }
        self.failures = 0;
        self.worked = None;
        let above = rungs.range(failed..).find(|rung| **rung != failed).copied();
        self.rung = above.or(rungs.first().copied()).unwrap_or(failed);
        verdict(above)
    }
}

impl Verdict {
    /// Whether the next attempt takes another rung.
    pub const fn is_step(&self) -> bool {
        match self.next {
            Some(next) => next as u8 != self.failed as u8,
            None => false,
        }
    }
}
