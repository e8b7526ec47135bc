//! What links there are, and their addresses, as the kernel tells by rtnetlink.
//!
//! A message from the kernel only says that something changed; what is true is then read anew, whole. So a
//! message that was lost, or one that came twice, does no harm. Links are told apart by their index: a name is a
//! property that changes.

mod watch;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::{LinkName, MacAddr};

pub use watch::{LinksError, Watch};

/// All links of Ethernet type, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub BTreeMap<u32, LinkState>);

/// One link at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    pub index: u32,
    pub name: LinkName,
    pub mac: MacAddr,
    /// A person or a program switched it on.
    pub up: bool,
    /// It is up and its cable is in.
    pub running: bool,
    pub mtu: u32,
    pub kind: LinkKind,
    /// The index of the bridge or bond that it is a part of.
    pub master: Option<u32>,
    /// IPv4, in the kernel's order: the host speaks as the first one that fits.
    pub addresses: Vec<LinkAddress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A card, or what the machine takes for one.
    Card,
    Vlan,
    /// Several links as one: a bond or a team.
    Bond,
    Bridge,
    /// Made by software for software: veth, tun, tap, macvlan, dummy and their like.
    Virtual,
}

/// An address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl LinkAddress {
    /// Whether `other` is in the same subnet.
    pub fn contains(self, other: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ other.to_bits()) & self.mask() == 0
    }

    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    fn mask(self) -> u32 {
        let host_bits = 32_u32.saturating_sub(self.prefix.into());
        u32::MAX.checked_shl(host_bits).unwrap_or(0)
    }
}

impl Links {
    pub fn named(&self, name: &LinkName) -> Option<&LinkState> {
        self.0.values().find(|link| link.name == *name)
    }

    /// Those that machines can be behind, up or not: what `auto` stands for.
    ///
    /// Cards, and bonds and VLANs of them; the bridge in place of its ports when one of them is such a link. What
    /// containers and virtual machines made for themselves is left out.
    pub fn real(&self) -> impl Iterator<Item = &LinkState> {
        self.0.values().filter(|link| self.is_real(link))
    }

    fn is_real(&self, link: &LinkState) -> bool {
        if link.master.is_some() {
            return false;
        }
        match link.kind {
            LinkKind::Card | LinkKind::Vlan | LinkKind::Bond => true,
            LinkKind::Bridge => self
                .ports(link.index)
                .any(|port| matches!(port.kind, LinkKind::Card | LinkKind::Vlan | LinkKind::Bond)),
            LinkKind::Virtual => false,
        }
    }

    fn ports(&self, master: u32) -> impl Iterator<Item = &LinkState> {
        self.0
            .values()
            .filter(move |link| link.master == Some(master))
    }

    /// The cards of this machine itself: what they say on a wire comes from nobody else.
    pub fn macs(&self) -> impl Iterator<Item = MacAddr> {
        self.0.values().map(|link| link.mac)
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn link(index: u32, name: &str, kind: LinkKind, master: Option<u32>) -> (u32, LinkState) {
        let state = LinkState {
            index,
            name: name.parse().unwrap(),
            mac: MacAddr::new([2, 0, 0, 0, 0, 1]),
            up: true,
            running: true,
            mtu: 1500,
            kind,
            master,
            addresses: Vec::new(),
        };
        (index, state)
    }

    fn real(links: &[(u32, LinkState)]) -> Vec<String> {
        let links = Links(links.iter().cloned().collect());
        links.real().map(|link| link.name.to_string()).collect()
    }

    #[test]
    fn cards_and_their_vlans_and_bonds_are_real() {
        let links = [
            link(2, "eth0", LinkKind::Card, None),
            link(3, "eth0.10", LinkKind::Vlan, None),
            link(4, "eth1", LinkKind::Card, Some(6)),
            link(5, "eth2", LinkKind::Card, Some(6)),
            link(6, "bond0", LinkKind::Bond, None),
        ];
        assert_eq!(real(&links), ["eth0", "eth0.10", "bond0"]);
    }

    #[test]
    fn a_bridge_with_a_card_stands_for_its_ports() {
        let links = [
            link(2, "eno1", LinkKind::Card, Some(3)),
            link(3, "vmbr0", LinkKind::Bridge, None),
            link(4, "tap100i0", LinkKind::Virtual, Some(3)),
        ];
        assert_eq!(real(&links), ["vmbr0"]);
    }

    #[test]
    fn what_containers_and_virtual_machines_made_is_left_out() {
        let links = [
            link(2, "docker0", LinkKind::Bridge, None),
            link(3, "veth12ab", LinkKind::Virtual, Some(2)),
            link(4, "virbr0", LinkKind::Bridge, None),
            link(5, "cni0", LinkKind::Bridge, None),
            link(6, "tap0", LinkKind::Virtual, None),
            link(7, "flannel.1", LinkKind::Virtual, None),
        ];
        assert!(real(&links).is_empty());
    }

    #[test_case("192.168.77.2", 24, "192.168.77.0", "192.168.77.255")]
    #[test_case("10.1.2.3", 8, "10.0.0.0", "10.255.255.255")]
    #[test_case("10.1.2.3", 31, "10.1.2.2", "10.1.2.3")]
    #[test_case("10.1.2.3", 32, "10.1.2.3", "10.1.2.3")]
    #[test_case("10.1.2.3", 0, "0.0.0.0", "255.255.255.255")]
    fn a_subnet_has_its_ends(address: &str, prefix: u8, first: &str, last: &str) {
        let address = LinkAddress {
            address: address.parse().unwrap(),
            prefix,
        };
        assert_eq!(address.network().to_string(), first);
        assert_eq!(address.broadcast().to_string(), last);
        assert!(address.contains(address.network()) && address.contains(address.broadcast()));
        assert_eq!(address.contains(Ipv4Addr::new(172, 16, 0, 1)), prefix == 0);
    }
}
