//! A serial line: a log that grows, so that it reads well in a file too, and behind it one line that is drawn again
//! while a step runs. Plain ASCII, no colours, nothing but `\r` to go back.

use std::time::{Duration, Instant};

use super::status::{Bar, Mark, Status};

const BAR: usize = 26;
const RULE: usize = 72;
/// A line of 9600 baud has no more than this much room.
const AGAIN: Duration = Duration::from_secs(1);

/// What one line was told already.
#[derive(Debug, Default)]
pub(super) struct Writer {
    heading: Vec<String>,
    written: u64,
    error: Option<String>,
    /// As wide is the line that is drawn again, if it stands there.
    open: usize,
    drawn: Option<Instant>,
}

impl Writer {
    /// What the line has to be told now.
    pub(super) fn say(
        &mut self,
        status: &Status,
        written: u64,
        recent: &[String],
        now: Instant,
    ) -> String {
        let mut text = String::new();
        let heading = heading(status);
        if heading != self.heading {
            self.heading.clone_from(&heading);
            let rule = "-".repeat(RULE);
            self.line(&mut text, &rule);
            for words in &heading {
                self.line(&mut text, words);
            }
            self.line(&mut text, &rule);
        }
        let new = usize::try_from(written - self.written)
            .unwrap_or(usize::MAX)
            .min(recent.len());
        self.written = written;
        for words in &recent[recent.len() - new..] {
            self.line(&mut text, words);
        }
        if status.error != self.error {
            self.error.clone_from(&status.error);
            if let Some(error) = &status.error {
                self.line(&mut text, &format!("error: {error}"));
            }
        }
        let running = status.steps.iter().find(|step| step.mark == Mark::Running);
        let due = self
            .drawn
            .is_none_or(|drawn| now.duration_since(drawn) >= AGAIN);
        if let (Some(step), Some(bar), true) = (running, &status.bar, due) {
            self.drawn = Some(now);
            self.draw(&mut text, &step.name, bar);
        }
        text
    }

    fn line(&mut self, text: &mut String, words: &str) {
        if self.open > 0 {
            text.push_str("\r\n");
            self.open = 0;
        }
        text.extend(words.chars().map(|c| if c.is_ascii() { c } else { '?' }));
        text.push_str("\r\n");
    }

    fn draw(&mut self, text: &mut String, step: &str, bar: &Bar) {
        let drawing = if bar.total > 0 {
            bar.drawing(BAR)
        } else {
            String::new()
        };
        let words = format!("  {step:.24} {drawing} {} {}", bar.phase, bar.numbers());
        let words: String = words
            .chars()
            .map(|c| if c.is_ascii() { c } else { '?' })
            .take(100)
            .collect();
        let width = words.chars().count();
        let wipe = " ".repeat(self.open.saturating_sub(width));
        text.extend(["\r", &words, &wipe]);
        self.open = width;
    }
}

/// Who and where the machine is, and what it does.
fn heading(status: &Status) -> Vec<String> {
    let facts = [status.name.as_str(), &status.address, &status.mac];
    let facts: Vec<&str> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    let server = if status.server.is_empty() {
        String::new()
    } else {
        format!("  server {}", status.server)
    };
    let mut lines = vec![format!(" Dragonfly  {}{server}", facts.join("  "))];
    if !status.state.is_empty() {
        let why = if status.why.is_empty() {
            String::new()
        } else {
            format!(": {}", status.why)
        };
        lines.push(format!(" {}{why}", status.state));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::status::Step;
    use super::*;

    fn status(done: u64) -> Status {
        Status {
            name: "AbleCloud".into(),
            address: "10.0.0.7/24 on eth0".into(),
            mac: "52:54:00:12:34:56".into(),
            server: "10.0.0.2:3081".into(),
            state: "installing".into(),
            steps: vec![Step {
                name: "write the image".into(),
                mark: Mark::Running,
            }],
            bar: Some(Bar {
                done,
                total: 100,
                per_second: 0,
                phase: "fetching".into(),
            }),
            ..Status::default()
        }
    }

    #[test]
    fn a_log_grows_and_its_last_line_is_drawn_again() {
        let mut writer = Writer::default();
        let now = crate::agent::clock::now();
        let first = writer.say(&status(10), 1, &["one".into()], now);
        assert!(
            first.contains("one\r\n\r  write the image [##--"),
            "{first}"
        );
        let again = writer.say(&status(50), 1, &["one".into()], now + AGAIN);
        assert!(
            again.starts_with("\r  write the image [############-"),
            "{again}"
        );
        let next = writer.say(&status(50), 2, &["one".into(), "two é".into()], now + AGAIN);
        assert_eq!(next, "\r\ntwo ?\r\n");
        assert_eq!(
            writer.say(&status(60), 2, &[], now + AGAIN),
            "",
            "not so often"
        );
    }

    #[test]
    fn the_heading_comes_again_when_it_changed() {
        let mut writer = Writer::default();
        let now = crate::agent::clock::now();
        writer.say(&status(0), 0, &[], now);
        let mut other = status(0);
        other.state = "done".into();
        let text = writer.say(&other, 0, &[], now);
        assert!(text.contains(" Dragonfly  AbleCloud  10.0.0.7/24 on eth0  52:54:00:12:34:56  server 10.0.0.2:3081\r\n done\r\n"), "{text}");
    }
}
