//! `dragonfly events …`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List what happened, newest last
    #[command(visible_alias = "ls")]
    List(ListEvents),
    /// Watch what happens, until Ctrl-C
    Tail(TailEvents),
}

/// Which events.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Only those about this machine
    #[arg(long, short, value_name = "MACHINE")]
    pub machine: Option<String>,
    /// Only those of this type, or of all types that begin so; may be given again
    #[arg(long = "type", short = 't', value_name = "TYPE", action = super::MANY)]
    pub kinds: Vec<String>,
    /// Only the audit log: who changed what
    #[arg(long)]
    pub audit: bool,
}

/// A stretch of the past.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  dragonfly events list --machine web01
  dragonfly events list --audit -n 100
  dragonfly events list --type machine.state_changed --type conflict
  dragonfly events list --all --json > events.json")]
pub struct ListEvents {
    #[command(flatten)]
    pub which: Which,
    /// So many of the latest
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, conflicts_with = "all",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
    /// All that are kept, oldest first
    #[arg(long)]
    pub all: bool,
}

/// The present, as it comes.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
It comes back by itself when the connection breaks, and goes on where it was. When that place is \
gone meanwhile, it says so. With --json, each line is one object.

Examples:
  dragonfly events tail
  dragonfly events tail --type machine.state_changed --json
  dragonfly events tail --since e000000000002a")]
pub struct TailEvents {
    #[command(flatten)]
    pub which: Which,
    /// Begin after this event, by its cursor
    #[arg(long, value_name = "CURSOR", conflicts_with = "lines")]
    pub since: Option<String>,
    /// Begin with so many of the latest events
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub lines: u64,
}
