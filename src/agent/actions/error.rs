//! Why an action failed, in the words that a person reads on the machine's page.

use std::io;
use std::path::Path;

use crate::agent::http::HttpError;
use crate::agent::image::ImageError;
use crate::agent::init::rest::RestError;
use crate::model::disk::DiskError;

#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{program} failed ({how}){}{tail}", if .tail.is_empty() { "" } else { ": " })]
    Program {
        program: String,
        how: String,
        tail: String,
    },
    #[error("it was told to stop")]
    Stopped,
    #[error("the agent has a fault: this step panicked")]
    Panicked,
    /// Only a machine that starts anew can go on.
    #[error("{0}")]
    Anew(String),
    #[error("{0}")]
    Other(String),
}

impl From<ImageError> for ActionError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Cancelled { waiting: None } => Self::Stopped,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<RestError> for ActionError {
    fn from(error: RestError) -> Self {
        match error {
            RestError::Http(HttpError::Stopped) => Self::Stopped,
            RestError::Another { .. } => Self::Anew(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl ActionError {
    /// An error of the file system or the kernel, with what was tried.
    pub fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }

    /// The same of a file.
    pub fn at<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        Self::io(path.display().to_string())
    }
}
