//! The DHCP server that is already there: real ones from Debian, each with a generated configuration, and
//! with leases that can be read back from the server's own file.

mod dnsmasq;
mod isc;
mod kea;

use std::{fmt, fs, net::Ipv4Addr, path::Path, process::Command, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FOREIGN_HOST, Lab, LabError, error::Doing, net::Host, process::Process, tools::Tools};

const STARTS_WITHIN: Duration = Duration::from_secs(15);
/// The lab's process and log of this name.
const PROCESS: &str = "foreign";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    None,
    #[default]
    Dnsmasq,
    Kea,
    IscDhcp,
}

impl Foreign {
    pub const ALL: [Foreign; 4] = [
        Foreign::None,
        Foreign::Dnsmasq,
        Foreign::Kea,
        Foreign::IscDhcp,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Foreign::None => "none",
            Foreign::Dnsmasq => "dnsmasq",
            Foreign::Kea => "kea",
            Foreign::IscDhcp => "isc-dhcp",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Foreign {
    type Err = String;

    fn from_str(text: &str) -> Result<Foreign, String> {
        let found = Foreign::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            format!(
                "expected one of {}",
                Foreign::ALL.map(Foreign::name).join(", ")
            )
        })
    }
}

/// A lease as the server's own file holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// Lower case, with colons.
    pub mac: String,
    /// Seconds since 1970; 0 where it never ends.
    pub ends: u64,
    pub hostname: Option<String>,
}

/// How one kind of server is configured, started and read.
struct Manner {
    /// Prints the configuration: the directory for its files, and extra lines.
    configuration: fn(&Path, &str) -> Result<String, LabError>,
    command: fn(&Tools, &Path) -> Result<Command, LabError>,
    /// What its log says once it serves.
    ready: &'static str,
    leases: fn(&str) -> Vec<Lease>,
}

const CONFIGURATION: &str = "configuration";
const LEASES: &str = "leases";

#[derive(Clone, Debug)]
pub struct ForeignServer {
    pub kind: Foreign,
    pub process: Process,
    pub host: Host,
    dir: std::path::PathBuf,
}

impl ForeignServer {
    pub(super) fn start(
        lab: &Lab,
        host: &Host,
        kind: Foreign,
        extra: &str,
    ) -> Result<(), LabError> {
        let Some(manner) = manner(kind) else {
            return Ok(());
        };
        let dir = lab.record.path("foreign");
        let written = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))
        };
        written(CONFIGURATION, &(manner.configuration)(&dir, extra)?)?;
        written(LEASES, "")?;
        let server = ForeignServer {
            kind,
            process: lab.spawn(PROCESS, host, &(manner.command)(&lab.tools, &dir)?)?,
            host: host.clone(),
            dir,
        };
        server
            .process
            .wait_log(&lab.stop, manner.ready, STARTS_WITHIN)?;
        Ok(())
    }

    pub(super) fn open(lab: &Lab) -> Result<ForeignServer, LabError> {
        let host = lab.host(FOREIGN_HOST)?;
        let process = lab.process(PROCESS)?;
        Ok(ForeignServer {
            kind: lab.kind(),
            process,
            host,
            dir: lab.record.path("foreign"),
        })
    }

    /// What the server's lease file says now, by address.
    pub fn leases(&self) -> Result<Vec<Lease>, LabError> {
        let path = self.dir.join(LEASES);
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        let mut leases = manner(self.kind)
            .map(|manner| (manner.leases)(&text))
            .unwrap_or_default();
        leases.sort_by_key(|lease| lease.address);
        Ok(leases)
    }

    pub fn wait_lease(&self, lab: &Lab, mac: &str, within: Duration) -> Result<Lease, LabError> {
        lab.until(
            &format!("a lease of {} for {mac}", self.kind),
            within,
            || {
                self.process.expect_alive()?;
                Ok(self.leases()?.into_iter().find(|lease| lease.mac == mac))
            },
        )
    }
}

fn manner(kind: Foreign) -> Option<Manner> {
    match kind {
        Foreign::None => None,
        Foreign::Dnsmasq => Some(dnsmasq::MANNER),
        Foreign::Kea => Some(kea::MANNER),
        Foreign::IscDhcp => Some(isc::MANNER),
    }
}
