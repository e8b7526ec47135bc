//! Signatures of `OpenPGP` (RFC 9580, and RFC 4880 before it), as far as vendors sign their checksums: version 4, RSA and
//! Ed25519, detached or with the signed text in one file. It only verifies, and only by keys that somebody named
//! beforehand; there is no web of trust. Whether a key has expired is not asked, for images outlive keys.
//!
//! - `armor`: bytes as text. - `clear`: a text with its signature behind it. - `packet`: bytes as packets. - `key`: the
//!   keys of a file. - `signature`: one signature, and whether a key made it.

mod armor;
mod clear;
#[cfg(test)]
pub mod gpg;
mod key;
mod packet;
mod signature;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::packet::Packets;
use self::signature::{BINARY, SIGNATURE, Signature, TEXT};

pub use key::Keyring;

/// As many signatures as one file may hold; each costs as many sums as there are keys.
const MOST: usize = 16;

/// What is wrong with a key, or with a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("it breaks off before its end")]
    Short,
    #[error("it is no OpenPGP: {0}")]
    Form(&'static str),
    #[error("{0} is not read here")]
    Unread(String),
    #[error("it is signed over {0}, which is broken")]
    Weak(&'static str),
    #[error("there is no {0} in it")]
    Nothing(&'static str),
    #[error("the key {0} was revoked")]
    Revoked(String),
    #[error("it is signed by the key {0}, which is another one")]
    Stranger(String),
    #[error("the signature is wrong: this is not what was signed")]
    Wrong,
}

/// The fingerprint of the key of `keys` that signed this message, by a signature in a file of its own.
pub fn detached(keys: &Keyring, message: &[u8], signature: &[u8]) -> Result<String, Flaw> {
    let signature = armor::opened(signature, SIGNATURE)?;
    verify(keys, message, &signature)
}

/// The text that is signed in itself, and the fingerprint of the key of `keys` that signed it. What stands around the
/// signed text is no part of it.
pub fn signed_text(keys: &Keyring, file: &[u8]) -> Result<(String, String), Flaw> {
    let clear = clear::read(file)?;
    let signer = verify(keys, clear.text.as_bytes(), &clear.signature)?;
    Ok((clear.text, signer))
}

/// One good signature is enough; what is wrong with the last is told where there is none.
fn verify(keys: &Keyring, message: &[u8], signatures: &[u8]) -> Result<String, Flaw> {
    let mut flaw = Flaw::Nothing("signature");
    for packet in Packets::of(signatures).take(MOST) {
        let packet = packet?;
        if packet.tag != packet::SIGNATURE {
            continue;
        }
        match signer(keys, message, packet.body) {
            Ok(signer) => return Ok(signer),
            Err(other) => flaw = other,
        }
    }
    Err(flaw)
}

fn signer(keys: &Keyring, message: &[u8], body: &[u8]) -> Result<String, Flaw> {
    let signature = Signature::read(body)?;
    let message = match signature.kind {
        BINARY => Cow::Borrowed(message),
        TEXT => Cow::Owned(canonical(message)),
        _ => {
            return Err(Flaw::Unread(format!(
                "signature type {:#04x}",
                signature.kind
            )));
        }
    };
    // The issuer in a signature is a hint that nobody signed: each key is asked.
    let found = keys.iter().find(|key| signature.is_by(key, &message));
    match (found, &signature.issuer) {
        (Some(key), _) => Ok(key.fingerprint.clone()),
        (None, Some(issuer)) if !keys.iter().any(|key| key.fingerprint.ends_with(issuer)) => {
            Err(Flaw::Stranger(issuer.clone()))
        }
        _ => Err(Flaw::Wrong),
    }
}

/// RFC 9580 5.2.1.2: lines end in CR and LF.
fn canonical(text: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(text.len() + 64);
    for byte in text {
        if *byte == b'\n' && made.last() != Some(&b'\r') {
            made.push(b'\r');
        }
        made.push(*byte);
    }
    made
}
