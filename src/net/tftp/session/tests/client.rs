//! A client and a network that lose, double and reorder, on a clock of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Input, ack, open};
use crate::net::tftp::burst::Burst;
use crate::net::tftp::session::Fate;

/// What a client does that got nothing for so long.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);
const CLIENT_TRIES: u32 = 12;

/// Octets of which no two blocks are the same.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// What happens to one datagram.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    Arrives,
    Lost,
    Doubled,
    /// Overtaken by those that are sent within this time.
    Late(Duration),
}

/// The way from one end to the other: `luck` is asked for each datagram, either way.
pub struct Network<L> {
    pub trip: Duration,
    pub luck: L,
}

#[derive(Debug)]
enum Arrival {
    AtClient(Vec<u8>),
    AtServer([u8; 4]),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Story {
    pub received: Vec<u8>,
    /// Whether the client has the end of the file.
    pub whole: bool,
    /// Whether the server holds it to be delivered.
    pub done: bool,
    pub took: Duration,
    pub datagrams: usize,
}

/// As RFC 7440 section 4 has it: an ACK for a whole window, for a gap, and for silence.
struct Client {
    block: usize,
    window: u64,
    received: Vec<u8>,
    have: u64,
    in_window: u64,
    told_gap: bool,
    whole: bool,
    heard_at: Duration,
    tries: u32,
}

impl Client {
    /// The ACK that a datagram is answered with.
    fn take(&mut self, now: Duration, datagram: &[u8]) -> Option<[u8; 4]> {
        self.heard_at = now;
        self.tries = 0;
        match datagram[..2] {
            [0, 6] => (self.have == 0).then(|| ack(0)),
            [0, 3] => self.data(datagram),
            _ => panic!("{}", datagram.escape_ascii()),
        }
    }

    fn data(&mut self, datagram: &[u8]) -> Option<[u8; 4]> {
        let number = u16::from_be_bytes([datagram[2], datagram[3]]);
        let octets = &datagram[4..];
        if self.whole || number != wire(self.have + 1) {
            let tell = !self.told_gap || self.whole;
            self.told_gap = true;
            self.in_window = 0;
            return tell.then(|| ack(wire(self.have)));
        }
        self.received.extend_from_slice(octets);
        self.have += 1;
        self.in_window += 1;
        self.told_gap = false;
        self.whole = octets.len() < self.block;
        if self.whole || self.in_window == self.window {
            self.in_window = 0;
            return Some(ack(wire(self.have)));
        }
        None
    }

    fn due(&self) -> Option<Duration> {
        let waits = !self.whole && self.tries < CLIENT_TRIES;
        waits.then(|| self.heard_at + CLIENT_TIMEOUT * (self.tries + 1))
    }

    fn repeat(&mut self) -> [u8; 4] {
        self.tries += 1;
        self.in_window = 0;
        self.told_gap = false;
        ack(wire(self.have))
    }
}

fn wire(block: u64) -> u16 {
    u16::try_from(block % 65536).unwrap()
}

/// Fetches a file over such a network, and tells how it went.
pub fn fetch<L: FnMut() -> Luck>(
    file: &[u8],
    request: &[u8],
    (block, window): (usize, u16),
    mut network: Network<L>,
) -> Story {
    let mut out = Burst::default();
    let mut session = open(file, request, &mut out);
    let mut client = Client {
        block,
        window: window.into(),
        received: Vec::new(),
        have: 0,
        in_window: 0,
        told_gap: false,
        whole: false,
        heard_at: Duration::ZERO,
        tries: 0,
    };
    let mut wire = BTreeMap::new();
    let (mut now, mut datagrams, mut fate) = (Duration::ZERO, 0_usize, Fate::Goes);
    let mut send =
        |wire: &mut BTreeMap<(Duration, usize), Arrival>, now, made: &dyn Fn() -> Arrival| {
            let luck = (network.luck)();
            let copies = match luck {
                Luck::Lost => 0,
                Luck::Doubled => 2,
                Luck::Arrives | Luck::Late(_) => 1,
            };
            let late = if let Luck::Late(late) = luck {
                late
            } else {
                Duration::ZERO
            };
            datagrams += 1;
            for copy in 0..copies {
                wire.insert((now + network.trip + late, datagrams * 2 + copy), made());
            }
            assert!(datagrams < 2_000_000, "it goes on without end");
        };
    loop {
        for datagram in out.datagrams() {
            send(&mut wire, now, &|| Arrival::AtClient(datagram.to_vec()));
        }
        out.clear();
        let arrives = wire.first_key_value().map(|(key, _)| key.0);
        let ticks = matches!(fate, Fate::Goes).then(|| session.deadline());
        let repeats = client.due();
        let Some(next) = [arrives, ticks, repeats].into_iter().flatten().min() else {
            break;
        };
        now = next.max(now);
        let mut reply = None;
        if arrives == Some(next) {
            match wire.pop_first().map(|(_, arrival)| arrival) {
                Some(Arrival::AtClient(datagram)) => reply = client.take(now, &datagram),
                Some(Arrival::AtServer(ack)) if matches!(fate, Fate::Goes) => {
                    fate = session.handle(now, Input::Datagram(&ack), &mut out);
                }
                _ => {}
            }
        } else if ticks == Some(next) {
            fate = session.handle(now, Input::Tick, &mut out);
        } else {
            reply = Some(client.repeat());
        }
        if let Some(ack) = reply {
            send(&mut wire, now, &|| Arrival::AtServer(ack));
        }
    }
    Story {
        received: client.received,
        whole: client.whole,
        done: matches!(fate, Fate::Done { .. }),
        took: now,
        datagrams,
    }
}
