//! `dragonfly machine log`: what a machine's agent said lately.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::path_of;
use crate::api::MachineLog;
use crate::api::machine::LogEntry;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone, time};

/// How often it is looked whether there is more.
const PULSE: Duration = Duration::from_secs(1);

pub async fn run(
    name: &str,
    follow: bool,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let path = format!("{}/log", path_of(name)?);
    let mut log: MachineLog = client.read(Ask::get(&path)).await?;
    if !follow {
        if screen.json {
            return screen.answer("machine.log", &log);
        }
        if log.entries.is_empty() && !screen.quiet {
            return screen.line("Its agent has said nothing since Dragonfly started.");
        }
    }
    lines(&log.entries, screen)?;
    if !follow {
        return Ok(());
    }
    loop {
        screen.flush()?;
        sleep(PULSE).await;
        match client.read::<MachineLog>(Ask::get(&path)).await {
            Ok(next) => {
                let fresh = fresh(&log, &next);
                lines(&next.entries[next.entries.len() - fresh..], screen)?;
                log = next;
            }
            Err(failure) if failure.is_transient() => client.hang_up(),
            Err(failure) => return Err(failure),
        }
    }
}

/// How many of the last entries came since. A daemon that was restarted counts anew.
fn fresh(before: &MachineLog, now: &MachineLog) -> usize {
    let count = |log: &MachineLog| log.entries.len() as u64 + log.dropped;
    let more = match count(now).checked_sub(count(before)) {
        Some(more) => usize::try_from(more).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    more.min(now.entries.len())
}

fn lines(entries: &[LogEntry], screen: &mut Screen) -> Result<(), Failure> {
    for entry in entries {
        if screen.json {
            screen.answer_line("machine.said", &[("data", json!(entry))])?;
            continue;
        }
        let at = screen
            .paint
            .on(Tone::Faint, &time::clock(screen.now(), &entry.at));
        let text = clean(&entry.text);
        screen.line(&format!("{at}  {text}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, reason = "a table makes what it gives")]

    use test_case::test_case;

    use super::*;

    fn log(entries: usize, dropped: u64) -> MachineLog {
        let entry = LogEntry {
            at: String::new(),
            kind: "log".into(),
            text: String::new(),
        };
        MachineLog {
            entries: vec![entry; entries],
            dropped,
        }
    }

    #[test_case(log(3, 0), log(3, 0) => 0; "nothing")]
    #[test_case(log(3, 0), log(5, 0) => 2; "two more")]
    #[test_case(log(5, 0), log(5, 2) => 2; "two more, and two old ones gone")]
    #[test_case(log(5, 0), log(5, 50) => 5; "more than are kept")]
    #[test_case(log(5, 9), log(2, 0) => 2; "another daemon")]
    fn what_is_new_is_shown_once(before: MachineLog, now: MachineLog) -> usize {
        fresh(&before, &now)
    }
}
