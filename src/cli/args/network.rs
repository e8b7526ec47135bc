//! `dragonfly network …` and `dragonfly net …`

use clap::{Args, Subcommand};

use super::Change;

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// List the networks that are served or were set up
    #[command(visible_alias = "ls")]
    List,
    /// Show one network in full
    Show {
        /// The link, such as eth0
        link: String,
    },
    /// Say what is given out on a network
    Set(SetNetwork),
}

/// A change of a network.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Keys:
  serve=proxy                    boot instructions beside another DHCP server; or server, off
  idle=local                     what idle machines get: their own disk; or silence
  admit=open                     which machines are taken up: all; or approve, known
  rungs=proxy,binl,staple        which rungs of the ladder may be used
  floating=auto                  the floating IP: auto, off or an address
  floating.scan=20               as many addresses are looked at
  floating.on_conflict=move      take another address, or release it
  loader=b8:27:eb=firmware       the loader of a vendor's cards; loader=b8:27:eb= takes it off
  pool=10.0.0.100-10.0.0.200     what the DHCP server gives out, and the rest of what it says:
  router=10.0.0.1
  dns=10.0.0.1,9.9.9.9
  domain=lab.example.net
  lease=12h                      in seconds, or with m, h or d
  reserve=52:54:00:12:34:56=10.0.0.50
  unreserve=52:54:00:12:34:56

pool=, router=, dns= and domain= with nothing after them clear it.

Examples:
  dragonfly network set eth0 rungs=proxy,binl,staple
  dragonfly network set eth0 admit=approve idle=silence --dry-run
  dragonfly network set eth0 serve=server pool=10.0.0.100-10.0.0.200 router=10.0.0.1 dns=10.0.0.1")]
pub struct SetNetwork {
    /// The link, such as eth0
    pub link: String,
    /// What to set, as KEY=VALUE
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Debug, Subcommand)]
pub enum NetCommand {
    /// See and choose the address that machines fetch from
    #[command(
        visible_alias = "floating-ips",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    FloatingIp {
        #[command(subcommand)]
        command: FloatingIpCommand,
    },
    /// List the addresses that the DHCP server gave out
    Leases {
        /// Only those of this link
        link: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum FloatingIpCommand {
    /// Show the floating IP of each link, and how it stands with it
    Show {
        /// Only of this link
        link: Option<String>,
    },
    /// Look at the addresses that a floating IP may be
    #[command(after_help = "\
It asks for each address on the wire (ARP, RFC 5227) and changes nothing.

Example:
  dragonfly net floating-ip scan eth0")]
    Scan {
        /// The link; all that are served without it
        link: Option<String>,
    },
    /// Say which floating IP is wanted
    #[command(after_help = "\
Examples:
  dragonfly net floating-ip set eth0 auto           the first free one after the host's own
  dragonfly net floating-ip set eth0 192.168.1.50   this one
  dragonfly net floating-ip set eth0 off            none; machines fetch from the host's own")]
    Set {
        /// The link, such as eth0
        link: String,
        /// auto, off or an address
        want: String,
        #[command(flatten)]
        change: Change,
    },
    /// Let a floating IP go, and want none
    Release {
        /// The link, such as eth0
        link: String,
        #[command(flatten)]
        change: Change,
    },
}
