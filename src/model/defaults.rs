//! What every installation starts from unless a machine or a template says otherwise: a user, keys, time and place.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, Hostname, OsChoice, quoted, readable, text_field};

/// What a person set once for all installations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// The user that is made on each machine, may become root, and gets the keys and the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<SshKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<PasswordHash>,
    /// The template that is meant where nobody names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<OsChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Name servers of machines that have an address of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<TimeServer>,
}

impl Defaults {
    pub const MAX_SSH_KEYS: usize = 64;
    /// The resolver of the C library reads three; installers take a few more.
    pub const MAX_DNS: usize = 6;
    pub const MAX_NTP: usize = 8;
    /// The user where none is named.
    pub const USER: &str = "dragonfly";

    pub fn user(&self) -> &str {
        self.user.as_ref().map_or(Self::USER, UserName::as_str)
    }
}

/// A user's name as useradd takes it by default: a to z, digits, `_` and `-`, up to 32 characters; never root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Box<str>);
text_field!(UserName);

impl FromStr for UserName {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let wrong = |why: String| Err(FieldError::new("user", why, "ada"));
        let first = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if text == "root" {
            return wrong("root is there anyway; name a user that may become root".into());
        }
        if !first || !text.bytes().all(rest) || text.len() > 32 {
            return wrong(format!(
                "{} is no name of a user: up to 32 of a to z, digits, _ and -, and a letter or _ first",
                quoted(text)
            ));
        }
        Ok(Self(text.into()))
    }
}

/// One line of `authorized_keys` without options: the kind, the key in base64, and a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshKey(Box<str>);
text_field!(SshKey);

impl SshKey {
    pub const MAX: usize = 8192;
    const KINDS: [&'static str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
}

impl FromStr for SshKey {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        const EXAMPLE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@desk";
        let wrong = |why: &str| Err(FieldError::new("ssh_keys", why, EXAMPLE));
        let text = readable("ssh_keys", text, Self::MAX, EXAMPLE)?;
        if text.contains("PRIVATE KEY") {
            return wrong("it is a private key; the public one is in the file that ends in .pub");
        }
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
            return wrong("it has to read KIND KEY COMMENT, as a .pub file does");
        };
        if !Self::KINDS.contains(&kind) {
            return wrong("it does not begin with a kind of key that SSH servers take");
        }
        if !names_its_kind(blob, kind) {
            return wrong("its second word is not a key of this kind in base64");
        }
        Ok(Self(text))
    }
}

/// RFC 4253 6.6: the key begins with its kind, behind four bytes that tell the kind's length.
fn names_its_kind(blob: &str, kind: &str) -> bool {
    let Some(bytes) = super::base64::read(blob) else {
        return false;
    };
    let length = u32::try_from(kind.len()).unwrap_or_default().to_be_bytes();
    let head = bytes.strip_prefix(&length[..]);
    head.and_then(|rest| rest.strip_prefix(kind.as_bytes()))
        .is_some_and(|key| key.len() >= 32)
}

/// A password as `/etc/shadow` keeps it. It is given to the machine that it is for, and neither logged nor shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    pub const MAX: usize = 256;
    /// SHA-256, SHA-512, yescrypt, gost-yescrypt, bcrypt and scrypt of crypt(5); what is older is broken.
    const SCHEMES: [&'static str; 6] = ["5", "6", "y", "gy", "2b", "7"];

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasswordHash {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let scheme = text
            .strip_prefix('$')
            .and_then(|rest| rest.split_once('$'))
            .filter(|(_, rest)| rest.len() >= 20);
        let known = scheme.is_some_and(|(scheme, _)| Self::SCHEMES.contains(&scheme));
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"$./=,".contains(&b);
        if !known || text.len() > Self::MAX || !text.bytes().all(letter) {
            // What was typed may be the password itself, so it is not quoted back.
            return Err(FieldError::new(
                "password_hash",
                "it is not a password's hash as mkpasswd makes it, of SHA-256, SHA-512, yescrypt, bcrypt or scrypt",
                "$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8BLUpnlwGqbTgdVhcBRmF6QpXX7dB3Zr1WQxY0kZbqd0",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0.into()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a password's hash)")
    }
}

/// A time zone by its name in the IANA database: `Europe/Vienna`, `UTC`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone(Box<str>);
text_field!(TimeZone);

impl FromStr for TimeZone {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"_+-".contains(&b);
        let part = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && part.bytes().all(letter)
        };
        if text.len() > 64 || text.split('/').count() > 3 || !text.split('/').all(part) {
            return Err(FieldError::new(
                "timezone",
                format!("{} is no time zone's name", quoted(text)),
                "Europe/Vienna",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// A locale as the C library names it: `en_US.UTF-8`, `C.UTF-8`, `de_DE.UTF-8@euro`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale(Box<str>);
text_field!(Locale);

impl Locale {
    /// The language and the country, where they are named: `("en", "US")`.
    pub fn parts(&self) -> (&str, Option<&str>) {
        let name = self.0.split(['.', '@']).next().unwrap_or_default();
        match name.split_once('_') {
            Some((language, country)) => (language, Some(country)),
            None => (name, None),
        }
    }
}

impl FromStr for Locale {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"_.@-".contains(&b);
        if !first || text.len() > 32 || !text.bytes().all(letter) {
            return Err(FieldError::new(
                "locale",
                format!("{} is no locale's name", quoted(text)),
                "en_US.UTF-8",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// A time server, by name or address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeServer(Box<str>);
text_field!(TimeServer);

impl FromStr for TimeServer {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let name: Hostname = text
            .parse()
            .map_err(|error: FieldError| FieldError::new("ntp", error.reason, "ntp.example.net"))?;
        Ok(Self(name.as_str().into()))
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@desk";

    #[test_case("ada", true)]
    #[test_case("_svc-1", true)]
    #[test_case("Ada", false; "capitals")]
    #[test_case("root", false; "root")]
    #[test_case("a b", false; "a space")]
    #[test_case("1a", false; "a digit first")]
    #[test_case("a:x", false; "a colon")]
    #[test_case("", false; "nothing")]
    fn a_user(text: &str, fits: bool) {
        assert_eq!(text.parse::<UserName>().is_ok(), fits);
    }

    #[test_case(KEY, true)]
    #[test_case(&KEY.replace(" ada@desk", ""), true; "without a comment")]
    #[test_case(&KEY.replace("ssh-ed25519", "ssh-rsa"), false; "of another kind than it says")]
    #[test_case(&KEY.replace("ssh-ed25519", "ssh-dss"), false; "of a dead kind")]
    #[test_case(&KEY.replace("Aab", "!!!").replace("AAAA", "AA"), false; "not in base64")]
    #[test_case("ssh-ed25519", false; "without its key")]
    #[test_case(&format!("{KEY}\n{KEY}"), false; "two lines")]
    #[test_case(&format!("command=\"x\" {KEY}"), false; "with options")]
    #[test_case("-----BEGIN OPENSSH PRIVATE KEY-----", false; "a private one")]
    fn a_key(text: &str, fits: bool) {
        assert_eq!(text.parse::<SshKey>().is_ok(), fits);
    }

    #[test_case("$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8B", true)]
    #[test_case(
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
        true
    )]
    #[test_case("$1$saltsalt$JzStZXWvYIrbYjW8kHwBu.", false; "MD5")]
    #[test_case("correct horse battery staple", false; "the password")]
    #[test_case("$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjx\nroot::0", false; "a second line")]
    fn a_password(text: &str, fits: bool) {
        let hash = text.parse::<PasswordHash>();
        assert_eq!(hash.is_ok(), fits);
        let told = format!("{hash:?}");
        assert!(!told.contains(text), "{told}");
    }

    #[test_case("UTC", true)]
    #[test_case("America/Argentina/Buenos_Aires", true)]
    #[test_case("Etc/GMT+5", true)]
    #[test_case("../../etc/passwd", false; "a path")]
    #[test_case("/UTC", false; "an absolute one")]
    #[test_case("", false; "nothing")]
    fn a_time_zone(text: &str, fits: bool) {
        assert_eq!(text.parse::<TimeZone>().is_ok(), fits);
    }

    #[test_case("en_US.UTF-8", ("en", Some("US")))]
    #[test_case("C.UTF-8", ("C", None))]
    #[test_case("de_DE.UTF-8@euro", ("de", Some("DE")))]
    fn a_locale(text: &str, parts: (&str, Option<&str>)) {
        assert_eq!(text.parse::<Locale>().unwrap().parts(), parts);
    }

    #[test]
    fn a_locale_is_one_word() {
        assert!("en_US UTF-8".parse::<Locale>().is_err());
        assert!("en;reboot".parse::<Locale>().is_err());
    }

    #[test_case("ntp.example.net", Some("ntp.example.net"))]
    #[test_case("2001:DB8::1", Some("2001:db8::1"))]
    #[test_case("192.0.2.1", Some("192.0.2.1"))]
    #[test_case("ntp example", None; "a space")]
    fn a_time_server(text: &str, shown: Option<&str>) {
        let server = text.parse::<TimeServer>().ok();
        assert_eq!(server.as_ref().map(TimeServer::as_str), shown);
    }

    #[test]
    fn each_refusal_shows_a_valid_example() {
        assert!(SshKey::from_str(&"".parse::<SshKey>().unwrap_err().example).is_ok());
        assert!(PasswordHash::from_str(&"".parse::<PasswordHash>().unwrap_err().example).is_ok());
        assert!(UserName::from_str(&"".parse::<UserName>().unwrap_err().example).is_ok());
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let defaults = Defaults {
            user: Some("ada".parse().unwrap()),
            ssh_keys: vec![KEY.parse().unwrap()],
            dns: vec!["192.0.2.1".parse().unwrap()],
            ..Defaults::default()
        };
        let text = serde_json::to_string(&defaults).unwrap();
        assert_eq!(serde_json::from_str::<Defaults>(&text).unwrap(), defaults);
        assert_eq!(Defaults::default().user(), "dragonfly");
        assert_eq!(serde_json::to_string(&Defaults::default()).unwrap(), "{}");
    }
}
