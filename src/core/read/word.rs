//! One word of a search, and whether a machine is known by something that holds it.
//!
//! Asked of ten thousand machines at a time, so nothing is allocated for ASCII, and numbers are only written out
//! for a word that could be a part of one.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::model::{MacAddr, Machine};

/// As many bytes as the longest number has that is looked at: an id in hexadecimal; addresses have fewer.
const LONGEST: usize = 48;

pub(super) struct Word {
    /// In lower case.
    text: String,
    ascii: bool,
    /// As a part of a MAC address, if it can be one.
    mac: Option<String>,
    /// Whether it can be a part of an address or an id.
    number: bool,
}

impl Word {
    pub fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let made_of = |more: &[u8]| {
            let mut bytes = text.bytes();
            bytes.all(|b| b.is_ascii_hexdigit() || more.contains(&b))
        };
        Self {
            ascii: text.is_ascii(),
            mac: made_of(b":-").then(|| text.replace('-', ":")),
            number: made_of(b":.-"),
            text,
        }
    }

    pub fn is_in(&self, machine: &Machine) -> bool {
        self.is_in_text(machine) || self.number && self.is_in_numbers(machine)
    }

    fn is_in_text(&self, machine: &Machine) -> bool {
        let config = &machine.config;
        let observed = machine.observed.hostname.as_ref();
        self.within(machine.name())
            || self.within(config.memorable_name.as_str())
            || config
                .hostname
                .iter()
                .chain(observed)
                .any(|name| self.within(name.as_str()))
            || config.tags.iter().any(|tag| self.within(tag.as_str()))
    }

    fn is_in_numbers(&self, machine: &Machine) -> bool {
        let mut macs = machine.identity.all_macs.iter();
        let is_in_mac = |mac: &MacAddr| {
            self.mac.as_ref().is_some_and(|word| {
                Written::of(mac)
                    .as_bytes()
                    .windows(word.len())
                    .any(|part| part == word.as_bytes())
            })
        };
        let is_in_address = |ip: IpAddr| self.within_bytes(Written::of(&ip).as_bytes());
        macs.any(is_in_mac)
            || config_address(machine).is_some_and(is_in_address)
            || machine
                .observed
                .addresses
                .iter()
                .copied()
                .any(is_in_address)
            || Written::of(&machine.id)
                .as_bytes()
                .starts_with(self.text.as_bytes())
    }

    /// Whether `text`, in lower case, holds the word.
    fn within(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.ascii && self.within_bytes(text.as_bytes());
        }
        text.to_lowercase().contains(&self.text)
    }

    fn within_bytes(&self, text: &[u8]) -> bool {
        let word = self.text.as_bytes();
        let Some((first, rest)) = word.split_first() else {
            return true;
        };
        let Some(last) = text.len().checked_sub(word.len()) else {
            return false;
        };
        (0..=last).any(|at| {
            text[at].to_ascii_lowercase() == *first
                && text[at + 1..at + word.len()].eq_ignore_ascii_case(rest)
        })
    }
}

fn config_address(machine: &Machine) -> Option<IpAddr> {
    let fixed = machine.config.static_ip.as_ref()?;
    Some(fixed.address())
}

/// A short text without an allocation.
struct Written {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Written {
    /// What does not fit is left out.
    fn of(value: &impl std::fmt::Display) -> Self {
        let mut text = Self {
            bytes: [0; LONGEST],
            len: 0,
        };
        let _ = write!(text, "{value}");
        text
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Write for Written {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::model::machine::Source;
    use crate::model::{Evidence, MachineId, MemorableName};

    fn machine() -> Machine {
        let mac = MacAddr::new([0xb4, 0x2e, 0x99, 0, 0, 1]);
        let mut machine = Machine::register(
            MachineId(uuid::Uuid::from_u128(
                0x0190_0000_0000_7000_8000_0000_0000_0007,
            )),
            &Evidence::of_macs(mac, []),
            MemorableName::candidates(mac).next().unwrap(),
            Source::Manual,
            jiff::Timestamp::UNIX_EPOCH,
        );
        machine.config.friendly_name = Some("Ünser Topaz".parse().unwrap());
        machine.config.hostname = Some("web01.example".parse().unwrap());
        machine.config.tags = std::collections::BTreeSet::from(["rack-b4".parse().unwrap()]);
        machine.observed.addresses =
            vec!["192.0.2.7".parse().unwrap(), "2001:db8::a".parse().unwrap()];
        machine
    }

    #[test_case("TOPAZ", true; "a name in capitals")]
    #[test_case("ünser", true; "a letter beyond ascii")]
    #[test_case("ÜNSER", true; "a capital beyond ascii")]
    #[test_case("b01.ex", true; "the middle of a host name")]
    #[test_case("rack-", true; "the beginning of a tag")]
    #[test_case("B4-2E-99", true; "a mac with hyphens")]
    #[test_case("99:00:00:01", true; "the end of a mac")]
    #[test_case("0.2.7", true; "the end of an address")]
    #[test_case("DB8::a", true; "an address of version 6")]
    #[test_case("01900000-0000", true; "the beginning of an id")]
    #[test_case("8000-0000", false; "the middle of an id")]
    #[test_case("web01.example.org", false; "more than the host name")]
    #[test_case("ünserer", false; "another word beyond ascii")]
    #[test_case("192.0.2.8", false; "another address")]
    fn a_word_is_found_in_what_a_machine_is_known_by(word: &str, found: bool) {
        assert_eq!(Word::new(word).is_in(&machine()), found);
    }
}
