//! `dragonfly template …`, `dragonfly defaults …` and `dragonfly mode …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Change;

#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// List the templates: the catalogue's and your own
    #[command(visible_alias = "ls")]
    List,
    /// Show a template: its steps, its parameters and where it is from
    Show {
        name: String,
        /// Print its text alone
        #[arg(long)]
        source: bool,
    },
    /// Check files without sending them anywhere; `-` reads standard input
    #[command(after_help = "\
All that is wrong is told as FILE:LINE:COLUMN: WHAT, and the exit code is 1.

Example:
  dragonfly template check web.yaml db.yaml")]
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Keep a template of your own; one of a name that the catalogue has stands before that
    #[command(after_help = "\
Example:
  dragonfly template add web web.yaml")]
    Add {
        name: String,
        /// The file, or `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        change: Change,
    },
    /// Edit a template with $VISUAL or $EDITOR; it is checked before it is kept
    Edit {
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Delete a template of your own
    #[command(visible_alias = "delete")]
    Rm {
        name: String,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Default, Subcommand)]
pub enum DefaultsCommand {
    /// Show what every installation starts from
    #[default]
    Show,
    /// Say what every installation starts from
    Set(SetDefaults),
}

/// A change of the defaults.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Keys:
  user=ada                             the user that is made on each machine and may become root
  ssh_keys=@~/.ssh/id_ed25519.pub      its public keys, one a line of the file
  password_hash=@-                     its password's hash, from standard input; it is never shown
  os=debian-13                         the template that is meant where nobody names one
  timezone=Europe/Vienna
  locale=en_US.UTF-8
  dns=192.0.2.1,192.0.2.2              name servers of machines with an address of their own
  ntp=ntp.example.net

A value that begins with @ is read from that file. Nothing after the = clears a key.

Examples:
  dragonfly defaults set user=ada ssh_keys=@~/.ssh/id_ed25519.pub os=debian-13
  mkpasswd --method=yescrypt | dragonfly defaults set password_hash=@-")]
pub struct SetDefaults {
    /// What to set, as KEY=VALUE
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Debug, Default, Subcommand)]
pub enum ModeCommand {
    /// Show what happens to new machines
    #[default]
    Show,
    /// Choose what happens to new machines
    #[command(after_help = "\
Example:
  dragonfly mode set flight")]
    Set {
        #[arg(value_enum)]
        mode: Mode,
        #[command(flatten)]
        change: Change,
    },
}

/// What happens to machines that are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// They are registered, and nothing more
    Unset,
    /// An installation is done by the system's own installer, which gets its answers from here
    Simple,
    /// Those whose disks are blank get the default system by themselves
    Flight,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Simple => "simple",
            Self::Flight => "flight",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Unset => "New machines are registered, and nothing more, until you choose.",
            Self::Simple => {
                "New machines are registered. The system's own installer installs them when you ask for it."
            }
            Self::Flight => {
                "New machines are registered, and those whose disks are blank get the default system."
            }
        }
    }
}
