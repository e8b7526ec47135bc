//! What is wrong with the configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::Key;
use super::shown;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Env(String),
    Flag(String),
}

impl Origin {
    /// The line of the file, or 0.
    pub fn line(&self) -> usize {
        match self {
            Self::File { line, .. } => *line,
            _ => 0,
        }
    }

    /// The file at `path`, as a whole.
    pub(super) fn whole(path: &Path) -> Self {
        Self::File {
            path: path.into(),
            line: 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => f.write_str(&shown(path)),
            Self::File { path, line } => write!(f, "{}:{line}", shown(path)),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{reason}{}", .key.as_ref().map(|key| format!("{key} ")).unwrap_or_default(), .help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct ConfigError {
    pub origin: Origin,
    /// The key at fault; none when it is the file as a whole.
    pub key: Option<String>,
    pub reason: String,
    /// What would be right.
    pub help: Option<String>,
}

impl ConfigError {
    pub(super) fn of_key(key: &Key, origin: Origin, reason: String) -> Self {
        let help = match &origin {
            Origin::Env(name) => format!("for example {name}={}", key.example_word()),
            Origin::Flag(flag) => format!("for example {flag} {}", key.example_word()),
            _ => format!("for example {} = {}", key.leaf(), key.example),
        };
        Self {
            origin,
            key: Some(key.name.into()),
            reason,
            help: Some(help),
        }
    }

    pub(super) fn of_file(origin: Origin, reason: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            origin,
            key: None,
            reason: reason.into(),
            help: help.map(Into::into),
        }
    }
}

/// Every mistake there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "configuration is wrong: {one}"),
            all => {
                write!(f, "configuration is wrong in {} places:", all.len())?;
                all.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}
