//! The store beside SQLite, on the same disk, in the same run, in turn.
//!
//! Prints `bench NAME ours=… peer=… ratio=…`: operations a second of either, and the median of the ratios of
//! the rounds; machines are shared and noisy, so that the ratio is what counts. Lines that begin with `#` say
//! under which conditions. Both return decoded machines of the same JSON, and both have every put on disk when
//! they answer: SQLite with WAL, `synchronous=FULL`, cached statements and as much page cache as our bodies.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench measures time, and panics where it fails"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dragonfly::store::contract::samples::server;

#[path = "store/memory.rs"]
mod memory;
#[path = "store/ours.rs"]
mod ours;
#[path = "store/peer.rs"]
mod peer;
#[path = "store/probe.rs"]
mod probe;

use ours::Ours;
use peer::{Peer, PeerFile};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SIZES: [u32; 2] = [10_000, 100_000];
const READ_ROUNDS: usize = 9;
/// Many short rounds: a shared disk is fast for a while and slow for a while, and a round should fall into one.
const WRITE_ROUNDS: usize = 25;
const READ_TIME: Duration = Duration::from_millis(150);
const WRITE_TIME: Duration = Duration::from_millis(400);
/// Machines on a page.
const PAGE: usize = 100;
const WRITERS: u64 = 16;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("--measure-memory") => {
            memory::child(&PathBuf::from(arguments.next().unwrap_or_default()))
        }
        Some("memory") => memory_alone(),
        _ => run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench store: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `cargo bench … -- memory`: memory and opening, without the peer.
fn memory_alone() -> Result<()> {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    memory::report(home.path())
}

fn run() -> Result<()> {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    probe::refuse_memory(home.path())?;
    let json = serde_json::to_vec(&server(1, 1))?;
    println!("# one machine is {} bytes of JSON", json.len());
    println!(
        "# ours returns a machine from the read model, shared; peer decodes its JSON each time"
    );
    println!(
        "# a put changes one machine: ours keeps every index, peer writes its body and version alone"
    );
    let first = probe::syncs_a_second(home.path())?;
    println!("# raw fdatasync of 4 KiB: {first:.0}/s");
    for machines in SIZES {
        if machines != SIZES[0] {
            println!("# machines {machines}");
        }
        one_size(home.path(), machines, first)?;
    }
    memory::report(home.path())
}

fn one_size(home: &Path, machines: u32, first: f64) -> Result<()> {
    let ours = Ours::seed(&home.join(format!("{machines}.dragonfly")), machines)?;
    let file = PeerFile::seed(&home.join(format!("{machines}.sqlite")), machines)?;
    probe::settle(home, first)?;
    let peer = file.connect()?;
    reads(&ours, &peer, machines)?;
    writes(&ours, &peer, machines)?;
    sixteen(&ours, &file, machines)?;
    println!(
        "# files: ours {} KiB, peer {} KiB",
        ours.file_bytes() / 1024,
        file.bytes()? / 1024
    );
    ours.close()
}

fn reads(ours: &Ours, peer: &Peer, machines: u32) -> Result<()> {
    let mut dice = Dice(u64::from(machines));
    let mut pick = move || u32::try_from(dice.below(u64::from(machines))).unwrap_or_default();
    let places = ours.places(PAGE)?;
    let count = u32::try_from(places.len())?;
    compare("store_get_id", READ_ROUNDS, |side| {
        let number = pick();
        many(READ_TIME, 64, |step| match side {
            Side::Ours => ours.by_id((number + step * 7919) % machines),
            Side::Peer => peer.by_id((number + step * 7919) % machines),
        })
    })?;
    compare("store_get_mac", READ_ROUNDS, |side| {
        many(READ_TIME, 64, |step| match side {
            Side::Ours => ours.by_mac(step * 7919 % machines),
            Side::Peer => peer.by_mac(step * 7919 % machines),
        })
    })?;
    compare("store_get_identity", READ_ROUNDS, |side| {
        many(READ_TIME, 64, |step| match side {
            Side::Ours => ours.by_identity(step * 7919 % machines),
            Side::Peer => peer.by_identity(step * 7919 % machines),
        })
    })?;
    compare("store_list_tag", READ_ROUNDS, |side| {
        many(READ_TIME, 1, |step| match side {
            Side::Ours => ours.tagged(step % 50, PAGE),
            Side::Peer => peer.tagged(step % 50, PAGE),
        })
    })?;
    compare("store_list_page", READ_ROUNDS, |side| {
        many(READ_TIME, 1, |step| {
            let place = &places[(step * 31 % count) as usize];
            match side {
                Side::Ours => ours.page(place.as_ref(), PAGE),
                Side::Peer => peer.page(place.as_ref().map(|(_, id)| *id), PAGE),
            }
        })
    })
}

fn writes(ours: &Ours, peer: &Peer, machines: u32) -> Result<()> {
    let mut dice = Dice(u64::from(machines) + 1);
    let before = ours.syncs();
    for (name, told) in [("store_put", false), ("store_put_event", true)] {
        compare(name, WRITE_ROUNDS, |side| {
            let from = u32::try_from(dice.below(u64::from(machines)))?;
            many(WRITE_TIME, 1, |step| {
                let number = (from + step * 7919) % machines;
                match side {
                    Side::Ours => ours.put(number, u64::from(step) + 1, told),
                    Side::Peer => peer.put(number, u64::from(step) + 1, told),
                }
            })
        })?;
    }
    println!(
        "# fsyncs per commit, one writer: {:.3}",
        ours.syncs().since(before)
    );
    Ok(())
}

/// Sixteen writers: the peer with sixteen connections, and with one that takes turns; the better one counts.
fn sixteen(ours: &Ours, file: &PeerFile, machines: u32) -> Result<()> {
    let many_peers = (0..WRITERS).map(|_| file.connect().map(std::sync::Mutex::new));
    let many_peers = many_peers.collect::<Result<Vec<_>>>()?;
    let one_peer = std::sync::Mutex::new(file.connect()?);
    let before = ours.syncs();
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..WRITE_ROUNDS {
        for turn in 0..3 {
            let side = (round + turn) % 3;
            rates[side].push(crowd(machines, |writer, number, step| match side {
                0 => ours.put(number, step, false),
                1 => many_peers[writer].lock().unwrap().put(number, step, false),
                _ => one_peer.lock().unwrap().put(number, step, false),
            }));
        }
    }
    let (apart, turns) = (median(rates[1].clone()), median(rates[2].clone()));
    println!("# peer with 16 connections {apart:.0}/s, with one under a mutex {turns:.0}/s");
    let peer = if apart > turns { &rates[1] } else { &rates[2] };
    print("store_put_16", &rates[0], peer);
    println!(
        "# fsyncs per commit, 16 writers: {:.3}",
        ours.syncs().since(before)
    );
    Ok(())
}

/// How many puts a second sixteen writers get done together.
fn crowd(machines: u32, put: impl Fn(usize, u32, u64) -> Result<usize> + Sync) -> f64 {
    let began = Instant::now();
    let done = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (put, done) = (&put, &done);
            scope.spawn(move || {
                let mut dice = Dice(writer + 77);
                let mut step = 0;
                while began.elapsed() < WRITE_TIME {
                    let number = u32::try_from(dice.below(u64::from(machines))).unwrap();
                    step += 1;
                    put(usize::try_from(writer).unwrap(), number, step).unwrap();
                }
                done.fetch_add(step, std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    let done = done.load(std::sync::atomic::Ordering::Relaxed);
    rate(done, began.elapsed())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Peer,
}

/// Measures both in turn, and the other one first each time.
fn compare(name: &str, rounds: usize, mut measure: impl FnMut(Side) -> Result<f64>) -> Result<()> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut sides = [Side::Ours, Side::Peer];
        if round % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let rate = measure(side)?;
            match side {
                Side::Ours => ours.push(rate),
                Side::Peer => peer.push(rate),
            }
        }
    }
    print(name, &ours, &peer);
    Ok(())
}

fn print(name: &str, ours: &[f64], peer: &[f64]) {
    let ratios = ours.iter().zip(peer).map(|(ours, peer)| ours / peer);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let quarter = ratios.len() / 4;
    let (low, high) = (ratios[quarter], ratios[ratios.len() - 1 - quarter]);
    let ratio = median(ratios);
    let (ours, peer) = (median(ours.to_vec()), median(peer.to_vec()));
    println!("bench {name} ours={ours:.0} peer={peer:.0} ratio={ratio:.2}");
    println!("# {name}: half of the rounds' ratios lie between {low:.2} and {high:.2}");
}

/// Calls `each` for as long as it takes, in batches between two looks at the clock; calls a second.
fn many(time: Duration, batch: u32, mut each: impl FnMut(u32) -> Result<usize>) -> Result<f64> {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < time {
        for _ in 0..batch {
            // Below 2^32 when it is multiplied with a prime to jump about.
            let step = done % 500_000;
            if each(step)? == 0 {
                return Err(format!("step {step} found nothing").into());
            }
            done += 1;
        }
    }
    Ok(rate(done.into(), began.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// xorshift64*.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }
}
