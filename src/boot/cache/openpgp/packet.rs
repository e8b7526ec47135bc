//! Bytes as packets, and fields off the front of them. Every length is checked here, and none is believed.
//!
//! ```text
//! 1 1 tttttt | length: 1, 2 or 5 bytes | body      (RFC 9580 4.2.1)
//! 1 0 tttt ll | length: 1, 2 or 4 bytes | body     (RFC 9580 4.2.2, of old)
//! ```

use super::Flaw;

pub const SIGNATURE: u8 = 2;
pub const PUBLIC_KEY: u8 = 6;
pub const PUBLIC_SUBKEY: u8 = 14;

/// Numbers of `OpenPGP` are at most as long as an RSA key of 8192 bits.
const MAX_NUMBER: usize = 1024;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8, Flaw> {
        let (byte, rest) = self.0.split_first().ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// A number of so many bytes, at most four.
    pub fn number(&mut self, bytes: usize) -> Result<usize, Flaw> {
        let taken = self.take(bytes)?.iter();
        Ok(taken.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// RFC 9580 3.2: its length in bits, and its bytes without zeros before them.
    pub fn long_number(&mut self) -> Result<&'a [u8], Flaw> {
        let bytes = self.number(2)?.div_ceil(8);
        if bytes > MAX_NUMBER {
            return Err(Flaw::Form("a number in it is too long"));
        }
        let taken = self.take(bytes)?;
        let zeros = taken.iter().take_while(|byte| **byte == 0).count();
        Ok(&taken[zeros..])
    }

    /// RFC 9580 5.2.3.7, and 4.2.1 but for `most`, the last of the first bytes that two bytes begin with.
    fn length(&mut self, most: u8) -> Result<usize, Flaw> {
        let first = self.byte()?;
        match first {
            0..=191 => Ok(usize::from(first)),
            255 => self.number(4),
            _ if first <= most => {
                let second = usize::from(self.byte()?);
                Ok(((usize::from(first) - 192) << 8) + second + 192)
            }
            _ => Err(Flaw::Unread("a packet in parts".into())),
        }
    }

    /// A part of a signature: its type with the bit that says that it has to be understood, and what it holds.
    pub fn subpacket(&mut self) -> Result<(u8, &'a [u8]), Flaw> {
        let length = self.length(254)?;
        let mut body = Self(self.take(length)?);
        Ok((body.byte()?, body.0))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub tag: u8,
    pub body: &'a [u8],
}

/// The packets of a file, until its end or the first that is none.
#[derive(Debug)]
pub struct Packets<'a>(Fields<'a>);

impl<'a> Packets<'a> {
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(Fields(bytes))
    }

    fn read(&mut self) -> Result<Packet<'a>, Flaw> {
        let fields = &mut self.0;
        let head = fields.byte()?;
        if head & 0x80 == 0 {
            return Err(Flaw::Form("a packet does not begin as one"));
        }
        let (tag, length) = if head & 0x40 != 0 {
            (head & 0x3f, fields.length(223)?)
        } else {
            let bytes = match head & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return Err(Flaw::Unread("a packet without a length".into())),
            };
            (head >> 2 & 0x0f, fields.number(bytes)?)
        };
        let body = fields.take(length)?;
        Ok(Packet { tag, body })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.0 = Fields(&[]);
        }
        Some(read)
    }
}
