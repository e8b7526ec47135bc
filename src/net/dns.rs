//! The one question that is asked of a name server: which name an address has.
//!
//! Bytes in, bytes out; the socket is elsewhere. RFC 1035 4.1, and RFC 2317 for names that stand elsewhere by CNAME.
//!
//! ```text
//!  0      2      4          6          8          10         12
//!  +------+------+----------+----------+----------+----------+----
//!  |  ID  |flags | QDCOUNT  | ANCOUNT  | NSCOUNT  | ARCOUNT  | question, answers …
//!  +------+------+----------+----------+----------+----------+----
//! ```

use std::fmt::Write;
use std::net::IpAddr;

use crate::model::Hostname;

/// RFC 1035 4.2.1: as many bytes as a datagram may have where nothing else was agreed on.
pub const MAX_DATAGRAM: usize = 512;

const HEADER: usize = 12;
const MAX_NAME: usize = 255;
/// Names that lead to names; a loop ends here.
const MAX_ALIASES: usize = 8;
const MAX_POINTERS: usize = 16;
const TYPE_CNAME: u16 = 5;
const TYPE_PTR: u16 = 12;
const CLASS_IN: u16 = 1;
const RECURSION_DESIRED: u16 = 0x0100;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RCODE: u16 = 0x000f;
const NAME_ERROR: u16 = 3;

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    #[error("answer is cut off at byte {0}")]
    Short(usize),
    #[error("answer belongs to another question")]
    Foreign,
    #[error("name at byte {0} is none: too long, or it leads in circles")]
    Name(usize),
    #[error("server could not answer: code {0}")]
    Server(u8),
    #[error("answer is larger than a datagram")]
    Truncated,
}

/// The name under which the name of `address` is kept (RFC 1035 3.5, RFC 3596 2.5).
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let mut name = String::with_capacity(72);
            for octet in v6.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 0x0f, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

/// The question for the name of `address`.
pub fn question(id: u16, address: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 80);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    for label in reverse_name(address).split('.') {
        // Its labels are ours, and have at most 7 letters.
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(TYPE_PTR.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes
}

/// The name of `address` in the answer to [`question`]; none where it has none, or one that no host has.
pub fn answer(id: u16, address: IpAddr, bytes: &[u8]) -> Result<Option<Hostname>, DnsError> {
    let flags = word(bytes, 2)?;
    let ours = word(bytes, 0)? == id && flags & RESPONSE != 0 && flags & OPCODE == 0;
    if !ours || word(bytes, 4)? != 1 {
        return Err(DnsError::Foreign);
    }
    let (asked, at) = name(bytes, HEADER)?;
    let mut wanted = reverse_name(address);
    if asked != wanted || word(bytes, at)? != TYPE_PTR || word(bytes, at + 2)? != CLASS_IN {
        return Err(DnsError::Foreign);
    }
    match flags & RCODE {
        0 => {}
        NAME_ERROR => return Ok(None),
        code => return Err(DnsError::Server(u8::try_from(code).unwrap_or_default())),
    }
    if flags & TRUNCATED != 0 {
        return Err(DnsError::Truncated);
    }
    let mut at = at + 4;
    let mut aliases = 0;
    for _ in 0..word(bytes, 6)? {
        let (owner, after) = name(bytes, at)?;
        let (kind, class, length) = (
            word(bytes, after)?,
            word(bytes, after + 2)?,
            word(bytes, after + 8)?,
        );
        let data = after + 10;
        at = data + usize::from(length);
        if at > bytes.len() {
            return Err(DnsError::Short(bytes.len()));
        }
        if owner != wanted || class != CLASS_IN {
            continue;
        }
        match kind {
            TYPE_PTR => return Ok(name(bytes, data)?.0.parse().ok()),
            TYPE_CNAME if aliases < MAX_ALIASES => {
                aliases += 1;
                wanted = name(bytes, data)?.0;
            }
            _ => {}
        }
    }
    Ok(None)
}

fn word(bytes: &[u8], at: usize) -> Result<u16, DnsError> {
    let pair = bytes.get(at..at + 2).ok_or(DnsError::Short(bytes.len()))?;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

/// The name at `at` in lower case, and what follows it. RFC 1035 4.1.4: a pointer leads to what stands before it.
fn name(bytes: &[u8], at: usize) -> Result<(String, usize), DnsError> {
    let (mut place, mut after, mut pointers) = (at, None, 0);
    let mut text = String::new();
    loop {
        let length = usize::from(*bytes.get(place).ok_or(DnsError::Short(bytes.len()))?);
        match length {
            0 => return Ok((text, after.unwrap_or(place + 1))),
            1..=63 => {
                let label = bytes.get(place + 1..place + 1 + length);
                let label = label.ok_or(DnsError::Short(bytes.len()))?;
                if !text.is_empty() {
                    text.push('.');
                }
                // What is no letter of a host name is never taken for one, since such a name is not parsed.
                text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
                place += 1 + length;
            }
            192..=255 => {
                let target = usize::from(word(bytes, place)? & 0x3fff);
                after.get_or_insert(place + 2);
                pointers += 1;
                if target >= place || pointers > MAX_POINTERS {
                    return Err(DnsError::Name(at));
                }
                place = target;
            }
            _ => return Err(DnsError::Name(at)),
        }
        if text.len() > MAX_NAME {
            return Err(DnsError::Name(at));
        }
    }
}

#[cfg(test)]
mod tests;
