//! A place as its owner has it: a lab with a foreign DHCP server, Dragonfly, a key to sign in with, a system to
//! install, and machines.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test file uses its part, and fails where it stands"
)]

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use dragonfly::lab::dragonfly::{environments, with_environments};
use dragonfly::lab::{Dragonfly, Foreign, Host, Lab, LabError, Profile, Supplies, Vm, VmSpec, net};
use serde_json::Value;

use crate::lab::{beside, said};

pub const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
/// Emulated, and beside whatever else the machine does.
pub const BOOTS_WITHIN: Duration = Duration::from_mins(8);
pub const INSTALLS_WITHIN: Duration = Duration::from_mins(10);
const SOON: Duration = Duration::from_mins(1);
pub struct Site {
    pub lab: Lab,
    pub dragonfly: Dragonfly,
    /// A machine of the person's own, from which they sign in.
    pub desk: Host,
    key: Option<PathBuf>,
}

/// Where something was not built the test is skipped, and says so.
fn supplies(lab: &Lab) -> Option<Supplies> {
    let found = lab.supplies();
    if let Err(error) = &found {
        let _ = writeln!(std::io::stderr(), "SKIPPED a lab test: {error}");
    }
    found.ok()
}

impl Site {
    /// Beside dnsmasq, with everything that an installation needs, and nothing in Dragonfly's records.
    pub fn open() -> Option<Site> {
        Site::open_in(beside(Foreign::Dnsmasq)?)
    }

    /// The same in a lab that is already there.
    pub fn open_in(lab: Lab) -> Option<Site> {
        let supplies = supplies(&lab)?;
        let mut site = Self::at(lab);
        let key = site.dragonfly.stock(&site.lab, &supplies).unwrap();
        site.key = Some(key);
        site.wait_address();
        Some(site)
    }

    /// The same without the Debian and without a key: for those who bring images of their own, and sign in nowhere.
    pub fn bare() -> Option<Site> {
        let lab = beside(Foreign::Dnsmasq)?;
        if !environments().join("amd64/vmlinuz").exists() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED a lab test: no boot environment; make it with: make agent-env"
            );
            return None;
        }
        let site = Self::at(lab);
        site.wait_address();
        Some(site)
    }

    fn at(lab: Lab) -> Site {
        let dragonfly = start(&lab);
        let desk = lab.add_host("desk", Some(net::address(50))).unwrap();
        Site {
            lab,
            dragonfly,
            desk,
            key: None,
        }
    }

    fn wait_address(&self) {
        self.until("the floating IP", SOON, || {
            let shown = self.dragonfly.get("/api/v1/floating-ips")?;
            Ok((shown["items"][0]["state"] == "held").then_some(()))
        });
    }

    /// Switches on a machine with a blank disk.
    pub fn power_on(&self, name: &str, profile: Profile) -> Vm {
        self.lab.boot(&VmSpec::new(name, profile)).unwrap()
    }

    /// Runs the command line, which has to succeed.
    pub fn cli(&self, words: &[&str]) -> String {
        let done = self.dragonfly.cli(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", said(&done));
        said(&done)
    }

    pub fn machine(&self, mac: &str) -> Value {
        let path = format!("/api/v1/machines/{mac}");
        self.dragonfly.get(&path).unwrap_or_default()
    }

    /// Waits until the machine has told what it is made of.
    pub fn wait_inventory(&self, vm: &Vm) -> Value {
        self.wait_inventory_within(vm, BOOTS_WITHIN)
    }

    pub fn wait_inventory_within(&self, vm: &Vm, within: Duration) -> Value {
        self.until(&format!("the inventory of {}", vm.name), within, || {
            let machine = self.machine(&vm.mac);
            let told = machine["hardware"]["disks"].as_array();
            Ok(told
                .is_some_and(|disks| !disks.is_empty())
                .then_some(machine))
        })
    }

    pub fn wait_state(&self, vm: &Vm, state: &str, within: Duration) -> Value {
        self.until(&format!("{} to be {state}", vm.name), within, || {
            let machine = self.machine(&vm.mac);
            let is = machine["status"]["state"]
                .as_str()
                .or(machine["state"].as_str());
            Ok((is == Some(state)).then_some(machine))
        })
    }

    /// Waits for something, and tells all that is known when it does not come.
    pub fn until<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl FnMut() -> Result<Option<T>, LabError>,
    ) -> T {
        self.lab.until(what, within, look).unwrap_or_else(|error| {
            let log = fs::read_to_string(&self.dragonfly.process.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!(
                "--- the daemon's last words, newest first\n{}",
                tail.join("\n")
            );
            for name in self.lab.vms() {
                let Ok(vm) = self.lab.vm(&name) else { continue };
                let text = vm.serial().text();
                let tail: Vec<&str> = text.lines().rev().take(60).collect();
                eprintln!(
                    "--- {name}'s serial line, newest first\n{}",
                    tail.join("\n")
                );
                eprintln!("--- {name}: {}", self.machine(&vm.mac));
            }
            panic!("{error}")
        })
    }

    /// What a command says that is run on an installed machine, signed in with the person's key.
    pub fn ssh(&self, at: Ipv4Addr, command: &str) -> Output {
        let mut ssh = self.lab.tools().command("ssh").unwrap();
        ssh.arg("-i")
            .arg(self.key.as_ref().expect("a site with a key"));
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=10",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("ada@{at}")).arg(command);
        self.desk.command(&ssh).output().unwrap()
    }

    /// The same, once the machine lets one in.
    pub fn wait_ssh(&self, at: Ipv4Addr, command: &str) -> String {
        self.until(&format!("ssh to {at}"), BOOTS_WITHIN, || {
            let done = self.ssh(at, command);
            Ok(done.status.success().then(|| said(&done)))
        })
    }
}

pub fn start(lab: &Lab) -> Dragonfly {
    lab.dragonfly(Path::new(BINARY), with_environments).unwrap()
}
