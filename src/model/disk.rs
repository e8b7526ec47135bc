//! Which disk a system is written to: a rule that has to point at exactly one.
//!
//! Nothing is guessed here, since the wrong disk is somebody's data: where a rule fits several disks, or none, the
//! answer names all that there are. What was chosen is pinned by what stays the same over a reboot.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Disk;

/// How a template or a person says which disk is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DiskRule {
    /// The only disk that there is.
    #[default]
    #[serde(with = "auto")]
    Auto,
    /// Its device, such as `/dev/sda` or `/dev/disk/by-id/…`.
    Device(String),
    /// All of these have to be true of it.
    Where(DiskMatch),
}

/// The word `auto`.
mod auto {
    use serde::de::{Deserializer, Error};
    use serde::{Deserialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = word == "auto";
        known.then_some(()).ok_or_else(|| D::Error::custom("auto"))
    }
}

/// What is asked of a disk; what is absent is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskMatch {
    /// Its serial number, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its world wide name, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// A part of its model's name, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiskKind>,
    /// Of several that fit, the one at this end; two of one size are still two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
}

/// How a disk is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskKind {
    Hdd,
    Ssd,
    Nvme,
    /// A disk of a virtual machine.
    Virtual,
    /// A memory card or a soldered flash chip.
    Card,
}

/// One of several by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    Smallest,
    Largest,
}

/// Why a rule does not point at one disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("this machine has no disk that could be written")]
    None,
    #[error("no disk fits {rule}; there are: {there}")]
    NoneFits { rule: String, there: String },
    #[error(
        "{rule} fits {count} disks, and it has to fit one: {candidates}; say which by its serial number"
    )]
    Several {
        rule: String,
        count: usize,
        candidates: String,
    },
}

/// The one disk that the rule points at. The medium that the machine was booted from is never among them, nor what
/// cannot be written or can be pulled out.
pub fn choose<'a>(rule: &DiskRule, disks: &'a [Disk]) -> Result<&'a Disk, DiskError> {
    let usable: Vec<&Disk> = disks.iter().filter(|disk| disk.is_usable()).collect();
    if usable.is_empty() {
        return Err(DiskError::None);
    }
    let mut fits: Vec<&Disk> = usable
        .iter()
        .copied()
        .filter(|disk| rule.fits(disk))
        .collect();
    if let DiskRule::Where(DiskMatch {
        pick: Some(pick), ..
    }) = rule
    {
        let sizes = fits.iter().map(|disk| disk.size_bytes);
        let wanted = match pick {
            Pick::Smallest => sizes.min(),
            Pick::Largest => sizes.max(),
        };
        fits.retain(|disk| Some(disk.size_bytes) == wanted);
    }
    match fits.as_slice() {
        [one] => Ok(one),
        [] => Err(DiskError::NoneFits {
            rule: rule.to_string(),
            there: list(&usable),
        }),
        several => Err(DiskError::Several {
            rule: rule.to_string(),
            count: several.len(),
            candidates: list(several),
        }),
    }
}

fn list(disks: &[&Disk]) -> String {
    let words: Vec<String> = disks.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl DiskRule {
    fn fits(&self, disk: &Disk) -> bool {
        match self {
            Self::Auto => true,
            Self::Device(device) => {
                let short = device.strip_prefix("/dev/").unwrap_or(device);
                disk.device == short || disk.links.iter().any(|link| link == device)
            }
            Self::Where(wanted) => wanted.fits(disk),
        }
    }

    /// The rule that finds this very disk again: by its serial number, else its world wide name, else its device.
    pub fn pin(disk: &Disk) -> Self {
        let by = DiskMatch {
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone().filter(|_| disk.serial.is_none()),
            ..DiskMatch::default()
        };
        if by == DiskMatch::default() {
            return Self::Device(format!("/dev/{}", disk.device));
        }
        Self::Where(by)
    }
}

impl DiskMatch {
    fn fits(&self, disk: &Disk) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| {
            wanted.as_ref().is_none_or(|w| is.as_ref() == Some(w))
        };
        let model = |wanted: &String| {
            let is = disk.model.as_deref().unwrap_or_default();
            is.to_lowercase().contains(&wanted.to_lowercase())
        };
        same(&self.serial, &disk.serial)
            && same(&self.wwn, &disk.wwn)
            && self.model.as_ref().is_none_or(model)
            && self.min_bytes.is_none_or(|min| disk.size_bytes >= min)
            && self.max_bytes.is_none_or(|max| disk.size_bytes <= max)
            && self.kind.is_none_or(|kind| disk.kind == Some(kind))
    }
}

impl fmt::Display for DiskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("\"auto\""),
            Self::Device(device) => write!(f, "\"{device}\""),
            Self::Where(wanted) => {
                let json = serde_json::to_string(wanted).unwrap_or_default();
                f.write_str(&json)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn disk(device: &str, gib: u64, serial: &str) -> Disk {
        Disk {
            device: device.into(),
            size_bytes: gib << 30,
            serial: Some(serial.into()).filter(|serial: &String| !serial.is_empty()),
            model: Some("QEMU HARDDISK".into()),
            ..Disk::default()
        }
    }

    fn rule(json: &str) -> DiskRule {
        serde_json::from_str(json).unwrap()
    }

    fn shelf() -> Vec<Disk> {
        let mut stick = disk("sdc", 16, "STICK");
        stick.removable = true;
        let mut booted = disk("sdd", 8, "BOOT");
        booted.booted_from = true;
        vec![disk("sda", 20, "A1"), disk("sdb", 40, "B2"), stick, booted]
    }

    #[test_case(r#""/dev/sdb""#, "sdb"; "by its device")]
    #[test_case(r#"{"serial":"A1"}"#, "sda"; "by its serial number")]
    #[test_case(r#"{"min_bytes":32212254720}"#, "sdb"; "by its size")]
    #[test_case(r#"{"pick":"smallest"}"#, "sda"; "the smallest that may be written")]
    #[test_case(r#"{"model":"harddisk","pick":"largest"}"#, "sdb"; "by its model in any case")]
    fn a_rule_that_fits_one_disk_finds_it(json: &str, device: &str) {
        assert_eq!(choose(&rule(json), &shelf()).unwrap().device, device);
    }

    #[test_case(r#""auto""#, "fits 2 disks"; "auto among two")]
    #[test_case(r#"{"serial":"STICK"}"#, "no disk fits"; "what can be pulled out")]
    #[test_case(r#""/dev/sdd""#, "no disk fits"; "what it was booted from")]
    fn any_other_is_refused_with_all_that_there_are(json: &str, why: &str) {
        let error = choose(&rule(json), &shelf()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains("A1") && error.contains("B2"), "{error}");
    }

    #[test]
    fn two_of_one_size_are_still_two() {
        let disks = [disk("sda", 20, "A"), disk("sdb", 20, "B")];
        let error = choose(&rule(r#"{"pick":"smallest"}"#), &disks).unwrap_err();
        assert!(
            matches!(error, DiskError::Several { count: 2, .. }),
            "{error}"
        );
    }

    #[test_case("A1", r#"{"serial":"A1"}"#; "by the serial number")]
    #[test_case("", r#""/dev/sda""#; "by the device where there is nothing better")]
    fn a_chosen_disk_is_pinned(serial: &str, json: &str) {
        assert_eq!(DiskRule::pin(&disk("sda", 20, serial)), rule(json));
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        for json in [r#""auto""#, r#""/dev/vda""#, r#"{"kind":"nvme"}"#] {
            assert_eq!(serde_json::to_string(&rule(json)).unwrap(), json);
        }
        assert!(serde_json::from_str::<DiskRule>(r#"{"seriell":"A1"}"#).is_err());
    }
}
