//! The servers: ours and each peer in a namespace of its own, all with the same files.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use dragonfly::lab::{Lab, Process, Tools, net};

use super::super::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Peer,
}

pub struct Server {
    pub name: &'static str,
    pub side: Side,
    pub address: Ipv4Addr,
    pub process: Process,
}

type Start = fn(&Tools, Ipv4Addr, &str) -> Result<Command>;

/// Ours comes first.
const SERVERS: [(&str, Side, Start); 4] = [
    ("ours", Side::Ours, ours),
    ("dnsmasq", Side::Peer, dnsmasq),
    ("tftpd-hpa", Side::Peer, tftpd_hpa),
    ("atftpd", Side::Peer, atftpd),
];

pub fn start(lab: &Lab, root: &Path) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for (last, (name, side, start)) in (20..).zip(SERVERS) {
        let address = net::address(last);
        let host = lab.add_host(name, Some(address))?;
        // Each datagram crosses the wire for itself, as it would leave a network card.
        host.ip("link set dev eth0 gso_max_segs 1")?;
        let root = root.to_str().ok_or("a path that is not UTF-8")?;
        let process = lab.spawn(name, &host, &start(lab.tools(), address, root)?)?;
        servers.push(Server {
            name,
            side,
            address,
            process,
        });
    }
    Ok(servers)
}

fn ours(_: &Tools, address: Ipv4Addr, root: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve-tftp", &address.to_string(), root]);
    Ok(command)
}

fn dnsmasq(tools: &Tools, address: Ipv4Addr, root: &str) -> Result<Command> {
    let mut command = tools.command("dnsmasq")?;
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file",
    ]);
    command.args([
        "--user=root",
        "--group=root",
        "--port=0",
        "--bind-interfaces",
    ]);
    command.args([
        "--enable-tftp",
        "--tftp-max=200",
        "--quiet-tftp",
        "--log-facility=-",
    ]);
    command.arg(format!("--listen-address={address}"));
    command.arg(format!("--tftp-root={root}"));
    Ok(command)
}

fn tftpd_hpa(tools: &Tools, address: Ipv4Addr, root: &str) -> Result<Command> {
    let mut command = tools.command("in.tftpd")?;
    command.args(["--foreground", "--secure", "--user", "root"]);
    command.args(["--address", &format!("{address}:69"), root]);
    Ok(command)
}

fn atftpd(tools: &Tools, address: Ipv4Addr, root: &str) -> Result<Command> {
    let mut command = tools.command("atftpd")?;
    command.args([
        "--daemon",
        "--no-fork",
        "--logfile",
        "-",
        "--maxthread",
        "200",
    ]);
    command.args(["--user", "root", "--group", "root"]);
    command.args(["--bind-address", &address.to_string(), root]);
    Ok(command)
}
