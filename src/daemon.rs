//! Wiring: builds the rooms, plugs them into each other, serves, and takes everything down again.
//!
//! This is the only room that knows all the others. A command that *is* the daemon (`server`, `demo`) or that
//! works on its files (`store`, `config`) comes here; a command that talks to a running daemon goes to the
//! command line. Each entry below is called once by `main`, on the main thread and outside any runtime.

pub mod args;
mod from_cli;

use std::process::ExitCode;

pub use args::{ConfigArgs, ConfigCommand, DemoArgs, Flags, ServerArgs, StoreArgs, StoreCommand};
pub use from_cli::facts;

/// Runs the daemon until it is told to stop; the demo when Dragonfly is not installed here.
pub fn server(args: ServerArgs) -> ExitCode {
    args::print_unwired(args)
}

/// Runs the demo until it is told to stop: invented machines, in memory, on loopback.
pub fn demo(args: DemoArgs) -> ExitCode {
    args::print_unwired(args)
}

/// Works on the store's file while no daemon does.
pub fn store_tool(args: StoreArgs) -> ExitCode {
    args::print_unwired(args)
}

/// Shows or checks the configuration.
pub fn config_tool(args: ConfigArgs) -> ExitCode {
    args::print_unwired(args)
}
