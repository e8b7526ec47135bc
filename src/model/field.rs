//! The values a person types, each with its rule, its reason and a valid example.
//!
//! What becomes part of an address, a path, a selector or a rule (host names, tags, keys, templates) is plain
//! ASCII, so that no two of them look alike. What is only read (friendly names, values of labels, reasons) may
//! be of any script, and holds nothing that a reader cannot see.

mod static_ip;
mod uplink;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use static_ip::StaticIp;
pub use uplink::{Bond, BondMode, VlanId};

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
                f.pad(&self.0)
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
        let text = text.trim();
        host_name(text)
            .map_err(|why| FieldError::new("hostname", why, "web01.rack2.example.net"))?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

fn host_name(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length == 0 {
        return Err("a host name cannot be empty".into());
    }
    if length > Hostname::MAX {
        let limit = Hostname::MAX;
        return Err(format!(
            "{length} characters are too many, {limit} is the limit"
        ));
    }
    text.split('.').try_for_each(host_label)?;
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its last part is all digits, so it would be taken for an address".into());
    }
    Ok(())
}

fn host_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("it has a dot too many, or two in a row".into());
    }
    if let Some(bad) = label
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && *c != '-')
    {
        let bad = quoted(&bad.to_string());
        return Err(format!(
            "{bad} is neither a letter of a to z, a digit nor a hyphen"
        ));
    }
    if label.len() > Hostname::MAX_LABEL {
        let limit = Hostname::MAX_LABEL;
        return Err(format!(
            "the part {} is longer than {limit} characters",
            quoted(label)
        ));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!(
            "the part {} begins or ends with a hyphen",
            quoted(label)
        ));
    }
    Ok(())
}

/// A name for people: of any script, up to 64 characters, all of them to be seen.
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
        const EXAMPLE: &str = "topaz-control-master";
        if text.trim().is_empty() {
            let why = "it is empty; clear it instead to bring the four-word name back";
            return Err(FieldError::new("friendly_name", why, EXAMPLE));
        }
        readable("friendly_name", text, Self::MAX, EXAMPLE).map(Self)
    }
}

/// A tag: a short word of a to z and digits, kept in lower case, with `.`, `_`, `:`, `/` and `-` inside.
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
        let text = text.trim().to_ascii_lowercase();
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
        let text = text.trim().to_ascii_lowercase();
        word("os_choice", &text, Self::MAX, ".-", "debian-13").map(|()| Self(text.into()))
    }
}

/// ASCII letters and digits at both ends, `inner` also allowed between.
fn word(field: &str, text: &str, max: usize, inner: &str, example: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new(field, reason, example));
    let letter = |c: char| c.is_ascii_alphanumeric();
    if text.is_empty() {
        return wrong("it is empty".into());
    }
    let length = text.chars().count();
    if length > max {
        return wrong(format!(
            "{length} characters are too many, {max} is the limit"
        ));
    }
    if let Some(bad) = text.chars().find(|c| !letter(*c) && !inner.contains(*c)) {
        let bad = quoted(&bad.to_string());
        return wrong(format!(
            "{bad} is neither a letter of a to z, a digit nor one of {inner}"
        ));
    }
    if !text.starts_with(letter) || !text.ends_with(letter) {
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
            check_value(&key, &value).map_err(|why| FieldError::new("labels", why, "owner=ada"))?;
            labels.insert(key.into(), value.into());
        }
        Ok(Self(labels))
    }
}

/// A value may be empty; what it holds can be seen.
fn check_value(key: &str, value: &str) -> Result<(), String> {
    if value.chars().count() > Labels::MAX_VALUE {
        let limit = Labels::MAX_VALUE;
        return Err(format!(
            "the value of '{key}' is longer than {limit} characters"
        ));
    }
    match hidden(value) {
        Some(bad) => Err(format!(
            "the value of '{key}' holds the invisible character {}",
            bad.escape_unicode()
        )),
        None => Ok(()),
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

/// What a person typed, as it is quoted back: escaped, and not longer than is needed to know it again.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut short: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    format!("'{short}'")
}

/// Text that people read: something visible, at most `max` characters, none of them hidden. Its spaces at both
/// ends are cut off.
pub fn readable(
    field: &str,
    text: &str,
    max: usize,
    example: &str,
) -> Result<Box<str>, FieldError> {
    let text = text.trim();
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
    match hidden(text) {
        Some(bad) => wrong(format!(
            "it holds the invisible character {}",
            bad.escape_unicode()
        )),
        None => Ok(text.into()),
    }
}

/// The first character that would let one text pass for another: controls, marks of direction, spaces without
/// width, fillers. Joiners and variation selectors belong to scripts and emoji, so they may follow what is no ASCII.
fn hidden(text: &str) -> Option<char> {
    let mut before = ' ';
    text.chars().find(|c| {
        let chain = !is_joiner(before) || (*c == '\u{200d}' && before >= '\u{fe0e}');
        let follows = chain && !before.is_ascii();
        before = *c;
        match *c {
            joiner if is_joiner(joiner) => !follows,
            // Unicode's Default_Ignorable_Code_Point, separators of lines, and what shows as an empty space.
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => true,
            other => other.is_control() || (other.is_whitespace() && other != ' '),
        }
    })
}

/// Zero-width joiner and non-joiner, and the two selectors of text or emoji.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests;
