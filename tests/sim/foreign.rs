//! The DHCP server that is there already: it knows nothing of us.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use dragonfly::model::MacAddr;
use dragonfly::net::dhcp::packet::{self, Op, Packet, code};

use crate::dice::Dice;
use crate::scenario::ForeignManner;
use crate::wire::{Datagram, EVERYBODY};

pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub const MAC: MacAddr = MacAddr::new([0x00, 0x0d, 0xb9, 0, 0, 1]);
const LEASE_SECONDS: u32 = 600;
/// The first address of its pool.
const FIRST: u8 = 50;

#[derive(Clone, Debug)]
pub struct Foreign {
    manner: ForeignManner,
    /// It never forgets whom it promised an address.
    pub leases: BTreeMap<MacAddr, Ipv4Addr>,
    /// Whom it acknowledged an address, which is then the machine's.
    pub given: BTreeMap<MacAddr, Ipv4Addr>,
}

impl Foreign {
    pub fn new(manner: ForeignManner) -> Self {
        Self {
            manner,
            leases: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    pub const fn thinks(&self) -> Duration {
        Duration::from_millis(self.manner.slow)
    }

    /// Its answer. Wherever the client is, it gets the same address.
    pub fn heard(&mut self, datagram: &Datagram, dice: &mut Dice) -> Option<Datagram> {
        let request = Packet::read(&datagram.payload).ok()?;
        let to = *datagram.dst.ip();
        let mine = to == ADDRESS || to.is_broadcast();
        if request.op != Op::Request || !mine || datagram.dst.port() != 67 {
            return None;
        }
        let relayed = !request.giaddr.is_unspecified();
        if relayed && !self.manner.relays {
            return None;
        }
        let mac = request.mac()?;
        let kind = match request.kind()? {
            packet::Kind::Discover => packet::Kind::Offer,
            packet::Kind::Request => self.acknowledges(&request, mac, dice)?,
            _ => return None,
        };
        let mut reply = Packet::reply_to(&request, kind);
        reply.options.set(code::SERVER_ID, ADDRESS.octets());
        if kind != packet::Kind::Nak {
            self.fill(&mut reply, &request, mac)?;
        }
        if let Some(relay) = request.options.get(code::RELAY) {
            reply.options.set(code::RELAY, relay);
        }
        if kind == packet::Kind::Ack {
            self.given.insert(mac, reply.yiaddr);
        }
        Some(send(&reply, &request, datagram))
    }

    /// Whether it says yes or no to a request; nothing when another server was chosen.
    fn acknowledges(
        &self,
        request: &Packet,
        mac: MacAddr,
        dice: &mut Dice,
    ) -> Option<packet::Kind> {
        let chosen = request.options.address(code::SERVER_ID);
        if chosen.is_some_and(|server| server != ADDRESS) {
            return None;
        }
        let wanted = request.options.address(code::REQUESTED_ADDRESS);
        let wanted = wanted.unwrap_or(request.ciaddr);
        let fits = self.leases.get(&mac) == Some(&wanted);
        if !fits || dice.percent(self.manner.nak) {
            return Some(packet::Kind::Nak);
        }
        Some(packet::Kind::Ack)
    }

    fn fill(&mut self, reply: &mut Packet, request: &Packet, mac: MacAddr) -> Option<()> {
        reply.yiaddr = self.lease(mac)?;
        reply.siaddr = Ipv4Addr::UNSPECIFIED;
        let options = &mut reply.options;
        options.set(code::LEASE_TIME, LEASE_SECONDS.to_be_bytes());
        options.set(code::SUBNET_MASK, [255, 255, 255, 0]);
        options.set(code::ROUTER, ADDRESS.octets());
        options.set(code::DNS, ADDRESS.octets());
        if self.manner.boots && request.options.get(code::VENDOR_CLASS).is_some() {
            options.set(code::VENDOR_CLASS, *b"PXEClient");
            options.set(code::VENDOR, [6, 1, 8, 255]);
            options.set(code::BOOT_FILE, *b"gone.efi\0");
            reply.siaddr = ADDRESS;
        }
        Some(())
    }

    fn lease(&mut self, mac: MacAddr) -> Option<Ipv4Addr> {
        if let Some(address) = self.leases.get(&mac) {
            return Some(*address);
        }
        let number = u8::try_from(self.leases.len()).ok()?;
        if number >= self.manner.pool {
            return None;
        }
        let address = Ipv4Addr::new(192, 168, 1, FIRST + number);
        self.leases.insert(mac, address);
        Some(address)
    }
}

/// RFC 2131 4.1.
fn send(reply: &Packet, request: &Packet, datagram: &Datagram) -> Datagram {
    let broadcast = (EVERYBODY, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
    let (dst_mac, dst) = if !request.giaddr.is_unspecified() {
        (datagram.src_mac, SocketAddrV4::new(request.giaddr, 67))
    } else if reply.kind() == Some(packet::Kind::Nak) {
        broadcast
    } else if !request.ciaddr.is_unspecified() {
        (datagram.src_mac, SocketAddrV4::new(request.ciaddr, 68))
    } else if request.wants_broadcast() {
        broadcast
    } else {
        (datagram.src_mac, SocketAddrV4::new(reply.yiaddr, 68))
    };
    Datagram {
        src_mac: MAC,
        dst_mac,
        src: SocketAddrV4::new(ADDRESS, 67),
        dst,
        payload: reply.write(packet::MAX_PAYLOAD).into(),
    }
}
