//! What a machine boots: the architectures that firmware names, the loaders for them, and the one decision.

mod agent;
mod once;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::network::{Admit, Idle};
use super::workflow::Wants;

pub use agent::{AgentRecord, MAX_TRIES, Redeemed, TOKEN_LIFE};

/// What a client said that it is: option 93 of its DISCOVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arch(pub u16);

impl Arch {
    /// The platform behind the number (research: RFC 4578 with its erratum, IANA, EDK2); none where it is unknown.
    pub const fn platform(self) -> Option<Platform> {
        Some(match self.0 {
            0 | 20 => Platform::Bios,
            6 | 15 => Platform::Ia32,
            // Real x64 machines send 7 or 9.
            7 | 9 | 16 => Platform::X64,
            10 | 18 => Platform::Arm32,
            11 | 19 => Platform::Arm64,
            21..=24 => Platform::UBoot,
            27 | 28 => Platform::Riscv64,
            39 | 40 => Platform::Loong64,
            41 => Platform::RaspberryPi,
            _ => return None,
        })
    }

    /// Whether the client wants a URL and not a file name.
    pub const fn is_http(self) -> bool {
        matches!(
            self.0,
            15 | 16 | 18 | 19 | 20 | 23 | 24 | 26 | 28 | 30 | 38 | 40
        )
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.platform() {
            Some(platform) if self.is_http() => write!(f, "{platform} by HTTP"),
            Some(platform) => platform.fmt(f),
            None => write!(f, "unknown architecture {}", self.0),
        }
    }
}

/// A kind of machine, as far as loaders differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    Bios,
    Ia32,
    X64,
    Arm32,
    Arm64,
    Riscv64,
    Loong64,
    UBoot,
    RaspberryPi,
}

impl Platform {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bios => "BIOS",
            Self::Ia32 => "UEFI ia32",
            Self::X64 => "UEFI x64",
            Self::Arm32 => "UEFI arm32",
            Self::Arm64 => "UEFI arm64",
            Self::Riscv64 => "UEFI riscv64",
            Self::Loong64 => "UEFI loong64",
            Self::UBoot => "U-Boot",
            Self::RaspberryPi => "Raspberry Pi",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which build of iPXE a machine gets; some cards work with one and hang in another.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LoaderChoice {
    /// What fits most machines of its platform; the next one when no script was fetched after it.
    #[default]
    Auto,
    /// The firmware's own driver (`snponly.efi`, `undionly.kpxe`).
    Firmware,
    /// iPXE's drivers (`ipxe.efi`, `ipxe.pxe`).
    Full,
    /// The signed shim and what it loads; the files are the person's own.
    Signed,
}

impl LoaderChoice {
    pub const ALL: [Self; 4] = [Self::Auto, Self::Firmware, Self::Full, Self::Signed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Firmware => "firmware",
            Self::Full => "full",
            Self::Signed => "signed",
        }
    }
}

impl fmt::Display for LoaderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A step of the fallback ladder.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// A proxy offer with option 43: the client is told to boot at once.
    #[default]
    Proxy,
    /// A proxy offer without option 43: the client has to ask on port 4011.
    Binl,
    /// The real server's offer and acknowledgement, relayed, with boot instructions stapled on.
    Staple,
}

impl Rung {
    pub const ALL: [Self; 3] = [Self::Proxy, Self::Binl, Self::Staple];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Binl => "binl",
            Self::Staple => "staple",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is known of how a machine boots the network; part of its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootRecord {
    /// A person's order for the next boot; taken off when its script is handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// The rung on which it last fetched something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    #[serde(skip_serializing_if = "is_auto")]
    pub loader: LoaderChoice,
    /// What it said in option 93 when it last fetched something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// When it last fetched its script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The boot agent that was let in last, and how many were sent for since.
    #[serde(skip_serializing_if = "AgentRecord::is_empty")]
    pub agent: AgentRecord,
}

impl BootRecord {
    /// Takes over what is known of another record of the same machine; its order is not, since nobody meant it for this.
    pub fn absorb(&mut self, other: &Self) {
        self.rung = self.rung.or(other.rung);
        self.arch = self.arch.or(other.arch);
        self.at = self.at.max(other.at);
        if self.loader == LoaderChoice::Auto {
            self.loader = other.loader;
        }
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_auto(choice: &LoaderChoice) -> bool {
    *choice == LoaderChoice::Auto
}

/// What a machine shall boot once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Once {
    /// iPXE's own shell on the machine's screen.
    Shell,
    /// Another script or program, by its URL.
    Chain { url: String },
    /// A kernel with its initial RAM disks and command line.
    Kernel {
        kernel: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        initrds: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        cmdline: String,
    },
}

/// Who asks, and under which rules of its network.
#[derive(Clone, Copy, Debug)]
pub struct BootRequest<'a> {
    /// The record of the one who asks; none while it is unknown.
    pub machine: Option<&'a Machine>,
    pub admit: Admit,
    pub idle: Idle,
    /// What its workflow wants of it now.
    pub work: Wants,
    /// Whether there is a boot environment for this machine's architecture.
    pub agent: bool,
    /// How often one that is unknown was sent the agent and never checked in.
    pub tries: u8,
    /// Whether the board that asks says another UUID than the record has: its card may have come from that machine.
    pub other_board: bool,
}

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Nothing is answered.
    Silence,
    /// A script that says so and goes on to the local disk.
    Local,
    /// A screen that says that a person has to approve the machine; it asks again.
    Wait,
    /// A person's order for this one boot.
    Once(Once),
    /// The boot agent: it looks into the machine, and does what a workflow has for it.
    Agent,
    /// The installer of its workflow's system, straight.
    Installer,
}

/// The decision with its reason, which is shown on screens and in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub boot: Boot,
    pub why: &'static str,
}

impl Decision {
    /// Whether the machine shall be brought to us by its firmware: the ladder steps only then.
    pub const fn wants_netboot(&self) -> bool {
        !matches!(self.boot, Boot::Silence)
    }
}

/// Why a machine stands on a screen that says that it waits.
pub const WAITS: &str = "it waits for a person's approval";
/// Why a machine that is unknown hears nothing.
pub const ONLY_KNOWN: &str = "only known machines are answered here";
/// Why a machine that is known hears nothing.
pub const STAYS_SILENT: &str = "nothing is to be done, and this network stays silent then";
/// Why a machine hears nothing that would be answered if there were a loader for it.
pub const NO_LOADER: &str = "there is nothing to boot for it";

/// Why a machine goes to its disk although a workflow waits for it.
pub const NO_AGENT: &str = "its workflow waits: there is no boot environment for it on this server";

/// Why a machine goes to its disk although its installer waits.
pub const OTHER_BOARD: &str =
    "its board is another than that of the machine that is to be installed";

/// The only place that says what a machine boots. DHCP, TFTP, HTTP and iPXE all ask it.
///
/// A person's order comes before a workflow, a workflow before the silence of a network, and a lock before all of them.
/// A machine that is new is let in as far as its script also where idle ones get silence, since only that registers it.
/// The agent is never sent for without an end: for an inventory alone, [`MAX_TRIES`] times.
pub fn decide(request: &BootRequest<'_>) -> Decision {
    let Some(machine) = request.machine else {
        return decide_new(request);
    };
    let locked = machine.lock.is_some();
    let may_look = request.agent && !locked && machine.boot.agent.tries < MAX_TRIES;
    match &machine.boot.once {
        Some(once) if !locked => decision(Boot::Once(once.clone()), "a person asked for this boot"),
        _ if request.work == Wants::Agent && !locked && request.agent => {
            decision(Boot::Agent, "a workflow is to be carried out on it")
        }
        _ if request.other_board && may_look => decision(
            Boot::Agent,
            "its board is another than the record of its card has, and is looked into",
        ),
        _ if request.work == Wants::Installer && !locked && !request.other_board => decision(
            Boot::Installer,
            "its system's own installer is to be started",
        ),
        None if request.work == Wants::Disk => idle(request, false, locked),
        None if may_look && machine.boot.agent.wanted => {
            decision(Boot::Agent, "a person asked for a new look into it")
        }
        None if may_look && machine.hardware.seen_at.is_none() => {
            decision(Boot::Agent, "nobody has looked into it yet")
        }
        once => idle(request, once.is_some(), locked),
    }
}

const fn decision(boot: Boot, why: &'static str) -> Decision {
    Decision { boot, why }
}

fn decide_new(request: &BootRequest<'_>) -> Decision {
    match request.admit {
        Admit::Open if request.agent && request.tries < MAX_TRIES => {
            decision(Boot::Agent, "it is new here, and is looked into first")
        }
        Admit::Open => decision(Boot::Local, "it is new here, and nothing is to be done yet"),
        Admit::Approve => decision(Boot::Wait, WAITS),
        Admit::Known => decision(Boot::Silence, ONLY_KNOWN),
    }
}

/// Nothing can be done for it now.
fn idle(request: &BootRequest<'_>, ordered: bool, locked: bool) -> Decision {
    if request.idle == Idle::Silence {
        return decision(Boot::Silence, STAYS_SILENT);
    }
    let why = match (request.work, ordered, locked) {
        (Wants::Installer, _, false) => OTHER_BOARD,
        (_, true, true) => "it is locked, so the boot that a person asked for has to wait",
        (Wants::Agent | Wants::Installer, _, true) => "it is locked, so its workflow has to wait",
        (Wants::Agent, _, false) => NO_AGENT,
        (Wants::Disk, ..) => "its new system has to start, and to call home",
        _ => "nothing is to be done for it",
    };
    decision(Boot::Local, why)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::model::machine::Source;
    use crate::model::{Evidence, Lock, MachineId, MemorableName};

    fn known(once: bool, locked: bool) -> Machine {
        let mac = "52:54:00:12:34:56".parse().unwrap();
        let name = MemorableName::candidates(mac).next().unwrap();
        let (id, now) = (MachineId(uuid::Uuid::nil()), Timestamp::UNIX_EPOCH);
        let evidence = Evidence::of_macs(mac, []);
        let mut machine = Machine::register(id, &evidence, name, Source::Manual, now);
        machine.boot.once = once.then_some(Once::Shell);
        machine.lock = locked.then(|| Lock {
            by: "ada".into(),
            at: now,
            reason: None,
        });
        machine
    }

    const ORDERED: Boot = Boot::Once(Once::Shell);

    #[test_case(None, Admit::Open, Idle::Local => Boot::Local; "a new one where all are let in")]
    #[test_case(None, Admit::Open, Idle::Silence => Boot::Local; "a new one where idle ones get silence")]
    #[test_case(None, Admit::Approve, Idle::Silence => Boot::Wait; "a new one that has to be approved")]
    #[test_case(None, Admit::Known, Idle::Local => Boot::Silence; "a new one where only known ones are answered")]
    #[test_case(Some((false, false)), Admit::Known, Idle::Local => Boot::Local; "an idle one")]
    #[test_case(Some((false, false)), Admit::Open, Idle::Silence => Boot::Silence; "an idle one where the network is silent")]
    #[test_case(Some((true, false)), Admit::Known, Idle::Silence => ORDERED; "an order comes before silence")]
    #[test_case(Some((true, false)), Admit::Approve, Idle::Local => ORDERED; "an order")]
    #[test_case(Some((true, true)), Admit::Open, Idle::Local => Boot::Local; "a lock comes before an order")]
    #[test_case(Some((true, true)), Admit::Open, Idle::Silence => Boot::Silence; "a lock comes before an order in silence too")]
    fn what_is_booted(machine: Option<(bool, bool)>, admit: Admit, idle: Idle) -> Boot {
        let machine = machine.map(|(once, locked)| known(once, locked));
        let decision = decide(&BootRequest {
            machine: machine.as_ref(),
            admit,
            idle,
            work: Wants::Nothing,
            agent: false,
            tries: 0,
            other_board: false,
        });
        assert!(!decision.why.is_empty());
        assert_eq!(decision.wants_netboot(), decision.boot != Boot::Silence);
        decision.boot
    }

    /// An agent that may be sent for, by what is known of the machine.
    #[test_case(|_| () => Boot::Agent; "never looked into")]
    #[test_case(|request| request.agent = false => Boot::Local; "no environment")]
    #[test_case(|request| request.work = Wants::Agent => Boot::Agent; "a workflow")]
    #[test_case(|request| (request.work, request.agent) = (Wants::Agent, false) => Boot::Local; "a workflow, and no environment")]
    #[test_case(|request| (request.work, request.idle) = (Wants::Agent, Idle::Silence) => Boot::Agent; "a workflow where idle ones get silence")]
    #[test_case(|request| (request.work, request.agent) = (Wants::Installer, false) => Boot::Installer; "an installer, which needs no environment")]
    #[test_case(|request| request.work = Wants::Disk => Boot::Local; "a system that was written")]
    #[test_case(|request| (request.other_board, request.work) = (true, Wants::Installer) => Boot::Agent; "another board is looked into before it is installed")]
    #[test_case(|request| (request.other_board, request.work, request.agent) = (true, Wants::Installer, false) => Boot::Local; "another board, and nobody could look")]
    #[test_case(|request| request.machine = None => Boot::Agent; "new")]
    #[test_case(|request| (request.machine, request.tries) = (None, MAX_TRIES) => Boot::Local; "new, and it never came")]
    #[test_case(|request| (request.machine, request.admit) = (None, Admit::Approve) => Boot::Wait; "new, to be approved")]
    #[test_case(|request| (request.machine, request.admit) = (None, Admit::Known) => Boot::Silence; "new, where only known ones are answered")]
    fn the_agent_is_sent_for(change: fn(&mut BootRequest)) -> Boot {
        let machine = known(false, false);
        let mut request = BootRequest {
            machine: Some(&machine),
            admit: Admit::Open,
            idle: Idle::Local,
            work: Wants::Nothing,
            agent: true,
            tries: 0,
            other_board: false,
        };
        change(&mut request);
        decide(&request).boot
    }

    #[test_case(|machine| machine.boot.agent.tries = MAX_TRIES, false => Boot::Local; "it never came")]
    #[test_case(|machine| machine.boot.agent.tries = MAX_TRIES, true => Boot::Agent; "it never came, and a workflow needs it")]
    #[test_case(|machine| machine.hardware.seen_at = Some(Timestamp::UNIX_EPOCH), false => Boot::Local; "looked into")]
    #[test_case(|machine| machine.hardware.seen_at = Some(Timestamp::UNIX_EPOCH), true => Boot::Agent; "looked into, and there is work")]
    #[test_case(|machine| (machine.hardware.seen_at, machine.boot.agent.wanted) = (Some(Timestamp::UNIX_EPOCH), true), false => Boot::Agent; "to be looked into again")]
    #[test_case(|machine| machine.boot.agent = AgentRecord { wanted: true, tries: MAX_TRIES, ..AgentRecord::default() }, false => Boot::Local; "to be looked into again, and it never came")]
    #[test_case(|machine| machine.lock = known(false, true).lock, true => Boot::Local; "locked")]
    #[test_case(|machine| machine.boot.once = Some(Once::Shell), true => ORDERED; "a person's order comes first")]
    fn the_agent_is_sent_for_as_the_record_says(change: fn(&mut Machine), work: bool) -> Boot {
        let mut machine = known(false, false);
        change(&mut machine);
        let decision = decide(&BootRequest {
            machine: Some(&machine),
            admit: Admit::Open,
            idle: Idle::Local,
            work: if work { Wants::Agent } else { Wants::Nothing },
            agent: true,
            tries: 0,
            other_board: false,
        });
        assert!(decision.wants_netboot());
        decision.boot
    }

    #[test]
    fn a_record_of_an_earlier_version_reads_without_its_boots() {
        let mut json = serde_json::to_value(known(true, false)).unwrap();
        json.as_object_mut().unwrap().remove("boot");
        let machine: Machine = serde_json::from_value(json).unwrap();
        assert!(machine.boot.is_empty());
        let text = serde_json::to_string(&machine).unwrap();
        assert!(!text.contains("\"boot\""), "{text}");
    }
}
