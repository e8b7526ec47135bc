//! How far a step is, in one line.

use crate::api::WorkflowProgress;
use crate::cli::out::text::{clean, size};
use crate::cli::out::time;

/// Cells of the bar.
const CELLS: u64 = 20;

/// `━━━━━━━━────────────  41 %, 1.2 GiB of 2.9 GiB, 310 MiB/s, fetching`
pub fn line(progress: &WorkflowProgress) -> String {
    let done = progress.bytes_done;
    let mut parts = Vec::new();
    match done.saturating_mul(100).checked_div(progress.bytes_total) {
        Some(percent) => {
            let percent = percent.min(100);
            let full = percent * CELLS / 100;
            let cells = (0..CELLS).map(|cell| if cell < full { '━' } else { '─' });
            parts.push(format!("{}  {percent} %", cells.collect::<String>()));
            parts.push(format!("{} of {}", size(done), size(progress.bytes_total)));
        }
        None if done > 0 => parts.push(size(done)),
        None => {}
    }
    if progress.bytes_per_second > 0 {
        parts.push(format!("{}/s", size(progress.bytes_per_second)));
    }
    if !progress.phase.is_empty() {
        parts.push(clean(&progress.phase).into_owned());
    }
    parts.join(", ")
}

/// `about 4 min left`
pub fn left(seconds: u64) -> String {
    format!("about {} left", span(seconds))
}

pub fn span(seconds: u64) -> String {
    time::span(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, 0, 0, "fetching" => "fetching"; "nothing is known")]
    #[test_case(1 << 30, 0, 0, "" => "1 GiB"; "no total")]
    #[test_case(1 << 29, 1 << 30, 1 << 20, "writing" =>
        "━━━━━━━━━━──────────  50 %, 512 MiB of 1 GiB, 1 MiB/s, writing"; "half way")]
    #[test_case(3, 2, 0, "" => "━━━━━━━━━━━━━━━━━━━━  100 %, 3 B of 2 B"; "more than there was to be")]
    fn a_step_is_drawn(done: u64, total: u64, rate: u64, phase: &str) -> String {
        line(&WorkflowProgress {
            step: 1,
            bytes_done: done,
            bytes_total: total,
            bytes_per_second: rate,
            phase: phase.into(),
            at: String::new(),
        })
    }
}
