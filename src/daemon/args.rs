//! What the entries of the daemon are asked for. The command line's tree of arguments is turned into these by
//! `main`, word for word: every value is checked where the file and the environment are, so that a wrong one
//! is told of in the same way.

use std::path::PathBuf;

pub use crate::core::config::Flags;

/// `dragonfly server`.
#[derive(Clone, Debug, Default)]
pub struct ServerArgs {
    pub flags: Flags,
}

/// `dragonfly demo`.
#[derive(Clone, Debug, Default)]
pub struct DemoArgs {
    pub flags: Flags,
}

/// `dragonfly store …`. `flags.data` says where the store lies.
#[derive(Clone, Debug)]
pub struct StoreArgs {
    pub flags: Flags,
    pub json: bool,
    pub command: StoreCommand,
}

/// What to do with the store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCommand {
    /// Read all of it and compare its parts with each other. Changes nothing.
    Check,
    /// Write all of it as JSON lines; `-` is standard output.
    Export { to: PathBuf },
    /// Make a new store of JSON lines; `-` is standard input. Never over a store that is there.
    Import { from: PathBuf },
    /// Give unused space back to the file system.
    Compact,
}

/// `dragonfly config …`.
#[derive(Clone, Debug)]
pub struct ConfigArgs {
    pub flags: Flags,
    pub json: bool,
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigCommand {
    /// Print every value and where it comes from.
    Show,
    /// Say whether the daemon would start with it.
    Check,
}
