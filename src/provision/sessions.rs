//! Which agent is believed: a plain book of keys, tokens and machines.
//!
//! A session is the key that an agent made in its memory. A token lets one key in, and shows at once when another key
//! brings it too: then two have it, and nobody knows which of them is the machine. The same is true when a key speaks
//! that was believed before the one that is believed now: a machine that boots anew has forgotten its old key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::tokens::Token;
use crate::model::boot::{AgentRecord, Redeemed, TOKEN_LIFE};
use crate::model::{Digest, MacAddr, MachineId};

/// As many agents as may have been let in and have not said yet which machine they are in; some 2 MiB.
pub const MAX_UNKNOWN: usize = 4096;

/// An agent that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The card that its token was for.
    pub mac: MacAddr,
    /// Where it spoke from when it was let in.
    pub address: Option<IpAddr>,
    pub version: String,
    /// Whose agent it is, once that is known.
    pub machine: Option<MachineId>,
    pub used: Redeemed,
}

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key is believed from now on.
    LetIn(Session),
    /// The same key said so before; its answer may have been lost.
    Again(Session),
    /// Another key used it. None of the two is believed any more.
    Replayed { machine: Option<MachineId> },
    /// The same key used it, and is believed no more.
    Spent,
    /// Too many have been let in who never said which machine they are in.
    Crowded,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    Known(Session),
    /// It was believed before another was, who is believed no more from now on: two are at work as one machine.
    Twofold {
        mac: MacAddr,
        machine: Option<MachineId>,
    },
    /// It was believed once.
    Former,
    Unknown,
}

/// Who wants to be let in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub mac: MacAddr,
    pub address: IpAddr,
    pub version: String,
    pub key: Digest,
    /// Whose card it is.
    pub machine: Option<MachineId>,
}

/// The book.
#[derive(Debug, Default)]
pub struct Sessions {
    believed: BTreeMap<Digest, Session>,
    /// The key that is believed of each card, and of each machine.
    by_card: BTreeMap<MacAddr, Digest>,
    by_machine: BTreeMap<MachineId, Digest>,
    /// Keys that are believed no more, until they are forgotten.
    former: BTreeMap<Digest, Former>,
    used: BTreeMap<Digest, Redeemed>,
}

#[derive(Debug)]
struct Former {
    mac: MacAddr,
    machine: Option<MachineId>,
    at: Timestamp,
}

impl Sessions {
    /// Goes on with an agent that was let in before the server was started.
    pub fn restore(&mut self, machine: MachineId, record: &AgentRecord) {
        let (Some(mac), Some(at)) = (record.mac, record.at) else {
            return;
        };
        for used in &record.redeemed {
            self.used.insert(used.token.clone(), used.clone());
        }
        for key in &record.former {
            let machine = Some(machine);
            self.former.insert(key.clone(), Former { mac, machine, at });
        }
        let Some(key) = &record.key else { return };
        let last = record.redeemed.iter().rfind(|used| used.key == *key);
        let Some(used) = last else { return };
        let session = Session {
            mac,
            address: None,
            version: record.version.clone(),
            machine: Some(machine),
            used: used.clone(),
        };
        self.believe(session);
    }

    /// Uses a token.
    pub fn redeem(&mut self, token: &Token, newcomer: &Newcomer, now: Timestamp) -> Outcome {
        self.tidy(now);
        let Newcomer { mac, key, .. } = newcomer;
        if let Some(used) = self.used.get(&token.id) {
            if used.key != *key {
                let machine = self.disown(&self.rivals(*mac, newcomer.machine), now);
                return Outcome::Replayed {
                    machine: machine.or(newcomer.machine),
                };
            }
            let session = self.believed.get(key).cloned();
            return session.map_or(Outcome::Spent, Outcome::Again);
        }
        let nameless = || self.believed.values().filter(|own| own.machine.is_none());
        if newcomer.machine.is_none() && nameless().count() >= MAX_UNKNOWN {
            return Outcome::Crowded;
        }
        let used = Redeemed {
            token: token.id.clone(),
            key: key.clone(),
            at: now,
        };
        self.used.insert(token.id.clone(), used.clone());
        self.disown(&self.rivals(*mac, newcomer.machine), now);
        let session = Session {
            mac: *mac,
            address: Some(newcomer.address),
            version: newcomer.version.clone(),
            machine: newcomer.machine,
            used,
        };
        self.believe(session.clone());
        Outcome::LetIn(session)
    }

    /// Takes back what could not be written down, so that it can be tried again.
    pub fn undo(&mut self, session: &Session) {
        self.used.remove(&session.used.token);
        self.forget(&session.used.key);
    }

    /// Who it is that shows this key.
    pub fn speaker(&mut self, key: &Digest, now: Timestamp) -> Speaker {
        if let Some(session) = self.believed.get(key) {
            return Speaker::Known(session.clone());
        }
        let Some(former) = self.former.get(key) else {
            return Speaker::Unknown;
        };
        let (mac, machine) = (former.mac, former.machine);
        let rivals = self.rivals(mac, machine);
        if rivals.is_empty() {
            return Speaker::Former;
        }
        Speaker::Twofold {
            mac,
            machine: self.disown(&rivals, now).or(machine),
        }
    }

    /// Whether the agent with this key is believed still.
    pub fn believes(&self, key: &Digest) -> bool {
        self.believed.contains_key(key)
    }

    /// The agent said which machine it is in; none when that is disputed. Another that is in the same one is believed
    /// no more.
    pub fn belongs(&mut self, key: &Digest, machine: Option<MachineId>, now: Timestamp) {
        let Some(mut session) = self.believed.get(key).cloned() else {
            return;
        };
        self.forget(key);
        session.machine = machine;
        self.disown(&self.rivals(session.mac, machine), now);
        self.believe(session);
    }

    /// Believes no agent of this machine any more.
    pub fn disown_machine(&mut self, machine: MachineId, now: Timestamp) {
        let key = self.by_machine.get(&machine).cloned();
        self.disown(key.as_slice(), now);
    }

    /// How many are believed.
    pub fn len(&self) -> usize {
        self.believed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.believed.is_empty()
    }

    fn believe(&mut self, session: Session) {
        let key = session.used.key.clone();
        self.former.remove(&key);
        self.by_card.insert(session.mac, key.clone());
        if let Some(machine) = session.machine {
            self.by_machine.insert(machine, key.clone());
        }
        self.believed.insert(key, session);
    }

    /// Who is believed with this card, or in this machine.
    fn rivals(&self, mac: MacAddr, machine: Option<MachineId>) -> Vec<Digest> {
        let card = self.by_card.get(&mac);
        let machine = machine.and_then(|machine| self.by_machine.get(&machine));
        let machine = machine.filter(|key| Some(*key) != card);
        card.into_iter().chain(machine).cloned().collect()
    }

    /// Tells these apart from strangers from now on; the machine that one of them was in.
    fn disown(&mut self, keys: &[Digest], now: Timestamp) -> Option<MachineId> {
        let mut found = None;
        for key in keys {
            let Some(Session { mac, machine, .. }) = self.forget(key) else {
                continue;
            };
            found = found.or(machine);
            let former = Former {
                mac,
                machine,
                at: now,
            };
            self.former.insert(key.clone(), former);
        }
        found
    }

    fn forget(&mut self, key: &Digest) -> Option<Session> {
        let session = self.believed.remove(key)?;
        if self.by_card.get(&session.mac) == Some(key) {
            self.by_card.remove(&session.mac);
        }
        if let Some(machine) = session.machine
            && self.by_machine.get(&machine) == Some(key)
        {
            self.by_machine.remove(&machine);
        }
        Some(session)
    }

    /// Forgets what cannot come back: tokens that are good no more, and agents that never said whose they are.
    fn tidy(&mut self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at).abs() >= TOKEN_LIFE;
        self.used.retain(|_, used| !old(used.at));
        self.former.retain(|_, former| !old(former.at));
        let gone = |own: &&Session| own.machine.is_none() && old(own.used.at);
        let gone: Vec<_> = self.believed.values().filter(gone).collect();
        let gone: Vec<_> = gone.into_iter().map(|own| own.used.key.clone()).collect();
        for key in gone {
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests;
