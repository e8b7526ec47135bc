//! The file: read with bounds, and every key of it found with its line.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::keys::{self, KEYS, Key, nearest};
use super::value::Raw;

/// As large as a file may be: far more than all keys with all comments.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Unread {
    Missing,
    Because(String, Option<&'static str>),
}

impl Unread {
    pub(super) fn told_of(self, path: &Path) -> ConfigError {
        let (reason, help) = match self {
            Self::Missing => (
                "file does not exist".into(),
                Some("create it, or leave it out to use the defaults"),
            ),
            Self::Because(reason, help) => (reason, help),
        };
        ConfigError::of_file(Origin::whole(path), reason, help)
    }
}

/// All of a file's text.
pub(super) fn read(path: &Path) -> Result<String, Unread> {
    let because = |reason: &str, help| Err(Unread::Because(reason.into(), help));
    // Looked at before it is opened: to open a pipe would wait for its other end.
    let meta = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if meta.is_dir() {
        return because("is a folder, not a file", None);
    }
    if !meta.is_file() {
        return because("is not an ordinary file", None);
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_BYTES + 1);
    bounded
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return because("is larger than 1 MiB", Some("is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        Unread::Because(format!("is not UTF-8: see line {line}"), None)
    })
}

fn unreadable(error: &std::io::Error) -> Unread {
    match error.kind() {
        ErrorKind::NotFound => Unread::Missing,
        ErrorKind::PermissionDenied => Unread::Because(
            "cannot be read: permission denied".into(),
            Some("run it as the user that owns the file, or let this one read it"),
        ),
        _ => Unread::Because(format!("cannot be read: {error}"), None),
    }
}

/// What a file says, and what is wrong with it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) values: Vec<(&'static Key, Raw, Origin)>,
    pub(super) errors: Vec<ConfigError>,
}

/// Takes apart a whole file; one wrong line does not hide the next.
pub(super) fn parse(path: &Path, text: &str) -> Found {
    let place = Place { path, text };
    let (table, wrong) = DeTable::parse_recoverable(text);
    let mut found = Found::default();
    found.errors.extend(wrong.iter().map(|error| {
        let origin = place.origin(error.span().unwrap_or_default());
        let reason = format!(
            "is not TOML: {}",
            error.message().trim().replace('\n', "; ")
        );
        ConfigError::of_file(origin, reason, None)
    }));
    walk(&place, "", table.get_ref(), &mut found);
    found.errors.sort_by_key(|error| error.origin.line());
    found
}

struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Origin::File {
            path: self.path.into(),
            line: 1 + before.matches('\n').count(),
        }
    }
}

fn walk(place: &Place<'_>, section: &str, table: &DeTable<'_>, found: &mut Found) {
    for (word, value) in table {
        let name = match section {
            "" => word.get_ref().to_string(),
            _ => format!("{section}.{}", word.get_ref()),
        };
        let origin = place.origin(word.span());
        let inside = format!("{name}.");
        let is_section = KEYS.iter().any(|key| key.name.starts_with(&inside));
        match (keys::find(&name), value.get_ref()) {
            (Some(key), value) => found.values.push((key, raw(value), origin)),
            (None, DeValue::Table(inner)) if is_section => walk(place, &name, inner, found),
            (None, _) if is_section => found.errors.push(not_a_section(&name, origin)),
            (None, _) => found.errors.push(unknown(&name, origin)),
        }
    }
}

fn unknown(name: &str, origin: Origin) -> ConfigError {
    let sections = ["socket", "log", "store"];
    let names = KEYS.iter().map(|key| key.name).chain(sections);
    let help = if let Some(near) = nearest(name, names) {
        format!("the nearest that is: {near}")
    } else {
        let all: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        format!("these are: {}", all.join(", "))
    };
    ConfigError {
        origin,
        key: Some(name.escape_debug().to_string()),
        reason: "is not a key that is known".into(),
        help: Some(help),
    }
}

fn not_a_section(name: &str, origin: Origin) -> ConfigError {
    let inside = format!("{name}.");
    let keys = KEYS.iter().filter(|key| key.name.starts_with(&inside));
    let keys: Vec<_> = keys.map(Key::leaf).collect();
    ConfigError {
        origin,
        key: Some(name.into()),
        reason: "is a section, not a value".into(),
        help: Some(format!("write [{name}], and below it {}", keys.join(", "))),
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Number(number.to_string()),
        DeValue::Integer(_) => Raw::Other("a number that is not decimal"),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Float(_) => Raw::Other("a broken number"),
        DeValue::Boolean(_) => Raw::Other("true or false"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a section"),
    }
}
