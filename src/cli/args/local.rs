//! Commands that are the daemon, or work on this machine's files. Values are checked where the configuration
//! is read, so that a wrong flag is told of as a wrong line in the file is.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where the configuration and the data are.
#[derive(Clone, Debug, Default, Args)]
pub struct Place {
    /// The file of the configuration [default: /etc/dragonfly/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the store [default: /var/lib/dragonfly]
    #[arg(long, value_name = "DIR")]
    pub data: Option<OsString>,
}

/// What the daemon logs, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Logging {
    /// What is logged: error, warn, info, debug, trace, also by part: info,dragonfly::store=debug
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<OsString>,
    /// How it looks: text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<OsString>,
}

/// `dragonfly server`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Each flag has a key in the file and a variable in the environment; `dragonfly config show` lists \
them, with where each value comes from.

Examples:
  dragonfly server
  dragonfly server --data ./data --socket ./dragonfly.sock --listen 127.0.0.1:3001")]
pub struct Server {
    #[command(flatten)]
    pub place: Place,
    /// The socket that this command line speaks to [default: /run/dragonfly/dragonfly.sock]
    #[arg(long, value_name = "FILE")]
    pub socket: Option<OsString>,
    /// Where pages and API answer, on this machine only; may be given again [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS:PORT", action = super::MANY)]
    pub listen: Vec<OsString>,
    #[command(flatten)]
    pub logging: Logging,
}

/// `dragonfly demo`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Nothing is written to disk and nothing leaves this machine. Ctrl-C ends it, and all of it is \
forgotten. In another terminal, `dragonfly machine list` and all its kin talk to it.")]
pub struct Demo {
    /// Where pages and API answer, on this machine only; may be given again [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS:PORT", action = super::MANY)]
    pub listen: Vec<OsString>,
    #[command(flatten)]
    pub logging: Logging,
}

/// `dragonfly store …`
#[derive(Clone, Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Store {
    #[command(flatten)]
    pub place: StorePlace,
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// The same as [`Place`], for every command below.
#[derive(Clone, Debug, Default, Args)]
pub struct StorePlace {
    /// The file of the configuration [default: /etc/dragonfly/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the store [default: /var/lib/dragonfly]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<OsString>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Read all of it and compare its parts; changes nothing
    Check,
    /// Write all of it as JSON lines
    #[command(after_help = "\
Example:
  dragonfly store export | gzip > dragonfly.jsonl.gz")]
    Export {
        /// The file; `-` is standard output
        #[arg(default_value = "-", value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a new store of JSON lines; never over one that is there
    #[command(after_help = "\
Example:
  zcat dragonfly.jsonl.gz | dragonfly store import -")]
    Import {
        /// The file; `-` is standard input
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Give unused space back to the file system
    Compact,
}

/// `dragonfly config …`
#[derive(Clone, Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Config {
    #[command(flatten)]
    pub place: StorePlace,
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value and where it comes from
    Show,
    /// Say whether Dragonfly would start with it
    Check,
}

/// `dragonfly doctor`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
It works whether Dragonfly runs or not, and changes nothing. Exit code 1 when something is wrong.")]
pub struct Doctor {
    #[command(flatten)]
    pub place: Place,
}

/// `dragonfly man`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  dragonfly man | man -l -
  dragonfly man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// Write one file per page here, instead of all to standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
