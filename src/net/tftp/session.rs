//! One transfer: what is sent next, told by what came and what time it is.
//!
//! ```text
//! RRQ with options  → OACK → ACK 0 ┐
//! RRQ without                      ┴→ DATA n+1 … n+windowsize → ACK n+windowsize → … → last DATA → ACK
//! ```
//!
//! An ACK inside the window says that the block behind it was lost, and the window is sent again from there (RFC 7440
//! section 4). At window 1 a doubled ACK is never answered, or every block after it would be sent twice to the end of the
//! file (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1); only the clock sends again.

use std::io;
use std::time::Duration;

use super::Source;
use super::burst::Burst;
use super::packet::{self, Agreed, DATA_HEADER, DEFAULT_BLOCK, ErrorCode, Packet, Request};
use super::patience::{Patience, Phase};
use super::stream::Stream;

/// The code of an ERROR from a port that knows of no transfer (any more).
const UNKNOWN_TRANSFER: u16 = 5;

/// What a transfer is held to, whatever its client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The largest block that crosses the path in one piece.
    pub block: u16,
    pub window: u16,
}

impl Bounds {
    /// IPv4, UDP and TFTP put 32 octets before a block.
    pub const HEADERS: u16 = 32;

    /// Every path of IPv4 carries a default block (RFC 791: 576 octets).
    pub fn of_path(mtu: u16, window: u16) -> Self {
        Self {
            block: mtu.saturating_sub(Self::HEADERS).max(DEFAULT_BLOCK),
            window,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    Datagram(&'a [u8]),
    /// Nobody has the client's port open any more.
    Gone,
    /// Time went by.
    Tick,
}

/// What has become of a transfer.
#[derive(Debug)]
pub enum Fate {
    Goes,
    /// Every block was acknowledged, or all but the last, which some firmware never does.
    Done {
        acknowledged: bool,
    },
    /// The client wanted to know the size alone, as EDK2 does first.
    Probed,
    Broken(Cause),
}

#[derive(Debug)]
pub enum Cause {
    /// The client's own words.
    Client { code: u16, message: String },
    /// Its port was closed.
    Gone,
    /// It was silent for too long.
    Silent,
    /// The file could not be read to its end.
    Read(io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The OACK waits for its ACK 0.
    Offered,
    Sending,
    Over,
}

/// A transfer. Times are counted from any one moment, the same for all calls.
#[derive(Debug)]
pub struct Session {
    stream: Stream,
    agreed: Agreed,
    block: u16,
    window: u16,
    state: State,
    /// Blocks that the client has. Counted on where their 16 bits on the wire begin again.
    acked: u64,
    /// The last block that was sent.
    sent: u64,
    /// The number of the last block, once it is known.
    last: Option<u64>,
    /// Whether the client ever acknowledged something.
    answered: bool,
    /// Whether what is in flight was sent more than once.
    again: bool,
    sent_at: Duration,
    progress_at: Duration,
    patience: Patience,
}

impl Session {
    /// Begins a transfer; `out` is its first answer.
    pub fn open(
        source: Box<dyn Source>,
        request: &Request<'_>,
        bounds: Bounds,
        now: Duration,
        out: &mut Burst,
    ) -> (Self, Fate) {
        let stream = Stream::new(source, request.encoding);
        let agreed = agree(request, bounds, stream.len());
        let timeout = agreed
            .timeout
            .map(|seconds| Duration::from_secs(seconds.into()));
        let mut session = Self {
            stream,
            block: agreed.blksize.unwrap_or(DEFAULT_BLOCK),
            window: agreed.windowsize.unwrap_or(1),
            state: if agreed.is_empty() {
                State::Sending
            } else {
                State::Offered
            },
            agreed,
            acked: 0,
            sent: 0,
            last: None,
            answered: false,
            again: false,
            sent_at: now,
            progress_at: now,
            patience: Patience::new(timeout),
        };
        let fate = session.send(now, out);
        (session, fate)
    }

    /// Takes what came or the time that passed; what is to be sent is in `out`, which is emptied first.
    pub fn handle(&mut self, now: Duration, input: Input<'_>, out: &mut Burst) -> Fate {
        out.clear();
        if self.state == State::Over {
            return Fate::Goes;
        }
        let fate = match input {
            Input::Tick => self.tick(now, out),
            Input::Gone => self.stopped(Cause::Gone),
            Input::Datagram(bytes) => match Packet::parse(bytes) {
                Ok(Packet::Ack(block)) => self.acknowledged(now, block, out),
                Ok(Packet::Error { code, message }) => {
                    let message = super::name::shown(message);
                    self.stopped(Cause::Client { code, message })
                }
                // Noise on this port is no reason to leave a machine without its file.
                Ok(Packet::Read(_) | Packet::Write) | Err(_) => Fate::Goes,
            },
        };
        if !matches!(fate, Fate::Goes) {
            self.state = State::Over;
        }
        fate
    }

    /// Reads what will be sent next, while the client is busy with what was sent.
    pub fn read_ahead(&mut self) {
        if self.answered && self.state == State::Sending {
            let two_windows = 2 * usize::from(self.window) * usize::from(self.block);
            // An error comes again when the block is due, and is told then.
            let _ = self.stream.load(self.place(), two_windows, true);
        }
    }

    /// When the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Duration {
        self.sent_at + self.patience.interval()
    }

    /// Whether the client never acknowledged anything: it may not exist.
    pub fn is_half_open(&self) -> bool {
        !self.answered
    }

    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The octets of the file.
    pub fn len(&self) -> u64 {
        self.stream.source_len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets that the client has, as far as it said so; those that netascii adds are counted.
    pub fn delivered(&self) -> u64 {
        let known = self.stream.len();
        known.map_or(self.place(), |length| self.place().min(length))
    }

    /// Where in the stream the first block is that the client may lack.
    fn place(&self) -> u64 {
        self.acked * u64::from(self.block)
    }

    fn acknowledged(&mut self, now: Duration, block: u16, out: &mut Burst) -> Fate {
        if self.state == State::Offered {
            if block != 0 {
                return Fate::Goes;
            }
            self.state = State::Sending;
            self.progress(now, true);
            return self.send(now, out);
        }
        let new = u64::from(block.wrapping_sub(wire(self.acked)));
        let in_flight = self.sent - self.acked;
        if new > in_flight {
            return Fate::Goes; // from before, or of what was never sent
        }
        if new == 0 && !self.is_call_for_repeat(now) {
            return Fate::Goes;
        }
        self.acked += new;
        if new > 0 {
            self.progress(now, new == in_flight);
        }
        if self.last == Some(self.acked) {
            return Fate::Done { acknowledged: true };
        }
        self.again = new < in_flight;
        self.send(now, out)
    }

    /// A doubled ACK, in a window: its first block was lost, unless the network doubled the ACK itself.
    fn is_call_for_repeat(&self, now: Duration) -> bool {
        self.window > 1 && self.patience.is_new(now.saturating_sub(self.sent_at)) && self.sent > 0
    }

    fn progress(&mut self, now: Duration, all: bool) {
        self.answered = true;
        self.progress_at = now;
        if all && !self.again {
            self.patience.measured(now.saturating_sub(self.sent_at));
        }
        self.again = false;
    }

    /// The client wants no more of it.
    fn stopped(&self, cause: Cause) -> Fate {
        if self.acked == 0 && self.agreed.tsize.is_some() {
            return Fate::Probed;
        }
        let closed = match cause {
            Cause::Client { code, .. } => code == UNKNOWN_TRANSFER,
            _ => true,
        };
        if closed && self.phase() == Phase::LastBlock {
            return Fate::Done {
                acknowledged: false,
            };
        }
        Fate::Broken(cause)
    }

    fn tick(&mut self, now: Duration, out: &mut Burst) -> Fate {
        if now < self.deadline() {
            return Fate::Goes;
        }
        let phase = self.phase();
        if now.saturating_sub(self.progress_at) >= self.patience.end(phase) {
            return match phase {
                Phase::LastBlock => Fate::Done {
                    acknowledged: false,
                },
                Phase::HalfOpen | Phase::Running => Fate::Broken(Cause::Silent),
            };
        }
        self.patience.missed();
        self.again = true;
        self.send(now, out)
    }

    fn phase(&self) -> Phase {
        match (self.answered, self.last) {
            (false, _) => Phase::HalfOpen,
            (true, Some(last)) if self.sent == last => Phase::LastBlock,
            (true, _) => Phase::Running,
        }
    }

    /// The OACK, or the window behind what is acknowledged.
    fn send(&mut self, now: Duration, out: &mut Burst) -> Fate {
        out.clear();
        self.sent_at = now;
        if self.state == State::Offered {
            self.agreed.write(out);
            return Fate::Goes;
        }
        if let Err(error) = self.fill(out) {
            out.clear();
            let text = "the file could not be read to its end";
            packet::write_error(ErrorCode::Undefined, text, out);
            return Fate::Broken(Cause::Read(error));
        }
        Fate::Goes
    }

    fn fill(&mut self, out: &mut Burst) -> io::Result<()> {
        let block = usize::from(self.block);
        let ends = self.acked + u64::from(self.window);
        let window = usize::from(self.window) * block;
        self.stream.load(self.place(), window, self.answered)?;
        for number in self.acked + 1..=ends {
            let from = (number - 1) * u64::from(self.block);
            let octets = self.stream.slice(from, block);
            let ended = octets.len() < block;
            out.push(&[&packet::data_header(wire(number)), octets]);
            self.sent = number;
            if ended {
                self.last = Some(number);
                break;
            }
        }
        Ok(())
    }
}

/// A block's number on the wire: behind 65535 comes 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low 16 bits are what the wire carries"
)]
const fn wire(block: u64) -> u16 {
    block as u16
}

/// What is given of what was asked for.
fn agree(request: &Request<'_>, bounds: Bounds, length: Option<u64>) -> Agreed {
    let asked = request.options;
    let blksize = asked.blksize.map(|block| block.min(bounds.block));
    let block = usize::from(blksize.unwrap_or(DEFAULT_BLOCK)) + DATA_HEADER;
    let fits = (Burst::MAX / block).min(Burst::MAX_DATAGRAMS);
    let most = bounds
        .window
        .min(u16::try_from(fits).unwrap_or(u16::MAX))
        .max(1);
    Agreed {
        blksize,
        timeout: asked.timeout,
        // Not known in netascii without reading the file, and then it is as if it had not been asked for.
        tsize: length.filter(|_| asked.tsize),
        windowsize: asked.windowsize.map(|window| window.min(most)),
    }
}

#[cfg(test)]
mod tests;
