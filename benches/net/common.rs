//! What the benches of the wire share: which of them run, medians, and what a server spends.

use std::fs;
use std::time::Duration;

use dragonfly::lab::Process;

use super::Result;

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

/// What a server has spent: processor time with that of the children it has waited for, and the memory of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub cpu: Duration,
    pub peak_kib: u64,
}

impl Spent {
    pub fn of(process: &Process) -> Result<Self> {
        Self::of_pid(process.pid())
    }

    pub fn of_pid(pid: i32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("a stat without a name")?;
        // utime, stime, cutime and cstime are fields 14 to 17; the name was the second.
        let ticks = fields.split_whitespace().skip(11).take(4);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Ok(Self {
            // USER_HZ is 100 on every architecture of Linux that we run on.
            cpu: Duration::from_millis(ticks * 10),
            peak_kib: peak.ok_or("no VmHWM")?,
        })
    }
}
