//! The checksum of a file: which sum, and what it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted};

/// A checksum that names its kind: `sha256:…` or `sha512:…`, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    kind: DigestKind,
    hex: Box<str>,
}

/// The sums that are believed; older ones are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestKind {
    Sha256,
    Sha512,
}

impl DigestKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of the sum itself.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Digest {
    /// The sum that was computed. `bytes` has as many bytes as its kind says, or it is none.
    pub fn of(kind: DigestKind, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == kind.bytes()).then(|| Self {
            kind,
            hex: hex(bytes).into(),
        })
    }

    pub const fn kind(&self) -> DigestKind {
        self.kind
    }

    /// The sum in lower-case hexadecimal, without its kind.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.hex)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = FieldError;

    /// With its kind before a colon, or without: then its length tells.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let (named, sum) = match text.split_once(':') {
            Some((name, sum)) => (Some(name.to_ascii_lowercase()), sum),
            None => (None, text),
        };
        let kind = match (named.as_deref(), sum.len()) {
            (Some("sha256") | None, 64) => DigestKind::Sha256,
            (Some("sha512") | None, 128) => DigestKind::Sha512,
            _ => return Err(wrong(text)),
        };
        if !sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong(text));
        }
        Ok(Self {
            kind,
            hex: sum.to_ascii_lowercase().into(),
        })
    }
}

fn wrong(text: &str) -> FieldError {
    FieldError::new(
        "checksum",
        format!(
            "{} is neither sha256: with 64 hexadecimal digits nor sha512: with 128",
            quoted(text)
        ),
        format!("sha256:{}", "0".repeat(64)),
    )
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(&"ab".repeat(32), "sha256"; "a bare one of 32 bytes")]
    #[test_case(&format!("sha256:{}", "AB".repeat(32)), "sha256"; "in capitals")]
    #[test_case(&format!("SHA512:{}", "ab".repeat(64)), "sha512"; "sha512")]
    fn a_checksum_is_read_and_written_in_one_form(text: &str, kind: &str) {
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.kind().name(), kind);
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.hex().starts_with("abab"));
    }

    #[test_case(""; "nothing")]
    #[test_case("md5:d41d8cd98f00b204e9800998ecf8427e"; "a broken sum")]
    #[test_case("sha256:abcd"; "too short")]
    #[test_case(&"gg".repeat(32); "not hexadecimal")]
    fn what_is_no_checksum_is_refused_with_an_example(text: &str) {
        let error = text.parse::<Digest>().unwrap_err();
        assert!(error.example.parse::<Digest>().is_ok(), "{error}");
    }
}
