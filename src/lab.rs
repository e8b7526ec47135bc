//! The lab: an isolated wire beside a foreign DHCP server, with hosts and virtual machines on it.
//!
//! [`Lab::start`] makes it, dropping it takes it down, a panic included; what a kill -9 leaves is written
//! down on disk and taken down by the next start or by [`Lab::take_down`]. It owns the way in which
//! QEMU, firmware and DHCP servers are started, so that tests, `make run` and `dragonfly-lab` see the
//! same machines. It knows no other room.
//!
//! - [`net`]: namespaces, the bridge, cables. - [`foreign`]: dnsmasq, Kea, isc-dhcp and their leases.
//! - [`dragonfly`]: the daemon under test. - [`vm`]: machines by profile. - [`accel`]: KVM, where it works. - [`forward`]: a port of a host, here.
//! - [`mirror`]: the machine's own Debian mirror, inside. - [`stock`]: what a machine is turned into. - `state`: what is written down. - `process`: what was started. - `tools`: where programs are.

pub mod accel;
mod capture;
pub mod dragonfly;
mod error;
pub mod foreign;
pub mod forward;
pub mod mirror;
pub mod net;
pub mod netboot;
mod process;
mod state;
mod status;
pub mod stock;
mod tools;
pub mod vm;
mod wait;

use std::{net::Ipv4Addr, process::Command, time::Duration};

pub use self::dragonfly::Dragonfly;
pub use capture::Capture;
pub use error::LabError;
pub use foreign::{Foreign, ForeignServer, Lease};
pub use net::{Host, Netns};
pub use process::Process;
pub use state::TakenDown;
pub use status::{LabStatus, VmStatus};
pub use stock::Supplies;
pub use tools::Tools;
pub use vm::{Disk, DiskBus, DiskFormat, Profile, Serial, Vm, VmSpec, plain};
pub use wait::{Stop, Stopwatch};

use process::Place;
use state::{Record, Sheet, check_name};

/// Interface names end at 15 characters, and the lab puts four of its own in front.
pub const NAME_LENGTH: usize = 11;

/// The namespace with the bridge, where VMs run.
const WIRE: &str = "wire";
const FOREIGN_HOST: &str = "dhcp";

/// What a lab shall be. The default: a name of its own, dnsmasq with leases only, taken down with its owner.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    pub name: Option<String>,
    pub foreign: Foreign,
    /// Lines that go verbatim into the foreign server's configuration.
    pub foreign_extra: String,
    /// dnsmasq serves boot files too: the lab proves itself without Dragonfly.
    pub netboot: bool,
    /// Stays up when this process ends.
    pub detached: bool,
    pub stop: Stop,
}

#[derive(Debug)]
pub struct Lab {
    record: Record,
    sheet: Sheet,
    tools: Tools,
    stop: Stop,
    /// Whether dropping this value takes the lab down.
    holds: bool,
}

impl Lab {
    pub fn start(options: &LabOptions) -> Result<Lab, LabError> {
        let tools = ready_tools()?;
        sweep(&tools)?;
        if options.netboot && options.foreign != Foreign::Dnsmasq {
            return Err(LabError::NoNetboot {
                foreign: options.foreign,
            });
        }
        let sheet = Sheet::new(options.foreign, options.netboot, options.detached)?;
        let record = Record::claim(options.name.as_deref(), &sheet)?;
        // From here on a failure drops the lab, and so takes down what there is of it.
        let mut lab = Lab {
            record,
            sheet,
            tools,
            stop: options.stop.clone(),
            holds: true,
        };
        let wire = lab.wire();
        lab.record.note_netns(&wire)?;
        net::make_wire(&lab.tools, &wire)?;
        if options.foreign != Foreign::None {
            let host = lab.add_host(FOREIGN_HOST, Some(net::FOREIGN))?;
            let mut extra = options.foreign_extra.clone();
            if options.netboot {
                extra.push_str(&netboot::serve(&lab, &host)?);
            }
            ForeignServer::start(&lab, &host, options.foreign, &extra)?;
        }
        lab.holds = !options.detached;
        Ok(lab)
    }

    /// A lab that is up, to use it; it stays up when this value is dropped. Without a name: the only one.
    pub fn open(name: Option<&str>, stop: &Stop) -> Result<Lab, LabError> {
        let tools = ready_tools()?;
        let record = match name {
            Some(name) => Record::open(name)?,
            None => the_only_one(Record::all())?,
        };
        let sheet = record.sheet()?;
        Ok(Lab {
            record,
            sheet,
            tools,
            stop: stop.clone(),
            holds: false,
        })
    }

    /// The names of all labs on this machine.
    pub fn names() -> Vec<String> {
        Record::all()
            .into_iter()
            .map(|record| record.name)
            .collect()
    }

    /// Takes down a lab by what is written down of it, whoever started it.
    pub fn take_down(name: &str) -> Result<TakenDown, LabError> {
        Record::open(name)?.take_down(&ready_tools()?)
    }

    /// Takes down this lab, and says what there was.
    pub fn down(mut self) -> Result<TakenDown, LabError> {
        self.holds = false;
        self.record.take_down(&self.tools)
    }

    pub fn name(&self) -> &str {
        &self.record.name
    }

    pub fn dir(&self) -> &std::path::Path {
        &self.record.dir
    }

    pub fn kind(&self) -> Foreign {
        self.sheet.foreign
    }

    pub fn is_detached(&self) -> bool {
        self.sheet.is_detached()
    }

    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Waits on this lab's behalf; its message says what was awaited.
    pub fn until<T>(
        &self,
        awaited: &str,
        within: Duration,
        look: impl FnMut() -> Result<Option<T>, LabError>,
    ) -> Result<T, LabError> {
        self.stop.until(awaited, within, look)
    }

    /// Puts a host on the wire; without an address it is as a machine before DHCP.
    pub fn add_host(&self, name: &str, address: Option<Ipv4Addr>) -> Result<Host, LabError> {
        check_name(name)?;
        let host = self.host_named(name);
        self.record.note_netns(&host.netns)?;
        host.netns.make(&self.tools)?;
        host.connect(address)?;
        Ok(host)
    }

    pub fn host(&self, name: &str) -> Result<Host, LabError> {
        let have = self.hosts();
        if have.iter().any(|host| host == name) {
            return Ok(self.host_named(name));
        }
        Err(LabError::Unknown {
            kind: "host",
            name: name.to_owned(),
            have,
        })
    }

    pub fn hosts(&self) -> Vec<String> {
        self.record
            .hosts()
            .into_iter()
            .filter(|host| host != WIRE)
            .collect()
    }

    /// The DHCP server beside which all happens; a lab with none has none.
    pub fn foreign(&self) -> Result<ForeignServer, LabError> {
        ForeignServer::open(self)
    }

    /// Starts a program inside a host; it ends with the lab at the latest.
    pub fn spawn(&self, name: &str, host: &Host, command: &Command) -> Result<Process, LabError> {
        self.spawn_in(name, &host.netns, command)
    }

    /// Names and identities of what the lab has started and is still there.
    pub fn running(&self) -> Vec<(String, i32)> {
        let all = self.record.processes().into_iter();
        all.filter(|(_, id)| id.is_alive())
            .map(|(name, id)| (name, id.pid))
            .collect()
    }

    pub fn boot(&self, spec: &VmSpec) -> Result<Vm, LabError> {
        Vm::boot(self, spec)
    }

    pub fn vm(&self, name: &str) -> Result<Vm, LabError> {
        Vm::open(self, name)
    }

    pub fn vms(&self) -> Vec<String> {
        state::names_in(&self.record.path("vm"))
    }

    /// Records what passes on the wire, until the capture or the lab ends.
    pub fn capture(&self, name: &str, filter: &str) -> Result<Capture, LabError> {
        Capture::start(self, name, filter)
    }

    fn wire(&self) -> Netns {
        self.record.netns(WIRE)
    }

    fn host_named(&self, name: &str) -> Host {
        Host::at(
            name,
            self.record.netns(name),
            self.wire(),
            self.tools.clone(),
        )
    }

    fn spawn_in(&self, name: &str, inside: &Netns, command: &Command) -> Result<Process, LabError> {
        let (records, logs) = (self.record.path("processes"), self.record.path("logs"));
        let place = Place {
            records: &records,
            logs: &logs,
            stop: &self.stop,
        };
        Process::start(&place, name, inside, command)
    }

    fn process(&self, name: &str) -> Result<Process, LabError> {
        let (records, logs) = (self.record.path("processes"), self.record.path("logs"));
        Process::recorded(
            &Place {
                records: &records,
                logs: &logs,
                stop: &self.stop,
            },
            name,
        )
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.holds {
            return;
        }
        if let Err(error) = self.record.take_down(&self.tools) {
            eprintln!(
                "lab {}: {error}; `dragonfly-lab down {0}` tries again",
                self.record.name
            );
        }
    }
}

/// Takes down labs whose owners are gone without having done so.
pub fn sweep(tools: &Tools) -> Result<Vec<TakenDown>, LabError> {
    let orphans = Record::all().into_iter().filter(Record::is_orphan);
    orphans.map(|record| record.take_down(tools)).collect()
}

/// Whether a lab can be made here at all.
pub fn ready_tools() -> Result<Tools, LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    Tools::find()
}

fn the_only_one(mut all: Vec<Record>) -> Result<Record, LabError> {
    match (all.pop(), all.is_empty()) {
        (None, _) => Err(LabError::NoLab),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            let mut have: Vec<String> = all.into_iter().map(|record| record.name).collect();
            have.push(last.name);
            Err(LabError::WhichLab { have })
        }
    }
}
