//! What can be typed: the tree of commands, their words and their help.
//!
//! Options that every command of a sort shares stand in one struct each: [`Global`] for all, [`Change`] for
//! what changes something. A command that cannot honour a global option does not show it and refuses it.

#![allow(
    clippy::doc_markdown,
    reason = "these words are read in --help, not in a browser"
)]

pub mod boot;
pub mod events;
pub mod image;
pub mod local;
pub mod machine;
pub mod network;
pub mod settings;
pub mod template;
pub mod workflow;

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use boot::BootCommand;
pub use events::{EventsCommand, ListEvents, TailEvents};
pub use image::ImageCommand;
pub use local::{Config, ConfigCommand, Demo, Doctor, Man, Server, Store, StoreCommand};
pub use machine::MachineCommand;
pub use network::{FloatingIpCommand, NetCommand, NetworkCommand};
pub use settings::SettingsCommand;
pub use template::{DefaultsCommand, ModeCommand, SetDefaults, TemplateCommand};
pub use workflow::WorkflowCommand;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold())
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

const EXAMPLES: &str = "\
Examples:
  dragonfly demo                              look around; nothing is written, nothing is sent
  dragonfly status                            how a running Dragonfly is
  dragonfly machine list --state ready        the machines that wait for their system
  dragonfly machine set web01 hostname=web02  edit one; it waits until it is applied
  dragonfly machine apply web02               make the edit the desired state
  dragonfly boot trace web01 --follow         watch it boot, step by step
  dragonfly events tail                       watch what happens

Exit codes: 0 well, 1 failed, 2 wrong usage, 3 not allowed, 4 not found, 5 conflict, 6 not just \
now (try again), 7 a fault inside Dragonfly.

`dragonfly help COMMAND` tells more of each; `dragonfly man` has it all.";

/// Turns bare machines into running servers, beside whatever DHCP server is already there.
#[derive(Debug, Parser)]
#[command(
    name = "dragonfly",
    version,
    styles = STYLES,
    after_help = EXAMPLES,
    subcommand_value_name = "COMMAND",
    max_term_width = 100
)]
pub struct Cli {
    /// Start the demo, as `dragonfly demo` does
    #[arg(long)]
    pub demo: bool,

    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command that talks to a running Dragonfly takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Where Dragonfly answers: http://HOST:PORT or unix:PATH [default: its socket, else port 3000]"
    )]
    pub server: Option<String>,

    /// Answer in JSON, with a version field; errors too
    #[arg(long, global = true)]
    pub json: bool,

    /// Say only what was asked for: ids in lists, nothing after a change
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// No colours; they are also off in pipes and with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,

    /// Give up on an answer after so many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// What every command that changes something takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of a change")]
pub struct Change {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Change it only if it still stands at this version
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<u64>,

    /// The same key and the same change: done once, however often it is sent
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show how Dragonfly is, on one screen
    Status,
    /// List, show, add and edit machines
    #[command(
        visible_alias = "machines",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Machine {
        #[command(subcommand)]
        command: MachineCommand,
    },
    /// See and say what is given out on which network
    #[command(
        visible_alias = "networks",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Network {
        #[command(subcommand)]
        command: NetworkCommand,
    },
    /// See what is on the wire: floating IPs and leases
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Net {
        #[command(subcommand)]
        command: NetCommand,
    },
    /// See how machines boot from the network
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Boot {
        #[command(subcommand)]
        command: BootCommand,
    },
    /// Keep images for machines: fetched once, sent while they arrive
    #[command(
        visible_alias = "images",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Install a machine anew
    Reimage(workflow::Reimage),
    /// See and steer what is done to machines, step by step
    #[command(
        visible_alias = "workflows",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Workflow {
        #[command(subcommand)]
        command: WorkflowCommand,
    },
    /// See and keep templates: what is done to a machine, step by step
    #[command(
        visible_alias = "templates",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Template {
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// See and say what every installation starts from; alone, it shows it
    Defaults {
        #[command(subcommand)]
        command: Option<DefaultsCommand>,
    },
    /// See and choose what happens to new machines; alone, it shows it
    Mode {
        #[command(subcommand)]
        command: Option<ModeCommand>,
    },
    /// List tags and how many machines carry each
    Tags,
    /// See what happened, and watch what happens
    #[command(
        visible_alias = "event",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// See and change settings; alone, it lists them
    #[command(visible_alias = "setting")]
    Settings {
        #[command(subcommand)]
        command: Option<SettingsCommand>,
    },
    /// Find out what is wrong, with a remedy for each finding
    Doctor(Doctor),
    /// Look around with invented machines: in memory, on this machine only
    Demo(Demo),
    /// Run Dragonfly here, in the foreground
    Server(Server),
    /// Check, export, import or compact the store while Dragonfly does not run
    Store(Store),
    /// Show or check the configuration
    Config(Config),
    /// Print the completion of a shell
    #[command(after_help = "\
Examples:
  dragonfly completion bash > /etc/bash_completion.d/dragonfly
  dragonfly completion zsh > \"${fpath[1]}/_dragonfly\"
  dragonfly completion fish > ~/.config/fish/completions/dragonfly.fish")]
    Completion {
        /// bash, zsh or fish
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the manual pages
    Man(Man),
}

/// The shells that completion speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What a command makes of the global options.
const SERVERLESS: &[(&str, &[&str])] = &[
    ("server", &[]),
    ("demo", &[]),
    ("completion", &[]),
    ("man", &[]),
    ("store", &["json"]),
    ("config", &["json"]),
    ("doctor", &["server", "json", "no_color", "timeout"]),
    ("status", &["server", "json", "no_color", "timeout"]),
];

/// The tree of commands. Global options that a command cannot honour are hidden from its help.
pub fn command() -> clap::Command {
    let mut tree = Cli::command();
    let globals: Vec<_> = tree
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .cloned()
        .collect();
    for (name, honoured) in SERVERLESS {
        let deaf = globals
            .iter()
            .filter(|arg| !honoured.contains(&arg.get_id().as_str()));
        let deaf: Vec<_> = deaf.map(|arg| arg.clone().hide(true)).collect();
        tree = tree.mut_subcommand(*name, |sub| deaf_below(sub, &deaf));
    }
    tree
}

fn deaf_below(sub: clap::Command, deaf: &[clap::Arg]) -> clap::Command {
    let names: Vec<String> = sub
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let sub = sub.args(deaf);
    names.into_iter().fold(sub, |sub, name| {
        sub.mut_subcommand(name, |sub| deaf_below(sub, deaf))
    })
}

/// Reads the words, or says what is wrong with them.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut tree = command();
    let matches = tree.try_get_matches_from_mut(words)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut tree))?;
    refuse_deaf_options(&cli, &matches)
        .map_err(|told| tree.error(clap::error::ErrorKind::ArgumentConflict, told))?;
    Ok(cli)
}

fn refuse_deaf_options(cli: &Cli, matches: &clap::ArgMatches) -> Result<(), String> {
    let Some((name, _)) = matches.subcommand() else {
        return Ok(());
    };
    if cli.demo {
        return Err(format!(
            "--demo starts the demo, and cannot stand beside '{name}'"
        ));
    }
    let Some((_, honoured)) = SERVERLESS.iter().find(|(own, _)| *own == name) else {
        return Ok(());
    };
    for option in ["server", "json", "quiet", "no_color", "timeout"] {
        if !honoured.contains(&option) && given(matches, option) {
            return Err(format!(
                "'{name}' has no option --{}",
                option.replace('_', "-")
            ));
        }
    }
    Ok(())
}

/// Whether a person typed it, here or below.
fn given(matches: &clap::ArgMatches, option: &str) -> bool {
    let here = matches.value_source(option) == Some(clap::parser::ValueSource::CommandLine);
    here || matches
        .subcommand()
        .is_some_and(|(_, below)| given(below, option))
}

/// An option that may be given again.
const MANY: ArgAction = ArgAction::Append;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        command().debug_assert();
    }

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [
            "dragonfly --json machine list",
            "dragonfly machine --json list",
            "dragonfly machine list --json",
        ] {
            assert!(parsed(line).unwrap().global.json, "{line}");
        }
    }

    #[test]
    fn an_option_that_a_command_cannot_honour_is_refused_and_not_shown() {
        for line in [
            "dragonfly server --json",
            "dragonfly --server unix:/x demo",
            "dragonfly --quiet store check",
            "dragonfly --timeout 5 completion bash",
            "dragonfly --demo machine list",
        ] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert!(parsed("dragonfly store check --json").unwrap().global.json);
        let help = parsed("dragonfly server --help").unwrap_err().to_string();
        assert!(
            !help.contains("--json") && help.contains("--listen"),
            "{help}"
        );
    }

    #[test]
    fn what_tells_of_tags_needs_a_machine_and_tags() {
        assert!(parsed("dragonfly machine tag web01").is_err());
        assert!(parsed("dragonfly machine tag web01 web02 rack2,new").is_ok());
    }
}
