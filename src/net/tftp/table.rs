//! Who is being served, and who gives way when there are too many.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Limits;

/// A running transfer, as the table sees it; `T` is what drives it.
#[derive(Debug)]
pub struct Entry<T> {
    /// Told apart from others of the same peer by this.
    pub id: u64,
    /// The datagram that began it.
    pub request: Box<[u8]>,
    /// Whether the client ever acknowledged something.
    pub answered: Arc<AtomicBool>,
    pub driver: T,
}

impl<T> Entry<T> {
    pub fn is_half_open(&self) -> bool {
        !self.answered.load(Ordering::Relaxed)
    }
}

/// One transfer for each address and port of a client.
#[derive(Debug)]
pub struct Table<T> {
    entries: BTreeMap<SocketAddr, Entry<T>>,
    limits: Limits,
    next: u64,
}

/// What becomes of a request, and of those that were there before.
#[derive(Debug)]
pub struct Admission<T> {
    /// Whether it begins a transfer: not when it is the echo of one, or when there are too many.
    pub granted: bool,
    /// The transfer of this same client and port.
    pub replaced: Option<Entry<T>>,
    /// A transfer that gives way to this one; it never got an answer.
    pub displaced: Option<Entry<T>>,
}

impl<T> Table<T> {
    pub fn new(limits: Limits) -> Self {
        Self {
            entries: BTreeMap::new(),
            limits,
            next: 0,
        }
    }

    pub fn get_mut(&mut self, peer: SocketAddr) -> Option<&mut Entry<T>> {
        self.entries.get_mut(&peer)
    }

    pub fn remove(&mut self, peer: SocketAddr) -> Option<Entry<T>> {
        self.entries.remove(&peer)
    }

    /// Removes a transfer that ended by itself, unless another has taken its place.
    pub fn ended(&mut self, peer: SocketAddr, id: u64) {
        if self.entries.get(&peer).is_some_and(|entry| entry.id == id) {
            self.entries.remove(&peer);
        }
    }

    pub fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn insert(&mut self, peer: SocketAddr, entry: Entry<T>) {
        self.entries.insert(peer, entry);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = (&SocketAddr, &mut Entry<T>)> {
        self.entries.iter_mut()
    }

    /// Decides about a request, and takes out who has to go for it.
    pub fn admit(&mut self, peer: SocketAddr, request: &[u8]) -> Admission<T> {
        let mut admission = Admission {
            granted: false,
            replaced: None,
            displaced: None,
        };
        if let Some(old) = self.entries.get(&peer) {
            if old.is_half_open() && *old.request == *request {
                return admission; // what answered the first is sent again by the clock
            }
            admission.replaced = self.entries.remove(&peer);
        }
        let by = if self.of(peer.ip()) >= self.limits.per_peer {
            Some(peer.ip())
        } else if self.is_full() {
            self.most_half_open()
        } else {
            admission.granted = true;
            return admission;
        };
        admission.displaced = by.and_then(|ip| self.oldest_half_open(ip));
        admission.granted = admission.displaced.is_some();
        admission
    }

    fn of(&self, ip: IpAddr) -> usize {
        self.entries.keys().filter(|key| key.ip() == ip).count()
    }

    fn is_full(&self) -> bool {
        let half_open = self.entries.values().filter(|entry| entry.is_half_open());
        self.entries.len() >= self.limits.sessions || half_open.count() >= self.limits.half_open
    }

    fn most_half_open(&self) -> Option<IpAddr> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (key, _) in self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_half_open())
        {
            *counts.entry(key.ip()).or_default() += 1;
        }
        counts
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(ip, _)| ip)
    }

    fn oldest_half_open(&mut self, of: IpAddr) -> Option<Entry<T>> {
        let own = self
            .entries
            .iter()
            .filter(|(key, entry)| key.ip() == of && entry.is_half_open());
        let oldest = own.min_by_key(|(_, entry)| entry.id).map(|(key, _)| *key);
        oldest.and_then(|key| self.entries.remove(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        sessions: 6,
        per_peer: 4,
        half_open: 3,
        window: 1,
        single_port: false,
    };

    fn peer(ip: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 168, 77, ip], port))
    }

    fn add(table: &mut Table<u16>, peer: SocketAddr, answered: bool) {
        let entry = Entry {
            id: table.next_id(),
            request: Box::default(),
            answered: Arc::new(AtomicBool::new(answered)),
            driver: peer.port(),
        };
        table.insert(peer, entry);
    }

    /// Who gives way to a request, if it is granted.
    fn admit(table: &mut Table<u16>, peer: SocketAddr) -> Result<Option<u16>, ()> {
        let admission = table.admit(peer, b"request");
        let granted = admission.granted.then_some(()).ok_or(());
        granted.map(|()| admission.displaced.map(|entry| entry.driver))
    }

    #[test]
    fn a_flood_from_one_address_displaces_its_own() {
        let mut table = Table::new(LIMITS);
        add(&mut table, peer(9, 1), false);
        add(&mut table, peer(5, 2), false);
        add(&mut table, peer(5, 3), false);
        assert_eq!(admit(&mut table, peer(5, 4)), Ok(Some(2)));
        add(&mut table, peer(5, 4), false);
        assert_eq!(admit(&mut table, peer(7, 1)), Ok(Some(3)));
    }

    #[test]
    fn one_that_is_served_never_gives_way() {
        let mut table = Table::new(LIMITS);
        for port in 0..4 {
            add(&mut table, peer(5, port), true);
        }
        assert_eq!(
            admit(&mut table, peer(5, 9)),
            Err(()),
            "its share is used up"
        );
        assert_eq!(admit(&mut table, peer(6, 9)), Ok(None));
        add(&mut table, peer(6, 1), true);
        add(&mut table, peer(6, 2), false);
        assert_eq!(admit(&mut table, peer(7, 1)), Ok(Some(2)));
        add(&mut table, peer(7, 1), true);
        assert_eq!(admit(&mut table, peer(8, 1)), Err(()), "all is used up");
    }

    #[test]
    fn an_echo_of_a_request_begins_nothing() {
        let mut table = Table::new(LIMITS);
        add(&mut table, peer(5, 1), false);
        let echo = table.admit(peer(5, 1), b"");
        assert!(!echo.granted && echo.replaced.is_none());
        let other = table.admit(peer(5, 1), b"another file");
        assert!(other.granted && other.replaced.is_some());
        add(&mut table, peer(5, 1), true);
        let again = table.admit(peer(5, 1), b"");
        assert!(
            again.granted && again.replaced.is_some(),
            "from the beginning"
        );
    }

    #[test]
    fn an_old_transfer_does_not_take_its_successor_along() {
        let mut table = Table::new(LIMITS);
        add(&mut table, peer(5, 1), false);
        add(&mut table, peer(5, 1), false);
        table.ended(peer(5, 1), 1);
        assert!(table.get_mut(peer(5, 1)).is_some());
        table.ended(peer(5, 1), 2);
        assert!(table.get_mut(peer(5, 1)).is_none());
    }
}
