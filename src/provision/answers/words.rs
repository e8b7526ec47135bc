//! Words of a template, and the quoting of each language.

use super::{AnswersError, Questions};

/// A word that a template gave, where it can mean nothing else.
fn word(
    questions: &Questions<'_>,
    what: &'static str,
    word: &str,
    letter: fn(u8) -> bool,
) -> Result<String, AnswersError> {
    let first = word.bytes().next().is_some_and(|b| b != b'-');
    if first && word.len() <= 255 && word.bytes().all(letter) {
        return Ok(word.to_owned());
    }
    Err(AnswersError::Word {
        kind: questions.installer.answers.name(),
        what,
        word: word.chars().take(64).flat_map(char::escape_debug).collect(),
        why: "it is more than one plain word",
    })
}

/// The template's packages, after those that `needed` names.
pub(super) fn packages(
    questions: &Questions<'_>,
    needed: &[&str],
) -> Result<Vec<String>, AnswersError> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"+.-_@^".contains(&b);
    let mut all: Vec<String> = needed.iter().map(|&name| name.to_owned()).collect();
    for name in questions.installer.packages.split_ascii_whitespace() {
        let name = word(questions, "package", name, letter)?;
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

pub(super) fn suite(questions: &Questions<'_>) -> Result<Option<String>, AnswersError> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
    let suite = questions.installer.suite.as_deref();
    suite
        .map(|name| word(questions, "suite", name, letter))
        .transpose()
}

/// A URL whose characters mean nothing to a shell, to `shlex` or to a line of preseed.
pub(super) fn source(questions: &Questions<'_>) -> Result<Option<String>, AnswersError> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!+,=%&".contains(&b);
    let source = questions.installer.source.as_deref();
    source
        .map(|url| word(questions, "source", url, letter))
        .transpose()
}

pub(super) fn device(questions: &Questions<'_>, path: &str) -> Result<String, AnswersError> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"/._:+-".contains(&b);
    word(questions, "disk", path, letter)
}

/// In single quotes, where a POSIX shell reads nothing (POSIX.1-2024, XCU 2.2.2).
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// In double quotes, as Python's `shlex` reads them: there a backslash escapes itself and a quote.
pub(super) fn shlex(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// Between two tags. What XML 1.0 (2.2) has no character for becomes the sign for that.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
