//! The client: perfdhcp of Kea, as a UEFI machine that boots the network.

use std::process::Command;
use std::time::Duration;

use dragonfly::lab::{Host, Lab};

use crate::Result;

/// As many machines ask, over and over; the first time of each is a new lease.
pub const MACHINES: u32 = 1000;
/// What is not answered by then is dropped.
const PATIENCE: Duration = Duration::from_secs(1);
/// Option 60, what x86-64 UEFI says; 93, its architecture; 94, its network interface.
const OPTIONS: [&str; 3] = [
    "60,505845436c69656e743a417263683a30303030373a554e44493a303033303136",
    "93,0007",
    "94,010310",
];

/// What became of the exchanges of one run.
#[derive(Debug)]
pub struct Outcome {
    pub begun: usize,
    /// From DISCOVER to ACK, of each that was completed.
    pub took: Vec<Duration>,
}

impl Outcome {
    pub fn lost(&self) -> f64 {
        count(self.begun - self.took.len().min(self.begun)) / count(self.begun.max(1))
    }

    pub fn p99(&self) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        let place = (took.len() * 99 / 100).min(took.len().checked_sub(1)?);
        took.get(place).copied()
    }
}

/// Begins `rate` exchanges a second for `time`, whatever becomes of them.
pub fn run(lab: &Lab, client: &Host, rate: u32, time: Duration) -> Result<Outcome> {
    let mut command = perfdhcp(lab)?;
    command.args(["-r", &rate.to_string(), "-x", "t"]);
    command.args(["-p", &time.as_secs().to_string()]);
    command.args(["-R", &MACHINES.to_string()]);
    let output = client.command(&command).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let outcome = outcome(&said);
    outcome.ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("perfdhcp: {}: {said}{errors}", output.status).into()
    })
}

/// Whether somebody serves. A run of one exchange alone ends before its ACK.
pub fn is_answered(lab: &Lab, client: &Host) -> Result<bool> {
    let outcome = run(lab, client, 20, Duration::from_secs(1))?;
    Ok(!outcome.took.is_empty())
}

fn perfdhcp(lab: &Lab) -> Result<Command> {
    let mut command = lab.tools().command("perfdhcp")?;
    command.args(["-4", "-B", "-l", "eth0", "-b", "mac=02:aa:00:00:00:00"]);
    command.args(["-W", &PATIENCE.as_micros().to_string()]);
    for option in OPTIONS {
        command.args(["-o", option]);
    }
    Ok(command)
}

/// Reads its report: the statistics, then when each packet went and its answer came. A REQUEST follows its OFFER at
/// once, which tells which of them belong together.
fn outcome(said: &str) -> Option<Outcome> {
    let (_, statistics) = said.split_once("***Statistics for: DISCOVER-OFFER***")?;
    let sent = statistics.split_once("sent packets: ")?.1;
    let begun = sent.lines().next()?.trim().parse().ok()?;
    let (_, offers) = said.split_once("***Timestamps for packets: DISCOVER-OFFER***")?;
    let (offers, requests) = offers.split_once("***Timestamps for packets: REQUEST-ACK***")?;
    let (mut offers, mut requests) = (times(offers), times(requests));
    offers.sort_unstable_by_key(|(_, received)| *received);
    requests.sort_unstable();
    let mut offers = offers.into_iter().peekable();
    let took = requests
        .into_iter()
        .filter_map(|(requested, acknowledged)| {
            // Of several offers the first that is left: requests go in their order.
            let (discovered, _) = offers.next_if(|(_, offered)| *offered <= requested)?;
            Some(acknowledged.saturating_sub(discovered))
        });
    let took = took.collect();
    Some(Outcome { begun, took })
}

/// `sent / received: 000000.000113 / 000000.011073`, in seconds.
fn times(lines: &str) -> Vec<(Duration, Duration)> {
    let lines = lines.lines();
    let pairs = lines.filter_map(|line| line.strip_prefix("sent / received: ")?.split_once(" / "));
    let pairs = pairs.filter_map(|(sent, received)| Some((seconds(sent)?, seconds(received)?)));
    pairs.collect()
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

#[expect(clippy::cast_precision_loss, reason = "runs are short")]
fn count(number: usize) -> f64 {
    number as f64
}
