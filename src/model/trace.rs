//! The trace of a boot: one line per thing seen, from the first DISCOVER to the system that runs.

mod diagnosis;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::network::LinkName;

pub use diagnosis::{Cause, Diagnosis, Scene, diagnose};

/// Where in a boot something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Dhcp,
    Tftp,
    Http,
    Script,
    Agent,
    Disk,
    Os,
}

impl Stage {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Tftp => "tftp",
            Self::Http => "http",
            Self::Script => "script",
            Self::Agent => "agent",
            Self::Disk => "disk",
            Self::Os => "os",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was seen. A closed list, so that the cause of a stop can be found without reading sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The client asked on port 67 with option 60.
    Discover,
    /// We sent a proxy offer, a stapled offer or one of our own.
    Offered,
    /// The client asked for its address (a REQUEST was seen on the wire).
    Request,
    /// The client asked on port 4011.
    BinlAsked,
    BinlAnswered,
    /// We acknowledged: our own lease, or a stapled one.
    Acknowledged,
    /// We refused an address, or passed on a refusal.
    Refused,
    /// Another server offered an address.
    ForeignOffer,
    /// Another server offered boot instructions of its own.
    ForeignBoot,
    /// A request was relayed to the real server.
    Relayed,
    /// The real server did not answer the relayed request in time.
    RelaySilent,
    /// We said nothing, on purpose.
    Silent,
    /// A file was asked for that is there.
    FileBegun,
    /// The client stopped a transfer after it knew the size (EDK2 does so first).
    FileProbed,
    FileDone,
    /// A file was asked for that is not there.
    FileMissing,
    /// A transfer ended before its end.
    FileBroken,
    /// The machine fetched its script.
    ScriptGiven,
    /// The script told how it went.
    ScriptSaid,
    /// The attempt on this rung led to nothing, and the next one takes another rung.
    RungChanged,
    /// The machine was told to boot its own disk.
    LocalBoot,
    /// The boot agent showed its token and is believed.
    AgentLetIn,
    /// A boot agent showed a token that was not good for it.
    AgentRefused,
    /// The boot agent told what it found in its machine.
    AgentCheckIn,
    /// Two were heard as one machine.
    AgentAlarm,
    /// The boot came to its end without a script; `text` names the cause.
    Stopped,
}

impl Mark {
    /// Worth an event that outlives the telemetry; that a script was handed out is one of its own.
    pub const fn is_milestone(self) -> bool {
        matches!(self, Self::RungChanged | Self::Stopped)
    }
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: Timestamp,
    pub stage: Stage,
    pub mark: Mark,
    /// Where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkName>,
    /// What a person reads: what was sent, fetched or said. Bytes from the wire are escaped.
    pub text: String,
    /// Why it was done so; empty where nothing was decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
