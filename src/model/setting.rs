//! Settings: a closed table of keys, each with its kind, default and meaning.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::defaults::{Defaults, Locale, PasswordHash, SshKey, TimeServer, TimeZone, UserName};
use super::field::{FieldError, OsChoice, quoted, readable, text_field};
use super::naming::NamingRule;

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
    /// One of these words.
    Word(&'static [&'static str]),
    /// The address of a name server; empty where there is none.
    NamingDns,
    /// A [`NamingRule`]; empty where there is none.
    NamingRule,
    /// One of the [`Defaults`]; empty where there is none.
    Default(DefaultKind),
}

/// What one of the defaults has to be. The entries of a list stand in lines of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultKind {
    User,
    SshKeys,
    PasswordHash,
    Os,
    TimeZone,
    Locale,
    Dns,
    Ntp,
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
        key: "defaults.dns",
        kind: SettingKind::Default(DefaultKind::Dns),
        default: "",
        example: "192.0.2.1",
        help: "name servers of machines that have an address of their own, one a line",
    },
    SettingSpec {
        key: "defaults.locale",
        kind: SettingKind::Default(DefaultKind::Locale),
        default: "",
        example: "en_US.UTF-8",
        help: "the locale of installed systems",
    },
    SettingSpec {
        key: "defaults.ntp",
        kind: SettingKind::Default(DefaultKind::Ntp),
        default: "",
        example: "ntp.example.net",
        help: "time servers of installed systems, one a line",
    },
    SettingSpec {
        key: "defaults.os",
        kind: SettingKind::Default(DefaultKind::Os),
        default: "",
        example: "debian-13",
        help: "the template that is meant where nobody names one",
    },
    SettingSpec {
        key: "defaults.password_hash",
        kind: SettingKind::Default(DefaultKind::PasswordHash),
        default: "",
        example: "$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8BLUpnlwGqbTgdVhcBRmF6QpXX7dB3Zr1WQxY0kZbqd0",
        help: "the user's password, as mkpasswd makes its hash; never shown",
    },
    SettingSpec {
        key: "defaults.ssh_keys",
        kind: SettingKind::Default(DefaultKind::SshKeys),
        default: "",
        example: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@desk",
        help: "the user's public keys, one a line",
    },
    SettingSpec {
        key: "defaults.timezone",
        kind: SettingKind::Default(DefaultKind::TimeZone),
        default: "",
        example: "Europe/Vienna",
        help: "the time zone of installed systems",
    },
    SettingSpec {
        key: "defaults.user",
        kind: SettingKind::Default(DefaultKind::User),
        default: "",
        example: "ada",
        help: "the user that is made on each machine and may become root",
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
        key: "naming.dns",
        kind: SettingKind::NamingDns,
        default: "",
        example: "192.0.2.53",
        help: "who is asked for the names of new machines; empty asks this machine's own name servers",
    },
    SettingSpec {
        key: "naming.rule",
        kind: SettingKind::NamingRule,
        default: "",
        example: "{role}{number}.{rack}.*",
        help: "what the parts of a new machine's name in the reverse DNS mean; empty asks for none",
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
        key: "provision.mode",
        kind: SettingKind::Word(Mode::NAMES),
        default: "unset",
        example: "flight",
        help: "what happens to new machines: nothing yet, answers for installers (simple), or images by our agent (flight)",
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

/// What happens to machines that are new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are registered, and nothing more, until a person chooses.
    #[default]
    Unset,
    /// They are registered. An installation is done by the system's own installer, which gets its answers from here.
    Simple,
    /// They are registered, and those whose disks are blank get the default system.
    Flight,
}

impl Mode {
    pub const KEY: &'static str = "provision.mode";
    pub const NAMES: &'static [&'static str] = &["unset", "simple", "flight"];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Simple => "simple",
            Self::Flight => "flight",
        }
    }

    /// The mode of this name; what is no name was never stored.
    pub fn of(name: &str) -> Self {
        let all = [Self::Unset, Self::Simple, Self::Flight];
        all.into_iter()
            .find(|mode| mode.name() == name)
            .unwrap_or_default()
    }
}

impl SettingSpec {
    /// Whether its value is for machines alone.
    pub fn is_secret(&self) -> bool {
        self.kind == SettingKind::Default(DefaultKind::PasswordHash)
    }

    /// The value as people see it.
    pub fn shown<'a>(&self, value: &'a str) -> &'a str {
        if self.is_secret() && !value.is_empty() {
            "(set)"
        } else {
            value
        }
    }
}

impl SettingKey {
    /// The text of every key there is.
    pub fn all() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|spec| spec.key)
    }

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
    /// What the keys of the [`Defaults`] begin with.
    pub const DEFAULTS: &'static str = "defaults.";

    /// The value as it will be stored, or why it cannot be.
    pub fn parse(key: SettingKey, value: &str) -> Result<Self, FieldError> {
        let spec = key.spec();
        let value = match spec.kind {
            SettingKind::Number(low, high) => number(spec, value, low, high)?,
            SettingKind::Text(max) => readable(spec.key, value, max, spec.example)?.into(),
            SettingKind::Word(words) => word(spec, value, words)?,
            SettingKind::NamingDns => optional::<NameServer>(spec, value)?,
            SettingKind::NamingRule => optional::<NamingRule>(spec, value)?,
            SettingKind::Default(kind) => default(kind, value).map_err(|error| FieldError {
                field: spec.key.into(),
                ..error
            })?,
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

fn word(spec: &SettingSpec, text: &str, words: &[&str]) -> Result<String, FieldError> {
    let text = text.trim();
    if words.contains(&text) {
        return Ok(text.into());
    }
    let reason = format!("{} is none of {}", quoted(text), words.join(", "));
    Err(FieldError::new(spec.key, reason, spec.example))
}

fn optional<T>(spec: &SettingSpec, text: &str) -> Result<String, FieldError>
where
    T: FromStr<Err = FieldError> + Into<String>,
{
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    one::<T>(text.trim()).map_err(|error| FieldError {
        field: spec.key.into(),
        ..error
    })
}

fn default(kind: DefaultKind, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    match kind {
        DefaultKind::User => one::<UserName>(text),
        DefaultKind::PasswordHash => one::<PasswordHash>(text),
        DefaultKind::Os => one::<OsChoice>(text),
        DefaultKind::TimeZone => one::<TimeZone>(text),
        DefaultKind::Locale => one::<Locale>(text),
        DefaultKind::SshKeys => lines::<SshKey>(text, "ssh_keys", Defaults::MAX_SSH_KEYS),
        DefaultKind::Ntp => lines::<TimeServer>(text, "ntp", Defaults::MAX_NTP),
        DefaultKind::Dns => lines::<NameServer>(text, "dns", Defaults::MAX_DNS),
    }
}

/// As it is stored: read, and written in its one form.
fn one<T: FromStr<Err = FieldError> + Into<String>>(text: &str) -> Result<String, FieldError> {
    text.parse::<T>().map(Into::into)
}

fn lines<T>(text: &str, field: &str, max: usize) -> Result<String, FieldError>
where
    T: FromStr<Err = FieldError> + Into<String>,
{
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let entry = one::<T>(line)?;
        if found.len() == max {
            let reason = format!("more than {max} are too many");
            return Err(FieldError::new(field, reason, entry));
        }
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    Ok(found.join("\n"))
}

/// The address of a name server.
struct NameServer(IpAddr);

impl FromStr for NameServer {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = |_| {
            let reason = format!("{} is no address", quoted(text));
            FieldError::new("dns", reason, "192.0.2.1")
        };
        text.parse().map(Self).map_err(wrong)
    }
}

impl From<NameServer> for String {
    fn from(server: NameServer) -> Self {
        server.0.to_string()
    }
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

    #[test_case("defaults.user", "root", "there anyway"; "root")]
    #[test_case("defaults.user", "ada\nbob", "no name of a user"; "two users")]
    #[test_case("defaults.dns", "192.0.2.1\nns1", "no address"; "a name for an address")]
    #[test_case("defaults.ssh_keys", "ssh-ed25519 AAAA", "not a key of this kind"; "half a key")]
    #[test_case("defaults.os", "Windows 11", "neither a letter"; "no name of a template")]
    #[test_case("provision.mode", "swarm", "none of unset, simple, flight"; "a mode that there is not")]
    fn a_wrong_default_tells_why(key: &str, value: &str, why: &str) {
        let error = Setting::parse(key.parse().unwrap(), value).unwrap_err();
        assert_eq!(error.field, key);
        assert!(error.reason.contains(why), "{error}");
    }

    #[test]
    fn the_entries_of_a_list_stand_in_lines_each_once() {
        let key: SettingKey = "defaults.dns".parse().unwrap();
        let setting = Setting::parse(key, " 2001:DB8::1\n\n192.0.2.1\n2001:db8::1\n").unwrap();
        assert_eq!(setting.value, "2001:db8::1\n192.0.2.1");
        let many: Vec<_> = (0..9).map(|last| format!("192.0.2.{last}")).collect();
        let many = many.join("\n");
        let error = Setting::parse("defaults.dns".parse().unwrap(), &many).unwrap_err();
        assert!(error.reason.contains("more than 6"), "{error}");
    }

    #[test]
    fn a_password_is_neither_shown_nor_quoted_back() {
        let key: SettingKey = "defaults.password_hash".parse().unwrap();
        let spec = key.spec();
        assert!(spec.is_secret());
        assert_eq!((spec.shown(spec.example), spec.shown("")), ("(set)", ""));
        let error = Setting::parse(key, "correct horse").unwrap_err();
        assert!(!error.to_string().contains("horse"));
    }

    #[test]
    fn a_mode_is_one_of_its_names() {
        for name in Mode::NAMES {
            assert_eq!(Mode::of(name).name(), *name);
        }
    }

    #[test]
    fn an_unknown_key_is_told_the_known_ones() {
        let error = "site.nmae".parse::<SettingKey>().unwrap_err();
        assert!(error.reason.contains("site.name"));
    }
}
