//! A thousand machines at once, simulated on this machine: the real daemon over real DHCP, HTTP and TLS, in namespaces
//! of a lab. Each machine does what a real one does: it gets an address, fetches its script with the boot token in it,
//! makes a key, says hello and checks in. None of them gets in by another door.
//!
//! Prints `bench NAME ours=… peer=… ratio=…`; nobody else does the same, so the goal stands as the peer. Lines that begin
//! with `#` say under which conditions. `BENCH=fleet_memory` in the environment runs those whose name begins so.
//!
//! - `fleet_checkin_p99`, `fleet_progress_p99`: a thousand sessions, 100 check-ins and 1,000 reports of progress a second.
//! - `fleet_memory`: the daemon's memory after that. - `fleet_burst`: a thousand TLS handshakes at once.
//! - `fleet_memory_100`, `_1000`, `_10000`: its memory against the number of machines.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench measures time, and panics where it fails"
)]

use std::error::Error;
use std::process::ExitCode;

#[path = "fleet/burst.rs"]
mod burst;
#[path = "shared/measure.rs"]
mod common;
#[path = "fleet/grow.rs"]
mod grow;
#[path = "fleet/lease.rs"]
mod lease;
#[path = "fleet/machine.rs"]
mod machine;
#[path = "shared/dhcp.rs"]
mod pxe;
#[path = "fleet/steady.rs"]
mod steady;
#[path = "fleet/yard.rs"]
mod yard;

use common::Only;
use yard::Yard;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// As many machines as have a session at once.
const SESSIONS: u32 = 1000;
/// 150 MB, which the daemon of a thousand sessions is to need less than.
const GOAL_MB: f64 = 150.0;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let only = Only::from_environment();
    let of_sessions = [
        "fleet_checkin_p99",
        "fleet_progress_p99",
        "fleet_memory",
        "fleet_burst",
    ];
    let yard = Yard::open()?;
    if of_sessions.iter().any(|name| only.wants(name)) {
        let site = yard.daemon()?;
        yard.live(|| async { steady::run(&site).await })?;
        site.end()?;
    }
    if only.wants("fleet_memory_") {
        let site = yard.daemon()?;
        yard.live(|| async { grow::run(&site).await })?;
        site.end()?;
    }
    Ok(())
}

/// The memory of the daemon that is resident now, in MB.
fn megabytes(pid: i32) -> Result<f64> {
    Ok(common::resident(pid)? * 1024.0 * 1024.0 / 1e6)
}

/// That many of a hundred took less, in milliseconds.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len() - 1);
    sorted[place]
}
