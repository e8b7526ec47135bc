//! Ethernet addresses: read in every common spelling, shown in one (lower case, colons).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted};

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Addresses that belong to no single card: all zeros, all ones, any group address.
    pub fn is_unicast(self) -> bool {
        self.0 != [0; 6] && self.0[0] & 0x01 == 0
    }

    /// IEEE 802: the U/L bit is set, so no vendor gave this address out.
    pub const fn is_local(self) -> bool {
        self.0[0] & 0x02 != 0
    }

    /// The vendor's half of the address.
    pub const fn oui(self) -> [u8; 3] {
        [self.0[0], self.0[1], self.0[2]]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0[0])?;
        self.0[1..]
            .iter()
            .try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = FieldError;

    /// Reads `aa:bb:cc:dd:ee:ff`, the same with dashes, `aabb.ccdd.eeff` and twelve bare digits.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = || {
            FieldError::new(
                "mac",
                format!("{} is not six pairs of hexadecimal digits", quoted(text)),
                "52:54:00:12:34:56",
            )
        };
        let digits = strip_separators(text.trim()).ok_or_else(wrong)?;
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = hex(pair[0]).ok_or_else(wrong)? << 4 | hex(pair[1]).ok_or_else(wrong)?;
        }
        let mac = Self(octets);
        if !mac.is_unicast() {
            return Err(FieldError::new(
                "mac",
                format!("{mac} is a group or empty address; no network card has it"),
                "52:54:00:12:34:56",
            ));
        }
        Ok(mac)
    }
}

impl TryFrom<String> for MacAddr {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

/// The twelve digits, when the separators stand where one of the four spellings has them.
fn strip_separators(text: &str) -> Option<[u8; 12]> {
    let bytes = text.as_bytes();
    let (separator, group) = match bytes.len() {
        12 => return bytes.try_into().ok(),
        14 => (b'.', 4),
        17 if bytes[2] == b'-' => (b'-', 2),
        17 => (b':', 2),
        _ => return None,
    };
    let mut digits = [0; 12];
    let mut groups = bytes.split(|byte| *byte == separator);
    for chunk in digits.chunks_exact_mut(group) {
        let part = groups.next().filter(|part| part.len() == group)?;
        chunk.copy_from_slice(part);
    }
    groups.next().is_none().then_some(digits)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("52:54:00:ab:cd:ef")]
    #[test_case("52-54-00-AB-CD-EF")]
    #[test_case("5254.00ab.cdef")]
    #[test_case("525400ABCDEF")]
    fn every_spelling_reads_as_the_same_address(text: &str) {
        assert_eq!(
            text.parse::<MacAddr>().unwrap().to_string(),
            "52:54:00:ab:cd:ef"
        );
    }

    #[test_case(""; "empty")]
    #[test_case("52:54:00:ab:cd"; "short")]
    #[test_case("52:54:00:ab:cd:e"; "one digit short")]
    #[test_case("52:54:00:ab:cd:ef:01"; "long")]
    #[test_case("52:54-00:ab:cd:ef"; "mixed separators")]
    #[test_case("52:54:00:ab:cd:eg"; "not hexadecimal")]
    #[test_case("ff:ff:ff:ff:ff:ff"; "broadcast")]
    #[test_case("01:00:5e:00:00:01"; "multicast")]
    #[test_case("00:00:00:00:00:00"; "zero")]
    #[test_case("é2:54:00:ab:cd:ef"; "not ascii")]
    fn what_is_no_card_address_is_refused_with_an_example(text: &str) {
        let error = text.parse::<MacAddr>().unwrap_err();
        assert_eq!(error.field, "mac");
        assert_eq!(error.example, "52:54:00:12:34:56");
    }

    #[test]
    fn spaces_around_it_do_not_matter() {
        assert!(" 52:54:00:ab:cd:ef\n".parse::<MacAddr>().is_ok());
    }

    #[test]
    fn a_refusal_quotes_no_more_than_is_needed() {
        let error = "x\u{202e}".repeat(10_000).parse::<MacAddr>().unwrap_err();
        assert!(error.reason.len() < 1000);
        assert!(!error.reason.contains('\u{202e}'));
    }

    #[test_case("52:54:00:00:00:01", true)]
    #[test_case("02:00:00:00:00:01", true)]
    #[test_case("3c:ec:ef:00:00:01", false)]
    #[test_case("00:1b:21:00:00:01", false)]
    fn the_second_bit_tells_who_gave_the_address_out(text: &str, local: bool) {
        assert_eq!(text.parse::<MacAddr>().unwrap().is_local(), local);
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn every_cards_address_survives_every_spelling(first in 0..128_u8, rest: [u8; 4], last in 1..=255_u8) {
                let mac = MacAddr::new([first << 1, rest[0], rest[1], rest[2], rest[3], last]);
                let text = mac.to_string();
                let bare = text.replace(':', "");
                let dotted = format!("{}.{}.{}", &bare[..4], &bare[4..8], &bare[8..]);
                for spelling in [text.to_uppercase(), text.replace(':', "-"), bare, dotted] {
                    prop_assert_eq!(spelling.parse::<MacAddr>().unwrap(), mac);
                }
                let json = serde_json::to_string(&mac).unwrap();
                prop_assert_eq!(serde_json::from_str::<MacAddr>(&json).unwrap(), mac);
            }

            #[test]
            fn no_text_makes_it_panic(text in "\\PC{0,20}|[0-9a-fA-F:.-]{10,18}") {
                if let Ok(mac) = text.parse::<MacAddr>() {
                    prop_assert!(mac.is_unicast());
                }
            }
        }
    }
}
