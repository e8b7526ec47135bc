//! Who may sit: so many connections in all and from one address. When there is no seat, the connection that has not
//! moved for longest gives its own to the newcomer, first one without a request in work, then one that is stuck.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// In all: a rack row that boots at once. Each has two files and at most 8 KiB; the unit allows 8,192 files.
pub const SEATS: usize = 1024;
/// From one address: a hundred machines behind one router, and a crowd of theirs leaves seats for others.
pub const PER_ADDRESS: usize = 256;
/// A request in work whose bytes did not move for this long can be sent away for a newcomer.
pub const STUCK: Duration = Duration::from_secs(5);

/// The seats of the machine plane.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    taken: BTreeMap<u64, Arc<Seat>>,
    next: u64,
}

#[derive(Debug)]
pub struct Seat {
    address: IpAddr,
    state: Mutex<State>,
    /// Told when the seat was given to another.
    pub leave: Notify,
}

#[derive(Clone, Copy, Debug)]
struct State {
    at_work: bool,
    moved: Instant,
}

/// A seat, given back when dropped.
#[derive(Debug)]
pub struct Taken {
    seats: Arc<Seats>,
    number: u64,
    pub seat: Arc<Seat>,
}

impl Seats {
    /// A seat for a connection from `address`; none when all that are there move.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Taken> {
        let mut table = locked(&self.0);
        let here = table.taken.values().filter(|seat| seat.address == address);
        if here.count() >= PER_ADDRESS {
            table.free(|seat| seat.address == address)?;
        } else if table.taken.len() >= SEATS {
            table.free(|_| true)?;
        }
        let number = table.next;
        table.next += 1;
        let seat = Arc::new(Seat {
            address,
            state: Mutex::new(State {
                at_work: false,
                moved: Instant::now(),
            }),
            leave: Notify::new(),
        });
        table.taken.insert(number, seat.clone());
        Some(Taken {
            seats: self.clone(),
            number,
            seat,
        })
    }
}

#[cfg(test)]
impl Seats {
    /// Gives every seat to nobody.
    pub fn clear(&self) {
        for seat in std::mem::take(&mut locked(&self.0).taken).into_values() {
            seat.leave.notify_one();
        }
    }
}

impl Table {
    /// Sends away the one of these that has not moved for longest.
    fn free(&mut self, of: impl Fn(&Seat) -> bool) -> Option<()> {
        let may_go = |(number, seat): (&u64, &Arc<Seat>)| {
            let State { at_work, moved } = *locked(&seat.state);
            let stuck = moved.elapsed() >= STUCK;
            (of(seat) && (!at_work || stuck)).then_some((at_work, moved, *number))
        };
        let (_, _, number) = self.taken.iter().filter_map(may_go).min()?;
        self.taken.remove(&number)?.leave.notify_one();
        Some(())
    }
}

impl Seat {
    /// A request is in work from here on, or no longer.
    pub fn work(&self, at_work: bool) {
        let moved = Instant::now();
        *locked(&self.state) = State { at_work, moved };
    }

    /// Bytes went out or came in.
    pub fn moved(&self) {
        locked(&self.state).moved = Instant::now();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        locked(&self.seats.0).taken.remove(&self.number);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: usize) -> IpAddr {
        let [.., high, low] = n.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }

    fn is_there(seats: &Seats, taken: &Taken) -> bool {
        locked(&seats.0).taken.contains_key(&taken.number)
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_did_not_move_for_longest_gives_its_seat() {
        let seats = Arc::new(Seats::default());
        let mut all = Vec::new();
        for n in 0..SEATS {
            all.push(seats.take(address(n)).unwrap());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        all[0].seat.moved();
        all[1].seat.work(true);
        let _newcomer = seats.take(address(SEATS)).unwrap();
        assert!(!is_there(&seats, &all[2]));
        assert!(is_there(&seats, &all[0]) && is_there(&seats, &all[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_at_work_is_kept_until_it_is_stuck() {
        let seats = Arc::new(Seats::default());
        let all: Vec<_> = (0..SEATS)
            .map(|n| seats.take(address(n)).unwrap())
            .collect();
        for taken in &all {
            taken.seat.work(true);
        }
        assert!(seats.take(address(SEATS)).is_none());
        tokio::time::advance(STUCK).await;
        for taken in &all[1..] {
            taken.seat.moved();
        }
        assert!(seats.take(address(SEATS)).is_some());
        assert!(!is_there(&seats, &all[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_from_one_address_takes_its_own_seats_alone() {
        let seats = Arc::new(Seats::default());
        let other = seats.take(address(1)).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        let crowd: Vec<_> = (0..2 * PER_ADDRESS)
            .map(|_| seats.take(address(2)).unwrap())
            .collect();
        assert!(is_there(&seats, &other));
        let sitting = crowd.iter().filter(|taken| is_there(&seats, taken));
        assert_eq!(sitting.count(), PER_ADDRESS);
    }

    #[test]
    fn a_seat_comes_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let _inside = runtime.unwrap();
        let seats = Arc::new(Seats::default());
        drop(seats.take(address(1)));
        assert!(locked(&seats.0).taken.is_empty());
    }
}
