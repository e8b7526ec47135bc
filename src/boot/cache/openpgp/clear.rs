//! A text with its signature behind it, in one file that people can read (RFC 9580 7).

use super::signature::SIGNATURE;
use super::{Flaw, armor};

const HEAD: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const FOOT: &str = "-----BEGIN PGP SIGNATURE-----";

#[derive(Debug)]
pub struct Clear {
    /// As it is signed: without blanks at the ends of lines, which end in CR and LF, but for the last.
    pub text: String,
    pub signature: Vec<u8>,
}

/// The file has to begin with the signed text, so that nobody reads something above it as signed.
pub fn read(file: &[u8]) -> Result<Clear, Flaw> {
    let text = str::from_utf8(file).map_err(|_| Flaw::Form("it is no text"))?;
    let text = text.trim_start();
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(HEAD) {
        return Err(Flaw::Form("it does not begin with a signed text"));
    }
    // What else stood here would look as if it were signed.
    let begun = lines.find(|line| !line.starts_with("Hash: "));
    if begun.map(str::trim_end) != Some("") {
        return Err(Flaw::Form("the head of its text holds more than hashes"));
    }
    let mut signed: Vec<&str> = Vec::new();
    for line in lines {
        if line.trim_end() == FOOT {
            return Ok(Clear {
                text: signed.join("\r\n"),
                signature: armor::read(text, SIGNATURE)?,
            });
        }
        let plain = match line.strip_prefix('-') {
            Some(rest) => rest
                .strip_prefix(' ')
                .ok_or(Flaw::Form("a line of its text begins with a dash"))?,
            None => line,
        };
        signed.push(plain.trim_end_matches([' ', '\t', '\r']));
    }
    Err(Flaw::Short)
}
