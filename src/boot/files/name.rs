//! The name of a file on the wire, taken apart once: what is a [`Name`] leads to no place above its folder.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longer than any name that firmware asks for, shorter than what a file system takes.
const MAX: usize = 255;

/// One or more segments with single slashes between: no empty one, no `.`, no `..`, no control character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is no name. What was asked is shown escaped, and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("no file was named")]
    Empty,
    #[error("the name is longer than {MAX} bytes")]
    Long,
    #[error("the name holds a control character")]
    Control,
    #[error("the name leads out of the boot folder")]
    Above,
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Slashes at the front, twice or at the end are what firmware and people write and mean nothing; a backslash
    /// is what Windows' loaders write for a slash.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX {
            return Err(NameError::Long);
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        let segments = || {
            let all = text.split(['/', '\\']);
            all.filter(|segment| !matches!(*segment, "" | "."))
        };
        if segments().any(|segment| segment == "..") {
            return Err(NameError::Above);
        }
        let name = segments().collect::<Vec<_>>().join("/");
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Name {
    /// Escaped: it came off the wire, and goes into traces and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.escape_debug(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
