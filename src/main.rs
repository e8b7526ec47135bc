//! Parses, dispatches, and hands the exit code on. A command that is the daemon, or works on its files, goes to
//! `daemon`; every other one is a client and goes to `cli`.

use std::process::ExitCode;

use dragonfly::cli::args::Command;
use dragonfly::{cli, daemon};

fn main() -> ExitCode {
    let mut cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let json = cli.global.json;
    match cli.command.take() {
        Some(Command::Server(args)) => daemon::server(args.into()),
        Some(Command::Demo(args)) => daemon::demo(args.into()),
        None if cli.demo => daemon::demo(daemon::DemoArgs::default()),
        Some(Command::Store(args)) => daemon::store_tool((args, json).into()),
        Some(Command::Config(args)) => daemon::config_tool((args, json).into()),
        client => cli::run(
            cli::args::Cli {
                command: client,
                ..cli
            },
            daemon::facts,
        ),
    }
}
