//! A client's half of TFTP, as firmware does it: one file, with or without a window, with patience of its own.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::firmware::Manner;

/// EDK2 and iPXE: six times, four seconds between.
const WAIT: Duration = Duration::from_secs(4);
const TRIES: u32 = 6;

const TFTP_PORT: u16 = 69;

/// What the client does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Wait,
    /// Sends this, and waits for so long.
    Send(Vec<u8>, SocketAddrV4, Duration),
    /// The size is known: this breaks off the transfer, and the file is asked for again.
    Again(Vec<u8>, SocketAddrV4),
    /// The whole file is here; the last acknowledgement.
    Done(Vec<u8>, SocketAddrV4),
    GaveUp(&'static str),
}

#[derive(Clone, Debug)]
pub struct Download {
    pub file: String,
    server: Ipv4Addr,
    /// Where it is sent from.
    pub port: u16,
    /// Where the server sends from, once it is known.
    peer: Option<SocketAddrV4>,
    probing: bool,
    block: u16,
    window: u16,
    /// Blocks that came in their order.
    have: u64,
    since_ack: u16,
    tries: u32,
    manner: Manner,
}

impl Download {
    pub fn begin(file: &str, server: Ipv4Addr, port: u16, manner: Manner) -> (Self, Next) {
        let mut download = Self {
            file: file.to_owned(),
            server,
            port,
            peer: None,
            probing: manner.probes,
            block: 512,
            window: 1,
            have: 0,
            since_ack: 0,
            tries: 1,
            manner,
        };
        let next = download.speak();
        (download, next)
    }

    /// The same file again, from this port, without a probe.
    pub fn again(&self, port: u16) -> (Self, Next) {
        let manner = Manner {
            probes: false,
            ..self.manner
        };
        Self::begin(&self.file, self.server, port, manner)
    }

    pub fn waited(&mut self) -> Next {
        if self.tries >= TRIES {
            return Next::GaveUp("the transfer went silent");
        }
        self.tries += 1;
        self.speak()
    }

    pub fn heard(&mut self, from: SocketAddrV4, bytes: &[u8]) -> Next {
        // RFC 1350 4: whoever speaks from another port is not the one.
        if *from.ip() != self.server || self.peer.is_some_and(|peer| peer != from) {
            return Next::Wait;
        }
        match bytes {
            [0, 6, options @ ..] if self.have == 0 => {
                self.peer = Some(from);
                self.agreed(options);
                if self.probing {
                    let error = [&[0, 5, 0, 8][..], b"User aborted the transfer\0"].concat();
                    return Next::Again(error, from);
                }
                self.answer()
            }
            [0, 3, high, low, data @ ..] => {
                self.peer = Some(from);
                self.data(u16::from_be_bytes([*high, *low]), data.len())
            }
            [0, 5, 0, 1, ..] => Next::GaveUp("there is no such file"),
            [0, 5, ..] => Next::GaveUp("the server broke off"),
            _ => Next::Wait,
        }
    }

    fn agreed(&mut self, options: &[u8]) {
        let words: Vec<_> = options
            .split(|byte| *byte == 0)
            .map(String::from_utf8_lossy)
            .collect();
        for pair in words.chunks(2) {
            let [name, value] = pair else { continue };
            match name.to_ascii_lowercase().as_str() {
                "blksize" => self.block = value.parse().unwrap_or(512),
                "windowsize" => self.window = value.parse().unwrap_or(1),
                _ => {}
            }
        }
    }

    fn data(&mut self, number: u16, length: usize) -> Next {
        let expected = wire(self.have + 1);
        if number != expected {
            // RFC 7440 4: a block beyond the next one tells of a loss; one from before is answered too.
            self.since_ack = 0;
            return self.answer();
        }
        self.have += 1;
        self.since_ack += 1;
        self.tries = 0;
        if length < usize::from(self.block) {
            let Next::Send(ack, to, _) = self.answer() else {
                return Next::Wait;
            };
            return Next::Done(ack, to);
        }
        if self.since_ack >= self.window {
            self.since_ack = 0;
            return self.answer();
        }
        Next::Wait
    }

    fn answer(&mut self) -> Next {
        let Some(peer) = self.peer else {
            return Next::Wait;
        };
        let [high, low] = wire(self.have).to_be_bytes();
        Next::Send(vec![0, 4, high, low], peer, WAIT)
    }

    fn speak(&mut self) -> Next {
        if self.peer.is_some() {
            return self.answer();
        }
        let server = SocketAddrV4::new(self.server, TFTP_PORT);
        Next::Send(self.request(), server, WAIT)
    }

    fn request(&self) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        let mut words = vec![
            self.file.clone(),
            "octet".to_owned(),
            "tsize".to_owned(),
            "0".to_owned(),
        ];
        words.extend(["blksize".to_owned(), self.manner.block.to_string()]);
        if let Some(window) = self.manner.window.filter(|_| !self.probing) {
            words.extend(["windowsize".to_owned(), window.to_string()]);
        }
        for word in words {
            bytes.extend(word.as_bytes());
            bytes.push(0);
        }
        bytes
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the wire carries the low 16 bits"
)]
const fn wire(block: u64) -> u16 {
    block as u16
}
