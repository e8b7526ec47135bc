//! How an installed system reaches its network: in which VLAN, and over which cards together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FieldError, quoted};
use crate::model::MacAddr;

/// The number of a VLAN (IEEE 802.1Q): 1 to 4094, since 0 and 4095 mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<u16> for VlanId {
    type Error = FieldError;

    fn try_from(number: u16) -> Result<Self, FieldError> {
        number.to_string().parse()
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0
    }
}

impl FromStr for VlanId {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        let fits = number.filter(|number| (1..=4094).contains(number));
        fits.map(Self).ok_or_else(|| {
            let why = format!("{} is not a number from 1 to 4094", quoted(text));
            FieldError::new("vlan", why, "20")
        })
    }
}

/// How several cards work as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BondMode {
    /// LACP: the switch has to agree.
    Lacp,
    /// One card at a time; the switch does not notice.
    ActiveBackup,
}

impl BondMode {
    pub const ALL: [Self; 2] = [Self::Lacp, Self::ActiveBackup];

    /// As the kernel and netplan name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lacp => "802.3ad",
            Self::ActiveBackup => "active-backup",
        }
    }
}

/// Cards that work as one. Written `802.3ad:MAC,MAC`; `lacp` is read as `802.3ad`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bond {
    mode: BondMode,
    members: Box<[MacAddr]>,
}

impl Bond {
    pub const MAX_MEMBERS: usize = 8;

    pub const fn mode(&self) -> BondMode {
        self.mode
    }

    /// At least two, each once, in the order that they were named.
    pub const fn members(&self) -> &[MacAddr] {
        &self.members
    }
}

impl fmt::Display for Bond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode.name())?;
        for (place, mac) in self.members.iter().enumerate() {
            write!(f, "{}{mac}", if place == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl FromStr for Bond {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        const EXAMPLE: &str = "802.3ad:52:54:00:12:34:56,52:54:00:12:34:57";
        let wrong = |why: String| FieldError::new("bond", why, EXAMPLE);
        let (mode, members) = text
            .split_once(':')
            .ok_or_else(|| wrong("it has to read MODE:MAC,MAC".into()))?;
        let mode = match mode.trim().to_ascii_lowercase().as_str() {
            "802.3ad" | "lacp" => BondMode::Lacp,
            "active-backup" => BondMode::ActiveBackup,
            _ => {
                let mode = quoted(mode.trim());
                return Err(wrong(format!(
                    "the mode {mode} is neither 802.3ad nor active-backup"
                )));
            }
        };
        let mut macs: Vec<MacAddr> = Vec::new();
        for word in members.split(',').take(Self::MAX_MEMBERS + 1) {
            let mac: MacAddr = word
                .parse()
                .map_err(|error: FieldError| wrong(error.reason))?;
            if macs.contains(&mac) {
                return Err(wrong(format!("{mac} is named twice")));
            }
            macs.push(mac);
        }
        if !(2..=Self::MAX_MEMBERS).contains(&macs.len()) {
            return Err(wrong(format!(
                "it has to name 2 to {} cards",
                Self::MAX_MEMBERS
            )));
        }
        Ok(Self {
            mode,
            members: macs.into(),
        })
    }
}

impl TryFrom<String> for Bond {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<Bond> for String {
    fn from(bond: Bond) -> Self {
        bond.to_string()
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("1", true)]
    #[test_case(" 4094 ", true)]
    #[test_case("0", false; "the number of no VLAN")]
    #[test_case("4095", false; "a reserved one")]
    #[test_case("+20", false; "a sign")]
    #[test_case("twenty", false; "a word")]
    fn a_vlan(text: &str, fits: bool) {
        assert_eq!(text.parse::<VlanId>().is_ok(), fits);
        assert!(serde_json::from_str::<VlanId>("0").is_err());
        assert_eq!(serde_json::to_string(&VlanId(20)).unwrap(), "20");
    }

    const TWO: &str = "52:54:00:00:00:01,52:54:00:00:00:02";

    #[test_case(&format!("802.3ad:{TWO}"), &format!("802.3ad:{TWO}"))]
    #[test_case("LACP: 525400000001, 52-54-00-00-00-02", &format!("802.3ad:{TWO}"); "in other spellings")]
    #[test_case(&format!("active-backup:{TWO}"), &format!("active-backup:{TWO}"))]
    fn a_bond(text: &str, shown: &str) {
        assert_eq!(text.parse::<Bond>().unwrap().to_string(), shown);
    }

    #[test_case("802.3ad", "MODE:MAC"; "no cards")]
    #[test_case(TWO, "the mode '52'"; "no mode")]
    #[test_case(&format!("balance-rr:{TWO}"), "neither"; "another mode")]
    #[test_case("802.3ad:52:54:00:00:00:01", "2 to 8"; "one card")]
    #[test_case("802.3ad:52:54:00:00:00:01,525400000001", "twice"; "the same card again")]
    #[test_case("802.3ad:eth0,eth1", "hexadecimal"; "names")]
    fn what_is_no_bond(text: &str, why: &str) {
        let error = text.parse::<Bond>().unwrap_err();
        assert!(error.reason.contains(why), "{error}");
        assert!(error.example.parse::<Bond>().is_ok());
    }
}
