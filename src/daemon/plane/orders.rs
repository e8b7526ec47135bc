//! Orders for one boot that were handed out a moment ago: a machine that asks once more in the same boot gets the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::{MacAddr, Once};

/// An iPXE that asks again within this time, without having asked DHCP in between, still has the order it was given.
pub(super) const SAME_BOOT: SignedDuration = SignedDuration::from_secs(60);

/// Orders that were handed out a moment ago, for a machine that asks once more.
#[derive(Debug, Default)]
pub(super) struct Given(Mutex<Vec<(MacAddr, Timestamp, Once)>>);

/// As many machines boot by order at one moment.
const MAX_GIVEN: usize = 256;

impl Given {
    pub(super) fn note(&self, mac: MacAddr, now: Timestamp, once: &Once) {
        let mut given = self.lock();
        given.retain(|(other, at, _)| *other != mac && now.duration_since(*at) < SAME_BOOT);
        if given.len() >= MAX_GIVEN {
            given.remove(0);
        }
        given.push((mac, now, once.clone()));
    }

    pub(super) fn lately(&self, mac: MacAddr, now: Timestamp) -> Option<Once> {
        let given = self.lock();
        let own = given.iter().find(|(other, _, _)| *other == mac)?;
        let fresh = now.duration_since(own.1).abs() < SAME_BOOT;
        fresh.then(|| own.2.clone())
    }

    /// Another boot began: what was given belongs to the one before.
    pub(super) fn forget(&self, mac: MacAddr) {
        self.lock().retain(|(other, _, _)| *other != mac);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(MacAddr, Timestamp, Once)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn an_order_holds_for_the_rest_of_its_boot_and_no_longer() {
        let given = Given::default();
        given.note(MAC, at(0), &Once::Shell);
        assert_eq!(given.lately(MAC, at(59)), Some(Once::Shell));
        assert_eq!(given.lately(MAC, at(60)), None);
        given.forget(MAC);
        assert_eq!(given.lately(MAC, at(1)), None);
    }

    #[test]
    fn orders_of_many_machines_are_bounded() {
        let given = Given::default();
        for number in 0..=u8::MAX {
            for other in 0..4 {
                let mac = MacAddr::new([0x52, 0x54, 0, 0, other, number]);
                given.note(mac, at(0), &Once::Shell);
            }
        }
        assert_eq!(given.lock().len(), MAX_GIVEN);
    }
}
