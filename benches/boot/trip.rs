//! One machine on its way, as the daemon's own trace of its boot tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dragonfly::lab::dragonfly::environments;
use dragonfly::lab::{Dragonfly, Lab, Profile, Vm, VmSpec};
use jiff::Timestamp;
use serde_json::Value;

use super::common::Spent;
use super::{Result, floor};

/// Emulated, and beside whatever else the machine does.
const BOOTS_WITHIN: Duration = Duration::from_mins(10);
const HELD_WITHIN: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(5);
/// The folder of an environment's architecture; a link, which is turned from one side to the other.
const ARCHITECTURE: &str = "amd64";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Floor,
}

impl Side {
    const fn folder(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
        }
    }
}

/// A network with a foreign DHCP server, and the daemon.
pub struct Site<'a> {
    lab: &'a Lab,
    daemon: Dragonfly,
    environments: PathBuf,
}

/// How long it took from the script, and where the time went.
pub struct Trip {
    pub took: f64,
    pub told: String,
}

impl<'a> Site<'a> {
    pub fn open(lab: &'a Lab) -> Result<Self> {
        let (built, environments) = (environments().join(ARCHITECTURE), lab.dir().join("sides"));
        if !built.join("vmlinuz").exists() {
            let what = built.display();
            return Err(format!("no boot environment in {what}: make agent-env makes it").into());
        }
        let ours = environments.join(Side::Ours.folder());
        fs::create_dir_all(&ours)?;
        for file in fs::read_dir(built)? {
            let file = file?;
            fs::copy(file.path(), ours.join(file.file_name()))?;
        }
        floor::make(&ours, &environments.join(Side::Floor.folder()))?;
        let binary = Path::new(env!("CARGO_BIN_EXE_dragonfly"));
        let daemon = lab.dragonfly(binary, |command| {
            command.env("DRAGONFLY_BOOT_AGENT", &environments);
        })?;
        lab.until("the floating IP", HELD_WITHIN, || {
            let shown = daemon.get("/api/v1/floating-ips")?;
            Ok((shown["items"][0]["state"] == "held").then_some(()))
        })?;
        Ok(Self {
            lab,
            daemon,
            environments,
        })
    }

    /// Switches on a machine that nobody knows, waits until it is there, and switches it off.
    pub fn trip(&self, side: Side, profile: Profile, round: usize) -> Result<Trip> {
        self.turn_to(side)?;
        let name = format!("{}-{profile}{round}", side.folder());
        let vm = self.lab.boot(&VmSpec::new(name, profile))?;
        let trip = self.watch(side, &vm);
        if trip.is_err() {
            eprintln!("--- the serial line of {}\n{}", vm.name, vm.serial().text());
        }
        // Beside others who use the processors it tells more than the clock does.
        let spent = Spent::of_pid(vm.process.pid())?.cpu.as_secs_f64();
        vm.power_off()?;
        trip.map(|trip| Trip {
            told: format!("{}; {spent:.1} s of processor since power-on", trip.told),
            ..trip
        })
    }

    fn turn_to(&self, side: Side) -> Result<()> {
        let (link, new) = (
            self.environments.join(ARCHITECTURE),
            self.environments.join("new"),
        );
        std::os::unix::fs::symlink(side.folder(), &new)?;
        Ok(fs::rename(new, link)?)
    }

    fn watch(&self, side: Side, vm: &Vm) -> Result<Trip> {
        let end = match side {
            Side::Floor => Some(first_line(vm)?),
            Side::Ours => None,
        };
        let steps = self.lab.until("the end of the boot", BOOTS_WITHIN, || {
            vm.process.expect_alive()?;
            let trace = self.daemon.get(&format!("/api/v1/seen/{}/trace", vm.mac))?;
            let steps = Steps(trace["steps"].as_array().cloned().unwrap_or_default());
            let there = side == Side::Floor || steps.at("agent_check_in", "").is_some();
            Ok(there.then_some(steps))
        })?;
        steps.trip(end).ok_or_else(|| {
            let seen = steps.0.iter().map(Value::to_string);
            format!(
                "the trace tells no whole boot: {:#?}",
                seen.collect::<Vec<_>>()
            )
            .into()
        })
    }
}

/// When the floor's init had spoken. Not by [`Vm::wait_serial`], which looks too seldom for this.
fn first_line(vm: &Vm) -> Result<Timestamp> {
    let late = Timestamp::now() + BOOTS_WITHIN;
    loop {
        let said = fs::read(&vm.serial().log).unwrap_or_default();
        let now = Timestamp::now();
        if said
            .windows(floor::REACHED.len())
            .any(|part| part == floor::REACHED.as_bytes())
        {
            return Ok(now);
        }
        vm.process.expect_alive()?;
        if now > late {
            return Err(format!("{:?} was not said", floor::REACHED).into());
        }
        std::thread::sleep(LOOK);
    }
}

/// A trace, oldest first.
struct Steps(Vec<Value>);

impl Steps {
    /// When that was seen last of what begins so.
    fn at(&self, mark: &str, text: &str) -> Option<Timestamp> {
        let mut own = self.0.iter().rev().filter(|step| step["mark"] == mark);
        let step = own.find(|step| step["text"].as_str().unwrap_or_default().contains(text))?;
        step["at"].as_str()?.parse().ok()
    }

    /// From the script to `end`, or to the check-in.
    fn trip(&self, end: Option<Timestamp>) -> Option<Trip> {
        let script = self.at("script_given", "")?;
        let end = end.or_else(|| self.at("agent_check_in", ""))?;
        let since = |at: Timestamp| at.duration_since(script).as_secs_f64();
        let points = [
            ("kernel there", self.at("file_done", "vmlinuz")),
            ("initramfs there", self.at("file_done", "initrd.zst")),
            ("agent let in", self.at("agent_let_in", "")),
            ("end", Some(end)),
        ];
        let told = points.iter().filter_map(|(what, at)| {
            let after = since((*at)?);
            Some(format!("{what} after {after:.2}"))
        });
        Some(Trip {
            took: since(end),
            told: told.collect::<Vec<_>>().join(", "),
        })
    }
}
