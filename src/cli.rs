//! The command line: a client of the API like any other, with a person in mind.
//!
//! - [`args`]: what can be typed. - `client`, `target`, `sse`: the way to the daemon.
//! - [`out`]: what is shown: tables, sections, receipts, JSON. - `failure`: what went wrong, and the exit code.
//! - One file per group of commands: `machine`, `network`, `boot`, `image`, `template`, `defaults`, `mode`, `workflow`,
//!   `events`, `settings`, `tags`, `status`, `doctor`,
//!   `pages`, `bare`.
//!
//! It never looks behind the API. The one exception is `doctor`, which is told by [`doctor::Facts`] what the
//! daemon would be configured with, for a daemon that is down cannot be asked.

pub mod args;
mod bare;
mod boot;
#[cfg(test)]
mod canned;
mod change;
mod client;
#[cfg(test)]
mod conversations;
mod defaults;
pub mod doctor;
mod events;
mod failure;
mod image;
mod machine;
mod mode;
mod network;
pub mod out;
mod pages;
mod settings;
mod sse;
mod status;
mod tags;
mod target;
mod template;
mod words;
mod workflow;

use std::process::ExitCode;
use std::time::Duration;

use args::{Cli, Command, Global};
use client::Client;
use failure::{Failure, Sort};
use out::Screen;

/// Reads the process's own arguments; help, version and wrong usage are told of here.
pub fn parse() -> Result<Cli, ExitCode> {
    let words: Vec<_> = std::env::args_os().collect();
    let json = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    args::parse(words).map_err(|error| {
        if json && error.use_stderr() {
            let told = error.to_string();
            let told = told
                .trim_start_matches("error: ")
                .split("\n\nUsage:")
                .next();
            let failure = Failure::usage(told.unwrap_or_default().trim())
                .hint("the same with --help shows what can be typed");
            let global = Global {
                json: true,
                ..Global::default()
            };
            Screen::of_process(&global).fail(&failure, None);
        } else {
            // Whoever closed the pipe does not want to read it.
            let _ = error.print();
        }
        ExitCode::from(if error.use_stderr() {
            failure::USAGE
        } else {
            failure::OK
        })
    })
}

/// Runs a command that talks to a running daemon, or to nobody at all.
pub fn run(cli: Cli, facts: doctor::Gather) -> ExitCode {
    let mut screen = Screen::of_process(&cli.global);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli, &mut screen, facts)),
        Err(error) => Err(Failure::new(
            Sort::Failed,
            format!("runtime does not start: {error}"),
        )),
    };
    let outcome = outcome.and_then(|()| screen.flush());
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    screen.fail(&failure, None);
    ExitCode::from(failure.exit_code())
}

async fn dispatch(cli: Cli, screen: &mut Screen, facts: doctor::Gather) -> Result<(), Failure> {
    let global = cli.global;
    let places = || target::places(global.server.as_deref(), &target::Environment::of_process());
    let patience = Duration::from_secs(global.timeout);
    let client = || Ok::<_, Failure>(Client::new(places()?, patience));
    match cli.command {
        None => bare::run(client()?, screen).await,
        Some(Command::Status) => status::run(&mut client()?, screen).await,
        Some(Command::Machine { command }) => machine::run(command, &mut client()?, screen).await,
        Some(Command::Network { command }) => network::run(command, &mut client()?, screen).await,
        Some(Command::Net { command }) => network::net(command, &mut client()?, screen).await,
        Some(Command::Boot { command }) => boot::run(command, &mut client()?, screen).await,
        Some(Command::Image { command }) => image::run(command, &mut client()?, screen).await,
        Some(Command::Reimage(args)) => workflow::reimage(args, &mut client()?, screen).await,
        Some(Command::Workflow { command }) => workflow::run(command, &mut client()?, screen).await,
        Some(Command::Template { command }) => template::run(command, &mut client()?, screen).await,
        Some(Command::Defaults { command }) => {
            defaults::run(command.unwrap_or_default(), &mut client()?, screen).await
        }
        Some(Command::Mode { command }) => {
            mode::run(command.unwrap_or_default(), &mut client()?, screen).await
        }
        Some(Command::Tags) => tags::run(&mut client()?, screen).await,
        Some(Command::Events { command }) => events::run(command, &mut client()?, screen).await,
        Some(Command::Settings { command }) => {
            settings::run(command.unwrap_or_default(), &mut client()?, screen).await
        }
        Some(Command::Doctor(args)) => doctor::run(&facts(&args), &mut client()?, screen).await,
        Some(Command::Completion { shell }) => pages::completion(shell, screen),
        Some(Command::Man(args)) => pages::man(args.dir.as_deref(), screen),
        Some(Command::Server(_) | Command::Demo(_) | Command::Store(_) | Command::Config(_)) => {
            Err(Failure::new(
                Sort::Failed,
                "this command belongs to the daemon",
            ))
        }
    }
}
