//! The lab's network: one namespace holds a bridge, the wire; every host is a namespace of its own with
//! one cable into it. Nothing of it touches the machine's own interfaces, so labs run side by side
//! with the same addresses.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::{LabError, error::Doing, tools::Tools};

/// The wire of every lab: 192.168.77.0/24.
pub const NETWORK: [u8; 3] = [192, 168, 77];
pub const PREFIX: u8 = 24;
pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// Where the foreign DHCP server lives.
pub const FOREIGN: Ipv4Addr = address(1);
/// Where the daemon under test lives, beside its floating IP.
pub const DRAGONFLY: Ipv4Addr = address(2);
/// What the foreign server leases, first and last.
pub const POOL: (Ipv4Addr, Ipv4Addr) = (address(100), address(199));

pub(crate) const BRIDGE: &str = "br0";

pub const fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(NETWORK[0], NETWORK[1], NETWORK[2], last)
}

/// A named network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn named(name: impl Into<String>) -> Netns {
        Netns { name: name.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// Runs `work` on a thread inside this namespace: sockets that it opens live there, wherever they go.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let path = self.path();
        let file = File::open(&path).doing(|| format!("open {}", path.display()))?;
        thread::scope(|scope| {
            let inside =
                scope.spawn(move || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work()));
            match inside.join() {
                Ok(done) => done.doing(|| format!("enter {}", path.display())),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The same command, inside; its pid is the program's own.
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net={}", self.path().display()))
            .arg("--");
        inside.arg(command.get_program()).args(command.get_args());
        copy_surroundings(command, &mut inside);
        inside
    }

    pub(crate) fn make(&self, tools: &Tools) -> Result<(), LabError> {
        tools.ip(&format!("netns add {}", self.name))?;
        tools.ip(&format!("-n {} link set lo up", self.name))?;
        Ok(())
    }

    pub(crate) fn remove(&self, tools: &Tools) -> Result<(), LabError> {
        if !self.exists() {
            return Ok(());
        }
        // Gone all the same when somebody else took it down at this moment.
        match tools.ip(&format!("netns del {}", self.name)) {
            Err(error) if self.exists() => Err(error),
            _ => Ok(()),
        }
    }

    /// The pids of all that runs inside, whoever started it.
    pub fn pids(&self, tools: &Tools) -> Vec<i32> {
        let listed = tools
            .ip(&format!("netns pids {}", self.name))
            .unwrap_or_default();
        listed
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect()
    }
}

/// A host of the lab: a namespace with `eth0` on the wire.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub netns: Netns,
    wire: Netns,
    tools: Tools,
}

impl Host {
    pub(crate) fn at(name: &str, netns: Netns, wire: Netns, tools: Tools) -> Host {
        Host {
            name: name.to_owned(),
            netns,
            wire,
            tools,
        }
    }

    /// Lays the cable; without an address the host is as a machine before DHCP.
    pub(crate) fn connect(&self, address: Option<Ipv4Addr>) -> Result<(), LabError> {
        let (wire, inside, port) = (self.wire.name(), self.netns.name(), self.port());
        self.tools.ip(&format!(
            "link add {port} netns {wire} type veth peer name eth0 netns {inside}"
        ))?;
        self.tools
            .ip(&format!("-n {wire} link set {port} master {BRIDGE} up"))?;
        self.tools.ip(&format!("-n {inside} link set eth0 up"))?;
        if let Some(address) = address {
            self.tools.ip(&format!(
                "-n {inside} address add {address}/{PREFIX} brd + dev eth0"
            ))?;
        }
        Ok(())
    }

    /// Plugs or pulls the cable at the switch's end.
    pub fn set_link(&self, up: bool) -> Result<(), LabError> {
        let state = if up { "up" } else { "down" };
        self.tools.ip(&format!(
            "-n {} link set {} {state}",
            self.wire.name(),
            self.port()
        ))?;
        Ok(())
    }

    /// Runs `ip` in this host, for example `ip("address show dev eth0")`.
    pub fn ip(&self, words: &str) -> Result<String, LabError> {
        self.tools.ip(&format!("-n {} {words}", self.netns.name()))
    }

    /// The MAC address of its `eth0`, as `52:54:00:…`.
    pub fn mac(&self) -> Result<String, LabError> {
        let shown = self.ip("-o link show dev eth0")?;
        let mut words = shown.split_whitespace();
        words.find(|word| *word == "link/ether");
        words
            .next()
            .map(str::to_owned)
            .ok_or_else(|| LabError::Damaged {
                path: self.netns.path(),
                said: shown.clone(),
            })
    }

    /// A command that runs inside this host, in the foreground of whoever starts it.
    pub fn command(&self, command: &Command) -> Command {
        self.netns.command(command)
    }

    fn port(&self) -> String {
        format!("p-{}", self.name)
    }
}

/// Environment and working directory.
pub(crate) fn copy_surroundings(from: &Command, to: &mut Command) {
    for (key, value) in from.get_envs() {
        match value {
            Some(value) => to.env(key, value),
            None => to.env_remove(key),
        };
    }
    if let Some(dir) = from.get_current_dir() {
        to.current_dir(dir);
    }
}

/// A tap device on the wire for one VM.
pub(crate) fn add_tap(tools: &Tools, wire: &Netns, tap: &str) -> Result<(), LabError> {
    let wire = wire.name();
    tools.ip(&format!("-n {wire} tuntap add dev {tap} mode tap"))?;
    tools.ip(&format!("-n {wire} link set {tap} master {BRIDGE} up"))?;
    Ok(())
}

pub(crate) fn remove_tap(tools: &Tools, wire: &Netns, tap: &str) {
    // A tap that is already gone is what was wanted.
    let _ = tools.ip(&format!("-n {} link del {tap}", wire.name()));
}

pub(crate) fn make_wire(tools: &Tools, wire: &Netns) -> Result<(), LabError> {
    wire.make(tools)?;
    let name = wire.name();
    tools.ip(&format!(
        "-n {name} link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0"
    ))?;
    tools.ip(&format!("-n {name} link set {BRIDGE} up"))?;
    Ok(())
}
