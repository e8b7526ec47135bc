//! The simulated segment: what is sent arrives late, twice, in another order, or never.

use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use dragonfly::model::MacAddr;
use serde::Deserialize;

use crate::dice::Dice;

/// How long after the start.
pub type Time = Duration;

pub const EVERYBODY: MacAddr = MacAddr::new([0xff; 6]);

#[derive(Clone, Debug)]
pub struct Datagram {
    pub src_mac: MacAddr,
    pub dst_mac: MacAddr,
    pub src: SocketAddrV4,
    pub dst: SocketAddrV4,
    pub payload: Rc<[u8]>,
}

/// What the segment does to each copy of a datagram, in so many of a hundred.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    pub loss: u64,
    pub twice: u64,
    /// Kept back for up to half a second, so that what was sent later comes earlier.
    pub late: u64,
    /// An HTTP fetch that fails: TCP takes care of single packets.
    pub http: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            loss: 20,
            twice: 5,
            late: 5,
            http: 5,
        }
    }
}

impl Faults {
    /// How long each copy is on its way to one receiver; none is lost.
    pub fn carry(&self, dice: &mut Dice) -> [Option<Time>; 2] {
        let copies = [true, dice.percent(self.twice)];
        copies.map(|there| {
            if !there || dice.percent(self.loss) {
                return None;
            }
            let most = if dice.percent(self.late) { 500 } else { 3 };
            Some(dice.millis(0, most))
        })
    }
}
