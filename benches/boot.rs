//! How long a machine needs from its boot script to the agent's check-in, beside the least that it could need: the same
//! kernel by the same way, from the same daemon, with an initramfs that holds one small program and nothing else.
//!
//! Prints `bench checkin_bios ours=… peer=… ratio=…`: seconds from the GET of the script to the check-in, and to the
//! first line of the floor's init on the serial line; medians of the rounds, smaller is better, and the goal is 1.5.
//! Lines that begin with `#` say where the time went. `BENCH=checkin_uefi` in the environment runs that one alone.

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
#[path = "boot/floor.rs"]
mod floor;
#[path = "boot/trip.rs"]
mod trip;

use common::{Only, load, median, print};
use dragonfly::lab::{Foreign, Lab, LabOptions, Profile};
use trip::{Side, Site, Trip};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 3;
const CASES: [(&str, Profile); 2] = [
    ("checkin_bios", Profile::Bios),
    ("checkin_uefi", Profile::Uefi),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench boot: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let only = Only::from_environment();
    let lab = Lab::start(&LabOptions {
        foreign: Foreign::Dnsmasq,
        ..LabOptions::default()
    })?;
    let site = Site::open(&lab)?;
    for (name, profile) in CASES.into_iter().filter(|(name, _)| only.wants(name)) {
        compare(&site, name, profile)?;
    }
    Ok(())
}

/// In turn, and the other one first each time.
fn compare(site: &Site<'_>, name: &str, profile: Profile) -> Result<()> {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let at = (round + turn) % 2;
            let which = [Side::Ours, Side::Floor][at];
            let Trip { took, told } = site.trip(which, profile, round)?;
            println!(
                "# {name} round {round}, {which:?}: {took:.2} s, load {}; {told}",
                load()
            );
            seconds[at].push(took);
        }
    }
    let ratios: Vec<f64> = seconds[0]
        .iter()
        .zip(&seconds[1])
        .map(|(ours, floor)| ours / floor)
        .collect();
    println!(
        "# {name}: seconds, smaller is better, the goal is 1.5; ratios of the rounds {ratios:.2?}"
    );
    print(
        name,
        median(&seconds[0]),
        median(&seconds[1]),
        median(&ratios),
    );
    Ok(())
}
