//! `dragonfly boot …`

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum BootCommand {
    /// Show a boot step by step, and why it stopped
    Trace(Trace),
}

/// Whose boot, and how it is shown.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
MACHINE is an id, the beginning of one, a MAC address, or any of its names. A machine that is not \
registered is named by its MAC address; `dragonfly machine seen` lists them. Traces are kept in \
memory, and begin anew with the daemon.

Examples:
  dragonfly boot trace web01
  dragonfly boot trace 52:54:00:12:34:56 --follow
  dragonfly boot trace web01 --snippet dnsmasq -q > /etc/dnsmasq.d/dragonfly.conf")]
pub struct Trace {
    /// The machine, or the MAC address of its card
    #[arg(value_name = "MACHINE|MAC")]
    pub machine: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// Earlier boots too, not the last one alone
    #[arg(long)]
    pub all: bool,
    /// What to paste there when the boot stopped; with -q, nothing else
    #[arg(long, value_enum, value_name = "PRODUCT", conflicts_with = "follow")]
    pub snippet: Option<Product>,
}

/// Whose configuration is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Product {
    Dnsmasq,
    Kea,
    IscDhcp,
    Mikrotik,
    Unifi,
    Nftables,
    All,
}

impl Product {
    /// As the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "kea",
            Self::IscDhcp => "isc-dhcp",
            Self::Mikrotik => "mikrotik",
            Self::Unifi => "unifi",
            Self::Nftables => "nftables",
            Self::All => "all",
        }
    }
}
