//! The network from the card that the machine booted from: link, VLAN, and an address by DHCP that is kept alive.
//!
//! Nothing here gives up: a cable that is put in later, or a DHCP server that starts later, is as good as one that was
//! there from the first moment. An address is kept until there is another one, since half an image is worth more than
//! the rule that a lease ends.

pub mod dhcp;
mod packet;
pub mod sysfs;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::agent::clock;
use crate::agent::log::Log;
use crate::agent::sys::link::{self, PacketSocket};
use crate::model::MacAddr;
use dhcp::{Client, Lease};
use sysfs::Card;

/// A carrier is waited for so long before DHCP is tried without: some drivers do not tell.
const CARRIER: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);
/// The size of the largest packet that is read.
const PACKET: usize = 2048;

/// The link that has the network, once it has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub mac: MacAddr,
    pub lease: Lease,
}

/// What the network is made from, and who is told how far it is.
pub struct Wanted<'a> {
    pub sys: &'a Path,
    pub mac: Option<MacAddr>,
    pub vlan: Option<u16>,
    pub log: &'a Log,
    /// What the screen shows meanwhile.
    pub state: &'a dyn Fn(&str),
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted")
            .field("mac", &self.mac)
            .field("vlan", &self.vlan)
            .finish_non_exhaustive()
    }
}

/// Waits until there is a network, however long that takes.
pub fn bring_up(wanted: &Wanted<'_>) -> Link {
    let mut backoff = clock::Backoff::new(Duration::from_secs(1), Duration::from_secs(15));
    loop {
        match try_once(wanted) {
            Ok(link) => return link,
            Err(error) => {
                wanted.log.say(format!("network: {error}; trying again"));
                (wanted.state)(&format!("no network: {error}"));
                clock::pause(backoff.pause());
            }
        }
    }
}

fn try_once(wanted: &Wanted<'_>) -> io::Result<Link> {
    let card = await_card(wanted);
    link::set_up(&card.name)?;
    (wanted.state)(&format!("waiting for the cable in {}", card.name));
    await_carrier(wanted, &card.name);
    let name = match wanted.vlan {
        Some(id) => make_vlan(&card.name, id)?,
        None => card.name.clone(),
    };
    (wanted.state)(&format!("asking for an address on {name}"));
    let lease = first_lease(&name, card.mac, wanted.log)?;
    apply(&name, &lease)?;
    wanted.log.say(format!(
        "address {}/{} on {name}, from {}",
        lease.address, lease.prefix, lease.server
    ));
    keep_alive(name.clone(), card.mac, lease.clone(), wanted.log.clone())?;
    Ok(Link {
        name,
        mac: card.mac,
        lease,
    })
}

/// The card with the address that was told; where none was told, the first with a carrier.
fn await_card(wanted: &Wanted<'_>) -> Card {
    let mut told = false;
    loop {
        let cards = sysfs::cards(wanted.sys);
        let found = match wanted.mac {
            Some(mac) => cards.iter().find(|card| card.mac == mac),
            None => cards
                .iter()
                .find(|card| card.carrier == Some(true))
                .or_else(|| cards.first()),
        };
        if let Some(card) = found {
            return card.clone();
        }
        if !told {
            told = true;
            let which = wanted.mac.map_or_else(
                || "a network card".to_owned(),
                |mac| format!("the network card {mac}"),
            );
            (wanted.state)(&format!("waiting for {which}"));
        }
        clock::pause(POLL);
    }
}

fn await_carrier(wanted: &Wanted<'_>, name: &str) {
    let until = clock::now() + CARRIER;
    while sysfs::carrier(wanted.sys, name) != Some(true) && clock::now() < until {
        clock::pause(POLL);
    }
}

fn make_vlan(parent: &str, id: u16) -> io::Result<String> {
    link::add_vlan(parent, id)?;
    let name = format!("{parent}.{id}");
    link::set_up(&name)?;
    Ok(name)
}

/// Asks until there is an answer, or the link breaks.
fn first_lease(name: &str, mac: MacAddr, log: &Log) -> io::Result<Lease> {
    let socket = PacketSocket::open(nix::net::if_::if_nametoindex(name)?)?;
    let started = clock::now();
    let mut client = Client::new(mac, random());
    let mut buffer = [0; PACKET];
    let mut tries = 0_u32;
    loop {
        let (message, wait) = client.tick(started.elapsed());
        if let Some(message) = message {
            tries += 1;
            if tries.is_power_of_two() && tries >= 4 {
                log.say(format!(
                    "no DHCP server answered on {name} so far, {tries} questions"
                ));
            }
            socket.broadcast(&packet::wrap(
                Ipv4Addr::UNSPECIFIED,
                Ipv4Addr::BROADCAST,
                &message,
            ))?;
        }
        if let Some(read) = socket.receive(&mut buffer, wait)? {
            let heard = buffer.get(..read).and_then(packet::unwrap);
            if let Some(lease) = heard.and_then(|message| client.hear(started.elapsed(), message)) {
                return Ok(lease);
            }
        }
    }
}

fn apply(name: &str, lease: &Lease) -> io::Result<()> {
    link::set_address(name, lease.address, lease.prefix)?;
    lease.gateway.map_or(Ok(()), link::add_default_route)
}

/// A thread that renews the lease as long as the agent lives.
fn keep_alive(name: String, mac: MacAddr, lease: Lease, log: Log) -> io::Result<()> {
    std::thread::Builder::new()
        .name("dhcp".into())
        .spawn(move || {
            let mut lease = lease;
            loop {
                lease = renewed(&name, mac, &lease, &log);
            }
        })
        .map(drop)
}

/// The lease that follows this one.
fn renewed(name: &str, mac: MacAddr, lease: &Lease, log: &Log) -> Lease {
    let got = clock::now();
    clock::pause(lease.renew_after());
    while got.elapsed() < lease.time {
        match renew(name, mac, lease, got) {
            Ok(next) => return next,
            Err(error) => log.say(format!(
                "the lease of {} was not renewed: {error}",
                lease.address
            )),
        }
        let left = lease.time.saturating_sub(got.elapsed());
        clock::pause((left / 2).max(Duration::from_secs(30)));
    }
    loop {
        let next = first_lease(name, mac, log).and_then(|next| {
            if next.address != lease.address {
                apply(name, &next)?;
                log.say(format!(
                    "address {} instead of {}",
                    next.address, lease.address
                ));
            }
            Ok(next)
        });
        match next {
            Ok(next) => return next,
            Err(error) => log.say(format!("no new lease: {error}")),
        }
        clock::pause(Duration::from_secs(30));
    }
}

/// Asks the server that gave the lease, and everybody once half of what is left has passed.
fn renew(name: &str, mac: MacAddr, lease: &Lease, got: Instant) -> io::Result<Lease> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, packet::CLIENT))?;
    setsockopt(&socket, sockopt::BindToDevice, &name.into())?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(4)))?;
    let mut client = Client::renewing(mac, random(), lease.clone());
    let late = got.elapsed() > lease.time.mul_f32(0.8);
    let to = if late {
        Ipv4Addr::BROADCAST
    } else {
        lease.server
    };
    let mut buffer = [0; PACKET];
    for _ in 0..3 {
        socket.send_to(&client.renewal(), (to, packet::SERVER))?;
        match socket.recv(&mut buffer) {
            Ok(read) => {
                if let Some(next) = client.hear(Duration::ZERO, &buffer[..read]) {
                    return Ok(next);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{to} does not answer")))
}

/// A number that no neighbour has.
fn random() -> u32 {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 4];
    // Without randomness the cards' addresses still keep two machines apart.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}
