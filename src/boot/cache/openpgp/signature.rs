//! One signature of version 4 (RFC 9580 5.2.3), and whether a key made it.
//!
//! ```text
//! | 4 | type | algorithm | hash | length | hashed parts | length | other parts | 2 bytes of the sum | the signature |
//! |<---------------- is signed too ---------------->|
//! ```

use ring::digest;
use ring::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::Flaw;
use super::key::{self, Key, Public};
use super::packet::Fields;
use crate::model::digest::hex;

/// What its armor calls it.
pub const SIGNATURE: &str = "SIGNATURE";
pub const BINARY: u8 = 0x00;
pub const TEXT: u8 = 0x01;

/// RFC 9580 5.2.3.7: parts that may ask to be understood, and are, or change nothing for us.
const KNOWN: [u8; 18] = [
    CREATED,
    3,
    9,
    11,
    ISSUER,
    21,
    22,
    23,
    24,
    25,
    26,
    FLAGS,
    28,
    29,
    30,
    BACK,
    FINGERPRINT,
    34,
];
const CREATED: u8 = 2;
const ISSUER: u8 = 16;
const FLAGS: u8 = 27;
const BACK: u8 = 32;
const FINGERPRINT: u8 = 33;

/// The sum that is signed.
#[derive(Clone, Copy, Debug)]
struct Hash {
    sum: &'static digest::Algorithm,
    rsa: &'static RsaParameters,
}

#[derive(Clone, Debug)]
pub struct Signature<'a> {
    pub kind: u8,
    /// The end of the fingerprint of the key that it says made it.
    pub issuer: Option<String>,
    /// What the key that it binds is for.
    pub flags: u8,
    /// The signature by the key that it binds, which so agrees to that.
    pub back: Option<&'a [u8]>,
    algorithm: u8,
    hash: Hash,
    trailer: Vec<u8>,
    sum: [u8; 2],
    made: &'a [u8],
}

impl<'a> Signature<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, Flaw> {
        let mut fields = Fields(body);
        let version = fields.byte()?;
        if version != 4 {
            return Err(Flaw::Unread(format!("a signature of version {version}")));
        }
        let (kind, algorithm) = (fields.byte()?, fields.byte()?);
        let hash = hash(fields.byte()?)?;
        let length = fields.number(2)?;
        let hashed = Fields(fields.take(length)?);
        let mut trailer = body[..6 + length].to_vec();
        let signed = u32::try_from(trailer.len()).map_err(|_| Flaw::Short)?;
        trailer.extend([4, 0xff]);
        trailer.extend(signed.to_be_bytes());
        let length = fields.number(2)?;
        let other = Fields(fields.take(length)?);
        let sum = [fields.byte()?, fields.byte()?];
        let mut signature = Self {
            kind,
            issuer: None,
            flags: 0,
            back: None,
            algorithm,
            hash,
            trailer,
            sum,
            made: fields.0,
        };
        signature.parts(other, false)?;
        signature.parts(hashed, true)?;
        Ok(signature)
    }

    fn parts(&mut self, mut fields: Fields<'a>, hashed: bool) -> Result<(), Flaw> {
        let mut dated = !hashed;
        while !fields.0.is_empty() {
            let (kind, body) = fields.subpacket()?;
            let (must, kind) = (kind & 0x80 != 0, kind & 0x7f);
            match kind {
                CREATED => dated = true,
                ISSUER => self.issuer = Some(hex(body)),
                FINGERPRINT => self.issuer = body.get(1..).map(hex),
                FLAGS if hashed => self.flags = body.first().copied().unwrap_or_default(),
                // It proves itself, wherever it stands.
                BACK => self.back = Some(body),
                _ => {}
            }
            if must && hashed && !KNOWN.contains(&kind) {
                return Err(Flaw::Unread(format!("a signature with a part {kind}")));
            }
        }
        if dated {
            Ok(())
        } else {
            Err(Flaw::Form("the signature has no date"))
        }
    }

    /// Whether this key made it over this message.
    pub fn is_by(&self, key: &Key, message: &[u8]) -> bool {
        let signed = [message, &self.trailer].concat();
        let sum = digest::digest(self.hash.sum, &signed);
        if sum.as_ref().get(..2) != Some(&self.sum[..]) {
            return false;
        }
        let mut fields = Fields(self.made);
        match (&key.public, self.algorithm) {
            (Public::Rsa { n, e }, key::RSA | key::RSA_SIGN) => {
                let made = fields.long_number().ok().and_then(|s| padded(s, n.len()));
                let key = RsaPublicKeyComponents { n, e };
                made.is_some_and(|made| key.verify(self.hash.rsa, &signed, &made).is_ok())
            }
            (Public::Ed25519(point), key::ED25519_OF_OLD | key::ED25519) => {
                let made = if self.algorithm == key::ED25519 {
                    fields.take(64).ok().map(<[u8]>::to_vec)
                } else {
                    halves(&mut fields)
                };
                let key = UnparsedPublicKey::new(&ED25519, point);
                made.is_some_and(|made| key.verify(sum.as_ref(), &made).is_ok())
            }
            _ => false,
        }
    }
}

fn hash(id: u8) -> Result<Hash, Flaw> {
    let (sum, rsa) = match id {
        8 => (&digest::SHA256, &RSA_PKCS1_2048_8192_SHA256),
        9 => (&digest::SHA384, &RSA_PKCS1_2048_8192_SHA384),
        10 => (&digest::SHA512, &RSA_PKCS1_2048_8192_SHA512),
        1 => return Err(Flaw::Weak("MD5")),
        2 => return Err(Flaw::Weak("SHA-1")),
        3 => return Err(Flaw::Weak("RIPEMD-160")),
        other => return Err(Flaw::Unread(format!("a signature over the sum {other}"))),
    };
    Ok(Hash { sum, rsa })
}

/// RFC 9580 5.2.3.3.2: R and S of 32 bytes each, with their zeros.
fn halves(fields: &mut Fields<'_>) -> Option<Vec<u8>> {
    let r = padded(fields.long_number().ok()?, 32)?;
    let s = padded(fields.long_number().ok()?, 32)?;
    Some([r, s].concat())
}

/// The number in so many bytes, if it has room in them.
fn padded(number: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut made = vec![0; bytes.checked_sub(number.len())?];
    made.extend(number);
    Some(made)
}
