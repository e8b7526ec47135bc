//! What goes to standard output and error outside the log. A reader that has gone away is no error of ours.

use std::io::{IsTerminal, Write, stderr, stdout};

/// Prints one line, or several, on standard output.
pub(super) fn line(text: &str) {
    writeln!(stdout(), "{text}").ok();
}

/// Prints one line, or several, on standard error.
pub(super) fn error_line(text: &str) {
    writeln!(stderr(), "{text}").ok();
}

/// Prints the one object of a `--json` answer.
pub(super) fn json(kind: &str, data: &serde_json::Value) {
    line(&serde_json::json!({ "version": 1, "kind": kind, "data": data }).to_string());
}

/// Whether a person sees standard error.
pub(super) fn person_watches() -> bool {
    stderr().is_terminal()
}

/// Whether colours are welcome there.
pub(super) fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    person_watches() && !refused
}

/// Rows in columns, each as wide as its widest cell.
pub(super) fn table(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    let lines = rows
        .iter()
        .map(|[a, b, c]| format!("{a:first$}  {b:second$}  {c}"));
    lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
