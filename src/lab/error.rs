//! What can go wrong in the lab, in words that say what to do next.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error(
        "the lab makes network namespaces, and for that it needs root: run it as root, or with sudo"
    )]
    NotRoot,
    #[error("{what} is not there: run scripts/setup-lab, which unpacks it under build/lab")]
    Missing { what: String },
    #[error("this machine has no {what}")]
    Lacking { what: String },
    #[error(
        "{dir} has {free_mb} MB free, and {needed_mb} MB are needed: make room, or name another place with DRAGONFLY_LAB_DIR"
    )]
    Space {
        dir: PathBuf,
        free_mb: u64,
        needed_mb: u64,
    },
    #[error("name {name:?}: expected a letter, then up to {most} letters, digits or hyphens in all, in lower case", most = super::NAME_LENGTH)]
    BadName { name: String },
    #[error(
        "{kind} {name} exists already: choose another name, or `dragonfly-lab down` the lab that has it"
    )]
    Taken { kind: &'static str, name: String },
    #[error("no {kind} is called {name}; there {}", listed(.have))]
    Unknown {
        kind: &'static str,
        name: String,
        have: Vec<String>,
    },
    #[error("extra configuration for Kea: expected a JSON object with members of Dhcp4: {said}")]
    Extra { said: String },
    #[error("{foreign} serves no boot files in the lab: netboot goes with dnsmasq")]
    NoNetboot { foreign: super::Foreign },
    #[error("no lab is up: start one with `dragonfly-lab up`")]
    NoLab,
    #[error("several labs are up ({}): name one with --lab", .have.join(", "))]
    WhichLab { have: Vec<String> },
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("`{command}` ended with {code}: {said}")]
    Command {
        command: String,
        code: String,
        said: String,
    },
    #[error("{name} ended with {code}; the end of its log {log}:\n{tail}")]
    Ended {
        name: String,
        code: String,
        log: PathBuf,
        tail: String,
    },
    #[error("{awaited}: not within {seconds} s{hint}")]
    Late {
        awaited: String,
        seconds: u64,
        hint: String,
    },
    #[error("{awaited}: interrupted")]
    Interrupted { awaited: String },
    #[error("QEMU refused {command}: {said}")]
    Qmp { command: String, said: String },
    #[error("{path} is not as the lab writes it: {said}")]
    Damaged { path: PathBuf, said: String },
}

fn listed(have: &[String]) -> String {
    match have {
        [] => "are none".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.join(", ")),
    }
}

/// Gives an I/O error the words for what was being done.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io {
            doing: what(),
            source,
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|errno| LabError::Io {
            doing: what(),
            source: errno.into(),
        })
    }
}
