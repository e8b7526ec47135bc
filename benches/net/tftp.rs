//! TFTP beside dnsmasq, tftpd-hpa and atftpd: megabytes a second, at the same block size.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dragonfly::lab::{Foreign, Host, Lab, LabOptions, net};

use super::Result;
use super::common::{Only, Spent, median, print};

#[path = "tftp/client.rs"]
mod client;
#[path = "tftp/ours.rs"]
pub mod ours;
#[path = "tftp/peers.rs"]
mod peers;

use client::{Ask, Trip};
use peers::{Server, Side};

/// What the largest block over Ethernet holds.
const BLOCK: u16 = 1468;

/// The cable alone.
const NEAR: Trip = Trip {
    delay: Duration::ZERO,
    lost_of_100: 0,
};

/// One comparison.
struct Bench {
    name: &'static str,
    /// Of the file that each client fetches.
    octets: usize,
    clients: usize,
    rounds: usize,
    /// The window that ours is asked for, and the peers.
    windows: (u16, u16),
    /// Whether ours at window 1 is among the peers, as where the window is what is measured.
    with_itself: bool,
    trip: Trip,
}

const BENCHES: [Bench; 4] = [
    Bench {
        name: "tftp_1_w1",
        octets: 3 << 20,
        clients: 1,
        rounds: 61,
        windows: (1, 1),
        with_itself: false,
        trip: NEAR,
    },
    Bench {
        name: "tftp_100_w1",
        octets: 128 << 10,
        clients: 100,
        rounds: 9,
        windows: (1, 1),
        with_itself: false,
        trip: NEAR,
    },
    Bench {
        name: "tftp_w16_5ms",
        octets: 512 << 10,
        clients: 1,
        rounds: 3,
        windows: (16, 1),
        with_itself: true,
        trip: Trip {
            delay: Duration::from_millis(5),
            lost_of_100: 0,
        },
    },
    Bench {
        name: "tftp_loss",
        octets: 256 << 10,
        clients: 1,
        rounds: 5,
        windows: (1, 1),
        with_itself: false,
        trip: Trip {
            delay: Duration::from_millis(10),
            lost_of_100: 1,
        },
    },
];

pub fn run(only: &Only) -> Result<()> {
    let wanted: Vec<_> = BENCHES
        .iter()
        .filter(|bench| only.wants(bench.name))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let lab = Lab::start(&LabOptions {
        foreign: Foreign::None,
        ..LabOptions::default()
    })?;
    let root = lab.dir().join("tftp");
    fs::create_dir(&root)?;
    let servers = peers::start(&lab, &root)?;
    let client = lab.add_host("client", Some(net::address(90)))?;
    println!(
        "# tftp: MB/s at blksize {BLOCK}; each server alone in a namespace, the client in another"
    );
    println!("# tftpd-hpa serves in children that nobody waits for: what they spend is not told");
    for bench in wanted {
        bench.run(&client, &servers, &root)?;
    }
    Ok(())
}

/// What was measured of one side.
struct Sample<'a> {
    server: &'a Server,
    window: u16,
    speeds: Vec<f64>,
    before: Spent,
}

impl Bench {
    fn run(&self, client: &Host, servers: &[Server], root: &Path) -> Result<()> {
        let file = self.file(root)?;
        if self.trip != NEAR {
            let (delay, lost) = (self.trip.delay, self.trip.lost_of_100);
            println!("# {}: {delay:?} and {lost} % of loss, each way", self.name);
        }
        let mut samples = Vec::new();
        for server in servers {
            let window = match server.side {
                Side::Ours => self.windows.0,
                Side::Peer => self.windows.1,
            };
            samples.push(Sample::new(server, window)?);
            if server.side == Side::Ours && self.with_itself {
                samples.push(Sample::new(server, self.windows.1)?);
            }
        }
        for round in 0..=self.rounds {
            for sample in &mut samples {
                let speed = self.fetch(client, sample, &file)?;
                // The first brings the file into memory and wakes everybody.
                if round > 0 {
                    sample.speeds.push(speed);
                }
            }
        }
        self.report(&samples)
    }

    fn file(&self, root: &Path) -> Result<PathBuf> {
        let path = root.join(self.name);
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let bytes: Vec<u8> = (0..self.octets).map(|_| next()).collect();
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// All clients at once: megabytes a second of all together.
    fn fetch(&self, client: &Host, sample: &Sample<'_>, file: &Path) -> Result<f64> {
        let ask = Ask {
            server: sample.server.address,
            name: self.name,
            block: BLOCK,
            window: sample.window,
            trip: self.trip,
        };
        let begun = Instant::now();
        let fetched = client.netns.run(|| client::fetch_all(&ask, self.clients))?;
        let took = begun.elapsed();
        let fetched =
            fetched.map_err(|error| format!("{}: {}: {error}", self.name, sample.server.name))?;
        let length = fs::metadata(file)?.len();
        if fetched.iter().any(|octets| *octets != length) {
            return Err(format!("{} sent a file that is not whole", sample.server.name).into());
        }
        Ok(megabytes(self.octets * self.clients) / took.as_secs_f64())
    }

    fn report(&self, samples: &[Sample<'_>]) -> Result<()> {
        let fetched = megabytes(self.octets * self.clients * (self.rounds + 1));
        for sample in samples {
            let (cpu, peak) = sample.spent()?;
            println!(
                "# {} {} window {}: {:.2} MB/s, {:.1} ms of processor per MB, {} KiB at its peak",
                self.name,
                sample.server.name,
                sample.window,
                median(&sample.speeds),
                cpu.as_secs_f64() * 1000.0 / fetched,
                peak
            );
        }
        let (ours, peers) = samples.split_first().ok_or("nothing was measured")?;
        let best = peers
            .iter()
            .max_by(|a, b| median(&a.speeds).total_cmp(&median(&b.speeds)))
            .ok_or("there is no peer")?;
        let ratios: Vec<f64> = ours
            .speeds
            .iter()
            .zip(&best.speeds)
            .map(|(a, b)| a / b)
            .collect();
        println!(
            "# {} best peer: {} window {}, {} rounds",
            self.name, best.server.name, best.window, self.rounds
        );
        print(
            self.name,
            median(&ours.speeds),
            median(&best.speeds),
            median(&ratios),
        );
        Ok(())
    }
}

impl<'a> Sample<'a> {
    fn new(server: &'a Server, window: u16) -> Result<Self> {
        Ok(Self {
            server,
            window,
            speeds: Vec::new(),
            before: Spent::of_pid(server.process.pid())?,
        })
    }

    fn spent(&self) -> Result<(Duration, u64)> {
        let after = Spent::of_pid(self.server.process.pid())?;
        Ok((after.cpu.saturating_sub(self.before.cpu), after.peak_kib))
    }
}

#[expect(clippy::cast_precision_loss, reason = "files are small")]
fn megabytes(octets: usize) -> f64 {
    octets as f64 / 1e6
}
