//! The probing of one address (RFC 5227, section 2.1.1).

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::MacAddr;
use crate::net::arp::Packet;

/// RFC 5227, section 1.1.
pub const PROBE_WAIT: Duration = Duration::from_secs(1);
pub const PROBE_NUM: u8 = 3;
pub const PROBE_MIN: Duration = Duration::from_secs(1);
pub const PROBE_MAX: Duration = Duration::from_secs(2);
pub const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);

/// Probes that are under way.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) address: Ipv4Addr,
    sent: u8,
    due: Duration,
}

pub(super) enum Step {
    Probe(Packet),
    /// Nobody objected.
    Won,
}

impl Claim {
    pub(super) fn start(address: Ipv4Addr, now: Duration, dice: &mut Dice) -> Self {
        let due = now + dice.between(Duration::ZERO, PROBE_WAIT);
        Self {
            address,
            sent: 0,
            due,
        }
    }

    /// Whether these words of somebody else end it: he has the address, or probes for it at the same time.
    pub(super) fn is_lost_by(&self, packet: &Packet) -> bool {
        packet.sender == self.address || packet.is_probe() && packet.target == self.address
    }

    pub(super) fn tick(&mut self, now: Duration, mac: MacAddr, dice: &mut Dice) -> Option<Step> {
        if now < self.due {
            return None;
        }
        if self.sent == PROBE_NUM {
            return Some(Step::Won);
        }
        self.sent += 1;
        self.due = now
            + match self.sent {
                PROBE_NUM => ANNOUNCE_WAIT,
                _ => dice.between(PROBE_MIN, PROBE_MAX),
            };
        Some(Step::Probe(Packet::probe(mac, self.address)))
    }

    pub(super) fn next_timer(&self) -> Duration {
        self.due
    }
}

/// Spreads what several daemons do at the same moment. Nothing secret hangs on it (`SplitMix64`).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(z % (span + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const ASKER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    #[test]
    fn three_probes_in_their_intervals_and_a_wait_win() {
        for seed in 0..500 {
            let mut dice = Dice::new(seed);
            let mut claim = Claim::start(ADDRESS, Duration::ZERO, &mut dice);
            let mut times = Vec::new();
            let won = loop {
                let now = claim.next_timer();
                match claim.tick(now, MAC, &mut dice) {
                    Some(Step::Probe(packet)) => {
                        assert_eq!(packet, Packet::probe(MAC, ADDRESS));
                        times.push(now);
                    }
                    Some(Step::Won) => break now,
                    None => panic!("it was due"),
                }
            };
            assert_eq!(times.len(), usize::from(PROBE_NUM));
            assert!(times[0] <= PROBE_WAIT);
            for pair in times.windows(2) {
                assert!((PROBE_MIN..=PROBE_MAX).contains(&pair[1].saturating_sub(pair[0])));
            }
            assert_eq!(won, times[2] + ANNOUNCE_WAIT);
        }
    }

    #[test]
    fn nothing_is_sent_before_it_is_due() {
        let mut dice = Dice::new(1);
        let mut claim = Claim::start(ADDRESS, Duration::from_secs(5), &mut dice);
        assert!(claim.tick(Duration::from_secs(4), MAC, &mut dice).is_none());
    }

    #[test]
    fn it_is_lost_to_a_holder_and_to_a_rival_and_to_nobody_else() {
        let claim = Claim::start(ADDRESS, Duration::ZERO, &mut Dice::new(1));
        assert!(claim.is_lost_by(&Packet::reply(OTHER, ADDRESS, MAC, ASKER)));
        assert!(claim.is_lost_by(&Packet::announcement(OTHER, ADDRESS)));
        assert!(claim.is_lost_by(&Packet::request(OTHER, ADDRESS, ASKER)));
        assert!(claim.is_lost_by(&Packet::probe(OTHER, ADDRESS)));
        // Somebody who only wants to talk to the holder.
        assert!(!claim.is_lost_by(&Packet::request(OTHER, ASKER, ADDRESS)));
        assert!(!claim.is_lost_by(&Packet::probe(OTHER, ASKER)));
    }
}
