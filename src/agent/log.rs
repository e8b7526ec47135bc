//! The agent's own log: bounded, shown on the machine's screen, and sent to the server in batches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// As many lines wait for the server at most; while it is away the oldest make room.
const WAITING: usize = 2000;
/// As many are kept for the screen.
const RECENT: usize = 12;
/// As many characters has a line at most.
const WIDTH: usize = 500;

/// A log that everybody writes to; a clone is the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<String>,
    lost: u64,
    recent: VecDeque<String>,
    written: u64,
}

impl Log {
    /// Writes a line. What came from elsewhere may hold anything, so what is no text is escaped.
    pub fn say(&self, line: impl AsRef<str>) {
        let line = clean(line.as_ref());
        let mut lines = self.lines();
        if lines.waiting.len() == WAITING {
            lines.waiting.pop_front();
            lines.lost += 1;
        }
        if lines.recent.len() == RECENT {
            lines.recent.pop_front();
        }
        lines.written += 1;
        lines.waiting.push_back(line.clone());
        lines.recent.push_back(line);
    }

    /// Up to so many lines that the server has not heard.
    pub fn take(&self, most: usize) -> Vec<String> {
        let mut lines = self.lines();
        let count = lines.waiting.len().min(most);
        let mut taken: Vec<String> = lines.waiting.drain(..count).collect();
        if lines.lost > 0 {
            taken.insert(
                0,
                format!("({} lines before this one were lost)", lines.lost),
            );
            lines.lost = 0;
        }
        taken
    }

    /// Puts back what could not be sent.
    pub fn give_back(&self, taken: Vec<String>) {
        let mut lines = self.lines();
        for line in taken.into_iter().rev() {
            if lines.waiting.len() < WAITING {
                lines.waiting.push_front(line);
            } else {
                lines.lost += 1;
            }
        }
    }

    /// How many lines were ever written, and those of them that came last.
    pub fn recent(&self) -> (u64, Vec<String>) {
        let lines = self.lines();
        (lines.written, lines.recent.iter().cloned().collect())
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line of a text: control characters are escaped, and what is too long is cut.
pub fn clean(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim_end().chars().take(WIDTH) {
        match c {
            '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_loses_the_oldest_and_says_so() {
        let log = Log::default();
        for number in 0..WAITING + 3 {
            log.say(format!("line {number}"));
        }
        let taken = log.take(2);
        assert_eq!(
            taken,
            ["(3 lines before this one were lost)", "line 3", "line 4"]
        );
        log.give_back(taken[1..].to_vec());
        assert_eq!(log.take(1), ["line 3"]);
        assert_eq!(log.recent().1.len(), RECENT);
    }

    #[test]
    fn what_is_no_text_is_escaped_and_what_is_too_long_is_cut() {
        let log = Log::default();
        log.say(format!("a\x1b[2Jb\n{}", "x".repeat(1000)));
        let line = &log.take(1)[0];
        assert!(line.starts_with("a\\u{1b}[2Jb\\nx"), "{line}");
        assert!(line.len() < 600);
    }
}
