//! What there is, for people and for `--json`.

use std::path::PathBuf;

use serde::Serialize;

use super::{Foreign, Lab, LabError, Lease, Profile, state::Record, wait::Stop};

#[derive(Clone, Debug, Serialize)]
pub struct LabStatus {
    pub name: String,
    pub foreign: Foreign,
    pub netboot: bool,
    pub detached: bool,
    /// Its owner is gone, and nobody has taken it down yet.
    pub orphan: bool,
    pub dir: PathBuf,
    pub hosts: Vec<String>,
    pub processes: Vec<ProcessStatus>,
    pub vms: Vec<VmStatus>,
    pub leases: Vec<Lease>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ProcessStatus {
    pub name: String,
    pub pid: i32,
}

#[derive(Clone, Debug, Serialize)]
pub struct VmStatus {
    pub name: String,
    pub profile: Profile,
    pub mac: String,
    pub on: bool,
    pub dir: PathBuf,
}

impl LabStatus {
    /// All labs on this machine. One that is being taken down at this moment may lack parts.
    pub fn all() -> Result<Vec<LabStatus>, LabError> {
        let stop = Stop::default();
        let mut all = Vec::new();
        for record in Record::all() {
            match Lab::open(Some(&record.name), &stop) {
                Ok(lab) => all.push(lab.status()),
                Err(_) if !record.dir.exists() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

impl Lab {
    pub fn status(&self) -> LabStatus {
        let leases = self
            .foreign()
            .and_then(|server| server.leases())
            .unwrap_or_default();
        let running = self.running().into_iter();
        LabStatus {
            name: self.name().to_owned(),
            foreign: self.sheet.foreign,
            netboot: self.sheet.netboot,
            detached: self.is_detached(),
            orphan: self.record.is_orphan(),
            dir: self.dir().to_owned(),
            hosts: self.hosts(),
            processes: running
                .map(|(name, pid)| ProcessStatus { name, pid })
                .collect(),
            vms: self
                .vms()
                .iter()
                .filter_map(|name| self.vm(name).ok())
                .map(|vm| vm.status())
                .collect(),
            leases,
        }
    }
}

impl super::Vm {
    pub fn status(&self) -> VmStatus {
        VmStatus {
            name: self.name.clone(),
            profile: self.profile,
            mac: self.mac.clone(),
            on: self.process.is_alive(),
            dir: self.dir.clone(),
        }
    }
}
