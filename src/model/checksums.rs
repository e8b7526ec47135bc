//! How it is known that an image is the right one: by its own checksum, or by the file in which its vendor tells those of
//! all images, signed by the vendor's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::field::{FieldError, quoted, text_field};
use super::image::SourceUrl;

/// What an image has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Checksum(Digest),
    Checksums(Checksums),
}

/// Where a vendor tells the checksums of its files, and how they are believed. Without a key nobody vouches for them but
/// the server that they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Checksums {
    pub url: SourceUrl,
    pub signed: Option<SignedBy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    pub key: SigningKey,
    /// The signature, where it has a file of its own; otherwise the checksums are signed in themselves.
    pub signature: Option<SourceUrl>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: SourceUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<SourceUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<SigningKey>,
}

impl Checksums {
    pub fn new(
        url: SourceUrl,
        signature: Option<SourceUrl>,
        key: Option<SigningKey>,
    ) -> Result<Self, FieldError> {
        let (url, signature) = (url.web()?, signature.map(SourceUrl::web).transpose()?);
        let signed = match (signature, key) {
            (None, None) => None,
            (signature, Some(key)) => Some(SignedBy { key, signature }),
            (Some(_), None) => {
                let why = "a signature is of no use without the key that made it";
                return Err(FieldError::new("key", why, SigningKey::NAMES[0]));
            }
        };
        Ok(Self { url, signed })
    }
}

impl TryFrom<Written> for Checksums {
    type Error = FieldError;

    fn try_from(written: Written) -> Result<Self, FieldError> {
        Self::new(written.url, written.signature, written.key)
    }
}

impl From<Checksums> for Written {
    fn from(checksums: Checksums) -> Self {
        let (key, signature) = match checksums.signed {
            Some(SignedBy { key, signature }) => (Some(key), signature),
            None => (None, None),
        };
        Self {
            url: checksums.url,
            signature,
            key,
        }
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.signed {
            Some(signed) => write!(f, "{} signed by {}", self.url, signed.key.shown()),
            None => write!(f, "{}, not signed", self.url),
        }
    }
}

/// A key that vendors sign by: the name of one that comes with Dragonfly, or a person's own in its armor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningKey(Box<str>);
text_field!(SigningKey);

impl SigningKey {
    /// The files of `catalogue/keys/`.
    pub const NAMES: [&str; 4] = ["alma-9", "fedora-43", "rocky-10", "ubuntu-cloudimage"];
    /// Larger is a keyring, not a key.
    pub const MAX: usize = 24 * 1024;
    const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

    /// Its name, where it comes with Dragonfly.
    pub fn name(&self) -> Option<&str> {
        (!self.0.starts_with(Self::ARMOR)).then_some(&*self.0)
    }

    /// In a person's words.
    pub fn shown(&self) -> &str {
        self.name().unwrap_or("a key of your own")
    }
}

impl FromStr for SigningKey {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let wrong = |why: String| FieldError::new("key", why, Self::NAMES[0]);
        if !text.starts_with(Self::ARMOR) {
            if Self::NAMES.contains(&text) {
                return Ok(Self(text.into()));
            }
            let names = Self::NAMES.join(", ");
            return Err(wrong(format!(
                "{} is no key that comes with Dragonfly ({names}), and no armored public key",
                quoted(text)
            )));
        }
        if text.len() > Self::MAX {
            let limit = Self::MAX;
            return Err(wrong(format!(
                "it is longer than {limit} bytes: export the one key alone"
            )));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return Err(wrong("it is no text".into()));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use test_case::test_case;

    use super::*;

    const URL: &str = "https://images.example.net/SHA256SUMS";

    #[test_case(&json!({"url": URL}); "not signed")]
    #[test_case(&json!({"url": URL, "key": "fedora-43"}); "signed in itself")]
    #[test_case(&json!({"url": URL, "signature": "https://images.example.net/SHA256SUMS.gpg", "key": "ubuntu-cloudimage"}); "signed beside it")]
    #[test_case(&json!({"url": URL, "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----"}); "a key of one's own")]
    fn what_is_written_is_read_again(written: &Value) {
        let read: Checksums = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(&serde_json::to_value(read).unwrap(), written);
    }

    #[test_case(json!({"url": URL, "signature": URL}), "without the key"; "a signature without a key")]
    #[test_case(json!({"url": URL, "key": "fedora-34"}), "fedora-43, rocky-10"; "a key that nobody knows")]
    #[test_case(json!({"url": "file:///etc/passwd"}), "http"; "a file")]
    #[test_case(json!({"url": URL, "sum": "x"}), "unknown field"; "another word")]
    #[test_case(json!({"url": URL, "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\u{7}"}), "no text"; "a key with a bell in it")]
    fn what_cannot_be_believed_is_refused(written: Value, why: &str) {
        let error = serde_json::from_value::<Checksums>(written).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
