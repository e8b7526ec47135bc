//! Asks who has some addresses, several at once.
//!
//! It asks as the host itself, by ordinary requests, and not by probes: whoever is about to claim one of
//! the addresses would have to take a probe for a rival (RFC 5227, section 2.1.1), and go away.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Packet;
use crate::model::MacAddr;

/// How often and how long somebody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub tries: u8,
    /// Between two tries, and from the last one to the conclusion that nobody is there.
    pub gap: Duration,
}

impl Pace {
    /// A person waits for the answer: 2.4 s, so that a switch that just woke up has passed something.
    pub const SCAN: Self = Self {
        tries: 3,
        gap: Duration::from_millis(800),
    };
    /// What stands before a claim, which probes properly anyhow.
    pub const LOOK: Self = Self {
        tries: 3,
        gap: Duration::from_millis(300),
    };
    /// A client waits for its lease, for a second or two.
    pub const LEASE: Self = Self {
        tries: 2,
        gap: Duration::from_millis(250),
    };
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Ask the wire.
    Send(Packet),
    Taken(Ipv4Addr, MacAddr),
    /// Nobody answered in time.
    Free(Ipv4Addr),
}

/// Questions that wait for an answer. Times are counted from one fixed moment of the caller's.
#[derive(Debug)]
pub struct Prober {
    mac: MacAddr,
    pace: Pace,
    asked: BTreeMap<Ipv4Addr, Question>,
}

#[derive(Debug)]
struct Question {
    sent: u8,
    due: Duration,
}

impl Prober {
    /// As many questions wait at once; a scan asks for 255 at most, a DHCP server is asked by that many
    /// new clients in half a second.
    pub const MAX: usize = 512;

    pub fn new(mac: MacAddr, pace: Pace) -> Self {
        Self {
            mac,
            pace,
            asked: BTreeMap::new(),
        }
    }

    /// Takes up a question, to be sent by the next tick, which is due at once. False: too many wait.
    #[must_use]
    pub fn ask(&mut self, now: Duration, address: Ipv4Addr) -> bool {
        if self.asked.len() >= Self::MAX && !self.asked.contains_key(&address) {
            return false;
        }
        let question = Question { sent: 0, due: now };
        self.asked.entry(address).or_insert(question);
        true
    }

    /// Whoever speaks as an address that was asked for has it.
    pub fn heard(&mut self, packet: &Packet) -> Option<Answer> {
        if packet.sender_mac == self.mac {
            return None;
        }
        self.asked.remove(&packet.sender)?;
        Some(Answer::Taken(packet.sender, packet.sender_mac))
    }

    /// Sends what is due, as `from`, and ends questions that nobody answered.
    pub fn tick(&mut self, now: Duration, from: Ipv4Addr) -> Vec<Answer> {
        let mut answers = Vec::new();
        let (mac, pace) = (self.mac, self.pace);
        self.asked.retain(|address, question| {
            if question.due > now {
                return true;
            }
            if question.sent == pace.tries {
                answers.push(Answer::Free(*address));
                return false;
            }
            question.sent += 1;
            question.due = now + pace.gap;
            answers.push(Answer::Send(Packet::request(mac, from, *address)));
            true
        });
        answers
    }

    /// When the next tick is due; none while no question waits.
    pub fn next_timer(&self) -> Option<Duration> {
        self.asked.values().map(|question| question.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

    fn prober() -> Prober {
        let mut prober = Prober::new(MAC, Pace::SCAN);
        assert!(prober.ask(Duration::ZERO, A) && prober.ask(Duration::ZERO, B));
        prober
    }

    #[test]
    fn asks_for_all_at_once_and_three_times_each() {
        let mut prober = prober();
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        let mut free = Vec::new();
        while let Some(due) = prober.next_timer() {
            now = due;
            for answer in prober.tick(now, OWN) {
                match answer {
                    Answer::Send(packet) => sent.push((now, packet)),
                    Answer::Free(address) => free.push(address),
                    Answer::Taken(..) => panic!("nobody answered"),
                }
            }
        }
        assert_eq!(now, 3 * Pace::SCAN.gap);
        assert_eq!(free, [A, B]);
        let first: Vec<_> = sent.iter().filter(|(at, _)| at.is_zero()).collect();
        assert_eq!(first.len(), 2);
        assert_eq!(sent.len(), 6);
        assert!(sent.iter().all(|(_, packet)| packet.sender == OWN));
    }

    #[test]
    fn who_speaks_as_an_address_has_it_and_is_not_asked_again() {
        let mut prober = prober();
        prober.tick(Duration::ZERO, OWN);
        let reply = Packet::reply(OTHER, A, MAC, OWN);
        assert_eq!(prober.heard(&reply), Some(Answer::Taken(A, OTHER)));
        assert_eq!(prober.heard(&reply), None);
        let again = prober.tick(Pace::SCAN.gap, OWN);
        assert_eq!(again, [Answer::Send(Packet::request(MAC, OWN, B))]);
    }

    #[test]
    fn our_own_words_and_those_of_others_answer_nothing() {
        let mut prober = prober();
        assert_eq!(prober.heard(&Packet::announcement(MAC, A)), None);
        assert_eq!(prober.heard(&Packet::request(OTHER, OWN, A)), None);
        assert_eq!(prober.heard(&Packet::probe(OTHER, A)), None);
    }

    #[test]
    fn no_more_questions_wait_than_it_has_room_for() {
        let mut prober = Prober::new(MAC, Pace::LEASE);
        for n in 0..u32::try_from(Prober::MAX).unwrap() {
            assert!(prober.ask(Duration::ZERO, Ipv4Addr::from_bits(n)));
        }
        assert!(!prober.ask(Duration::ZERO, Ipv4Addr::BROADCAST));
        assert!(prober.ask(Duration::ZERO, Ipv4Addr::from_bits(7)));
    }
}
