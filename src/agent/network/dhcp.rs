//! A DHCP client (RFC 2131): what it sends and when, and what it makes of the answers. It has no socket and no clock.
//!
//! It asks as the loader before it did, with the card's address as its identifier, so that it gets the same address. It
//! never stops asking: after an offer that came to nothing it discovers anew.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::MacAddr;

/// Offsets in a message (RFC 2131 §2).
mod at {
    pub(super) const XID: usize = 4;
    pub(super) const SECS: usize = 8;
    pub(super) const CIADDR: usize = 12;
    pub(super) const YIADDR: usize = 16;
    pub(super) const CHADDR: usize = 28;
    pub(super) const COOKIE: usize = 236;
    pub(super) const OPTIONS: usize = 240;
}
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// RFC 951: older relays drop what is shorter.
const SHORTEST: usize = 300;

/// Options (RFC 2132).
mod option {
    pub(super) const MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const REQUESTED: u8 = 50;
    pub(super) const LEASE: u8 = 51;
    pub(super) const KIND: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const WANTED: u8 = 55;
    pub(super) const LARGEST: u8 = 57;
    pub(super) const CLIENT: u8 = 61;
    pub(super) const END: u8 = 255;
}

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
/// An offer that was asked for so often without an answer is given up.
const REQUESTS: u32 = 3;
/// A lease without a time, or with none to speak of.
const LEAST: u32 = 60;

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub server: Ipv4Addr,
    pub time: Duration,
}

impl Lease {
    /// RFC 2131 §4.4.5: half of its time.
    pub fn renew_after(&self) -> Duration {
        self.time / 2
    }
}

/// The client of one card.
#[derive(Debug)]
pub struct Client {
    mac: MacAddr,
    xid: u32,
    state: State,
    wait: Duration,
    due: Duration,
}

#[derive(Debug)]
enum State {
    Selecting,
    Requesting { offer: Lease, tries: u32 },
    Renewing { lease: Lease },
}

impl Client {
    pub const fn new(mac: MacAddr, xid: u32) -> Self {
        Self {
            mac,
            xid,
            state: State::Selecting,
            wait: FIRST_WAIT,
            due: Duration::ZERO,
        }
    }

    /// One that has a lease and wants it to go on.
    pub const fn renewing(mac: MacAddr, xid: u32, lease: Lease) -> Self {
        Self {
            mac,
            xid,
            state: State::Renewing { lease },
            wait: FIRST_WAIT,
            due: Duration::ZERO,
        }
    }

    /// What is to be sent now, and how long to listen then. `now` is the time since the first question.
    pub fn tick(&mut self, now: Duration) -> (Option<Vec<u8>>, Duration) {
        if now < self.due {
            return (None, self.due.saturating_sub(now));
        }
        if let State::Requesting { tries, .. } = &mut self.state {
            *tries += 1;
            if *tries > REQUESTS {
                self.start_over(now);
            }
        }
        self.due = now + self.wait;
        let wait = self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        (Some(self.message(now)), wait)
    }

    /// What is sent for a renewal.
    pub fn renewal(&self) -> Vec<u8> {
        self.message(Duration::ZERO)
    }

    /// Takes in a message; an acknowledgement of what was asked for is a lease.
    pub fn hear(&mut self, now: Duration, message: &[u8]) -> Option<Lease> {
        let answer = Answer::read(message)
            .filter(|answer| answer.xid == self.xid && answer.mac == Some(self.mac))?;
        match (&self.state, answer.kind) {
            (State::Selecting, OFFER) => {
                let offer = answer.lease()?;
                self.state = State::Requesting { offer, tries: 0 };
                self.wait = FIRST_WAIT;
                self.due = now;
                None
            }
            (State::Requesting { offer: known, .. } | State::Renewing { lease: known }, ACK) => {
                answer
                    .lease()
                    .filter(|lease| lease.address == known.address)
            }
            (State::Requesting { .. }, NAK) => {
                self.start_over(now + FIRST_WAIT);
                None
            }
            _ => None,
        }
    }

    fn start_over(&mut self, at: Duration) {
        self.state = State::Selecting;
        self.wait = FIRST_WAIT;
        self.due = at;
        self.xid = self.xid.wrapping_add(1);
    }

    fn message(&self, now: Duration) -> Vec<u8> {
        let mut message = vec![0; at::COOKIE];
        message[..4].copy_from_slice(&[1, 1, 6, 0]);
        message[at::XID..at::XID + 4].copy_from_slice(&self.xid.to_be_bytes());
        let secs = u16::try_from(now.as_secs()).unwrap_or(u16::MAX);
        message[at::SECS..at::SECS + 2].copy_from_slice(&secs.to_be_bytes());
        message[at::CHADDR..at::CHADDR + 6].copy_from_slice(&self.mac.octets());
        message.extend(COOKIE);
        let kind = if matches!(self.state, State::Selecting) {
            DISCOVER
        } else {
            REQUEST
        };
        message.extend([option::KIND, 1, kind]);
        message.extend([option::CLIENT, 7, 1]);
        message.extend(self.mac.octets());
        message.extend([option::LARGEST, 2, 5, 192]);
        match &self.state {
            State::Selecting => {}
            State::Requesting { offer, .. } => {
                message.extend([option::REQUESTED, 4]);
                message.extend(offer.address.octets());
                message.extend([option::SERVER, 4]);
                message.extend(offer.server.octets());
            }
            // RFC 2131 §4.3.2: neither option, but the address in its own field.
            State::Renewing { lease } => {
                message[at::CIADDR..at::CIADDR + 4].copy_from_slice(&lease.address.octets());
            }
        }
        message.extend([
            option::WANTED,
            4,
            option::MASK,
            option::ROUTER,
            option::LEASE,
            option::SERVER,
        ]);
        message.push(option::END);
        message.resize(message.len().max(SHORTEST), 0);
        message
    }
}

/// A server's message, as far as it matters here.
#[derive(Debug, Default)]
struct Answer {
    xid: u32,
    mac: Option<MacAddr>,
    kind: u8,
    address: Option<Ipv4Addr>,
    mask: Option<u32>,
    gateway: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    time: Option<u32>,
}

impl Answer {
    fn read(message: &[u8]) -> Option<Self> {
        if message.first() != Some(&2) || message.get(at::COOKIE..at::OPTIONS) != Some(&COOKIE) {
            return None;
        }
        let card = message.get(at::CHADDR..at::CHADDR + 6)?;
        let mut answer = Self {
            xid: number(message.get(at::XID..)?)?,
            mac: Some(MacAddr::new(card.try_into().ok()?)),
            address: number(message.get(at::YIADDR..)?).map(Ipv4Addr::from),
            ..Self::default()
        };
        let mut rest = message.get(at::OPTIONS..)?;
        while let Some((code, after)) = rest.split_first() {
            match *code {
                option::END => break,
                0 => rest = after,
                code => {
                    let (length, after) = after.split_first()?;
                    let value = after.get(..usize::from(*length))?;
                    answer.take(code, value);
                    rest = after.get(usize::from(*length)..)?;
                }
            }
        }
        Some(answer)
    }

    fn take(&mut self, code: u8, value: &[u8]) {
        let address = || number(value).map(Ipv4Addr::from);
        match code {
            option::KIND => self.kind = value.first().copied().unwrap_or(0),
            option::MASK => self.mask = number(value),
            option::ROUTER => self.gateway = address(),
            option::SERVER => self.server = address(),
            option::LEASE => self.time = number(value),
            _ => {}
        }
    }

    fn lease(&self) -> Option<Lease> {
        let address = self
            .address
            .filter(|address| !address.is_unspecified() && !address.is_broadcast())?;
        let mask = self.mask.unwrap_or_else(|| classful(address));
        Some(Lease {
            address,
            prefix: u8::try_from(mask.leading_ones()).unwrap_or(32),
            gateway: self.gateway.filter(|gateway| !gateway.is_unspecified()),
            server: self.server?,
            time: Duration::from_secs(self.time.unwrap_or(3600).max(LEAST).into()),
        })
    }
}

/// The mask of the time before masks, for a server that sends none.
fn classful(address: Ipv4Addr) -> u32 {
    match address.octets()[0] {
        0..=127 => 0xff00_0000,
        128..=191 => 0xffff_0000,
        _ => 0xffff_ff00,
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<4>()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
