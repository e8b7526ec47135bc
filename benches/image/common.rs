//! What the benches of images share: which of them run, medians, and children that end with the bench.

use std::fs;
use std::process::{Child, Command};

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

/// How busy the machine is beside the bench.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(1).collect()
}

/// A child that is ended when nobody needs it any more.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a line of shell to its end; a pipeline fails with its first program.
pub fn shell(line: &str) -> Result<()> {
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-c", line])
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{line}: {status}").into())
}
