//! `dragonfly-lab`: the lab of the library's room `lab`, by hand. It makes an isolated network beside a
//! foreign DHCP server, starts virtual machines on it, and takes all of it down again.

mod args;
mod commands;
mod console;
mod run;

use std::process::ExitCode;

use clap::Parser;
use dragonfly::lab::Stop;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args = args::Args::parse();
    let json = args.json;
    match run(args) {
        Ok(code) => code,
        Err(error) if json => {
            eprintln!(
                "{}",
                serde_json::json!({ "version": 1, "error": { "detail": error.to_string() } })
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("dragonfly-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The work is one blocking thread; signals end its waits, and it then takes down what it holds.
fn run(args: args::Args) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let stop = Stop::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let (mut signals, stop) = (signal(kind)?, stop.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    stop.now();
                }
            });
        }
        tokio::task::spawn_blocking(move || commands::run(args, &stop)).await?
    })
}
