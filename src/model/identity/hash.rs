//! The identity hash, and what is let into it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::field::{FieldError, text_field};

/// SHA-256 over the hardware's own names; see [`compute_identity_hash`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityHash([u8; 32]);

impl IdentityHash {
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for IdentityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for IdentityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IdentityHash {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = || {
            FieldError::new(
                "identity_hash",
                "it has to be 64 hexadecimal digits",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            )
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(wrong);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for IdentityHash {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<IdentityHash> for String {
    fn from(hash: IdentityHash) -> Self {
        hash.to_string()
    }
}

/// SHA-256(sorted MACs, each followed by `|`, then the SMBIOS UUID, `|`, then the machine-id), in hexadecimal.
///
/// The bytes that go in are part of the stored format: a change here makes every known machine a stranger.
pub fn compute_identity_hash(
    macs: &[String],
    smbios_uuid: Option<&str>,
    machine_id: Option<&str>,
) -> String {
    hash(macs, smbios_uuid, machine_id).to_string()
}

pub(super) fn hash(
    macs: &[String],
    smbios_uuid: Option<&str>,
    machine_id: Option<&str>,
) -> IdentityHash {
    let mut sorted: Vec<_> = macs
        .iter()
        .map(|mac| mac.to_lowercase().replace('-', ":"))
        .collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    for mac in &sorted {
        hasher.update(mac.as_bytes());
        hasher.update(b"|");
    }
    if let Some(uuid) = smbios_uuid {
        hasher.update(uuid.to_lowercase().as_bytes());
    }
    hasher.update(b"|");
    if let Some(id) = machine_id {
        hasher.update(id.as_bytes());
    }
    IdentityHash(hasher.finalize().into())
}

/// A UUID that says something about one machine; vendors' fillers say nothing, in either byte order.
pub fn usable_uuid(uuid: Uuid) -> Option<Uuid> {
    const FILLERS: [u128; 6] = [
        0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
        0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
        0x0300_0200_0400_0500_0006_0007_0008_0009,
        0x1111_1111_2222_3333_4444_5555_5555_5555,
        0x1234_5678_1234_5678_90ab_cdde_efaa_bbcc,
        0x4c4c_4544_0000_2010_8020_80c0_4f20_2020,
    ];
    let bytes = uuid.as_bytes();
    let uniform = bytes.iter().all(|byte| *byte == bytes[0]);
    let filler = FILLERS.contains(&uuid.as_u128())
        || FILLERS.contains(&u128::from_be_bytes(uuid.to_bytes_le()));
    (!uniform && !filler).then_some(uuid)
}

/// The contents of `/etc/machine-id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OsMachineId(Box<str>);
text_field!(OsMachineId);

impl FromStr for OsMachineId {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_ascii_lowercase();
        let valid = text.len() == 32
            && text.bytes().all(|b| b.is_ascii_hexdigit())
            && text.bytes().any(|b| b != b'0');
        if valid {
            return Ok(Self(text.into()));
        }
        Err(FieldError::new(
            "machine_id",
            "it has to be 32 hexadecimal digits that are not all zero",
            "b08dfa6083e7567a1921a715000001fb",
        ))
    }
}
