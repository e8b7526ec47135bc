//! How many connections there may be, in all and from one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// In all: a thousand machines with a connection to spare, and as many strangers who are sent away by time. Each takes
/// some 40 KiB at work.
pub const SEATS: usize = 4096;
/// From one address: an agent needs two, and behind a router there may be a rack.
pub const PER_ADDRESS: usize = 128;

#[derive(Debug, Default)]
pub struct Seats(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    taken: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A seat, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut table = self.locked();
        let here = table.by_address.get(&address).copied().unwrap_or(0);
        if table.taken >= SEATS || here >= PER_ADDRESS {
            return None;
        }
        table.taken += 1;
        table.by_address.insert(address, here + 1);
        Some(Seat {
            seats: Arc::clone(self),
            address,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.locked();
        table.taken -= 1;
        if let Some(here) = table.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                table.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn seats_are_counted_in_all_and_by_address_and_come_back() {
        let seats = Arc::new(Seats::default());
        let from = |last: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + last));
        let crowd: Vec<_> = (0..200).filter_map(|_| seats.take(from(1))).collect();
        assert_eq!(crowd.len(), PER_ADDRESS);
        let others: Vec<_> = (2..10_000).filter_map(|n| seats.take(from(n))).collect();
        assert_eq!(others.len(), SEATS - PER_ADDRESS);
        drop((crowd, others));
        let table = seats.locked();
        assert_eq!((table.taken, table.by_address.len()), (0, 0));
    }
}
