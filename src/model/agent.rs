//! The words between the boot agent, the installed system's unit, and the server: JSON over TLS.
//!
//! | call | brings | answers |
//! |---|---|---|
//! | POST [`HELLO`] | [`Hello`] with a boot token | [`Welcome`] |
//! | POST [`CHECK_IN`] | [`CheckIn`] | [`Order`] |
//! | POST [`ORDER`] | [`AskOrder`] | [`Order`], at once or when there is one |
//! | POST [`REPORT`] | [`Report`]s | [`Heard`] |
//! | POST [`LOG`] | [`LogLines`] | nothing |
//! | POST [`HOME`] | [`HomeReport`] | [`HomeOrder`], at once or when there is one |
//!
//! The session is the agent's key: it makes one in its memory, shows a certificate of it in every TLS handshake, and
//! a hello binds it to the machine. A token is good for one hello. The installed system shows its secret instead.
//! Errors are JSON too: [`Refused`].

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::action::Action;
use super::machine::Hardware;
use super::{Evidence, MacAddr, MachineId};

/// The version of these words. A server speaks this one and the one before, so that its upgrade breaks no workflow.
pub const PROTOCOL: u16 = 1;
/// The oldest that is served.
pub const OLDEST_PROTOCOL: u16 = 1;

pub const HELLO: &str = "/agent/v1/hello";
pub const CHECK_IN: &str = "/agent/v1/checkin";
pub const ORDER: &str = "/agent/v1/order";
pub const REPORT: &str = "/agent/v1/report";
pub const LOG: &str = "/agent/v1/log";
pub const HOME: &str = "/agent/v1/home";

/// What the kernel's command line tells the agent, each as `dragonfly.NAME=VALUE`.
pub mod cmdline {
    /// Address and port of the machine plane's TLS.
    pub const SERVER: &str = "dragonfly.server";
    /// Address and port of the machine plane's files. Where it is absent, [`FILES_PORT`] of the server.
    pub const FILES: &str = "dragonfly.files";
    pub const FILES_PORT: u16 = 3080;
    /// SHA-256 of the server's public key (its `SubjectPublicKeyInfo`), in hexadecimal.
    pub const PIN: &str = "dragonfly.pin";
    /// The boot token.
    pub const TOKEN: &str = "dragonfly.token";
    /// The card that it booted from.
    pub const MAC: &str = "dragonfly.mac";
    /// The VLAN that it booted in, when frames have to carry its number.
    pub const VLAN: &str = "dragonfly.vlan";
}

/// The first words of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u16,
    /// The agent's own version, for people.
    pub version: String,
    pub token: String,
    pub mac: MacAddr,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub protocol: u16,
    pub version: String,
    /// What the agent sets its clock to.
    pub now: Timestamp,
    /// The name that the machine's screen shows.
    pub name: String,
}

/// What the agent found in its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckIn {
    pub evidence: Evidence,
    pub hardware: Hardware,
    /// Its own address, as it got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How the agent before it ended, in the same boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// Asks for something to do; the answer may be held back for so many seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskOrder {
    pub wait_seconds: u64,
}

/// What the agent is to do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Nothing yet: ask again. The reason is for the machine's screen.
    Wait {
        name: String,
        why: String,
    },
    Execute(Work),
    /// Leave the network and start what is on the disk.
    LocalBoot {
        why: String,
    },
    Reboot {
        why: String,
    },
    PowerOff {
        why: String,
    },
    /// Do nothing more, and show why.
    Halt {
        why: String,
    },
}

/// A workflow, as far as its agent has to know it. Secrets are in it: it is kept in memory alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub workflow: Uuid,
    /// Grows with each agent that is given the work, so that a report of an earlier one is told apart.
    pub attempt: u32,
    pub name: String,
    pub template: String,
    pub steps: Vec<WorkStep>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkStep {
    pub name: String,
    pub action: Action,
    pub timeout_seconds: u64,
    /// Finished by an earlier attempt: it is not done again.
    pub done: bool,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub workflow: Uuid,
    pub attempt: u32,
    pub step: u32,
    pub what: StepNews,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum StepNews {
    Started,
    Progress(Progress),
    /// Done. A step after which the agent is gone says so before it goes.
    Done {
        #[serde(default)]
        message: String,
    },
    Failed {
        error: String,
    },
}

/// How far a step is. Zero for what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Of the source, compressed or not.
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub bytes_per_second: u64,
    /// `fetching`, `verifying` and the like.
    pub phase: String,
}

/// Whether to go on. Also the answer to reports of a workflow that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub go_on: bool,
    #[serde(default)]
    pub why: String,
}

/// Lines of the agent's own log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    pub lines: Vec<String>,
}

/// A call home: the installed system tells that it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomeReport {
    pub protocol: u16,
    pub machine: MachineId,
    pub workflow: Uuid,
    pub secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `PRETTY_NAME` of its os-release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// It can make the next boot one from the network, and how.
    #[serde(default)]
    pub netboot_once: bool,
    /// The answer may be held back for so many seconds.
    #[serde(default)]
    pub wait_seconds: u64,
    /// What became of the order before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum HomeOrder {
    /// Nothing: call again.
    Nothing,
    /// Boot the network at the next start, once, and restart now.
    NetbootOnce {
        why: String,
    },
    Reboot {
        why: String,
    },
    /// This system is not what the server knows; it need not call again.
    Forget {
        why: String,
    },
}

/// Why a call was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub error: String,
    /// Whether the same call later may be answered.
    #[serde(default)]
    pub retry: bool,
    /// The agent is to stop for good: its token was used by another.
    #[serde(default)]
    pub halt: bool,
}
