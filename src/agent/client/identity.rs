//! Who the agent is: a key made in memory, in a certificate that it signed itself.
//!
//! The certificate says nothing; it only carries the key into the handshake (RFC 5280 §4.1, in DER).

use ring::error::{KeyRejected, Unspecified};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A P-256 key with its certificate.
#[derive(Debug)]
pub struct Identity {
    key: Vec<u8>,
    certificate: Vec<u8>,
}

impl Identity {
    /// A new key, as PKCS #8.
    pub fn new_key() -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
        Ok(key.as_ref().to_vec())
    }

    /// The identity of a key.
    pub fn of(key: Vec<u8>) -> Result<Self, KeyRejected> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key, &random)?;
        let certificate = der::certificate(pair.public_key().as_ref(), |body| {
            pair.sign(&random, body)
                .map(|signature| signature.as_ref().to_vec())
                .unwrap_or_default()
        });
        Ok(Self { key, certificate })
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.clone())
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

/// As much of DER (X.690) as one certificate needs.
mod der {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const OID: u8 = 0x06;
    const UTF8: u8 = 0x0c;
    const TIME: u8 = 0x18;
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    /// `[0]`, around the version.
    const VERSION: u8 = 0xa0;

    /// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
    const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    /// id-ecPublicKey, 1.2.840.10045.2.1.
    const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// prime256v1, 1.2.840.10045.3.1.7.
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    /// commonName, 2.5.4.3.
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

    pub(super) fn certificate(public: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let algorithm = all(SEQUENCE, &[&one(OID, ECDSA_SHA256)]);
        let name = all(
            SEQUENCE,
            &[&all(
                SET,
                &[&all(
                    SEQUENCE,
                    &[&one(OID, COMMON_NAME), &one(UTF8, b"dragonfly-agent")],
                )],
            )],
        );
        // A machine's clock may show anything before its first hello, so that it is valid always.
        let validity = all(
            SEQUENCE,
            &[
                &one(TIME, b"19700101000000Z"),
                &one(TIME, b"99991231235959Z"),
            ],
        );
        let key = all(
            SEQUENCE,
            &[
                &all(SEQUENCE, &[&one(OID, EC_KEY), &one(OID, P256)]),
                &bits(public),
            ],
        );
        let version = all(VERSION, &[&one(INTEGER, &[2])]);
        let serial = one(INTEGER, &[1]);
        let body = all(
            SEQUENCE,
            &[&version, &serial, &algorithm, &name, &validity, &name, &key],
        );
        let signature = bits(&sign(&body));
        all(SEQUENCE, &[&body, &algorithm, &signature])
    }

    fn bits(value: &[u8]) -> Vec<u8> {
        one(BIT_STRING, &[&[0], value].concat())
    }

    fn all(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        one(tag, &parts.concat())
    }

    fn one(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        let length = value.len().to_be_bytes();
        let digits: &[u8] = &length[length.iter().take_while(|byte| **byte == 0).count()..];
        if value.len() < 0x80 {
            bytes.extend(digits.iter().copied().chain(value.is_empty().then_some(0)));
        } else {
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            bytes.extend(digits);
        }
        bytes.extend(value);
        bytes
    }
}
