//! The wire beside its peers: every server is asked by one client of ours, in turn, in one run, over cables between
//! namespaces of one lab.
//!
//! Prints `bench NAME ours=… peer=… ratio=…`: medians of the rounds, larger is better. Lines that begin with `#` say
//! under which conditions, and what each side spent. `BENCH=tftp` in the environment runs those whose name begins so.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench measures time, and panics where it fails"
)]

use std::error::Error;
use std::process::ExitCode;

#[path = "shared/measure.rs"]
mod common;
#[path = "net/dhcp.rs"]
mod dhcp;
#[path = "net/http.rs"]
mod http;
#[path = "shared/dhcp.rs"]
mod pxe;
#[path = "net/tftp.rs"]
mod tftp;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // A server of ours is a process of its own, so that what it spends can be told from what the client spends.
    let done = match words[..] {
        ["serve-http", address, root] => http::ours::serve(address, root),
        ["serve-tftp", address, root] => tftp::ours::serve(address, root),
        _ => run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench net: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let only = common::Only::from_environment();
    tftp::run(&only)?;
    http::run(&only)?;
    dhcp::run(&only)
}
