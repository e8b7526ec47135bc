//! One machine from its power button to its end: DHCP, perhaps port 4011, the loader, then the same again as iPXE.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use dragonfly::model::{Boot, MacAddr};
use dragonfly::net::dhcp::packet::{self, Packet, code};

use crate::dice::Dice;
use crate::download::{self, Download};
use crate::firmware::Kind;
use crate::talk::{self, Choice, Source, Talk};
use crate::wire::{Datagram, EVERYBODY, Time};

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const BINL: u16 = 4011;

/// EDK2's waits for port 4011.
const BINL_WAITS: [u64; 4] = [1, 2, 3, 4];

/// What happens to it.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    On,
    Heard(&'a Datagram),
    Alarm,
    Got(Got),
}

/// What an HTTP fetch brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Loader,
    Script(Boot),
    Failed,
}

/// What it does.
#[derive(Clone, Debug)]
pub enum Deed {
    Send {
        src: SocketAddrV4,
        dst: SocketAddrV4,
        payload: Vec<u8>,
    },
    /// Wakes it later, in place of any other alarm.
    Alarm(Duration),
    Get(String),
    /// It has this address from now on, from that server, for so many seconds.
    Holds(Ipv4Addr, Ipv4Addr, u64),
    Gave,
    End(End),
}

/// How a boot ended, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Script(Boot),
    /// It started what it fetched by itself.
    Files,
    /// It wanted an address, and had it until it was switched off.
    Leased,
    Failed(&'static str),
}

#[derive(Clone, Debug)]
enum Stage {
    Off,
    Asking(Talk),
    Binl {
        talk: Talk,
        server: Ipv4Addr,
        asked: usize,
    },
    Fetching(Download),
    Getting,
    /// It has its address and nothing else to do; the lease as it was given, and how often it was renewed.
    Settled {
        talk: Talk,
        ack: Box<Packet>,
        renewed: u32,
        asked: bool,
    },
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub kind: Kind,
    pub mac: MacAddr,
    pub address: Option<Ipv4Addr>,
    /// As whom it speaks now: its firmware, or the iPXE that it loaded.
    pub speaks: Kind,
    /// How often it began to ask since it was switched on: firmware and iPXE, and one iPXE by another.
    pub asked: u32,
    stage: Stage,
}

impl Machine {
    pub fn new(kind: Kind, number: u32) -> Self {
        let mut mac = [0; 6];
        mac[..3].copy_from_slice(&kind.manner().oui);
        mac[3..].copy_from_slice(&number.to_be_bytes()[1..]);
        Self {
            kind,
            mac: MacAddr::new(mac),
            address: None,
            speaks: kind,
            asked: 0,
            stage: Stage::Off,
        }
    }

    pub const fn is_on(&self) -> bool {
        !matches!(self.stage, Stage::Off)
    }

    /// Whether it waits for answers to this transaction.
    pub fn is_asking(&self, xid: u32) -> bool {
        matches!(&self.stage, Stage::Asking(talk) if talk.is_mine(xid))
    }

    /// Whether a datagram on the segment is for it.
    pub fn hears(&self, datagram: &Datagram) -> bool {
        let to = *datagram.dst.ip();
        let mac = datagram.dst_mac == self.mac || datagram.dst_mac == EVERYBODY;
        mac && self.is_on() && (to.is_broadcast() || self.address.is_none_or(|own| own == to))
    }

    pub fn handle(&mut self, now: Time, event: Event<'_>, dice: &mut Dice) -> Vec<Deed> {
        match event {
            Event::On => {
                self.asked = 0;
                self.ask(self.kind, now, dice)
            }
            Event::Heard(datagram) => self.heard(datagram, now, dice),
            Event::Alarm => self.waited(now, dice),
            Event::Got(got) => self.got(got, now, dice),
        }
    }

    fn ask(&mut self, speaks: Kind, now: Time, dice: &mut Dice) -> Vec<Deed> {
        let gave = self.address.take().map(|_| Deed::Gave);
        self.speaks = speaks;
        self.asked += 1;
        let (talk, next) = Talk::begin(speaks, self.mac, dice.number(), now);
        self.stage = Stage::Asking(talk);
        gave.into_iter().chain(self.said(next, now, dice)).collect()
    }

    fn heard(&mut self, datagram: &Datagram, now: Time, dice: &mut Dice) -> Vec<Deed> {
        let port = datagram.dst.port();
        if let Stage::Fetching(download) = &mut self.stage {
            if port != download.port {
                return Vec::new();
            }
            let next = download.heard(datagram.src, &datagram.payload);
            return self.fetched(next, now, dice);
        }
        let Some(packet) = self.mine(datagram) else {
            return Vec::new();
        };
        match &mut self.stage {
            Stage::Asking(talk) if port == CLIENT && datagram.src.port() == SERVER => {
                let next = talk.heard(&packet, now);
                self.said(next, now, dice)
            }
            Stage::Binl { .. } if port == BINL && datagram.src.port() == BINL => {
                match self.source(&packet) {
                    Some(source) => self.boot(&source, dice),
                    None => Vec::new(),
                }
            }
            Stage::Settled { .. } if port == CLIENT => self.renewed(&packet, now, dice),
            _ => Vec::new(),
        }
    }

    /// The answer to its own question in a datagram; a glance at the transaction saves the reading of all others.
    fn mine(&self, datagram: &Datagram) -> Option<Packet> {
        let (Stage::Asking(talk) | Stage::Binl { talk, .. } | Stage::Settled { talk, .. }) =
            &self.stage
        else {
            return None;
        };
        let xid = datagram.payload.get(4..8)?.first_chunk()?;
        if !talk.is_mine(u32::from_be_bytes(*xid)) {
            return None;
        }
        let packet = Packet::read(&datagram.payload).ok()?;
        (packet.op == packet::Op::Reply && packet.mac() == Some(self.mac)).then_some(packet)
    }

    fn waited(&mut self, now: Time, dice: &mut Dice) -> Vec<Deed> {
        match &mut self.stage {
            Stage::Asking(talk) => {
                let next = talk.waited(now);
                self.said(next, now, dice)
            }
            Stage::Fetching(download) => {
                let next = download.waited();
                self.fetched(next, now, dice)
            }
            Stage::Binl { .. } => self.binl(now),
            Stage::Settled { .. } => self.renew(now, dice),
            Stage::Off | Stage::Getting => Vec::new(),
        }
    }

    fn said(&mut self, next: talk::Next, now: Time, dice: &mut Dice) -> Vec<Deed> {
        match next {
            talk::Next::Wait => Vec::new(),
            talk::Next::Ask(packet, wait) => vec![broadcast(&packet), Deed::Alarm(wait)],
            // An installed system asks for ever.
            talk::Next::GaveUp(_) if self.kind == Kind::Plain => self.ask(self.kind, now, dice),
            talk::Next::GaveUp(why) => self.end(End::Failed(why)),
            talk::Next::Bound(ack, choice) => self.bound(ack, choice, now, dice),
        }
    }

    fn bound(&mut self, ack: Box<Packet>, choice: Choice, now: Time, dice: &mut Dice) -> Vec<Deed> {
        self.address = Some(ack.yiaddr);
        let mut deeds = vec![holds(&ack)];
        let Stage::Asking(talk) = self.stage.clone() else {
            return deeds;
        };
        if !self.kind.boots() {
            deeds.push(Deed::Alarm(half(&ack)));
            self.stage = Stage::Settled {
                talk,
                ack,
                renewed: 0,
                asked: false,
            };
            return deeds;
        }
        let source = match choice {
            Choice::Binl(server) => {
                self.stage = Stage::Binl {
                    talk,
                    server,
                    asked: 0,
                };
                deeds.extend(self.binl(now));
                return deeds;
            }
            Choice::Proxy(offer) => self.source(&offer),
            Choice::Ack => self.source(&ack),
        };
        deeds.extend(match source {
            Some(source) => self.boot(&source, dice),
            None => self.end(End::Failed("the server names nothing to boot")),
        });
        deeds
    }

    fn source(&self, packet: &Packet) -> Option<Source> {
        if self.kind != Kind::RaspberryPi || self.speaks != self.kind {
            return talk::source(packet);
        }
        let vendor = packet.options.get(code::VENDOR)?;
        let words = b"Raspberry Pi Boot";
        let knows = vendor.windows(words.len()).any(|window| window == words);
        let server = talk::server(packet);
        knows.then(|| Source {
            server,
            file: "config.txt".to_owned(),
        })
    }

    fn binl(&mut self, now: Time) -> Vec<Deed> {
        let (
            Stage::Binl {
                talk,
                server,
                asked,
            },
            Some(own),
        ) = (&mut self.stage, self.address)
        else {
            return Vec::new();
        };
        let Some(wait) = BINL_WAITS.get(*asked) else {
            return self.end(End::Failed("nobody answers on port 4011"));
        };
        *asked += 1;
        let mut packet = talk.message(packet::Kind::Request, now);
        packet.ciaddr = own;
        let send = Deed::Send {
            src: SocketAddrV4::new(own, BINL),
            dst: SocketAddrV4::new(*server, BINL),
            payload: packet.write(packet::MAX_PAYLOAD),
        };
        vec![send, Deed::Alarm(Duration::from_secs(*wait))]
    }

    fn boot(&mut self, source: &Source, dice: &mut Dice) -> Vec<Deed> {
        if source.file.starts_with("http://") {
            self.stage = Stage::Getting;
            return vec![Deed::Get(source.file.clone())];
        }
        if self.speaks == Kind::Ipxe {
            return self.end(End::Failed("iPXE was told to load iPXE"));
        }
        let (download, next) =
            Download::begin(&source.file, source.server, port(dice), self.kind.manner());
        self.stage = Stage::Fetching(download);
        self.fetched(next, Duration::ZERO, dice)
    }

    fn fetched(&mut self, next: download::Next, now: Time, dice: &mut Dice) -> Vec<Deed> {
        let (Stage::Fetching(download), Some(own)) = (&mut self.stage, self.address) else {
            return Vec::new();
        };
        let src = SocketAddrV4::new(own, download.port);
        let send = |payload, dst| Deed::Send { src, dst, payload };
        match next {
            download::Next::Wait => Vec::new(),
            download::Next::Send(bytes, to, wait) => vec![send(bytes, to), Deed::Alarm(wait)],
            download::Next::Again(bytes, to) => {
                let mut deeds = vec![send(bytes, to)];
                // Some firmware asks from the same port again.
                let port = if dice.percent(50) {
                    download.port
                } else {
                    port(dice)
                };
                let (again, next) = download.again(port);
                *download = again;
                deeds.extend(self.fetched(next, now, dice));
                deeds
            }
            download::Next::Done(bytes, to) => {
                let mut deeds = vec![send(bytes, to)];
                deeds.extend(if self.kind == Kind::RaspberryPi {
                    self.end(End::Files)
                } else {
                    self.ask(Kind::Ipxe, now, dice)
                });
                deeds
            }
            download::Next::GaveUp(why) => self.end(End::Failed(why)),
        }
    }

    fn got(&mut self, got: Got, now: Time, dice: &mut Dice) -> Vec<Deed> {
        match (&self.stage, got) {
            (Stage::Getting, Got::Loader) => self.ask(Kind::Ipxe, now, dice),
            (Stage::Getting, Got::Script(boot)) => self.end(End::Script(boot)),
            (Stage::Getting, Got::Failed) => self.end(End::Failed("the fetch by HTTP failed")),
            _ => Vec::new(),
        }
    }

    fn end(&mut self, end: End) -> Vec<Deed> {
        self.stage = Stage::Off;
        let gave = self.address.take().map(|_| Deed::Gave);
        gave.into_iter().chain([Deed::End(end)]).collect()
    }

    /// Half of a lease is over: it is renewed, or given back, or the machine is switched off without a word.
    fn renew(&mut self, now: Time, dice: &mut Dice) -> Vec<Deed> {
        let Stage::Settled {
            talk,
            ack,
            renewed,
            asked,
        } = &mut self.stage
        else {
            return Vec::new();
        };
        if *asked {
            // Nobody answered: it begins anew before the lease is over.
            return self.ask(self.kind, now, dice);
        }
        let server = ack.options.address(code::SERVER_ID);
        let server = server.unwrap_or(Ipv4Addr::BROADCAST);
        let unicast = |packet: &Packet| Deed::Send {
            src: SocketAddrV4::new(ack.yiaddr, CLIENT),
            dst: SocketAddrV4::new(server, SERVER),
            payload: packet.write(packet::MAX_PAYLOAD),
        };
        if *renewed >= 2 {
            let mut packet = talk.message(packet::Kind::Release, now);
            packet.ciaddr = ack.yiaddr;
            packet.options.set(code::SERVER_ID, server.octets());
            let word = dice.percent(50).then(|| unicast(&packet));
            return word.into_iter().chain(self.end(End::Leased)).collect();
        }
        let mut packet = talk.message(packet::Kind::Request, now);
        packet.ciaddr = ack.yiaddr;
        *asked = true;
        // A quarter of the lease is left when this alarm rings.
        vec![unicast(&packet), Deed::Alarm(half(ack) / 2)]
    }

    fn renewed(&mut self, packet: &Packet, now: Time, dice: &mut Dice) -> Vec<Deed> {
        let Stage::Settled {
            ack,
            renewed,
            asked,
            ..
        } = &mut self.stage
        else {
            return Vec::new();
        };
        match packet.kind() {
            Some(packet::Kind::Ack) if *asked && packet.yiaddr == ack.yiaddr => {
                *asked = false;
                *renewed += 1;
                **ack = packet.clone();
                vec![holds(packet), Deed::Alarm(half(packet))]
            }
            Some(packet::Kind::Nak) if *asked => self.ask(self.kind, now, dice),
            _ => Vec::new(),
        }
    }
}

fn holds(ack: &Packet) -> Deed {
    let server = ack.options.address(code::SERVER_ID);
    let seconds = ack.options.number(code::LEASE_TIME).unwrap_or(0);
    Deed::Holds(
        ack.yiaddr,
        server.unwrap_or(Ipv4Addr::UNSPECIFIED),
        seconds.into(),
    )
}

fn half(ack: &Packet) -> Duration {
    let seconds = ack.options.number(code::LEASE_TIME).unwrap_or(600);
    Duration::from_secs(u64::from(seconds) / 2)
}

fn broadcast(packet: &Packet) -> Deed {
    Deed::Send {
        src: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT),
        dst: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER),
        payload: packet.write(packet::MAX_PAYLOAD),
    }
}

fn port(dice: &mut Dice) -> u16 {
    u16::try_from(2_000 + dice.below(60_000)).unwrap_or(2_000)
}
