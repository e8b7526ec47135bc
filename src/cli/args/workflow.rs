//! `dragonfly workflow …` and `dragonfly reimage`

use clap::{Args, Subcommand};

use super::Change;

const NAMING: &str = "\
WORKFLOW is an id, or a machine by any of its names: then its active workflow is meant, or else its newest.";

#[derive(Debug, Subcommand)]
pub enum WorkflowCommand {
    /// List workflows, newest first
    #[command(visible_alias = "ls")]
    List(ListWorkflows),
    /// Show one workflow, step by step
    #[command(after_help = NAMING)]
    Show { workflow: String },
    /// Watch one until its end; the exit code tells how it ended
    #[command(after_help = NAMING)]
    Watch { workflow: String },
    /// End one
    #[command(after_help = NAMING)]
    Cancel(CancelWorkflow),
    /// Try one again that did not end well
    Retry(RetryWorkflow),
    /// See how long what takes, and how the last hundred ended
    Stats,
}

/// Which ones are listed.
#[derive(Clone, Debug, Args)]
pub struct ListWorkflows {
    /// Only those of this machine
    pub machine: Option<String>,
    /// Only those that something may still come of
    #[arg(long, short)]
    pub active: bool,
    /// Only those in this state, such as failed
    #[arg(long)]
    pub state: Option<String>,
    /// Only those by this template
    #[arg(long)]
    pub template: Option<String>,
    /// As many as are shown
    #[arg(long, short = 'n', default_value_t = 50,
        value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
}

#[derive(Clone, Debug, Args)]
pub struct CancelWorkflow {
    pub workflow: String,
    #[command(flatten)]
    pub change: Change,
}

/// What is tried again, and from where.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
WORKFLOW is an id, or a machine by any of its names. Without --from it goes on with the first step that is not \
done; with it, that step and all behind it are done again.

Examples:
  dragonfly workflow retry web01
  dragonfly workflow retry web01 --from image2disk --yes")]
pub struct RetryWorkflow {
    pub workflow: String,
    /// A step by its name or number
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,
    /// Do not ask: what is on the machine's disks may be lost
    #[arg(long, short)]
    pub yes: bool,
    /// Watch it until its end
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    pub change: Change,
}

/// A machine that is to be installed anew.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
MACHINE is an id, the beginning of one, a MAC address, or any of its names. Without --os it gets the template that \
was chosen for it (`dragonfly machine set MACHINE os=…`), or else everybody's (`dragonfly defaults`).

What is on its disks may be lost, so its name has to be typed, or --yes be given.

Examples:
  dragonfly reimage web01 --os debian-13
  dragonfly reimage web01 --os debian-13 --yes --watch
  dragonfly reimage web01 --os image --param url=image:mine")]
pub struct Reimage {
    pub machine: String,
    /// The template
    #[arg(long, value_name = "TEMPLATE")]
    pub os: Option<String>,
    /// A value for a parameter of the template; again for another
    #[arg(long, value_name = "NAME=VALUE", action = super::MANY)]
    pub param: Vec<String>,
    /// Do not ask: what is on its disks may be lost
    #[arg(long, short)]
    pub yes: bool,
    /// Watch it until its end; the exit code tells how it ended
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    pub change: Change,
}
