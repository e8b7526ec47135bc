//! The log: lines for people, or JSON, on standard error.
//!
//! Field values may hold what came over the wire. In lines for people, every control character in them is
//! written as an escape, so that nobody forges a line or speaks to a terminal; JSON does so by itself.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::core::config::{LogConfig, LogFormat};
use crate::core::{Clock, SystemClock};

/// Starts the log. A second start in the same process changes nothing.
pub(super) fn start(config: &LogConfig) {
    let registry = tracing_subscriber::registry().with(targets(&config.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .with_timer(Now)
                    .flatten_event(true)
                    .with_current_span(false),
            )
            .try_init(),
        LogFormat::Text => {
            let colours = super::print::colours();
            registry
                .with(lines.event_format(Lines { colours }))
                .try_init()
        }
    };
    drop(started);
}

/// What the configured words let through; libraries speak up only when something is wrong.
fn targets(level: &str) -> Targets {
    let parts = level
        .split(',')
        .map(str::trim)
        .map(|part| match part.split_once('=') {
            Some(_) => part.to_owned(),
            None => format!("dragonfly={part}"),
        });
    let all = ["warn".to_owned()]
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>();
    all.join(",")
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(Level::INFO))
}

/// The clock of the core, as the log wants it.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", SystemClock.now())
    }
}

/// `2026-11-21T08:00:00.000Z  INFO store opened path=/var/lib/dragonfly/store.dragonfly`
struct Lines {
    colours: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut w: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let level = event.metadata().level();
        let (dim, bold, end) = if self.colours {
            ("\x1b[2m", colour(*level), "\x1b[0m")
        } else {
            ("", "", "")
        };
        write!(w, "{dim}")?;
        Now.format_time(&mut w)?;
        write!(w, "{end} {bold}{level:>5}{end} {}", words.message)?;
        for (name, value) in &words.fields {
            write!(w, " {dim}{name}={end}{value}")?;
        }
        writeln!(w)
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[1;31m",
        Level::WARN => "\x1b[1;33m",
        Level::INFO => "\x1b[1;32m",
        _ => "\x1b[1;34m",
    }
}

/// One event's message and fields, made harmless.
#[derive(Default)]
struct Words {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Words {
    fn take(&mut self, field: &Field, text: &str) {
        let harmless = escaped(text);
        if field.name() == "message" {
            self.message = harmless;
        } else if harmless.is_empty() || harmless.contains(' ') {
            self.fields.push((field.name(), format!("\"{harmless}\"")));
        } else {
            self.fields.push((field.name(), harmless));
        }
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format!("{value:?}"));
    }
}

fn escaped(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        // Beside the controls, what turns the direction of writing or hides itself.
        let odd = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if odd {
            write!(harmless, "{}", c.escape_default()).ok();
        } else {
            harmless.push(c);
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_over_the_wire_forges_no_line_and_speaks_to_no_terminal() {
        assert_eq!(
            escaped("a\nERROR b\x1b[2J\u{202e}ü"),
            r"a\nERROR b\u{1b}[2J\u{202e}ü"
        );
    }

    #[test]
    fn levels_are_ours_and_libraries_stay_quiet() {
        let all = targets("info,dragonfly::store=debug");
        assert!(all.would_enable("dragonfly::daemon", &Level::INFO));
        assert!(!all.would_enable("dragonfly::daemon", &Level::DEBUG));
        assert!(all.would_enable("dragonfly::store::redb", &Level::DEBUG));
        assert!(!all.would_enable("hyper", &Level::INFO));
    }
}
