//! Times as people say them. In JSON they stay as they came.

use jiff::Timestamp;

use super::text::clean;

/// `3 min ago`, or the date when it is longer ago than a month; what is no time is shown as it came.
pub fn ago(now: Timestamp, at: &str) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => relative(now, at),
        Err(_) => clean(at).into_owned(),
    }
}

/// The same, with the moment itself beside it.
pub fn both(now: Timestamp, at: &str) -> String {
    match at.parse::<Timestamp>() {
        Ok(moment) => format!("{} ({})", relative(now, moment), exact(moment)),
        Err(_) => clean(at).into_owned(),
    }
}

/// `2026-11-21 12:00:00Z`
pub fn exact(at: Timestamp) -> String {
    let text = Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string();
    text.replace('T', " ")
}

/// The time of day alone for today's events, the date and time for others.
pub fn clock(now: Timestamp, at: &str) -> String {
    let Ok(moment) = at.parse::<Timestamp>() else {
        return clean(at).into_owned();
    };
    let (text, today) = (exact(moment), exact(now));
    if text.get(..10) == today.get(..10) {
        text[11..].to_owned()
    } else {
        text
    }
}

/// `4 h 12 min`
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn relative(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let (past, seconds) = (seconds >= 0, seconds.abs());
    let amount = match seconds {
        0..2 => return "just now".into(),
        2..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..2_678_400 => format!("{} d", seconds / 86_400),
        _ => return exact(at)[..10].to_owned(),
    };
    if past {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("2026-11-21T12:00:00Z", "just now")]
    #[test_case("2026-11-21T11:59:48.5Z", "12 s ago")]
    #[test_case("2026-11-21T11:57:00Z", "3 min ago")]
    #[test_case("2026-11-21T10:00:00Z", "2 h ago")]
    #[test_case("2026-11-16T10:00:00Z", "5 d ago")]
    #[test_case("2025-01-02T10:00:00Z", "2025-01-02")]
    #[test_case("2026-11-21T12:03:00Z", "in 3 min"; "another clock is ahead")]
    #[test_case("yester\u{1b}day", "yester\\u{1b}day"; "no time at all")]
    fn a_moment_is_told_by_its_distance(at: &str, shown: &str) {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(ago(now, at), shown);
    }
}
