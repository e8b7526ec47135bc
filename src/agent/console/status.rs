//! What there is to show.

/// The machine, at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The machine's name, once the server told it.
    pub name: String,
    pub address: String,
    pub mac: String,
    pub server: String,
    /// What it does now, in a few words.
    pub state: String,
    /// Why, or what it waits for.
    pub why: String,
    pub steps: Vec<Step>,
    pub bar: Option<Bar>,
    /// The last thing that went wrong.
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub mark: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Waiting,
    Running,
    Done,
    Failed,
}

/// How far the step is that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub done: u64,
    /// Zero when nobody knows.
    pub total: u64,
    pub per_second: u64,
    pub phase: String,
}

impl Bar {
    /// In thousandths, where the end is known.
    pub fn permille(&self) -> Option<u64> {
        let done = self.done.min(self.total);
        (u128::from(done) * 1000)
            .checked_div(u128::from(self.total))
            .and_then(|part| u64::try_from(part).ok())
    }

    /// `[#########-----------]`, of so many characters.
    pub fn drawing(&self, width: usize) -> String {
        let inside = width.saturating_sub(2);
        let filled = self
            .permille()
            .map_or(0, |part| usize::try_from(part).unwrap_or(0) * inside / 1000);
        format!("[{}{}]", "#".repeat(filled), "-".repeat(inside - filled))
    }

    /// ` 45 %  1.2 of 2.3 GiB  120 MiB/s  0:09 left`
    pub fn numbers(&self) -> String {
        let mut words = Vec::new();
        if let Some(part) = self.permille() {
            words.push(format!("{:3} %", part / 10));
        }
        match (self.done, self.total) {
            (0, 0) => {}
            (done, 0) => words.push(bytes(done)),
            (done, total) => words.push(format!("{} of {}", bytes(done), bytes(total))),
        }
        if self.per_second > 0 {
            words.push(format!("{}/s", bytes(self.per_second)));
            if self.total > self.done {
                words.push(format!(
                    "{} left",
                    time((self.total - self.done) / self.per_second)
                ));
            }
        }
        words.join("  ")
    }
}

/// `1.2 GiB`
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut unit, mut tenths) = (0, u128::from(count) * 10);
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ if tenths >= 1000 => format!("{} {}", tenths / 10, UNITS[unit]),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

/// `1:02:03`
pub fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, "0 B")]
    #[test_case(1023, "1023 B")]
    #[test_case(1536, "1.5 KiB")]
    #[test_case(200 << 20, "200 MiB")]
    #[test_case(u64::MAX, "16777215 TiB"; "more than there is")]
    fn bytes_are_told_in_the_unit_that_fits(count: u64, text: &str) {
        assert_eq!(bytes(count), text);
    }

    fn bar(done: u64, total: u64, per_second: u64) -> Bar {
        Bar {
            done,
            total,
            per_second,
            phase: String::new(),
        }
    }

    #[test_case(&bar(0, 0, 0), "[--------]", ""; "nothing is known")]
    #[test_case(&bar(512, 1024, 128), "[####----]", " 50 %  512 B of 1.0 KiB  128 B/s  0:04 left"; "half")]
    #[test_case(&bar(9, 3, 0), "[########]", "100 %  9 B of 3 B"; "more than there should be")]
    #[test_case(&bar(u64::MAX, 0, 1), "[--------]", "16777215 TiB  1 B/s"; "without an end")]
    fn a_bar_is_drawn(bar: &Bar, drawing: &str, numbers: &str) {
        assert_eq!(
            (bar.drawing(10).as_str(), bar.numbers().as_str()),
            (drawing, numbers)
        );
    }
}
