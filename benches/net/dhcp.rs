//! Our own DHCP server beside Kea and dnsmasq: exchanges a second, and how long one takes.
//!
//! The same host, cable and client for all, one server at a time, each with an empty book at the start of a round.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use dragonfly::lab::{Foreign, Host, Lab, LabOptions, Process, dragonfly::HOST};

use super::Result;
use super::common::{Only, Spent, median, print};

#[path = "dhcp/perfdhcp.rs"]
mod perfdhcp;
#[path = "dhcp/servers.rs"]
mod servers;
#[path = "dhcp/start.rs"]
mod start;

use servers::{Kind, SERVER};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 9);
const RATE_ROUNDS: usize = 3;
const P99_ROUNDS: usize = 7;
const TRIAL: Duration = Duration::from_secs(2);
const P99_TRIAL: Duration = Duration::from_secs(6);
/// Of the exchanges that are begun, as many may be lost.
const MAY_LOSE: f64 = 0.01;
/// The search begins here, doubles until a rate is not sustained, and then halves the gap as often.
const FIRST_RATE: u32 = 100;
const MOST: u32 = 50_000;
const HALVINGS: usize = 3;

pub fn run(only: &Only) -> Result<()> {
    let (rates, p99) = (only.wants("dhcp_rate"), only.wants("dhcp_p99"));
    let (memory, answer) = (only.wants("idle_memory"), only.wants("start_to_answer"));
    if !(rates || p99 || memory || answer) {
        return Ok(());
    }
    let lab = Lab::start(&LabOptions {
        foreign: Foreign::None,
        ..LabOptions::default()
    })?;
    let server = host(&lab, HOST, SERVER)?;
    let client = host(&lab, "client", CLIENT)?;
    // What goes to everybody needs a way, too.
    client.ip("route add default dev eth0")?;
    if memory {
        start::idle_memory(&lab)?;
    }
    if answer {
        start::start_to_answer(&lab, &client)?;
    }
    server.ip("address flush dev eth0")?;
    server.ip(&format!("address add {SERVER}/16 brd + dev eth0"))?;
    if rates || p99 {
        let slowest = rate(&lab, &client)?;
        if p99 {
            latency(&lab, &client, slowest / 2)?;
        }
    }
    Ok(())
}

fn host(lab: &Lab, name: &str, address: Ipv4Addr) -> Result<Host> {
    let host = lab.add_host(name, None)?;
    host.ip(&format!("address add {address}/16 brd + dev eth0"))?;
    Ok(host)
}

/// What was measured of one server, round by round.
struct Samples {
    kind: Kind,
    values: Vec<f64>,
}

impl Samples {
    fn all() -> [Self; 3] {
        Kind::ALL.map(|kind| Self {
            kind,
            values: Vec::new(),
        })
    }
}

/// The highest rate that each sustains; the slowest one's is handed back.
fn rate(lab: &Lab, client: &Host) -> Result<u32> {
    println!(
        "# dhcp: perfdhcp with options 60, 93 and 94, {} machines, exchanges of four messages, less than 1 % lost",
        perfdhcp::MACHINES
    );
    println!(
        "# leases: ours are on the disk (group commit, fdatasync) before the ACK; dnsmasq writes its file anew and \
         syncs it; Kea appends to its memfile and never syncs"
    );
    let mut all = Samples::all();
    for round in 1..=RATE_ROUNDS {
        for samples in &mut all {
            let measured = measure(lab, client, samples.kind, |_| sustained(lab, client))?;
            println!("# dhcp_rate round {round}: {}", measured.text(samples.kind));
            samples.values.push(measured.value);
        }
    }
    report("dhcp_rate", &all, true)?;
    let slowest = all.iter().map(|samples| median(&samples.values));
    Ok(whole(slowest.fold(f64::MAX, f64::min)))
}

fn latency(lab: &Lab, client: &Host, rate: u32) -> Result<()> {
    println!("# dhcp_p99: ms from DISCOVER to ACK, at {rate} exchanges a second");
    let disk = disk_p99(lab.dir())?;
    println!(
        "# dhcp_p99: the disk alone needs {disk:.2} ms for a write of 4 KiB and a sync, 99th of 100"
    );
    let mut all = Samples::all();
    for round in 1..=P99_ROUNDS {
        for samples in &mut all {
            let measured = measure(lab, client, samples.kind, |_| {
                let outcome = perfdhcp::run(lab, client, rate.max(1), P99_TRIAL)?;
                let p99 = outcome.p99().ok_or("no exchange was completed")?;
                Ok(p99.as_secs_f64() * 1000.0)
            })?;
            println!("# dhcp_p99 round {round}: {}", measured.text(samples.kind));
            samples.values.push(measured.value);
        }
    }
    report("dhcp_p99", &all, false)
}

/// What a lease cannot be faster than that is on the disk before its ACK; Kea does not wait for it.
fn disk_p99(dir: &Path) -> Result<f64> {
    let path = dir.join("probe");
    let file = File::create(&path)?;
    let mut took = Vec::new();
    for number in 0..500 {
        let begun = Instant::now();
        file.write_all_at(&[1; 4096], number % 16 * 4096)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    fs::remove_file(path)?;
    took.sort_unstable();
    Ok(took[took.len() * 99 / 100].as_secs_f64() * 1000.0)
}

/// A figure, and what it cost the server.
struct Measured {
    value: f64,
    spent: Spent,
}

impl Measured {
    fn text(&self, kind: Kind) -> String {
        let Spent { cpu, peak_kib } = self.spent;
        let seconds = cpu.as_secs_f64();
        format!(
            "{} {:.2}, {seconds:.2} s of processor, {peak_kib} KiB at its peak",
            kind.name(),
            self.value
        )
    }
}

/// Starts a server, measures, and ends it.
fn measure(
    lab: &Lab,
    client: &Host,
    kind: Kind,
    what: impl FnOnce(&Process) -> Result<f64>,
) -> Result<Measured> {
    let process = kind.start(lab, client)?;
    let value = what(&process)?;
    let spent = Spent::of_pid(process.pid())?;
    process.end()?;
    Ok(Measured { value, spent })
}

/// Doubles the rate until too much is lost, and then halves the gap.
fn sustained(lab: &Lab, client: &Host) -> Result<f64> {
    let holds = |rate: u32| -> Result<bool> {
        let outcome = perfdhcp::run(lab, client, rate, TRIAL)?;
        let whole = f64::from(rate) * TRIAL.as_secs_f64();
        // A client that cannot keep up measures itself.
        let begun = f64::from(u32::try_from(outcome.begun)?);
        Ok(outcome.lost() < MAY_LOSE && begun > 0.95 * whole)
    };
    let mut good = 0;
    let mut bad = FIRST_RATE;
    while bad < MOST && holds(bad)? {
        good = bad;
        bad *= 2;
    }
    for _ in 0..HALVINGS {
        let middle = u32::midpoint(good, bad);
        // One bad second of a shared machine is no limit of a server's.
        if holds(middle)? || holds(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(f64::from(good))
}

/// Ours beside the better peer, who is named: medians of the rounds, and of the ratios of the rounds, in which the
/// machine was as fast for both.
fn report(name: &str, all: &[Samples; 3], larger_is_better: bool) -> Result<()> {
    let (ours, peers) = all.split_first().ok_or("nothing was measured")?;
    let worth = |samples: &Samples| {
        let middle = median(&samples.values);
        if larger_is_better { middle } else { -middle }
    };
    let best = peers
        .iter()
        .max_by(|a, b| worth(a).total_cmp(&worth(b)))
        .ok_or("there is no peer")?;
    let (peer, count) = (best.kind.name(), ours.values.len());
    println!("# {name} better peer: {peer}, {count} rounds");
    let rounds = ours.values.iter().zip(&best.values);
    let ratios: Vec<f64> = rounds
        .map(|(ours, peer)| {
            if larger_is_better {
                ours / peer
            } else {
                peer / ours
            }
        })
        .collect();
    let (ours, peer) = (median(&ours.values), median(&best.values));
    print(name, ours, peer, median(&ratios));
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate"
)]
fn whole(rate: f64) -> u32 {
    rate as u32
}
