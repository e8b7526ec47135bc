//! What a person types. The lab's own words parse themselves: profiles, DHCP servers, disks.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as Group, Parser, Subcommand};
use dragonfly::lab::{Disk, Foreign, Profile};

const EXAMPLES: &str = "\
Examples:
  dragonfly-lab up --foreign kea            a lab beside Kea; Ctrl-C takes it down
  dragonfly-lab up --netboot --detach       one whose dnsmasq also serves boot files, and which stays
  dragonfly-lab boot uefi --name c1         a UEFI machine with one blank disk of 8 GiB
  dragonfly-lab console c1                  its serial line; Ctrl-] leaves
  dragonfly-lab capture --write boot.pcap   what passes on the wire
  dragonfly-lab down                        everything gone

Needs root, and what scripts/setup-lab unpacks under build/lab. Nothing reaches the machine's own network.
Environment:
  DRAGONFLY_LAB_DIR    where labs keep records, logs and disks (/var/tmp/dragonfly-lab)
  DRAGONFLY_LAB_TOOLS  the tree with QEMU, firmware and servers (build/lab/root of the source tree)";

/// The machines that a newcomer sees boot.
const SHOWN: [Profile; 2] = [Profile::Bios, Profile::Uefi];

/// An isolated network with a foreign DHCP server and virtual machines
#[derive(Debug, Parser)]
#[command(name = "dragonfly-lab", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Print one JSON object instead of words, errors included
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all: the daemon beside a DHCP server, and bare machines that boot from it
    Run(Run),
    /// Make a lab, and hold it until Ctrl-C
    Up(Up),
    /// Take down a lab: its machines, its servers, its network, its files
    Down(Down),
    /// Show the labs of this machine, what runs in them and who holds a lease
    Status,
    /// Switch on a virtual machine: bios, uefi, uefi-http or arm64
    Boot(Boot),
    /// Talk to a machine's serial line
    Console(Console),
    /// Do something to a machine
    Vm(VmArgs),
    /// Show what passes on the wire, or write it to a file
    Capture(Capture),
    /// Run a program inside a host of the lab
    Exec(Exec),
    /// Make a port of a host reachable at a port of this machine, until Ctrl-C
    Forward(Forward),
}

#[derive(Debug, Group)]
pub(crate) struct WhichLab {
    /// The lab's name; may be left out when only one is up
    #[arg(long, value_name = "LAB")]
    pub lab: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    /// The DHCP server that is already there: dnsmasq, kea, isc-dhcp or none
    #[arg(long, default_value_t)]
    pub foreign: Foreign,
    /// The daemon's binary [default: `dragonfly` beside this program]
    #[arg(long, value_name = "FILE")]
    pub daemon: Option<PathBuf>,
    /// Where the daemon's API answers here; the next free port is taken when this one is not
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// A machine to switch on: bios, uefi, uefi-http or arm64; may be repeated
    #[arg(long = "machine", value_name = "PROFILE", default_values_t = SHOWN)]
    pub machines: Vec<Profile>,
    /// End when every machine has fetched its script
    #[arg(long)]
    pub until_booted: bool,
    /// End when every machine is a running server
    #[arg(long, conflicts_with = "until_booted")]
    pub until_servers: bool,
    /// End after so many seconds; with --until-booted or --until-servers it is a failure then
    #[arg(long, value_name = "SECONDS")]
    pub within: Option<u64>,
}

#[derive(Debug, Group)]
pub(crate) struct Up {
    /// A name for it [default: lab1, lab2, …]
    #[arg(long)]
    pub name: Option<String>,
    /// The DHCP server that is already there: dnsmasq, kea, isc-dhcp or none
    #[arg(long, default_value_t)]
    pub foreign: Foreign,
    /// A file whose lines join the DHCP server's configuration (for Kea: a JSON object of members of Dhcp4)
    #[arg(long, value_name = "FILE")]
    pub extra: Option<PathBuf>,
    /// Let dnsmasq serve boot files too: a lab that boots its machines without Dragonfly
    #[arg(long)]
    pub netboot: bool,
    /// Return, and leave the lab up until `down`
    #[arg(long)]
    pub detach: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Down {
    /// The lab's name; may be left out when only one is up
    pub name: Option<String>,
    /// All labs of this machine
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Boot {
    /// bios, uefi, uefi-http or arm64
    pub profile: Profile,
    #[command(flatten)]
    pub lab: WhichLab,
    /// A name for it; one that is off is switched on again with its disks [default: vm1, vm2, …]
    #[arg(long)]
    pub name: Option<String>,
    /// Memory in MiB
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    pub memory: u32,
    /// Processors
    #[arg(long, default_value_t = 2)]
    pub cpus: u32,
    /// A blank disk, as 8G or 8G:raw; may be repeated
    #[arg(long = "disk", default_value = "8G", value_name = "SIZE")]
    pub disks: Vec<Disk>,
    /// No disk at all
    #[arg(long, conflicts_with = "disks")]
    pub diskless: bool,
    /// The MAC address of its card
    #[arg(long)]
    pub mac: Option<String>,
    /// Wait until its serial line says this
    #[arg(long, value_name = "TEXT")]
    pub wait: Option<String>,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub within: u64,
}

#[derive(Debug, Group)]
pub(crate) struct Console {
    /// The machine
    pub name: String,
    #[command(flatten)]
    pub lab: WhichLab,
    /// Only listen: from power-on until the machine is off, or Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, Group)]
pub(crate) struct VmArgs {
    /// The machine
    pub name: String,
    #[command(flatten)]
    pub lab: WhichLab,
    #[command(subcommand)]
    pub action: VmAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VmAction {
    /// Pull its power plug
    Off,
    /// Press its power button
    Press,
    /// Press its reset button
    Reset,
    /// Put its network cable in
    Plug,
    /// Pull its network cable
    Unplug,
    /// Save what its screen shows, as PNG
    Screenshot { file: PathBuf },
}

#[derive(Debug, Group)]
pub(crate) struct Capture {
    #[command(flatten)]
    pub lab: WhichLab,
    /// Write packets to this file instead of showing them
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Which packets, in tcpdump's words [default: all]
    #[arg(trailing_var_arg = true)]
    pub filter: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub lab: WhichLab,
    /// The host: `dhcp`, or a new name, which becomes a host without an address
    pub host: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Forward {
    #[command(flatten)]
    pub lab: WhichLab,
    /// The host inside the lab
    pub host: String,
    /// Where its server listens, as ADDRESS:PORT inside the lab
    pub to: SocketAddr,
    /// Where to listen here; the next free port is taken when this one is not
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
}
