//! Images on their way to disks, beside what a person would type: the same file, the same server, the same device, in
//! turn, in one run.
//!
//! Prints `bench NAME ours=… peer=… ratio=…`, medians of the rounds in MiB of unpacked image a second, larger is
//! better; a name that ends in `_cold` was fetched out of the server's disk, the others out of its page cache. Lines
//! that begin with `#` say under which conditions. `BENCH=image_write_xz` in the environment runs those whose name
//! begins so.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench measures time, and panics where it fails"
)]

use std::error::Error;
use std::process::ExitCode;

#[path = "image/cache.rs"]
mod cache;
#[path = "image/common.rs"]
mod common;
#[path = "image/device.rs"]
mod device;
#[path = "image/files.rs"]
mod files;
#[path = "shared/measure.rs"]
mod measure;
#[path = "net/http/ours.rs"]
mod server;
#[path = "image/write.rs"]
mod write;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The server is a process of its own, so that both sides fetch from the same.
    let done = match words[..] {
        ["serve", address, root] => server::serve(address, root),
        _ => run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let only = measure::Only::from_environment();
    write::run(&only)?;
    cache::run(&only)
}
