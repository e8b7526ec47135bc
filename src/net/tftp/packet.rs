//! TFTP datagrams, parsed and built, as a sender of files needs them.
//!
//! ```text
//! RRQ, WRQ  | 1, 2 | name | 0 | mode | 0 | option | 0 | value | 0 | …   RFC 1350 section 5, RFC 2347
//! DATA      |   3  | block | up to blksize octets                      RFC 1350 section 5
//! ACK       |   4  | block |
//! ERROR     |   5  | code  | message | 0 |
//! OACK      |   6  | option | 0 | value | 0 | …                        RFC 2347
//! ```

use std::fmt::Write as _;

use thiserror::Error;

use super::burst::Burst;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Opcode and block number before the octets of a DATA.
pub const DATA_HEADER: usize = 4;
/// The block size of those who do not ask for another (RFC 1350 section 2).
pub const DEFAULT_BLOCK: u16 = 512;

/// What a sender may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Read(Request<'a>),
    Write,
    Ack(u16),
    Error { code: u16, message: &'a [u8] },
}

/// A request for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub name: &'a [u8],
    pub encoding: Encoding,
    pub options: Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Octet,
    /// Lines end with CR LF, and a lone CR is CR NUL (RFC 764 by way of RFC 1350 section 1).
    Netascii,
}

/// The options that are known here and were asked for with a value that makes sense. Others are as if they had
/// not been asked for (RFC 2347 section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// RFC 2348.
    pub blksize: Option<u16>,
    /// RFC 2349, in seconds.
    pub timeout: Option<u8>,
    /// RFC 2349.
    pub tsize: bool,
    /// RFC 7440.
    pub windowsize: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    #[error("datagram of {0} octets, a TFTP packet has at least 4")]
    Short(usize),
    #[error("opcode {0} is not one that a server is sent")]
    Opcode(u16),
    #[error("request without a NUL behind its file name and mode")]
    Unterminated,
    #[error("request with an empty file name")]
    Nameless,
    #[error("transfer mode is neither octet nor netascii")]
    Mode,
}

/// The codes of an ERROR (RFC 1350 appendix) that a sender has use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    Undefined = 0,
    NotFound = 1,
    AccessViolation = 2,
    IllegalOperation = 4,
}

impl<'a> Packet<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (opcode, rest) = word(bytes).ok_or(Malformed::Short(bytes.len()))?;
        match opcode {
            READ => Request::parse(rest).map(Self::Read),
            WRITE => Ok(Self::Write),
            ACK => {
                let (block, _) = word(rest).ok_or(Malformed::Short(bytes.len()))?;
                Ok(Self::Ack(block))
            }
            ERROR => {
                let (code, rest) = word(rest).ok_or(Malformed::Short(bytes.len()))?;
                // Some clients forget the NUL; what they say counts all the same.
                let message = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                Ok(Self::Error { code, message })
            }
            other => Err(Malformed::Opcode(other)),
        }
    }
}

impl<'a> Request<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (name, rest) = text(bytes).ok_or(Malformed::Unterminated)?;
        let (mode, rest) = text(rest).ok_or(Malformed::Unterminated)?;
        if name.is_empty() {
            return Err(Malformed::Nameless);
        }
        let encoding = if mode.eq_ignore_ascii_case(b"octet") {
            Encoding::Octet
        } else if mode.eq_ignore_ascii_case(b"netascii") {
            Encoding::Netascii
        } else {
            return Err(Malformed::Mode);
        };
        Ok(Self {
            name,
            encoding,
            options: Options::parse(rest),
        })
    }
}

impl Options {
    /// Reads pairs until one is not whole: firmware pads its requests, and no option is worth a failed boot.
    fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((name, rest)) = text(bytes).filter(|(name, _)| !name.is_empty()) {
            let Some((value, rest)) = text(rest) else {
                break;
            };
            options.take(name, value);
            bytes = rest;
        }
        options
    }

    /// The first of several with the same name counts.
    fn take(&mut self, name: &[u8], value: &[u8]) {
        let Some(value) = decimal(value) else {
            return;
        };
        let within = |low: u64, high: u64| (low..=high).contains(&value).then_some(value);
        if name.eq_ignore_ascii_case(b"blksize") {
            let asked = within(8, 65464).and_then(|value| u16::try_from(value).ok());
            self.blksize = self.blksize.or(asked);
        } else if name.eq_ignore_ascii_case(b"timeout") {
            let asked = within(1, 255).and_then(|value| u8::try_from(value).ok());
            self.timeout = self.timeout.or(asked);
        } else if name.eq_ignore_ascii_case(b"windowsize") {
            let asked = within(1, 65535).and_then(|value| u16::try_from(value).ok());
            self.windowsize = self.windowsize.or(asked);
        } else if name.eq_ignore_ascii_case(b"tsize") {
            self.tsize = true;
        }
    }
}

/// What is agreed on, as an OACK tells it: only what was asked for, and only so much of it as is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    pub blksize: Option<u16>,
    pub timeout: Option<u8>,
    pub tsize: Option<u64>,
    pub windowsize: Option<u16>,
}

impl Agreed {
    /// Nothing that could be acknowledged: the first DATA is the answer (RFC 2347 section 3).
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn write(&self, out: &mut Burst) {
        let mut pairs = String::new();
        let mut pair = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(pairs, "{name}\0{value}\0");
            }
        };
        pair("tsize", self.tsize);
        pair("blksize", self.blksize.map(u64::from));
        pair("timeout", self.timeout.map(u64::from));
        pair("windowsize", self.windowsize.map(u64::from));
        out.push(&[&OACK.to_be_bytes(), pairs.as_bytes()]);
    }
}

/// The four octets before a block.
pub fn data_header(block: u16) -> [u8; DATA_HEADER] {
    let ([a, b], [c, d]) = (DATA.to_be_bytes(), block.to_be_bytes());
    [a, b, c, d]
}

pub fn write_error(code: ErrorCode, message: &str, out: &mut Burst) {
    let code = code as u16;
    out.push(&[
        &ERROR.to_be_bytes(),
        &code.to_be_bytes(),
        message.as_bytes(),
        &[0],
    ]);
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*first), rest))
}

/// The text before a NUL, and what follows the NUL.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Digits and nothing else; a number that no option has is none.
fn decimal(bytes: &[u8]) -> Option<u64> {
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(bytes).ok().filter(|_| digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn request(bytes: &[u8]) -> Request<'_> {
        match Packet::parse(bytes) {
            Ok(Packet::Read(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test_case(b"", Malformed::Short(0); "nothing")]
    #[test_case(b"\0", Malformed::Short(1); "half an opcode")]
    #[test_case(b"\0\x04\0", Malformed::Short(3); "an ACK without its block")]
    #[test_case(b"\0\x05\0", Malformed::Short(3); "an ERROR without its code")]
    #[test_case(b"\0\x03\0\x01abc", Malformed::Opcode(3); "DATA, which only a receiver is sent")]
    #[test_case(b"\0\x06blksize\x008\0", Malformed::Opcode(6); "OACK, which only a client is sent")]
    #[test_case(b"\x01\x01a\0octet\0", Malformed::Opcode(257); "an unknown opcode")]
    #[test_case(b"\0\x01", Malformed::Unterminated; "a request of nothing")]
    #[test_case(b"\0\x01name", Malformed::Unterminated; "a name without its NUL")]
    #[test_case(b"\0\x01name\0octet", Malformed::Unterminated; "a mode without its NUL")]
    #[test_case(b"\0\x01\0octet\0", Malformed::Nameless; "an empty name")]
    #[test_case(b"\0\x01name\0mail\0", Malformed::Mode; "mail")]
    #[test_case(b"\0\x01name\0\0", Malformed::Mode; "an empty mode")]
    fn refuses(bytes: &[u8], because: Malformed) {
        assert_eq!(Packet::parse(bytes), Err(because));
    }

    #[test_case(b"\0\x01a\0octet\0", Encoding::Octet; "octet")]
    #[test_case(b"\0\x01a\0OCTET\0", Encoding::Octet; "octet in capitals")]
    #[test_case(b"\0\x01a\0NetASCII\0", Encoding::Netascii; "netascii in both")]
    fn knows_the_mode(bytes: &[u8], encoding: Encoding) {
        assert_eq!(request(bytes).encoding, encoding);
        assert_eq!(request(bytes).name, b"a");
        assert_eq!(request(bytes).options, Options::default());
    }

    fn options(pairs: &[u8]) -> Options {
        let bytes = [b"\0\x01a\0octet\0".as_slice(), pairs].concat();
        Packet::parse(&bytes).map_or_else(
            |error| panic!("{error}"),
            |packet| match packet {
                Packet::Read(request) => request.options,
                other => panic!("{other:?}"),
            },
        )
    }

    #[test]
    fn reads_what_edk2_asks() {
        let asked = options(b"tsize\x000\0blksize\x001468\0windowsize\x004\0");
        let expected = Options {
            blksize: Some(1468),
            tsize: true,
            windowsize: Some(4),
            timeout: None,
        };
        assert_eq!(asked, expected);
    }

    #[test_case(b"BLKSIZE\x001024\0", Some(1024); "names in capitals")]
    #[test_case(b"blksize\x008\0", Some(8); "the smallest")]
    #[test_case(b"blksize\x0065464\0", Some(65464); "the largest")]
    #[test_case(b"blksize\x007\0", None; "too small")]
    #[test_case(b"blksize\x0065465\0", None; "too large")]
    #[test_case(b"blksize\x0099999999999999999999999\0", None; "larger than any number")]
    #[test_case(b"blksize\0+512\0", None; "with a sign")]
    #[test_case(b"blksize\0\0", None; "without a value")]
    #[test_case(b"blksize\x00512", None; "cut off in its value")]
    #[test_case(b"blksize", None; "cut off in its name")]
    #[test_case(b"multicast\0\0blksize\x00600\0", Some(600); "behind an unknown one")]
    #[test_case(b"blksize\x00600\0blksize\x00700\0", Some(600); "twice")]
    #[test_case(b"\0\0\0\0\0\0", None; "padding")]
    fn block_size(pairs: &[u8], expected: Option<u16>) {
        assert_eq!(options(pairs).blksize, expected);
    }

    #[test_case(b"timeout\x000\0", None; "no time at all")]
    #[test_case(b"timeout\x00255\0", Some(255); "the longest")]
    #[test_case(b"timeout\x00256\0", None; "too long")]
    fn timeout(pairs: &[u8], expected: Option<u8>) {
        assert_eq!(options(pairs).timeout, expected);
    }

    #[test]
    fn an_error_without_its_nul_is_read() {
        let expected = Packet::Error {
            code: 8,
            message: b"User aborted the transfer",
        };
        assert_eq!(
            Packet::parse(b"\0\x05\0\x08User aborted the transfer"),
            Ok(expected)
        );
        assert_eq!(
            Packet::parse(b"\0\x05\0\x08User aborted the transfer\0junk"),
            Ok(expected)
        );
    }

    #[test]
    fn writes_only_what_is_agreed() {
        let mut out = Burst::default();
        let agreed = Agreed {
            blksize: Some(1468),
            tsize: Some(0),
            ..Agreed::default()
        };
        agreed.write(&mut out);
        assert_eq!(out.bytes(), b"\0\x06tsize\x000\0blksize\x001468\0");
    }

    #[test]
    fn writes_an_error() {
        let mut out = Burst::default();
        write_error(ErrorCode::NotFound, "no such file", &mut out);
        assert_eq!(out.bytes(), b"\0\x05\0\x01no such file\0");
    }

    #[test]
    fn fuzz_tftp_parse() {
        bolero::check!()
            .with_iterations(crate::net::frame::fuzz_cases())
            .for_each(|bytes: &[u8]| {
                if let Ok(Packet::Read(request)) = Packet::parse(bytes) {
                    assert!(!request.name.is_empty() && !request.name.contains(&0));
                }
            });
    }
}
