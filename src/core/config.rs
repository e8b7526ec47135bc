//! Configuration: defaults, then the file, then the environment, then flags; built once, never changed.

use std::ffi::OsString;
use std::path::PathBuf;

/// What was given on the command line, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data DIR`
    pub data: Option<OsString>,
    /// `--socket FILE`
    pub socket: Option<OsString>,
    /// `--listen ADDRESS:PORT`, as often as wanted
    pub listen: Vec<OsString>,
    /// `--log LEVEL`
    pub log: Option<OsString>,
    /// `--log-format text|json`
    pub log_format: Option<OsString>,
}
