//! Which machine stands behind an address: learned from what is heard anyway, so that a file that is asked for
//! by an address lands in the trace of its machine.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{LinkName, MacAddr};

/// As many addresses as are remembered, at about 150 bytes each; the one that was heard longest ago gives way.
const MAX: usize = 8192;

/// Who was heard at an address, and on which link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub mac: MacAddr,
    pub link: LinkName,
}

/// What was learned. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    by_address: HashMap<Ipv4Addr, (u64, Peer)>,
    order: BTreeMap<u64, Ipv4Addr>,
    turn: u64,
}

impl Peers {
    /// `mac` spoke from `address`.
    pub fn heard(&self, address: Ipv4Addr, mac: MacAddr, link: &LinkName) {
        if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        known.turn += 1;
        if let Some((turn, peer)) = known.by_address.get_mut(&address) {
            known.order.remove(turn);
            *turn = known.turn;
            if peer.mac != mac || peer.link != *link {
                peer.mac = mac;
                peer.link = link.clone();
            }
        } else {
            let peer = Peer {
                mac,
                link: link.clone(),
            };
            known.by_address.insert(address, (known.turn, peer));
        }
        known.order.insert(known.turn, address);
        if known.by_address.len() > MAX
            && let Some((_, oldest)) = known.order.pop_first()
        {
            known.by_address.remove(&oldest);
        }
    }

    /// The address that this card was heard at last.
    pub fn address_of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = known.order.values().rev();
        let own = |address: &&Ipv4Addr| {
            let peer = known.by_address.get(*address);
            peer.is_some_and(|(_, peer)| peer.mac == mac)
        };
        newest.find(own).copied()
    }

    pub fn at(&self, address: Ipv4Addr) -> Option<Peer> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_address.get(&address).map(|(_, peer)| peer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u32) -> MacAddr {
        let [_, a, b, c] = last.to_be_bytes();
        MacAddr::new([0x52, 0x54, 0, a, b, c])
    }

    #[test]
    fn the_last_one_heard_at_an_address_is_the_one_there() {
        let (peers, link) = (Peers::default(), "eth0".parse().unwrap());
        let address = Ipv4Addr::new(192, 168, 77, 100);
        peers.heard(address, mac(1), &link);
        peers.heard(address, mac(2), &link);
        assert_eq!(peers.at(address).unwrap().mac, mac(2));
        assert_eq!(peers.address_of(mac(2)), Some(address));
        assert_eq!(peers.address_of(mac(1)), None);
        assert_eq!(peers.at(Ipv4Addr::new(192, 168, 77, 101)), None);
    }

    #[test]
    fn a_flood_of_addresses_pushes_out_the_oldest_alone() {
        let (peers, link) = (Peers::default(), "eth0".parse().unwrap());
        let kept = Ipv4Addr::new(192, 168, 77, 100);
        for number in 0..u32::try_from(MAX).unwrap() * 2 {
            peers.heard(Ipv4Addr::from(0x0a00_0001 + number), mac(number), &link);
            peers.heard(kept, mac(7), &link);
        }
        assert_eq!(peers.at(kept).unwrap().mac, mac(7));
        assert_eq!(peers.at(Ipv4Addr::from(0x0a00_0001)), None);
        let known = peers.known.lock().unwrap();
        assert_eq!((known.by_address.len(), known.order.len()), (MAX, MAX));
    }

    #[test]
    fn nobody_stands_behind_an_address_that_is_nobodys() {
        let (peers, link) = (Peers::default(), "eth0".parse().unwrap());
        peers.heard(Ipv4Addr::UNSPECIFIED, mac(1), &link);
        assert_eq!(peers.at(Ipv4Addr::UNSPECIFIED), None);
    }
}
