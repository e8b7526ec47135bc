//! One connection to a server: requests out, heads and bodies in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use super::{Url, Watch};

/// A head with all its fields; ours are a tenth of it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How often a read that waits looks up, to see whether it is still wanted.
const LOOKS_UP: Duration = Duration::from_millis(500);
/// Looks up so often without a byte, and the connection counts as cut: 30 seconds.
const SILENT: u32 = 60;

/// What the server says of the bytes that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    pub length: Option<u64>,
    /// Of a 206: which bytes, and of how many.
    pub range: Option<(Range<u64>, u64)>,
    pub etag: Option<String>,
    pub modified: Option<String>,
    pub location: Option<String>,
    /// The body has a form of its own, from which its length is only known in the end.
    encoded: bool,
    close: bool,
}

impl Head {
    /// The head at the beginning of these bytes, and its length; nothing while it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes).map_err(|error| error.to_string())?;
        let httparse::Status::Complete(len) = parsed else {
            return Ok(None);
        };
        let mut head = Self {
            status: response.code.unwrap_or_default(),
            close: response.version == Some(0),
            ..Self::default()
        };
        for field in response.headers.iter() {
            head.take(field.name, &String::from_utf8_lossy(field.value))?;
        }
        Ok(Some((head, len)))
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = value.parse();
                self.length = Some(length.map_err(|_| format!("a length of '{value}'"))?);
            }
            "content-range" => {
                let range = content_range(value);
                self.range = Some(range.ok_or_else(|| format!("a range of '{value}'"))?);
            }
            "etag" => self.etag = Some(value.into()),
            "last-modified" => self.modified = Some(value.into()),
            "location" => self.location = Some(value.into()),
            "transfer-encoding" => self.encoded = true,
            "content-encoding" => self.encoded |= !value.eq_ignore_ascii_case("identity"),
            "connection" => self.close |= value.eq_ignore_ascii_case("close"),
            _ => (),
        }
        Ok(())
    }

    /// How many bytes the body has, where that is known before its end.
    pub(super) fn body(&self) -> Option<u64> {
        self.length.filter(|_| !self.encoded)
    }
}

/// RFC 9110, 14.4. A total that is not told is of no use here, and neither is `*` for the range.
fn content_range(value: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let Some((first, last)) = range.split_once('-') else {
        return (range == "*").then_some((0..0, total.parse().ok()?));
    };
    let (first, last, total): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first..last + 1, total))
}

pub(super) struct Connection {
    stream: TcpStream,
    /// Arrived with the head and belonging to the body: what lies between `from` and `to`.
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    /// Of the body, not yet read.
    left: u64,
    close: bool,
}

impl Connection {
    pub(super) fn open(url: &Url) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&url.address, CONNECTS_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOKS_UP))?;
        stream.set_write_timeout(Some(CONNECTS_WITHIN))?;
        Ok(Self {
            stream,
            buffer: vec![0; MAX_HEAD].into(),
            from: 0,
            to: 0,
            left: 0,
            close: false,
        })
    }

    /// Whether another request may follow: the answer before was read to its end.
    pub(super) fn is_free(&self) -> bool {
        self.left == 0 && !self.close
    }

    /// Asks, and reads the head of the answer. `fields` are whole lines.
    pub(super) fn get(&mut self, url: &Url, fields: &str, watch: &dyn Watch) -> io::Result<Head> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: dragonfly-agent/{}\r\nAccept-Encoding: identity\r\n{fields}\r\n",
            url.path,
            url.host,
            env!("CARGO_PKG_VERSION"),
        );
        self.stream.write_all(request.as_bytes())?;
        (self.from, self.to) = (0, 0);
        loop {
            if let Some((head, len)) =
                Head::parse(&self.buffer[..self.to]).map_err(io::Error::other)?
            {
                self.from = len;
                // An answer of 1xx says that the true one follows.
                if (100..200).contains(&head.status) {
                    self.buffer.copy_within(len..self.to, 0);
                    (self.from, self.to) = (0, self.to - len);
                    continue;
                }
                self.left = head.body().unwrap_or_default();
                self.close = head.close || head.body().is_none();
                return Ok(head);
            }
            if self.to == self.buffer.len() {
                return Err(io::Error::other("a head of more than 16 KiB"));
            }
            let read = receive(&mut self.stream, &mut self.buffer[self.to..], watch)?;
            self.to += read;
        }
    }

    /// The next bytes of the body; none at its end.
    pub(super) fn read(&mut self, into: &mut [u8], watch: &dyn Watch) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let read = if self.from < self.to {
            let held = most.min(self.to - self.from);
            into[..held].copy_from_slice(&self.buffer[self.from..self.from + held]);
            self.from += held;
            held
        } else {
            receive(&mut self.stream, &mut into[..most], watch)?
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// At least one byte: an end is an error here, since the length was told.
fn receive(stream: &mut TcpStream, into: &mut [u8], watch: &dyn Watch) -> io::Result<usize> {
    for _ in 0..SILENT {
        match stream.read(into) {
            Ok(0) => {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the connection was cut",
                ));
            }
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if watch.stopped() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        "nothing came for 30 seconds",
    ))
}
