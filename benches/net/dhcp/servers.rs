//! The servers, each with an empty book of leases, on one host in turn.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dragonfly::lab::{Host, Lab, Process, dragonfly::HOST};
use serde_json::json;

use super::perfdhcp;
use crate::Result;

/// Where the server lives: 10.99.0.0/16, of which the upper half is given out.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 99, 128, 0);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 99, 255, 250);
const STARTS_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Kea,
    Dnsmasq,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Ours, Self::Kea, Self::Dnsmasq];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "dragonfly",
            Self::Kea => "kea",
            Self::Dnsmasq => "dnsmasq",
        }
    }

    /// Starts it, and waits until it has answered.
    pub fn start(self, lab: &Lab, client: &Host) -> Result<Process> {
        let process = match self {
            Self::Ours => ours(lab)?,
            Self::Kea => kea(lab)?,
            Self::Dnsmasq => dnsmasq(lab)?,
        };
        let mut trouble = None;
        let awaited = format!("an answer of {}", self.name());
        lab.until(&awaited, STARTS_WITHIN, || {
            process.expect_alive()?;
            Ok(match perfdhcp::is_answered(lab, client) {
                Ok(answered) => answered.then_some(()),
                Err(error) => {
                    trouble = Some(error);
                    Some(())
                }
            })
        })?;
        if let Some(error) = trouble {
            return Err(error);
        }
        Ok(process)
    }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_dragonfly"))
}

fn ours(lab: &Lab) -> Result<Process> {
    remove(&lab.dir().join("dragonfly"))?;
    let daemon = lab.dragonfly(binary(), |_| ())?;
    let pool = format!("pool={FIRST}-{LAST}");
    let words = [
        "network",
        "set",
        "eth0",
        "serve=server",
        &pool,
        "floating=off",
    ];
    let set = daemon.cli(&words).output()?;
    if !set.status.success() {
        let said = String::from_utf8_lossy(&set.stderr);
        return Err(format!("dragonfly network set: {said}").into());
    }
    Ok(daemon.process)
}

fn kea(lab: &Lab) -> Result<Process> {
    let dir = folder(lab, "kea")?;
    let configuration = json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": ["eth0"] },
        "lease-database": {
            "type": "memfile", "persist": true, "lfc-interval": 0,
            "name": dir.join("leases").display().to_string(),
        },
        "valid-lifetime": 3600,
        "subnet4": [{
            "id": 1,
            "subnet": "10.99.0.0/16",
            "pools": [{ "pool": format!("{FIRST} - {LAST}") }],
        }],
        "loggers": [{
            "name": "kea-dhcp4", "severity": "WARN",
            "output_options": [{ "output": "stdout" }],
        }],
    }});
    let path = dir.join("configuration");
    fs::write(&path, configuration.to_string())?;
    let mut command = lab.tools().command("kea-dhcp4")?;
    command.arg("-c").arg(path);
    command.env("KEA_PIDFILE_DIR", &dir);
    command.env("KEA_LOCKFILE_DIR", &dir);
    Ok(lab.spawn("kea", &lab.host(HOST)?, &command)?)
}

/// `quiet-dhcp` spares it a line in its log for each message.
fn dnsmasq(lab: &Lab) -> Result<Process> {
    let dir = folder(lab, "dnsmasq")?;
    let path = dir.join("configuration");
    let configuration = format!(
        "port=0\nuser=root\ngroup=root\nno-hosts\nno-resolv\nquiet-dhcp\nno-ping\ninterface=eth0\nbind-dynamic\n\
         dhcp-leasefile={}\ndhcp-lease-max=40000\ndhcp-range={FIRST},{LAST},255.255.0.0,1h\n",
        dir.join("leases").display()
    );
    fs::write(&path, configuration)?;
    let mut command = lab.tools().command("dnsmasq")?;
    command.arg(format!("--conf-file={}", path.display()));
    command.args(["--keep-in-foreground", "--log-facility=-", "--pid-file"]);
    Ok(lab.spawn("dnsmasq", &lab.host(HOST)?, &command)?)
}

fn folder(lab: &Lab, name: &str) -> Result<PathBuf> {
    let dir = lab.dir().join(name);
    remove(&dir)?;
    fs::create_dir(&dir)?;
    Ok(dir)
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
