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
    heading: String,
    state: String,
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
        self.say_heading(&mut text, status);
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
        let bar = status
            .bar
            .as_ref()
            .filter(|bar| bar.total > 0 || !bar.phase.is_empty());
        if let (Some(step), Some(bar), true) = (running, bar, due) {
            self.drawn = Some(now);
            self.draw(&mut text, &step.name, bar);
        }
        text
    }

    /// Who and where the machine is, between two rules, and what it does, each where it changed.
    fn say_heading(&mut self, text: &mut String, status: &Status) {
        let heading = heading(status);
        if heading != self.heading {
            let rule = "-".repeat(RULE);
            self.line(text, &rule);
            self.line(text, &heading);
            self.line(text, &rule);
            self.heading = heading;
        }
        let state = state(status);
        if state != self.state {
            self.line(text, &state);
            self.state = state;
        }
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

fn heading(status: &Status) -> String {
    let facts = [status.name.as_str(), &status.address, &status.mac];
    let server = format!("server {}", status.server);
    let server = Some(server.as_str()).filter(|_| !status.server.is_empty());
    let facts = facts.into_iter().filter(|fact| !fact.is_empty());
    let words: Vec<&str> = ["Dragonfly"]
        .into_iter()
        .chain(facts)
        .chain(server)
        .collect();
    format!(" {}", words.join("  "))
}

fn state(status: &Status) -> String {
    let words = [status.state.as_str(), status.why.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("* {}", words.join(": "))
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
    fn what_changed_is_said_again_and_nothing_else() {
        let mut writer = Writer::default();
        let now = crate::agent::clock::now();
        let first = writer.say(&status(0), 0, &[], now);
        let heading = " Dragonfly  AbleCloud  10.0.0.7/24 on eth0  52:54:00:12:34:56  server 10.0.0.2:3081\r\n";
        assert!(first.contains(heading), "{first}");
        let mut other = status(0);
        other.state = "done".into();
        assert_eq!(writer.say(&other, 0, &[], now), "\r\n* done\r\n");
    }
}
