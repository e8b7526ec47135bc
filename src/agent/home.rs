//! The unit of the installed system: it tells the server that the system runs, waits for what the server wants, and can
//! have the next start come from the network.
//!
//! It needs nothing of its system but the kernel. A server that is away is called again for ever, ever more seldom.

pub mod grub;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;

use crate::agent::actions::efi;
use crate::agent::client::{CallError, Client};
use crate::agent::clock::{self, Backoff};
use crate::agent::cmdline;
use crate::agent::inventory::pretty_name;
use crate::agent::network::sysfs::{cards, word};
use crate::model::MacAddr;
use crate::model::action::Home;
use crate::model::agent::{self as words, HomeOrder, HomeReport, PROTOCOL};

/// An order is waited for so long by one call.
const WAIT: u64 = 50;
const BETWEEN: Duration = Duration::from_secs(2);

/// The installed system, by the folder that is its root.
#[derive(Debug)]
struct System {
    root: PathBuf,
}

/// Runs as long as the server wants to hear.
pub fn run() -> ExitCode {
    let system = System { root: "/".into() };
    let file = system.root.join("etc/dragonfly/home.json");
    let home: Result<Home, String> = fs::read(&file)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    let home = match home {
        Ok(home) => home,
        Err(error) => return failed(&format!("{}: {error}", file.display())),
    };
    let Some(pin) = cmdline::pin(&home.pin) else {
        return failed(&format!("{}: its pin is no SHA-256", file.display()));
    };
    match Client::new(home.server, pin, None) {
        Ok(client) => call(&system, &home, client),
        Err(error) => failed(&error.to_string()),
    }
}

fn call(system: &System, home: &Home, mut client: Client) -> ExitCode {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::new(300, 0));
    let mut failure = None;
    loop {
        let report = system.report(home, failure.take());
        let asked = clock::now();
        let held = Duration::from_secs(WAIT) + crate::agent::client::ANSWER;
        match client.call::<_, HomeOrder>(words::HOME, &report, held) {
            Ok(HomeOrder::Nothing) => {
                backoff.reset();
                // A server that holds nothing back would be called without end.
                clock::pause(BETWEEN.saturating_sub(asked.elapsed()));
            }
            Ok(HomeOrder::Forget { why }) => {
                say(&format!("not to call any more: {why}"));
                return ExitCode::SUCCESS;
            }
            Ok(HomeOrder::Reboot { why }) => {
                say(&format!("restarting: {why}"));
                failure = Some(restart());
            }
            Ok(HomeOrder::NetbootOnce { why }) => {
                say(&format!("restarting from the network: {why}"));
                failure = Some(match system.netboot_once() {
                    Ok(how) => {
                        say(&how);
                        restart()
                    }
                    Err(error) => error.to_string(),
                });
            }
            Err(error) => {
                say(&error.to_string());
                if gives_up(&error) {
                    return ExitCode::SUCCESS;
                }
                clock::pause(backoff.pause());
            }
        }
        if let Some(failure) = &failure {
            say(failure);
            clock::pause(backoff.pause());
        }
    }
}

/// Only a server that says so for good is not called again.
const fn gives_up(error: &CallError) -> bool {
    error.halts()
}

impl System {
    fn report(&self, home: &Home, failed: Option<String>) -> HomeReport {
        let release = ["etc/os-release", "usr/lib/os-release"]
            .map(|file| fs::read_to_string(self.root.join(file)).unwrap_or_default());
        HomeReport {
            protocol: PROTOCOL,
            machine: home.machine,
            workflow: home.workflow,
            secret: home.secret.clone(),
            hostname: word(&self.root.join("proc/sys/kernel/hostname")),
            os: release.iter().find_map(|text| pretty_name(text)),
            machine_id: word(&self.root.join("etc/machine-id")),
            addresses: addresses(home.server),
            netboot_once: self.can_netboot(),
            wait_seconds: WAIT,
            failed,
        }
    }

    fn variables(&self) -> PathBuf {
        self.root.join(efi::VARIABLES.trim_start_matches('/'))
    }

    fn is_uefi(&self) -> bool {
        self.root.join("sys/firmware/efi").exists()
    }

    fn can_netboot(&self) -> bool {
        if self.is_uefi() {
            let menu = efi::Menu::read(&self.variables()).unwrap_or_default();
            return menu.in_order().any(efi::Entry::is_network);
        }
        grub::is_ready(&self.root)
    }

    /// Has the next start, once, come from the network; tells how.
    fn netboot_once(&self) -> std::io::Result<String> {
        if self.is_uefi() {
            let entry = efi::boot_network_once(&self.variables(), &self.macs())?;
            return Ok(format!("the firmware starts {} next", entry.label));
        }
        grub::boot_ipxe_once(&self.root)?;
        Ok("GRUB starts iPXE next".into())
    }

    fn macs(&self) -> Vec<MacAddr> {
        let real = cards(&self.root.join("sys"))
            .into_iter()
            .filter(|card| card.device.is_some());
        let mut cards: Vec<_> = real.collect();
        // Those with a cable first.
        cards.sort_by_key(|card| card.carrier != Some(true));
        cards.into_iter().map(|card| card.mac).collect()
    }
}

/// The system's own way, so that its services end well; why it does not go.
fn restart() -> String {
    let commands: [&[&str]; 2] = [&["systemctl", "reboot"], &["reboot"]];
    let mut errors = Vec::new();
    for words in commands {
        match std::process::Command::new(words[0])
            .args(&words[1..])
            .status()
        {
            Ok(status) if status.success() => {
                clock::pause(Duration::new(120, 0));
                errors.push(format!(
                    "{} was asked, and the system is still here",
                    words[0]
                ));
            }
            Ok(status) => errors.push(format!("{}: {status}", words[0])),
            Err(error) => errors.push(format!("{}: {error}", words[0])),
        }
    }
    format!("the system does not restart: {}", errors.join(", "))
}

/// The system's addresses that others can reach it by, the one towards the server first.
fn addresses(server: SocketAddr) -> Vec<IpAddr> {
    let found = getifaddrs().into_iter().flatten().filter_map(|link| {
        let address = link.address?;
        let v4 = address
            .as_sockaddr_in()
            .map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| {
            address
                .as_sockaddr_in6()
                .map(|address| IpAddr::V6(address.ip()))
        })
    });
    let mut all: Vec<IpAddr> = found.filter(is_reachable).collect();
    let towards = towards(server);
    all.sort_by_key(|address| Some(*address) != towards);
    all.dedup();
    all.truncate(32);
    all
}

fn is_reachable(address: &IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    };
    !local && !address.is_loopback() && !address.is_unspecified()
}

/// The address that a packet to the server would have; nothing is sent.
fn towards(server: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn failed(why: &str) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

/// For the system's journal.
fn say(line: &str) {
    use std::io::Write as _;
    let line = crate::agent::log::clean(line);
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests;
