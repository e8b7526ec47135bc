//! What all benches share: which of them run, medians, how a figure is printed, and what a process spends.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fs;
use std::time::Duration;

use super::Result;

const MIB: f64 = 1024.0;

/// Benches whose name begins so; all, where nothing is named.
pub struct Only(String);

impl Only {
    pub fn from_environment() -> Self {
        Self(std::env::var("BENCH").unwrap_or_default())
    }

    pub fn wants(&self, name: &str) -> bool {
        name.starts_with(&self.0) || self.0.starts_with(name)
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

pub fn print(name: &str, ours: f64, peer: f64, ratio: f64) {
    println!("bench {name} ours={ours:.2} peer={peer:.2} ratio={ratio:.2}");
}

/// Where nobody does the same, the goal stands as the peer: of what should be small, the ratio is goal ÷ ours, and from
/// 1 on it is reached.
pub fn print_beside_goal(name: &str, unit: &str, ours: f64, goal: f64) {
    println!("# {name}: {unit}; peer is the goal");
    print(name, ours, goal, goal / ours);
}

/// How busy the machine is beside the bench.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(1).collect()
}

/// A line of `/proc/PID/status` that is a size.
pub fn status_kib(pid: i32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| *name == key);
    let size = found.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    size.ok_or_else(|| format!("no {key}").into())
}

/// The memory that is resident now, in MiB.
pub fn resident(pid: i32) -> Result<f64> {
    let kib = u32::try_from(status_kib(pid, "VmRSS")?)?;
    Ok(f64::from(kib) / MIB)
}

/// What a process has spent: processor time with that of the children it has waited for, and the memory of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub cpu: Duration,
    pub peak_kib: u64,
}

impl Spent {
    pub fn of_pid(pid: i32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("a stat without a name")?;
        // utime, stime, cutime and cstime are fields 14 to 17; the name was the second.
        let ticks = fields.split_whitespace().skip(11).take(4);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Self {
            // USER_HZ is 100 on every architecture of Linux that we run on.
            cpu: Duration::from_millis(ticks * 10),
            peak_kib: status_kib(pid, "VmHWM")?,
        })
    }
}
