//! What is sent, as a stream: the octets of a source, encoded, with those kept that were not acknowledged yet.

use std::fmt;
use std::io;

use super::Source;
use super::packet::Encoding;

/// As much is read at once: few reads a file, and little memory a transfer.
const AHEAD: usize = 32 * 1024;
/// Source octets that are translated at once.
const PIECE: usize = 1024;

pub(super) struct Stream {
    source: Box<dyn Source>,
    encoding: Encoding,
    /// The length of the source when it was opened: what it grows by later is not sent.
    length: u64,
    /// Octets taken from the source.
    taken: u64,
    /// Encoded octets, from the place `base` of the stream on.
    buffer: Vec<u8>,
    base: u64,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("encoding", &self.encoding)
            .field("length", &self.length)
            .field("taken", &self.taken)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(source: Box<dyn Source>, encoding: Encoding) -> Self {
        let length = source.len();
        Self {
            source,
            encoding,
            length,
            taken: 0,
            buffer: Vec::new(),
            base: 0,
        }
    }

    /// How long the encoded stream is, where that is known before it was read.
    pub(super) fn len(&self) -> Option<u64> {
        (self.encoding == Encoding::Octet).then_some(self.length)
    }

    /// The octets of the source.
    pub(super) fn source_len(&self) -> u64 {
        self.length
    }

    /// Makes the octets from `from` on, `length` of them, ready for [`Self::slice`], and forgets those before. With
    /// `ahead` more is read than asked for.
    pub(super) fn load(&mut self, from: u64, length: usize, ahead: bool) -> io::Result<()> {
        let skip = self.place(from);
        if self.buffer.len() - skip >= length || self.taken == self.length {
            return Ok(());
        }
        self.buffer.drain(..skip);
        self.base = from;
        let wanted = if ahead { length.max(AHEAD) } else { length };
        match self.encoding {
            Encoding::Octet => self.take(wanted),
            Encoding::Netascii => self.translate(wanted),
        }
    }

    /// The octets from `from` on; fewer than `length` at the end of the stream alone.
    pub(super) fn slice(&self, from: u64, length: usize) -> &[u8] {
        let rest = &self.buffer[self.place(from)..];
        &rest[..length.min(rest.len())]
    }

    fn place(&self, from: u64) -> usize {
        usize::try_from(from.saturating_sub(self.base))
            .unwrap_or(usize::MAX)
            .min(self.buffer.len())
    }

    fn take(&mut self, wanted: usize) -> io::Result<()> {
        let have = self.buffer.len();
        let more = bounded(self.length - self.taken, wanted.saturating_sub(have));
        self.buffer.reserve_exact(more);
        self.buffer.resize(have + more, 0);
        let read = read_whole(&*self.source, self.taken, &mut self.buffer[have..]);
        if let Err(error) = read {
            self.buffer.truncate(have);
            return Err(error);
        }
        self.taken += more as u64;
        Ok(())
    }

    fn translate(&mut self, wanted: usize) -> io::Result<()> {
        let mut piece = [0; PIECE];
        while self.buffer.len() < wanted && self.taken < self.length {
            let size = bounded(self.length - self.taken, PIECE);
            read_whole(&*self.source, self.taken, &mut piece[..size])?;
            for byte in &piece[..size] {
                match byte {
                    b'\n' => self.buffer.extend_from_slice(b"\r\n"),
                    b'\r' => self.buffer.extend_from_slice(b"\r\0"),
                    other => self.buffer.push(*other),
                }
            }
            self.taken += size as u64;
        }
        Ok(())
    }
}

fn bounded(value: u64, limit: usize) -> usize {
    usize::try_from(value).map_or(limit, |value| value.min(limit))
}

fn read_whole(source: &dyn Source, mut offset: u64, mut rest: &mut [u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match source.read_at(offset, rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                let read = read.min(rest.len());
                offset += read as u64;
                rest = &mut rest[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::net::tftp::Embedded;

    fn all(bytes: &'static [u8], encoding: Encoding, step: usize) -> Vec<u8> {
        let mut stream = Stream::new(Box::new(Embedded(bytes)), encoding);
        let mut got = Vec::new();
        loop {
            stream.load(got.len() as u64, step, true).unwrap();
            let more = stream.slice(got.len() as u64, step);
            got.extend_from_slice(more);
            if more.len() < step {
                return got;
            }
        }
    }

    #[test_case(b"", b""; "nothing")]
    #[test_case(b"plain", b"plain"; "no line end")]
    #[test_case(b"a\nb\n", b"a\r\nb\r\n"; "line ends")]
    #[test_case(b"a\rb", b"a\r\0b"; "a lone CR")]
    #[test_case(b"a\r\nb", b"a\r\0\r\nb"; "what is CR LF already is two characters")]
    #[test_case(b"\n\n\n", b"\r\n\r\n\r\n"; "line ends alone")]
    fn translates(from: &'static [u8], to: &[u8]) {
        for step in 1..9 {
            assert_eq!(all(from, Encoding::Netascii, step), to, "{step} at a time");
            assert_eq!(all(from, Encoding::Octet, step), from, "{step} at a time");
        }
    }

    #[test]
    fn what_was_not_forgotten_can_be_had_again() {
        let bytes: &[u8] = Box::leak((0..=255).cycle().take(200_000).collect::<Box<[u8]>>());
        let mut stream = Stream::new(Box::new(Embedded(bytes)), Encoding::Octet);
        for from in (0_u16..1300).map(|block| usize::from(block) * 150) {
            stream.load(from as u64, 1500, true).unwrap();
            assert_eq!(stream.slice(from as u64, 1500), &bytes[from..from + 1500]);
            let later = from + 1350;
            assert_eq!(stream.slice(later as u64, 150), &bytes[later..later + 150]);
        }
        assert!(
            stream.buffer.capacity() < 4 * AHEAD,
            "{}",
            stream.buffer.capacity()
        );
    }

    struct Shrunk;

    impl Source for Shrunk {
        fn len(&self) -> u64 {
            100
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(bounded(50_u64.saturating_sub(offset), buffer.len()))
        }
    }

    #[test_case(Encoding::Octet)]
    #[test_case(Encoding::Netascii)]
    fn a_source_that_shrank_is_an_error(encoding: Encoding) {
        let mut stream = Stream::new(Box::new(Shrunk), encoding);
        let error = stream.load(0, 80, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
