//! Where the floating IP is to be held: the link, the host's own addresses, and which addresses may be taken.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::MacAddr;
use crate::net::links::{LinkAddress, Links};

/// A link as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its cable is in.
    pub running: bool,
    /// In the kernel's order, the floating IP among them.
    pub addresses: Vec<LinkAddress>,
    /// The host's addresses on its other links.
    pub elsewhere: BTreeSet<Ipv4Addr>,
    /// All cards of the host: one on the same wire answers for the others' addresses, and is no stranger.
    pub macs: BTreeSet<MacAddr>,
}

/// Our addresses are held with this prefix, which no host of a subnet has by itself.
pub(super) const ALONE: u8 = 32;

impl Place {
    /// What the links say of the one of this index; none when it is gone.
    pub fn of(links: &Links, index: u32) -> Option<Self> {
        let link = links.0.get(&index)?;
        let others = links.0.values().filter(|other| other.index != index);
        Some(Self {
            running: link.running,
            addresses: link.addresses.clone(),
            elsewhere: others
                .flat_map(|other| other.addresses.iter().map(|entry| entry.address))
                .collect(),
            macs: links.macs().collect(),
        })
    }

    pub(super) fn has(&self, ours: Ipv4Addr) -> bool {
        let alone = LinkAddress {
            address: ours,
            prefix: ALONE,
        };
        self.addresses.contains(&alone)
    }

    /// One of ours was put on.
    pub(super) fn note(&mut self, ours: Ipv4Addr) {
        if !self.has(ours) {
            self.addresses.push(LinkAddress {
                address: ours,
                prefix: ALONE,
            });
        }
    }

    /// One of ours was taken off.
    pub(super) fn forget(&mut self, ours: Ipv4Addr) {
        let alone = LinkAddress {
            address: ours,
            prefix: ALONE,
        };
        self.addresses.retain(|entry| *entry != alone);
    }

    /// The host's own addresses here: all but those that are ours.
    pub(super) fn own(&self, ours: impl Fn(Ipv4Addr) -> bool) -> impl Iterator<Item = LinkAddress> {
        let addresses = self.addresses.iter().copied();
        addresses.filter(move |entry| entry.prefix != ALONE || !ours(entry.address))
    }

    /// Whether the host itself lives there, here or on another link.
    pub(super) fn is_the_hosts(&self, address: Ipv4Addr, ours: impl Fn(Ipv4Addr) -> bool) -> bool {
        self.elsewhere.contains(&address) || self.own(ours).any(|entry| entry.address == address)
    }

    /// The own address that the others are counted from: the first one with neighbours.
    pub(super) fn home(&self, ours: impl Fn(Ipv4Addr) -> bool) -> Option<LinkAddress> {
        let has_neighbours = |entry: &LinkAddress| (1..=30).contains(&entry.prefix);
        self.own(ours)
            .filter(has_neighbours)
            .find(|entry| !entry.address.is_link_local())
    }
}

/// The `scan` addresses after `home`, inside its subnet.
pub(super) fn after(home: LinkAddress, scan: u8) -> impl Iterator<Item = Ipv4Addr> {
    let last = home.broadcast().to_bits();
    let first = home.address.to_bits();
    (1..=u32::from(scan))
        .filter_map(move |step| first.checked_add(step))
        .take_while(move |address| *address < last)
        .map(Ipv4Addr::from_bits)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn entry(text: &str) -> LinkAddress {
        let (address, prefix) = text.split_once('/').unwrap();
        LinkAddress {
            address: address.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }
    }

    #[test_case("192.168.77.2/24", 3, &["192.168.77.3", "192.168.77.4", "192.168.77.5"]; "plain")]
    #[test_case("192.168.77.252/24", 20, &["192.168.77.253", "192.168.77.254"]; "at the end of the subnet")]
    #[test_case("192.168.77.254/24", 20, &[]; "the last one of the subnet")]
    #[test_case("192.168.76.255/23", 2, &["192.168.77.0", "192.168.77.1"]; "over an end of 256 that is none of the subnet")]
    #[test_case("10.0.0.1/30", 20, &["10.0.0.2"]; "a subnet of two")]
    #[test_case("10.0.0.1/24", 0, &[]; "none wanted")]
    #[test_case("255.255.255.254/1", 20, &[]; "the end of all addresses")]
    fn candidates_are_the_next_addresses_inside_the_subnet(
        home: &str,
        scan: u8,
        expected: &[&str],
    ) {
        let found: Vec<_> = after(entry(home), scan)
            .map(|address| address.to_string())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn addresses_are_counted_from_the_first_own_one_with_neighbours() {
        let place = Place {
            addresses: [
                "10.9.9.9/32",
                "169.254.3.4/16",
                "10.0.0.7/24",
                "10.0.0.5/24",
            ]
            .map(entry)
            .to_vec(),
            ..Place::default()
        };
        let ours = Ipv4Addr::new(10, 9, 9, 9);
        assert_eq!(
            place.home(|address| address == ours),
            Some(entry("10.0.0.7/24"))
        );
    }

    #[test]
    fn the_same_address_with_another_prefix_is_the_hosts_own() {
        let address = Ipv4Addr::new(10, 0, 0, 7);
        let place = |text| Place {
            addresses: vec![entry(text)],
            ..Place::default()
        };
        let ours = |other| other == address;
        assert!(place("10.0.0.7/32").has(address));
        assert!(!place("10.0.0.7/32").is_the_hosts(address, ours));
        assert!(!place("10.0.0.7/24").has(address));
        assert!(place("10.0.0.7/24").is_the_hosts(address, ours));
        assert!(place("10.0.0.7/32").is_the_hosts(address, |_| false));
    }
}
