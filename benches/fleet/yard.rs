//! Where the fleet stands: the daemon on one host of a lab, all machines on another, which they stand behind as behind
//! a router. So the kernel of the daemon's host keeps one neighbour, and each machine has an address of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use dragonfly::lab::dragonfly::HOST;
use dragonfly::lab::{Dragonfly, Foreign, Host, Lab, LabOptions};
use serde_json::json;

use super::Result;

/// 10.99.0.0/16, of which the upper half is given out.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 9);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 99, 128, 0);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 99, 255, 250);
const LEASED: &str = "10.99.128.0/17";
const SCRIPTS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER), 3080);
/// What the machines at work do: nothing that the bench would have to do.
pub const TEMPLATE: &str = "fleet";
const TEMPLATE_TEXT: &str = "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {name: fleet}\n\
    spec: {timeout: 86400, actions: [{action: wait, seconds: 80000, timeout: 86000}]}\n";

pub struct Yard {
    lab: Lab,
    client: Host,
    environments: PathBuf,
}

/// The daemon, with nothing in its store.
pub struct Site {
    pub daemon: Dragonfly,
    /// Where scripts are fetched.
    pub scripts: SocketAddr,
}

impl Yard {
    pub fn open() -> Result<Self> {
        let lab = Lab::start(&LabOptions {
            foreign: Foreign::None,
            ..LabOptions::default()
        })?;
        let (server, client) = (host(&lab, HOST, SERVER)?, host(&lab, "machines", CLIENT)?);
        server.ip(&format!("route add {LEASED} via {CLIENT}"))?;
        client.ip(&format!("route add local {LEASED} dev lo"))?;
        // What goes to everybody needs a way, too.
        client.ip("route add default dev eth0")?;
        // Or it would answer for every address that is asked for, and none would be free.
        let quiet = || fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1");
        client.netns.run(quiet)??;
        let environments = lab.dir().join("environments");
        environment(&environments.join("amd64"))?;
        Ok(Self {
            lab,
            client,
            environments,
        })
    }

    pub fn daemon(&self) -> Result<Site> {
        let data = self.lab.dir().join("dragonfly");
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_dragonfly"));
        let daemon = self.lab.dragonfly(binary, |command| {
            command.env("DRAGONFLY_BOOT_AGENT", &self.environments);
        })?;
        let template = self.lab.dir().join("fleet.yaml");
        fs::write(&template, TEMPLATE_TEXT)?;
        let pool = format!("pool={FIRST}-{LAST}");
        let orders: [&[&str]; 4] = [
            &[
                "network",
                "set",
                "eth0",
                "serve=server",
                &pool,
                "floating=off",
            ],
            &["settings", "set", "boot.registrations_per_minute", "100000"],
            &["settings", "set", "provision.at_once", "10000"],
            &["template", "add", TEMPLATE, &template.to_string_lossy()],
        ];
        for words in orders {
            daemon.order(words)?;
        }
        Ok(Site {
            daemon,
            scripts: SCRIPTS,
        })
    }

    /// Runs what the machines do, on their host.
    pub fn live<F: Future<Output = Result<()>>>(
        &self,
        work: impl FnOnce() -> F + Send,
    ) -> Result<()> {
        self.client.netns.run(|| {
            // Its threads are born in the namespace of the one that makes it.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(work())
        })?
    }
}

impl Site {
    pub fn pid(&self) -> i32 {
        self.daemon.process.pid()
    }

    pub fn end(&self) -> Result<()> {
        Ok(self.daemon.process.end()?)
    }
}

fn host(lab: &Lab, name: &str, address: Ipv4Addr) -> Result<Host> {
    let host = lab.add_host(name, None)?;
    host.ip(&format!("address add {address}/16 brd + dev eth0"))?;
    Ok(host)
}

/// As much of a boot environment as the daemon looks at; these machines fetch none of it.
fn environment(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let manifest = json!({
        "architecture": "amd64", "kernel": "6.12", "packages": {}, "files": {},
        "agent": { "version": env!("CARGO_PKG_VERSION"), "protocol": dragonfly::model::agent::PROTOCOL },
    });
    fs::write(folder.join("manifest.json"), manifest.to_string())?;
    Ok(fs::write(folder.join("firmware.json"), "{}")?)
}
