//! One value: from words, or from the file's own types, to a meaning that cannot be wrong.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::Origin;
use super::keys::{Key, Kind, nearest};
use super::shown;
use crate::model::{FieldError, LinkName, SourceUrl};

/// As many addresses as one daemon listens on.
const MAX_LISTEN: usize = 16;
/// As many links as one daemon serves; each has a raw socket and two kernel sockets.
const MAX_LINKS: usize = 64;
/// As many registries as one daemon pulls through.
const MAX_REGISTRIES: usize = 64;
const MAX_ALIAS: usize = 64;
/// `sun_path` holds 108 bytes, the last of them zero.
const MAX_SOCKET_PATH: usize = 107;
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const UNITS: [(&str, u64); 7] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
];

/// A value before anybody knew what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    /// Words that are not UTF-8; a path may be.
    Bytes(PathBuf),
    Number(String),
    List(Vec<Raw>),
    /// Something that no key takes, by its name.
    Other(&'static str),
}

impl Raw {
    pub(super) fn of_os(text: &OsStr) -> Self {
        match text.to_str() {
            Some(text) => Self::Text(text.into()),
            None => Self::Bytes(text.into()),
        }
    }

    pub(super) fn of_default(key: &Key) -> Self {
        Self::Text(key.default.trim_matches(['[', ']', '"']).into())
    }

    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) | Self::Number(text) => Ok(text.trim()),
            Self::Bytes(bytes) => Err(format!("is not UTF-8: '{}'", shown(bytes))),
            Self::List(_) => Err("is a list, and one value is wanted".into()),
            Self::Other(what) => Err(format!("is {what}, which it cannot be")),
        }
    }
}

/// A value that is right.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Path(PathBuf),
    Listen(Vec<SocketAddr>),
    Mode(u64),
    Text(String),
    Size(u64),
    Links(Vec<LinkName>),
    Port(u16),
    Registries(BTreeMap<String, SourceUrl>),
}

impl Value {
    /// The value for `key`, or why it is none, in words that go on from the key's name.
    pub(super) fn parse(key: &Key, raw: &Raw, origin: &Origin) -> Result<Self, String> {
        match key.kind {
            Kind::Path => path(raw, origin).map(Self::Path),
            Kind::SocketPath => socket_path(raw, origin).map(Self::Path),
            Kind::Listen => listen(raw).map(Self::Listen),
            Kind::Mode => mode(raw).map(Self::Mode),
            Kind::Group => group(raw.text()?).map(Self::Text),
            Kind::Level => level(raw.text()?).map(Self::Text),
            Kind::OneOf(words) => one_of(words, raw.text()?).map(Self::Text),
            Kind::Size(low, high) => size(raw.text()?, low, high).map(Self::Size),
            Kind::Links => links(raw).map(Self::Links),
            Kind::Port => port(raw.text()?).map(Self::Port),
            Kind::Registries => registries(raw).map(Self::Registries),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{:?}", path.display().to_string()),
            Self::Listen(all) => {
                let all: Vec<_> = all.iter().map(|at| format!("\"{at}\"")).collect();
                write!(f, "[{}]", all.join(", "))
            }
            Self::Mode(mode) => write!(f, "\"{mode:04o}\""),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Size(bytes) if bytes % (1 << 20) == 0 => write!(f, "\"{} MiB\"", bytes >> 20),
            Self::Size(number) => write!(f, "{number}"),
            Self::Links(all) => {
                let all: Vec<_> = all.iter().map(|link| format!("\"{link}\"")).collect();
                write!(f, "[{}]", all.join(", "))
            }
            Self::Port(port) => write!(f, "{port}"),
            Self::Registries(all) => {
                let all: Vec<_> = all
                    .iter()
                    .map(|(alias, url)| format!("\"{alias}={url}\""))
                    .collect();
                write!(f, "[{}]", all.join(", "))
            }
        }
    }
}

fn path(raw: &Raw, origin: &Origin) -> Result<PathBuf, String> {
    let path = match raw {
        Raw::Bytes(bytes) => bytes.clone(),
        Raw::Number(_) => return Err("is a number, and text is wanted".into()),
        other => PathBuf::from(other.text()?),
    };
    if path.as_os_str().is_empty() {
        return Err("is empty".into());
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err("holds a zero byte".into());
    }
    if path.is_relative() && matches!(origin, Origin::File { .. }) {
        return Err(format!(
            "'{}' is a relative path, and the file does not know from where: write it in full",
            shown(&path)
        ));
    }
    Ok(path)
}

fn socket_path(raw: &Raw, origin: &Origin) -> Result<PathBuf, String> {
    let path = path(raw, origin)?;
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Err(format!(
            "is {length} bytes long, and the kernel takes {MAX_SOCKET_PATH} at most"
        ));
    }
    if path.file_name().is_none() || ends_in_slash(&path) {
        return Err(format!("'{}' names no file", shown(&path)));
    }
    Ok(path)
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

fn listen(raw: &Raw) -> Result<Vec<SocketAddr>, String> {
    let mut all = Vec::new();
    match raw {
        Raw::List(items) => {
            for item in items {
                all.extend(listen(item)?);
            }
        }
        one => {
            for word in one.text()?.split(',') {
                all.push(address(word.trim())?);
            }
        }
    }
    let twice = all.iter().enumerate().find(|(at, address)| {
        address.port() != 0 && all.iter().skip(at + 1).any(|other| other == *address)
    });
    match (all.len(), twice) {
        (0, _) => Err("names no address".into()),
        (MAX_LISTEN.., _) if all.len() > MAX_LISTEN => Err(format!(
            "names {} addresses, {MAX_LISTEN} is the limit",
            all.len()
        )),
        (_, Some((_, address))) => Err(format!("names {address} twice")),
        _ => Ok(all),
    }
}

/// `ALIAS=URL`, several in a list or with commas between.
fn registries(raw: &Raw) -> Result<BTreeMap<String, SourceUrl>, String> {
    let mut all = BTreeMap::new();
    match raw {
        Raw::List(items) => {
            for item in items {
                all.extend(registries(item)?);
            }
        }
        one => {
            let words = one.text()?.split(',').map(str::trim);
            for word in words.filter(|word| !word.is_empty()) {
                let (alias, url) = word
                    .split_once('=')
                    .ok_or_else(|| format!("'{}' is not ALIAS=URL", word.escape_debug()))?;
                let plain =
                    |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
                if alias.is_empty() || alias.len() > MAX_ALIAS || !alias.bytes().all(plain) {
                    return Err(format!(
                        "'{}' is no alias: small letters, digits, '.', '_' and '-' make one",
                        alias.escape_debug()
                    ));
                }
                let url = url.parse().and_then(SourceUrl::web);
                let url = url.map_err(|error: FieldError| error.reason)?;
                all.insert(alias.to_owned(), url);
            }
        }
    }
    match all.len() {
        0..=MAX_REGISTRIES => Ok(all),
        many => Err(format!(
            "names {many} registries, {MAX_REGISTRIES} is the limit"
        )),
    }
}

fn links(raw: &Raw) -> Result<Vec<LinkName>, String> {
    let mut all = Vec::new();
    match raw {
        Raw::List(items) => {
            for item in items {
                all.extend(links(item)?);
            }
        }
        one => {
            for word in one.text()?.split(',').map(str::trim) {
                if !word.is_empty() {
                    all.push(word.parse().map_err(|error: FieldError| error.reason)?);
                }
            }
        }
    }
    let twice = (1..all.len()).find(|at| all[..*at].contains(&all[*at]));
    match twice {
        Some(at) => Err(format!("names {} twice", all[at])),
        None if all.len() > MAX_LINKS => Err(format!(
            "names {} links, {MAX_LINKS} is the limit",
            all.len()
        )),
        None => Ok(all),
    }
}

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse::<u16>().ok().filter(|port| *port > 0);
    number.ok_or_else(|| format!("'{}' is not a port: from 1 to 65535", text.escape_debug()))
}

fn address(word: &str) -> Result<SocketAddr, String> {
    let shown = word.escape_debug();
    let address: SocketAddr = word
        .parse()
        .map_err(|_| format!("'{shown}' is not an address with a port"))?;
    if !address.ip().to_canonical().is_loopback() {
        return Err(format!(
            "'{shown}' can be reached from the network, and there are no users yet to tell who may do \
             what: only loopback is allowed; forward a port over SSH to come from elsewhere"
        ));
    }
    Ok(address)
}

fn mode(raw: &Raw) -> Result<u64, String> {
    if let Raw::Number(number) = raw {
        return Err(format!(
            "is the number {number}; write it as text, in octal"
        ));
    }
    let text = raw.text()?;
    let octal = u64::from_str_radix(text.trim_start_matches("0o"), 8);
    match octal {
        Ok(mode) if mode & !0o770 == 0 && mode & 0o600 == 0o600 => Ok(mode),
        Ok(mode) if mode & 0o7 != 0 => Err(format!(
            "'{mode:04o}' lets everybody in, and there are no users yet: the last digit is 0"
        )),
        Ok(mode) => Err(format!(
            "'{mode:04o}' is out of range: from 0600 to 0770, with read and write for the owner"
        )),
        Err(_) => Err(format!("'{}' is not an octal number", text.escape_debug())),
    }
}

fn group(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    match text {
        "" => Err("is empty".into()),
        long if long.len() > 32 => Err("is longer than 32 characters".into()),
        odd if !odd.chars().all(plain) => Err(format!(
            "'{}' cannot be the name of a group",
            odd.escape_debug()
        )),
        good => Ok(good.into()),
    }
}

fn level(text: &str) -> Result<String, String> {
    for part in text.split(',').map(str::trim) {
        let (target, level) = part.rsplit_once('=').unwrap_or(("dragonfly", part));
        let level = level.to_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            return Err(none_of(&LEVELS, &level));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if target.is_empty() || !target.chars().all(plain) {
            return Err(format!(
                "names '{}', which is no part of the program",
                target.escape_debug()
            ));
        }
    }
    Ok(text.to_lowercase())
}

fn one_of(words: &'static [&'static str], text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    if words.contains(&lower.as_str()) {
        Ok(lower)
    } else {
        Err(none_of(words, text))
    }
}

fn none_of(words: &[&'static str], text: &str) -> String {
    let near = nearest(text, words.iter().copied());
    let hint = near.map(|word| format!(" (did you mean '{word}'?)"));
    format!(
        "'{}' is none of {}{}",
        text.escape_debug(),
        words.join(", "),
        hint.unwrap_or_default()
    )
}

fn size(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let unit = UNITS.iter().find(|(unit, _)| lower.ends_with(unit));
    let (digits, factor) = unit.map_or((lower.as_str(), 1), |(unit, factor)| {
        (lower.trim_end_matches(unit), *factor)
    });
    let shown = text.escape_debug();
    let digits = digits.trim().replace('_', "");
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    match bytes {
        Some(bytes) if (low..=high).contains(&bytes) => Ok(bytes),
        Some(_) => Err(format!(
            "'{shown}' is out of range: from {} MiB to {} MiB",
            low >> 20,
            high >> 20
        )),
        None => Err(format!("'{shown}' is not a size")),
    }
}
