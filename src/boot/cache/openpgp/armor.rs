//! Bytes as lines of base64 between a head and a foot, with a sum of their own (RFC 9580 6).

use super::Flaw;
use crate::model::base64;

/// The bytes of a file, armored or not. Of armored ones, each block of this kind; what stands around them is left out.
pub fn opened(file: &[u8], kind: &str) -> Result<Vec<u8>, Flaw> {
    // The first byte of a packet has its highest bit set, which no armor has.
    if file.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Ok(file.to_vec());
    }
    let text = str::from_utf8(file).map_err(|_| Flaw::Form("neither packets nor text"))?;
    read(text, kind)
}

/// The bytes of all blocks of this kind in a text.
pub fn read(text: &str, kind: &str) -> Result<Vec<u8>, Flaw> {
    let (head, foot) = (
        format!("-----BEGIN PGP {kind}-----"),
        format!("-----END PGP {kind}-----"),
    );
    let mut lines = text.lines().map(str::trim_end);
    let mut bytes = Vec::new();
    while lines.any(|line| line == head) {
        bytes.extend(block(&mut lines, &foot)?);
    }
    if bytes.is_empty() {
        return Err(Flaw::Form("there is no armored block of the kind wanted"));
    }
    Ok(bytes)
}

/// Behind the head: headers, an empty line, base64, perhaps a sum, the foot.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, foot: &str) -> Result<Vec<u8>, Flaw> {
    let header = |line: &&str| line.contains(": ");
    let begun = lines.by_ref().find(|line| !header(line));
    if begun != Some("") {
        return Err(Flaw::Form(
            "the head of its armor has no empty line behind it",
        ));
    }
    let (mut body, mut sum) = (String::new(), None);
    for line in lines {
        if line == foot {
            let bytes = base64::read(&body).ok_or(Flaw::Form("its armor is no base64"))?;
            if sum.is_some_and(|sum| sum != crc24(&bytes)) {
                return Err(Flaw::Form("its armor's sum is wrong"));
            }
            return Ok(bytes);
        }
        match line.strip_prefix('=').filter(|sum| sum.len() == 4) {
            Some(told) => sum = Some(number(told)?),
            None if sum.is_some() => return Err(Flaw::Form("its armor goes on behind its sum")),
            None => body.push_str(line),
        }
    }
    Err(Flaw::Short)
}

fn number(told: &str) -> Result<u32, Flaw> {
    match base64::read(told).as_deref() {
        Some([a, b, c]) => Ok(u32::from_be_bytes([0, *a, *b, *c])),
        _ => Err(Flaw::Form("its armor's sum is none")),
    }
}

/// RFC 9580 6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}
