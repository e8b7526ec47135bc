//! The screen of a display: painted whole, in place, in the few colours that every one has.

use super::status::{Mark, Status, Step};

const NAME: usize = 28;
/// Margin on the left.
const LEFT: usize = 2;

/// Colours, as ECMA-48 has them.
const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const HEAD: &str = "\x1b[0;1;37;44m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[1;33m";
const RED: &str = "\x1b[1;31m";

/// All that a terminal of this size has to be sent.
pub(super) fn paint(status: &Status, log: &[String], rows: u16, columns: u16) -> String {
    let (rows, columns) = (usize::from(rows), usize::from(columns));
    let lines = lines(status, log, rows, columns);
    // Cursor off, no blanking of the display, and to the corner: what stands there is painted over, not wiped first,
    // so that nothing flickers.
    let mut text = String::from("\x1b[?25l\x1b[9;0]\x1b[H");
    for (number, (colour, line)) in lines.iter().enumerate() {
        let line: String = line.chars().take(columns).collect();
        let end = if number + 1 < rows { "\r\n" } else { "" };
        text.extend([PLAIN, colour, &line, "\x1b[K", PLAIN, end]);
    }
    text.push_str("\x1b[J");
    text
}

type Line = (&'static str, String);

/// What is on it, from its first row to its last.
fn lines(status: &Status, log: &[String], rows: usize, columns: usize) -> Vec<Line> {
    let mut lines = head(status, columns);
    let error = error(status, columns);
    let room = rows.saturating_sub(lines.len() + error.len() + 3);
    lines.extend(steps(status, columns, room));
    lines.extend(error);
    let room = rows.saturating_sub(lines.len() + 2);
    if room > 0 && !log.is_empty() {
        lines.push((PLAIN, String::new()));
        lines.push((DIM, format!("  {}", "-".repeat(columns.saturating_sub(4)))));
        let from = log.len().saturating_sub(room);
        lines.extend(log[from..].iter().map(|line| (DIM, fit(line, columns))));
    }
    lines.truncate(rows);
    lines
}

fn head(status: &Status, columns: usize) -> Vec<Line> {
    let version = concat!("agent ", env!("CARGO_PKG_VERSION"));
    let gap = columns.saturating_sub("  Dragonfly".len() + version.len() + LEFT);
    let mut lines = vec![
        (HEAD, format!("  Dragonfly{}{version}  ", " ".repeat(gap))),
        (PLAIN, String::new()),
        (
            BOLD,
            fit(or(&status.name, "a machine without a name yet"), columns),
        ),
        (YELLOW, fit(&status.state, columns)),
        (PLAIN, fit(&status.why, columns)),
        (PLAIN, String::new()),
    ];
    let facts = [
        ("Address", &status.address),
        ("Card", &status.mac),
        ("Server", &status.server),
    ];
    lines.extend(facts.map(|(name, value)| {
        (
            PLAIN,
            fit(&format!("{name:<9} {}", or(value, "-")), columns),
        )
    }));
    lines.push((PLAIN, String::new()));
    lines
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn fit(text: &str, columns: usize) -> String {
    let width = columns.saturating_sub(2 * LEFT);
    let mut line = " ".repeat(LEFT);
    if text.chars().count() > width {
        line.extend(text.chars().take(width.saturating_sub(3)));
        line.push_str("...");
    } else {
        line.push_str(text);
    }
    line
}

/// As many steps as there is room for, the one that runs among them.
fn steps(status: &Status, columns: usize, room: usize) -> Vec<Line> {
    let running = status
        .steps
        .iter()
        .position(|step| step.mark != Mark::Done)
        .unwrap_or(status.steps.len());
    let from = running
        .saturating_sub(room / 2)
        .min(status.steps.len().saturating_sub(room));
    let mut lines = Vec::new();
    for step in status.steps.iter().skip(from) {
        lines.push(line(step, columns));
        if step.mark == Mark::Running {
            lines.extend(bar(status, columns));
        }
    }
    lines.truncate(room);
    lines
}

fn line(step: &Step, columns: usize) -> Line {
    let (colour, mark) = match step.mark {
        Mark::Waiting => (PLAIN, "[ ]"),
        Mark::Running => (BOLD, "[>]"),
        Mark::Done => (GREEN, "[x]"),
        Mark::Failed => (RED, "[!]"),
    };
    (colour, fit(&format!("{mark} {}", step.name), columns))
}

fn bar(status: &Status, columns: usize) -> Vec<Line> {
    let Some(bar) = &status.bar else {
        return Vec::new();
    };
    let width = columns.saturating_sub(NAME + 8).clamp(12, 60);
    let mut lines = Vec::new();
    if bar.total > 0 {
        lines.push((BOLD, fit(&format!("    {}", bar.drawing(width)), columns)));
    }
    let numbers = bar.numbers();
    let words: Vec<&str> = [bar.phase.as_str(), &numbers]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    if !words.is_empty() {
        lines.push((PLAIN, fit(&format!("    {}", words.join("  ")), columns)));
    }
    lines
}

/// On as many rows as it needs, up to four: an error that is cut tells nothing.
fn error(status: &Status, columns: usize) -> Vec<Line> {
    let Some(error) = &status.error else {
        return Vec::new();
    };
    let width = columns.saturating_sub(2 * LEFT).max(20);
    let text: Vec<char> = format!("Last error: {error}").chars().collect();
    let mut lines = vec![(PLAIN, String::new())];
    lines.extend(
        text.chunks(width)
            .take(4)
            .map(|part| (RED, format!("  {}", part.iter().collect::<String>()))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::super::status::Bar;
    use super::*;

    fn status() -> Status {
        let step = |name: &str, mark| Step {
            name: name.into(),
            mark,
        };
        Status {
            name: "AbleCloudRiverStone".into(),
            address: "10.0.0.77/24 on eth0".into(),
            mac: "52:54:00:12:34:56".into(),
            server: "10.0.0.2:3081".into(),
            state: "installing debian-13".into(),
            why: "step 2 of 4".into(),
            steps: vec![
                step("erase the disk", Mark::Done),
                step("write the image", Mark::Running),
                step("grow the root", Mark::Waiting),
                step("restart", Mark::Waiting),
            ],
            bar: Some(Bar {
                done: 1 << 30,
                total: 2 << 30,
                per_second: 128 << 20,
                phase: "fetching".into(),
            }),
            error: Some("the server at 10.0.0.2:3081 does not answer: connection refused".into()),
        }
    }

    fn plain(status: &Status, rows: usize, columns: usize) -> String {
        let log: Vec<String> = (1..=20)
            .map(|number| format!("line {number} of the log"))
            .collect();
        let lines = lines(status, &log, rows, columns);
        let lines: Vec<_> = lines.iter().map(|(_, line)| line.trim_end()).collect();
        lines.join("\n")
    }

    #[test]
    fn a_machine_is_seen_at_a_glance() {
        insta::assert_snapshot!(plain(&status(), 25, 80));
    }

    #[test]
    fn a_machine_that_knows_nothing_yet_says_so() {
        insta::assert_snapshot!(plain(&Status::default(), 25, 80));
    }

    #[test]
    fn no_size_is_too_small() {
        for (rows, columns) in [(0, 0), (1, 1), (3, 10), (10, 20), (25, 80), (60, 300)] {
            let text = plain(&status(), rows, columns);
            assert!(text.lines().count() <= rows.max(1), "{rows} rows");
            paint(
                &status(),
                &[],
                u16::try_from(rows).unwrap(),
                u16::try_from(columns).unwrap(),
            );
        }
    }

    #[test]
    fn the_step_that_runs_is_seen_among_many() {
        let mut status = status();
        let many = |count: usize, mark| {
            (0..count).map(move |number| Step {
                name: format!("step {number}"),
                mark,
            })
        };
        let running = Step {
            name: "the one".into(),
            mark: Mark::Running,
        };
        status.steps = many(50, Mark::Done)
            .chain([running])
            .chain(many(50, Mark::Waiting))
            .collect();
        assert!(plain(&status, 25, 80).contains("[>] the one"));
    }
}
