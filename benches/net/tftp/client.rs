//! The client that drives every server: RFC 1350, 2347, 2348 and 7440, in order, and patient.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// As firmware does that waits long; who sends again earlier is ahead.
const TIMEOUT: Duration = Duration::from_secs(1);
const TRIES: u32 = 20;

#[path = "wire.rs"]
mod wire;

pub use wire::Trip;
use wire::Wire;

#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub server: Ipv4Addr,
    pub name: &'static str,
    pub block: u16,
    pub window: u16,
    pub trip: Trip,
}

/// So many clients at once, on one thread; the lengths of what they got.
pub fn fetch_all(ask: &Ask, clients: usize) -> io::Result<Vec<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let ask = *ask;
        let numbers = 1..=clients as u64;
        let tasks: Vec<_> = numbers
            .map(|number| tokio::spawn(fetch(ask, number)))
            .collect();
        let mut lengths = Vec::new();
        for task in tasks {
            lengths.push(task.await??);
        }
        Ok(lengths)
    })
}

async fn fetch(ask: Ask, dice: u64) -> io::Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let mut wire = Wire::new(socket, ask.trip, dice);
    let mut last = request(&ask);
    let mut to = SocketAddr::from((ask.server, 69));
    wire.send(&last, to).await?;
    let mut got = Received::default();
    let mut buffer = [0; 2048];
    let (mut tries, mut due) = (0, Instant::now() + TIMEOUT);
    loop {
        let Ok(received) = timeout_at(due, wire.recv(&mut buffer)).await else {
            tries += 1;
            if tries > TRIES {
                return Err(io::ErrorKind::TimedOut.into());
            }
            wire.send(&last, to).await?;
            due = Instant::now() + TIMEOUT;
            continue;
        };
        let (length, from) = received?;
        to = from;
        if let Some(ack) = got.take(&ask, &buffer[..length])? {
            last.clear();
            last.extend_from_slice(&ack);
            wire.send(&last, to).await?;
            (tries, due) = (0, Instant::now() + TIMEOUT);
        }
        if got.whole {
            return Ok(got.octets);
        }
    }
}

fn request(ask: &Ask) -> Vec<u8> {
    let (name, block) = (ask.name, ask.block);
    // Window 1 is what everybody has who does not ask.
    let window = match ask.window {
        1 => String::new(),
        window => format!("windowsize\0{window}\0"),
    };
    format!("\0\x01{name}\0octet\0blksize\0{block}\0{window}").into_bytes()
}

#[derive(Debug, Default)]
struct Received {
    octets: u64,
    /// Blocks in order, by their number on the wire.
    have: u16,
    began: bool,
    in_window: u16,
    told_gap: bool,
    whole: bool,
}

impl Received {
    /// The ACK that a datagram is answered with.
    fn take(&mut self, ask: &Ask, datagram: &[u8]) -> io::Result<Option<[u8; 4]>> {
        match datagram {
            [0, 6, ..] => Ok((!self.began).then(|| self.ack())),
            [0, 3, a, b, octets @ ..] => Ok(self.data(ask, u16::from_be_bytes([*a, *b]), octets)),
            other => Err(io::Error::other(other.escape_ascii().to_string())),
        }
    }

    fn data(&mut self, ask: &Ask, number: u16, octets: &[u8]) -> Option<[u8; 4]> {
        if number != self.have.wrapping_add(1) {
            // At window 1 a block that came before is acknowledged again, or its server waits for ever.
            let tell = ask.window == 1 || !self.told_gap;
            self.told_gap = true;
            self.in_window = 0;
            return tell.then(|| self.ack());
        }
        self.began = true;
        self.have = number;
        self.octets += octets.len() as u64;
        self.in_window += 1;
        self.told_gap = false;
        self.whole = octets.len() < usize::from(ask.block);
        if self.whole || self.in_window == ask.window {
            self.in_window = 0;
            return Some(self.ack());
        }
        None
    }

    fn ack(&self) -> [u8; 4] {
        let [a, b] = self.have.to_be_bytes();
        [0, 4, a, b]
    }
}
