//! Wiring: builds the rooms, plugs them into each other, serves, and takes everything down again.
//!
//! This is the only room that knows all the others. A command that *is* the daemon (`server`, `demo`) or that
//! works on its files (`store`, `config`) comes here; a command that talks to a running daemon goes to the
//! command line. Each entry below is called once by `main`, on the main thread and outside any runtime.

pub mod args;
mod config_tool;
mod doors;
pub mod failure;
mod from_cli;
mod house;
mod images;
mod life;
mod log;
mod notify;
mod plane;
pub mod ports;
mod print;
mod signals;
mod socket;
mod stage;
mod store_tool;
mod upkeep;

use std::process::ExitCode;
use std::time::Duration;

use crate::core::config::{Config, Environment};
use crate::core::install::{Detection, cluster, detect};

pub use args::{ConfigArgs, ConfigCommand, DemoArgs, Flags, ServerArgs, StoreArgs, StoreCommand};
pub use config_tool::config_tool;
pub use from_cli::facts;
pub use store_tool::store_tool;

use failure::Failure;
use house::Plan;

/// More threads than this do not make a daemon of this kind faster.
const MAX_THREADS: usize = 8;
/// As long as threads that are stuck in the kernel may hold up the end of the process.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Runs the daemon until it is told to stop; the demo when Dragonfly is not installed here.
pub fn server(args: ServerArgs) -> ExitCode {
    let ServerArgs { flags } = args;
    ended(run(&flags, |config, env| {
        let found = detect(env, &config.data, cluster::ask)?;
        Ok(match found {
            Detection::Installed { by } => Plan::Installed { by },
            Detection::NotInstalled { why } => Plan::Demo { why },
        })
    }))
}

/// Runs the demo until it is told to stop: invented machines, in memory, on loopback.
pub fn demo(args: DemoArgs) -> ExitCode {
    let DemoArgs { flags } = args;
    ended(run(&flags, |_, _| Ok(Plan::Demo { why: Vec::new() })))
}

fn ended(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(false),
    }
}

fn run(
    flags: &Flags,
    plan: impl FnOnce(&Config, &Environment) -> Result<Plan, Failure>,
) -> Result<(), Failure> {
    let env = Environment::of_process();
    let config = Config::load(flags, &env)?;
    log::start(&config.log);
    for note in &config.notes {
        tracing::warn!(note, "configuration");
    }
    let plan = plan(&config, &env)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(1, MAX_THREADS))
        .enable_all()
        .build()
        .map_err(|error| Failure::unavailable(format!("threads cannot be started: {error}")))?;
    let outcome = runtime.block_on(life::live(&config, &plan));
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}
