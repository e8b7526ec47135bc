//! What was seen on the wire and is no machine yet: told by a packet alone, so believed by nobody.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MacAddr;
use super::boot::Arch;
use super::network::LinkName;

/// Who asked to boot, and what it said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub mac: MacAddr,
    pub link: LinkName,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Option 93.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Option 60, escaped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Option 97.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// Option 12, escaped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// How often it asked.
    pub asked: u32,
    /// It stands on a screen that says that a person has to approve it.
    pub waiting: bool,
}

impl Sighting {
    /// As many bytes of `vendor` and of `hostname` are kept.
    pub const MAX_TEXT: usize = 64;

    /// One that asked for the first time.
    pub fn new(mac: MacAddr, link: LinkName, now: Timestamp) -> Self {
        Self {
            mac,
            link,
            first: now,
            last: now,
            arch: None,
            vendor: String::new(),
            uuid: None,
            hostname: String::new(),
            address: None,
            asked: 1,
            waiting: false,
        }
    }

    /// The same with its texts short enough to be kept.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.vendor, &mut self.hostname] {
            text.truncate(text.floor_char_boundary(Self::MAX_TEXT));
        }
        self
    }

    /// Takes in what was seen later: what is not said this time stays known, and who waits goes on waiting.
    pub fn absorb(&mut self, later: Self) {
        let later = later.bounded();
        self.link = later.link;
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.asked = self.asked.saturating_add(later.asked);
        self.arch = later.arch.or(self.arch);
        self.uuid = later.uuid.or(self.uuid);
        self.address = later.address.or(self.address);
        self.waiting |= later.waiting;
        for (kept, said) in [
            (&mut self.vendor, later.vendor),
            (&mut self.hostname, later.hostname),
        ] {
            if !said.is_empty() {
                *kept = said;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(at: &str) -> Sighting {
        let mac = "52:54:00:12:34:56".parse().unwrap();
        Sighting::new(mac, "eth0".parse().unwrap(), at.parse().unwrap())
    }

    #[test]
    fn what_is_not_said_again_stays_known() {
        let mut seen = Sighting {
            arch: Some(Arch(7)),
            vendor: "PXEClient".into(),
            waiting: true,
            ..sighting("2026-01-02T03:04:05Z")
        };
        let later = Sighting {
            hostname: "web01".into(),
            ..sighting("2026-01-02T03:05:05Z")
        };
        seen.absorb(later.clone());
        assert_eq!(seen.arch, Some(Arch(7)));
        assert_eq!((&*seen.vendor, &*seen.hostname), ("PXEClient", "web01"));
        assert_eq!((seen.asked, seen.last), (2, later.last));
        assert!(seen.waiting && seen.first < seen.last);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let seen = Sighting {
            vendor: format!("x{}", "é".repeat(100)),
            ..sighting("2026-01-02T03:04:05Z")
        };
        assert_eq!(seen.bounded().vendor.len(), 63);
    }
}
