//! The values a person types, each with its rule, its reason and a valid example.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A value that was refused: which, why, and one that would have been taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason} (a valid example: {example})")]
pub struct FieldError {
    pub field: String,
    pub reason: String,
    pub example: String,
}

impl FieldError {
    pub fn new(
        field: impl Into<String>,
        reason: impl Into<String>,
        example: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
            example: example.into(),
        }
    }
}

/// Implements the string conversions of a type whose `FromStr` is its only way in.
macro_rules! text_field {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = FieldError;

            fn try_from(text: String) -> Result<Self, FieldError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }
    };
}
pub(super) use text_field;

/// A host name as RFC 1123 2.1 allows it: labels of letters, digits and inner hyphens, kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(Box<str>);
text_field!(Hostname);

impl Hostname {
    /// RFC 1123 2.1 and RFC 1035 2.3.4.
    pub const MAX: usize = 253;
    pub const MAX_LABEL: usize = 63;
}

impl FromStr for Hostname {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = |reason: String| {
            Err(FieldError::new(
                "hostname",
                reason,
                "web01.rack2.example.net",
            ))
        };
        if text.is_empty() {
            return wrong("a host name cannot be empty".into());
        }
        if text.len() > Self::MAX {
            return wrong(format!(
                "{} characters are too many, {} is the limit",
                text.len(),
                Self::MAX
            ));
        }
        for label in text.split('.') {
            if label.is_empty() {
                return wrong("it has a dot too many, or two in a row".into());
            }
            if label.len() > Self::MAX_LABEL {
                return wrong(format!(
                    "the part '{label}' is longer than {} characters",
                    Self::MAX_LABEL
                ));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return wrong(format!("the part '{label}' begins or ends with a hyphen"));
            }
            if let Some(bad) = label
                .chars()
                .find(|c| !c.is_ascii_alphanumeric() && *c != '-')
            {
                return wrong(format!(
                    "'{}' is neither a letter of a to z, a digit nor a hyphen",
                    bad.escape_default()
                ));
            }
        }
        if text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
        {
            return wrong(
                "its last part is all digits, so it would be taken for an address".into(),
            );
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// A name for people: anything printable, up to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FriendlyName(Box<str>);
text_field!(FriendlyName);

impl FriendlyName {
    pub const MAX: usize = 64;
}

impl FromStr for FriendlyName {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let wrong = |reason: String| {
            Err(FieldError::new(
                "friendly_name",
                reason,
                "topaz-control-master",
            ))
        };
        if text.is_empty() {
            return wrong("it is empty; clear it instead to bring the four-word name back".into());
        }
        let length = text.chars().count();
        if length > Self::MAX {
            return wrong(format!(
                "{length} characters are too many, {} is the limit",
                Self::MAX
            ));
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || is_bidi_control(*c)) {
            return wrong(format!(
                "it holds the control character {}",
                bad.escape_unicode()
            ));
        }
        Ok(Self(text.into()))
    }
}

/// Marks that would let one name pass for another on a page.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A tag: a short word in lower case, with `.`, `_`, `:`, `/` and `-` inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);
text_field!(Tag);

impl Tag {
    pub const MAX: usize = 63;
    /// As many tags as one machine may carry.
    pub const MAX_PER_MACHINE: usize = 64;
}

impl FromStr for Tag {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_lowercase();
        word("tags", &text, Self::MAX, "._:/-", "rack2").map(|()| Self(text.into()))
    }
}

/// The template that a machine is to be installed with, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OsChoice(Box<str>);
text_field!(OsChoice);

impl OsChoice {
    pub const MAX: usize = 63;
}

impl FromStr for OsChoice {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_lowercase();
        word("os_choice", &text, Self::MAX, ".-", "debian-13").map(|()| Self(text.into()))
    }
}

/// Letters and digits at both ends, `inner` also allowed between.
fn word(field: &str, text: &str, max: usize, inner: &str, example: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new(field, reason, example));
    if text.is_empty() {
        return wrong("it is empty".into());
    }
    let length = text.chars().count();
    if length > max {
        return wrong(format!(
            "{length} characters are too many, {max} is the limit"
        ));
    }
    if let Some(bad) = text
        .chars()
        .find(|c| !c.is_alphanumeric() && !inner.contains(*c))
    {
        return wrong(format!(
            "'{}' is neither a letter, a digit nor one of {inner}",
            bad.escape_default()
        ));
    }
    let ends = [text.chars().next(), text.chars().next_back()];
    if ends.into_iter().flatten().any(|c| !c.is_alphanumeric()) {
        return wrong("it has to begin and end with a letter or a digit".into());
    }
    Ok(())
}

/// Key and value pairs of a person's own; at most 64, keys up to 63 and values up to 255 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Labels(BTreeMap<Box<str>, Box<str>>);

impl Labels {
    pub const MAX: usize = 64;
    pub const MAX_KEY: usize = 63;
    pub const MAX_VALUE: usize = 255;

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| &**value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = FieldError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, FieldError> {
        let wrong = |reason: String| Err(FieldError::new("labels", reason, "owner=ada"));
        if pairs.len() > Self::MAX {
            return wrong(format!(
                "{} labels are too many, {} is the limit",
                pairs.len(),
                Self::MAX
            ));
        }
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            word("labels", &key, Self::MAX_KEY, "._/-", "owner=ada")?;
            if value.chars().count() > Self::MAX_VALUE {
                return wrong(format!(
                    "the value of '{key}' is longer than {} characters",
                    Self::MAX_VALUE
                ));
            }
            if value.chars().any(char::is_control) {
                return wrong(format!("the value of '{key}' holds a control character"));
            }
            labels.insert(key.into(), value.into());
        }
        Ok(Self(labels))
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels
            .0
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }
}

/// An address of a machine's own with the length of its prefix, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StaticIp {
    address: IpAddr,
    prefix: u8,
    gateway: Option<IpAddr>,
}

impl StaticIp {
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    pub const fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }
}

impl fmt::Display for StaticIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        match self.gateway {
            Some(gateway) => write!(f, " via {gateway}"),
            None => Ok(()),
        }
    }
}

impl FromStr for StaticIp {
    type Err = FieldError;

    /// Reads `192.0.2.10/24` and `192.0.2.10/24 via 192.0.2.1`, and the same of IPv6.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong =
            |reason: String| FieldError::new("static_ip", reason, "192.0.2.10/24 via 192.0.2.1");
        let mut words = text.split_whitespace();
        let (own, gateway) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(own), None, ..) => (own, None),
            (Some(own), Some("via"), Some(gateway), None) => (own, Some(gateway)),
            _ => {
                return Err(wrong(
                    "it has to read ADDRESS/PREFIX or ADDRESS/PREFIX via GATEWAY".into(),
                ));
            }
        };
        let (address, prefix) = own
            .split_once('/')
            .ok_or_else(|| wrong("the length of the prefix is missing, such as /24".into()))?;
        let parse = |part: &str| {
            part.parse::<IpAddr>()
                .map_err(|_| wrong(format!("'{}' is not an IP address", part.escape_default())))
        };
        let address = parse(address)?;
        let gateway = gateway.map(parse).transpose()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix
            .parse::<u8>()
            .ok()
            .filter(|prefix| (1..=bits).contains(prefix))
            .ok_or_else(|| {
                wrong(format!(
                    "the length of the prefix has to lie between 1 and {bits}"
                ))
            })?;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(wrong(format!(
                "{address} cannot be a machine's own address"
            )));
        }
        let own = Self {
            address,
            prefix,
            gateway,
        };
        own.check_edges().map_err(wrong)?;
        Ok(own)
    }
}

impl StaticIp {
    /// The network's first and last address are nobody's (RFC 3021 and RFC 6164 let /31 and /127 be),
    /// and the way out has to be of the same family and, under IPv4, on the same network.
    fn check_edges(&self) -> Result<(), String> {
        if let IpAddr::V4(address) = self.address {
            let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
            let bits = u32::from(address);
            if self.prefix < 31 && (bits & host == 0 || bits & host == host) {
                return Err(format!(
                    "{address} is the network's own or its broadcast address"
                ));
            }
            if let Some(IpAddr::V4(gateway)) = self.gateway
                && (u32::from(gateway) ^ bits) & !host != 0
            {
                return Err(format!(
                    "the gateway {gateway} is not on the network of {self}"
                ));
            }
        }
        match self.gateway {
            Some(gateway) if gateway.is_ipv4() != self.address.is_ipv4() => {
                Err(format!("the gateway {gateway} is of the other IP family"))
            }
            Some(gateway) if gateway == self.address => {
                Err("a machine cannot be its own gateway".into())
            }
            _ => Ok(()),
        }
    }
}

impl TryFrom<String> for StaticIp {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<StaticIp> for String {
    fn from(ip: StaticIp) -> Self {
        ip.to_string()
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("web01")]
    #[test_case("WEB01.Rack2.example.NET")]
    #[test_case("3com")]
    fn a_host_name_of_rfc_1123_is_taken_in_lower_case(text: &str) {
        assert_eq!(
            text.parse::<Hostname>().unwrap().as_str(),
            text.to_ascii_lowercase()
        );
    }

    #[test_case("", "empty"; "empty")]
    #[test_case("web_01", "neither"; "underscore")]
    #[test_case("-web", "hyphen"; "leading hyphen")]
    #[test_case("web-.net", "hyphen"; "trailing hyphen")]
    #[test_case("web..net", "dot"; "two dots")]
    #[test_case("web.", "dot"; "trailing dot")]
    #[test_case("wéb", "neither"; "not ascii")]
    #[test_case("10.0.0.1", "address"; "an address")]
    fn a_wrong_host_name_tells_why(text: &str, why: &str) {
        let error = text.parse::<Hostname>().unwrap_err();
        assert!(error.reason.contains(why), "{error}");
        assert!(error.example.parse::<Hostname>().is_ok());
    }

    #[test]
    fn a_host_name_ends_at_63_and_253_characters() {
        assert!("a".repeat(63).parse::<Hostname>().is_ok());
        assert!("a".repeat(64).parse::<Hostname>().is_err());
        let long = [
            &*"a".repeat(63),
            &"b".repeat(63),
            &"c".repeat(63),
            &"d".repeat(61),
        ]
        .join(".");
        assert_eq!(long.len(), 253);
        assert!(long.parse::<Hostname>().is_ok());
        assert!(format!("{long}d").parse::<Hostname>().is_err());
    }

    #[test_case("192.0.2.10/24"; "v4")]
    #[test_case("192.0.2.10/24 via 192.0.2.1"; "v4 with gateway")]
    #[test_case("2001:db8::10/64 via fe80::1"; "v6 with a link-local gateway")]
    #[test_case("192.0.2.0/31"; "both of a slash 31 are usable")]
    fn a_static_address_is_shown_as_it_was_typed(text: &str) {
        assert_eq!(text.parse::<StaticIp>().unwrap().to_string(), text);
    }

    #[test_case("192.0.2.10", "prefix"; "no prefix")]
    #[test_case("192.0.2.10/33", "between 1 and 32"; "prefix too long")]
    #[test_case("192.0.2.0/24", "network's own"; "network address")]
    #[test_case("192.0.2.255/24", "broadcast"; "broadcast address")]
    #[test_case("192.0.2.10/24 via 198.51.100.1", "not on the network"; "gateway elsewhere")]
    #[test_case("192.0.2.10/24 via 2001:db8::1", "family"; "gateway of the other family")]
    #[test_case("192.0.2.10/24 via 192.0.2.10", "its own gateway"; "own gateway")]
    #[test_case("127.0.0.1/8", "own address"; "loopback")]
    #[test_case("192.0.2.10/24 by 192.0.2.1", "has to read"; "other word")]
    #[test_case("x/24", "not an IP"; "no address")]
    fn a_wrong_static_address_tells_why(text: &str, why: &str) {
        let error = text.parse::<StaticIp>().unwrap_err();
        assert!(error.reason.contains(why), "{error}");
        assert!(error.example.parse::<StaticIp>().is_ok());
    }

    #[test_case(""; "empty")]
    #[test_case("two words"; "space")]
    #[test_case("-x"; "leading hyphen")]
    #[test_case("a\u{7}b"; "bell")]
    fn a_wrong_tag_is_refused(text: &str) {
        assert!(text.parse::<Tag>().is_err());
    }

    #[test]
    fn a_friendly_name_cannot_turn_the_text_around() {
        assert!("abc\u{202e}def".parse::<FriendlyName>().is_err());
        assert_eq!(
            "  Ada's box  ".parse::<FriendlyName>().unwrap().as_str(),
            "Ada's box"
        );
    }
}
