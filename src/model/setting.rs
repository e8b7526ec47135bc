//! Settings: a closed table of keys, each with its kind, default and meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted, readable, text_field};

/// A key of the table [`SETTINGS`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SettingKey(Box<str>);
text_field!(SettingKey);

/// A setting that a person gave a value of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub key: SettingKey,
    pub value: String,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    pub key: &'static str,
    pub kind: SettingKind,
    pub default: &'static str,
    pub example: &'static str,
    pub help: &'static str,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// Printable text up to so many characters.
    Text(usize),
}

/// Every setting there is.
pub const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "boot.registrations_per_minute",
        kind: SettingKind::Number(1, 100_000),
        default: "120",
        example: "600",
        help: "as many machines as register by themselves within a minute",
    },
    SettingSpec {
        key: "events.max_age_days",
        kind: SettingKind::Number(1, 3650),
        default: "90",
        example: "30",
        help: "events older than this are trimmed; the audit log is not",
    },
    SettingSpec {
        key: "events.max_count",
        kind: SettingKind::Number(1000, 10_000_000),
        default: "100000",
        example: "50000",
        help: "as many events as are kept beside the audit log",
    },
    SettingSpec {
        key: "provision.at_once",
        kind: SettingKind::Number(1, 10_000),
        default: "8",
        example: "20",
        help: "as many machines as are installed at once; others wait for their turn",
    },
    SettingSpec {
        key: "provision.come_minutes",
        kind: SettingKind::Number(1, 100_000),
        default: "1440",
        example: "60",
        help: "as long as a workflow waits for its machine to boot the network",
    },
    SettingSpec {
        key: "provision.home_minutes",
        kind: SettingKind::Number(1, 1440),
        default: "30",
        example: "15",
        help: "as long as an installed system has to call home",
    },
    SettingSpec {
        key: "provision.steps_minutes",
        kind: SettingKind::Number(1, 100_000),
        default: "240",
        example: "60",
        help: "as long as all steps of a workflow may take, where its template does not say",
    },
    SettingSpec {
        key: "site.name",
        kind: SettingKind::Text(64),
        default: "Dragonfly",
        example: "Shelf in the hall",
        help: "what this place is called on pages and in the status",
    },
];

impl SettingKey {
    pub fn spec(&self) -> &'static SettingSpec {
        let own = SETTINGS.iter().find(|spec| spec.key == self.as_str());
        own.unwrap_or(&SETTINGS[0])
    }
}

impl FromStr for SettingKey {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let found = SETTINGS.iter().find(|spec| spec.key == text);
        found.map(|spec| Self(spec.key.into())).ok_or_else(|| {
            let known: Vec<_> = SETTINGS.iter().map(|spec| spec.key).collect();
            FieldError::new(
                "key",
                format!(
                    "{} is none of the settings {}",
                    quoted(text),
                    known.join(", ")
                ),
                "site.name",
            )
        })
    }
}

impl Setting {
    /// The value as it will be stored, or why it cannot be.
    pub fn parse(key: SettingKey, value: &str) -> Result<Self, FieldError> {
        let spec = key.spec();
        let value = match spec.kind {
            SettingKind::Number(low, high) => number(spec, value, low, high)?,
            SettingKind::Text(max) => readable(spec.key, value, max, spec.example)?.into(),
        };
        Ok(Self { key, value })
    }
}

fn number(spec: &SettingSpec, text: &str, low: u64, high: u64) -> Result<String, FieldError> {
    let number = text.trim().parse().ok();
    let fits = number.filter(|number| (low..=high).contains(number));
    fits.map(|number| number.to_string()).ok_or_else(|| {
        let reason = format!(
            "{} is not a whole number from {low} to {high}",
            quoted(text)
        );
        FieldError::new(spec.key, reason, spec.example)
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test]
    fn every_row_takes_its_own_default_and_example() {
        for spec in SETTINGS {
            let key: SettingKey = spec.key.parse().unwrap();
            assert_eq!(key.spec().key, spec.key);
            assert_eq!(
                Setting::parse(key.clone(), spec.default).unwrap().value,
                spec.default
            );
            assert!(Setting::parse(key, spec.example).is_ok());
        }
    }

    #[test]
    fn keys_stand_once_and_sorted() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test_case("events.max_age_days", "0", "from 1 to 3650"; "too low")]
    #[test_case("events.max_age_days", "3651", "from 1 to 3650"; "too high")]
    #[test_case("events.max_age_days", "a week", "whole number"; "words")]
    #[test_case("events.max_count", "1e6", "whole number"; "an exponent")]
    #[test_case("site.name", " ", "empty"; "blank")]
    #[test_case("site.name", "a\u{202e}b", "invisible"; "turned around")]
    fn a_wrong_value_tells_why(key: &str, value: &str, why: &str) {
        let error = Setting::parse(key.parse().unwrap(), value).unwrap_err();
        assert_eq!(error.field, key);
        assert!(error.reason.contains(why), "{error}");
        assert!(Setting::parse(key.parse().unwrap(), &error.example).is_ok());
    }

    #[test]
    fn an_unknown_key_is_told_the_known_ones() {
        let error = "site.nmae".parse::<SettingKey>().unwrap_err();
        assert!(error.reason.contains("site.name"));
    }
}
