//! The keys of a file that may sign: each primary key, which whoever gave the file vouches for, and those of its subkeys
//! that it binds for signing and that agree to it.

use ring::digest;

use super::packet::{self, Fields, Packet, Packets};
use super::signature::Signature;
use super::{Flaw, armor};
use crate::model::digest::hex;

/// What its armor calls it.
const KEY: &str = "PUBLIC KEY BLOCK";
/// As many keys as a file may hold; each is asked for each signature.
const MOST: usize = 64;

pub const RSA: u8 = 1;
pub const RSA_SIGN: u8 = 3;
/// The form of `gpg` before RFC 9580.
pub const ED25519_OF_OLD: u8 = 22;
pub const ED25519: u8 = 27;
/// RFC 9580 9.2.1.
const CURVE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

/// RFC 9580 5.2.1: what a signature over keys says.
const BINDS: u8 = 0x18;
const AGREES: u8 = 0x19;
const REVOKES: u8 = 0x20;
const REVOKES_SUBKEY: u8 = 0x28;
/// RFC 9580 5.2.3.29: the key is for signing.
const SIGNS: u8 = 0x02;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// In lower-case hexadecimal.
    pub fingerprint: String,
    pub public: Public,
    /// As it is summed where a signature is over it.
    framed: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519(Vec<u8>),
}

impl Key {
    /// RFC 9580 5.5.2.2: version, date, algorithm, and the key itself.
    fn read(body: &[u8]) -> Result<Self, Flaw> {
        let mut fields = Fields(body);
        let version = fields.byte()?;
        if version != 4 {
            return Err(Flaw::Unread(format!("a key of version {version}")));
        }
        fields.take(4)?;
        let public = match fields.byte()? {
            RSA | RSA_SIGN => Public::Rsa {
                n: fields.long_number()?.to_vec(),
                e: fields.long_number()?.to_vec(),
            },
            ED25519_OF_OLD => {
                let length = usize::from(fields.byte()?);
                if fields.take(length)? != CURVE {
                    return Err(Flaw::Unread("a key on another curve than Ed25519".into()));
                }
                let point = fields.long_number()?.strip_prefix(&[0x40]);
                Public::Ed25519(point.ok_or(Flaw::Form("its point is none"))?.to_vec())
            }
            ED25519 => Public::Ed25519(fields.take(32)?.to_vec()),
            other => return Err(Flaw::Unread(format!("a key of algorithm {other}"))),
        };
        let length = u16::try_from(body.len()).map_err(|_| Flaw::Form("a key is too long"))?;
        let framed = [&[0x99], &length.to_be_bytes()[..], body].concat();
        // RFC 9580 5.5.4.2; nobody is asked to believe this sum, it only names the key.
        let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &framed);
        Ok(Self {
            fingerprint: hex(sum.as_ref()),
            public,
            framed,
        })
    }
}

/// Keys that are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Of a file, armored or not.
    pub fn read(file: &[u8]) -> Result<Self, Flaw> {
        let bytes = armor::opened(file, KEY)?;
        let mut certificates: Vec<Certificate> = Vec::new();
        let mut flaw = Flaw::Nothing("public key that can sign");
        for packet in Packets::of(&bytes) {
            let packet = packet?;
            if packet.tag == packet::PUBLIC_KEY {
                certificates.push(Certificate::default());
            }
            let last = certificates.last_mut().ok_or(Flaw::Nothing("public key"))?;
            if let Err(other) = last.take(packet) {
                flaw = other;
            }
        }
        let keys = certificates.into_iter().flat_map(|one| one.keys);
        let keys: Vec<_> = keys.take(MOST).collect();
        if keys.is_empty() {
            Err(flaw)
        } else {
            Ok(Self(keys))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// A primary key with what follows it.
#[derive(Debug, Default)]
struct Certificate {
    /// The primary first.
    keys: Vec<Key>,
    /// The subkey that the next signatures are over.
    subkey: Option<Key>,
    in_subkeys: bool,
}

impl Certificate {
    fn take(&mut self, packet: Packet<'_>) -> Result<(), Flaw> {
        match packet.tag {
            packet::PUBLIC_KEY => self.keys.push(Key::read(packet.body)?),
            packet::PUBLIC_SUBKEY => {
                self.in_subkeys = true;
                // One that cannot be read is for something else than signing.
                self.subkey = Key::read(packet.body).ok();
            }
            packet::SIGNATURE => return self.signature(packet.body),
            _ => {}
        }
        Ok(())
    }

    fn signature(&mut self, body: &[u8]) -> Result<(), Flaw> {
        // Self-signatures of old are over SHA-1; they are not what a primary key is believed for.
        let kind = body.get(1).copied().unwrap_or_default();
        match kind {
            REVOKES => {
                let name = self.keys.first().map(|key| key.fingerprint.clone());
                self.keys.clear();
                Err(Flaw::Revoked(name.unwrap_or_default()))
            }
            REVOKES_SUBKEY => {
                let revoked = self.subkey.take();
                self.keys.retain(|key| Some(key) != revoked.as_ref());
                Ok(())
            }
            BINDS if self.in_subkeys => self.bind(&Signature::read(body)?),
            _ => Ok(()),
        }
    }

    fn bind(&mut self, binding: &Signature<'_>) -> Result<(), Flaw> {
        let (Some(primary), Some(subkey)) = (self.keys.first(), &self.subkey) else {
            return Ok(());
        };
        if binding.flags & SIGNS == 0 || self.keys.contains(subkey) {
            return Ok(());
        }
        let both = [&primary.framed[..], &subkey.framed].concat();
        let back = Signature::read(
            binding
                .back
                .ok_or(Flaw::Nothing("signature by its subkey"))?,
        )?;
        if !binding.is_by(primary, &both) || back.kind != AGREES || !back.is_by(subkey, &both) {
            return Err(Flaw::Wrong);
        }
        self.keys.push(subkey.clone());
        Ok(())
    }
}
