//! Resident memory, from a fresh process for each size, and whether it grows as the machines do.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use dragonfly::store::contract::agree::walk;
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{Index, Store};

use super::{Result, ours};

const SIZES: [u32; 3] = [10_000, 50_000, 100_000];

pub fn report(home: &Path) -> Result<()> {
    let mut resident = Vec::new();
    for machines in SIZES {
        let path = home.join(format!("memory-{machines}.dragonfly"));
        let store = RedbStore::open(Options::new(&path))?;
        ours::fill(&store, machines)?;
        ours::close(&store)?;
        drop(store);
        let child = Command::new(std::env::current_exe()?)
            .arg("--measure-memory")
            .arg(&path)
            .output()?;
        let said = String::from_utf8(child.stdout)?;
        if !child.status.success() {
            return Err(String::from_utf8(child.stderr)?.into());
        }
        print!("{said}");
        let kib = said
            .split("resident=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        resident.push(kib.unwrap_or_default().parse::<f64>()?);
    }
    let slope = |from: usize, to: usize| {
        (resident[to] - resident[from]) * 1024.0 / f64::from(SIZES[to] - SIZES[from])
    };
    let (first, second) = (slope(0, 1), slope(1, 2));
    let linear = if (0.75..=1.33).contains(&(second / first)) {
        "linear"
    } else {
        "NOT LINEAR"
    };
    println!(
        "# growth: {first:.0} bytes a machine from 10000 to 50000, {second:.0} from 50000 to 100000: {linear}"
    );
    Ok(())
}

/// Opens a store, reads every machine once, and says what this process then holds.
pub fn child(path: &Path) -> Result<()> {
    let empty = resident()?;
    let began = Instant::now();
    let store = RedbStore::open(Options::new(path))?;
    let opened = began.elapsed().as_millis();
    let machines = store.counts()?.machines;
    let read = walk(&store, &Index::Machines, false, 1000, machines).len();
    let stats = store.stats();
    println!(
        "# memory: machines={read} resident={} KiB ({empty} KiB before), of which the store counts {} KiB; {} bodies; opened in {opened} ms; file {} KiB",
        resident()?,
        stats.memory_bytes / 1024,
        stats.cached_bodies,
        stats.file_bytes / 1024,
    );
    Ok(())
}

fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS in /proc/self/status")?.parse()?)
}
