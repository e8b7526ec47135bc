//! What went wrong, as a person, a script and a program are told of it.
//!
//! The daemon's own problems pass through unchanged; what happens before it is reached, or without it, takes
//! the same shape. The exit code follows from the sort of problem.

use std::fmt::Write;

use serde_json::{Value, json};

use super::out::text::clean;
use crate::api::{Code, Problem};

/// Why a command did not do what was asked.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The daemon said no.
    Refused(Box<Problem>),
    /// It never came to that.
    Here(Box<Here>),
    /// All was said already; only the exit code is left.
    Told(u8),
    /// Whoever read our output has gone.
    Closed,
}

/// A problem on this side of the wire.
#[derive(Clone, Debug)]
pub struct Here {
    pub sort: Sort,
    pub detail: String,
    pub field: Option<String>,
    pub example: Option<String>,
    pub hint: Option<String>,
}

/// The sorts of problem on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Usage,
    Forbidden,
    Missing,
    Unconfirmed,
    /// The daemon is not there, or too slow.
    Unavailable,
    /// Somebody else answers there, or a Dragonfly that we do not understand.
    Foreign,
    /// This machine's files or terminal.
    Failed,
}

pub const OK: u8 = 0;
pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;

impl Failure {
    pub fn new(sort: Sort, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Here(Box::new(Here {
            sort,
            detail,
            field: None,
            example: None,
            hint: None,
        }))
    }

    pub fn usage(detail: impl Into<String>) -> Self {
        Self::new(Sort::Usage, detail)
    }

    /// What to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Here(here) = &mut self {
            here.hint = Some(hint.into());
        }
        self
    }

    /// The field at fault, with a value that it would have taken.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, example: impl Into<String>) -> Self {
        if let Self::Here(here) = &mut self {
            here.field = Some(field.into());
            here.example = Some(example.into());
        }
        self
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(problem) => exit_of(problem.code),
            Self::Here(here) => here.sort.exit_code(),
            Self::Told(code) => *code,
            Self::Closed => OK,
        }
    }

    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same call may go well in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.retryable,
            Self::Here(here) => here.sort == Sort::Unavailable,
            Self::Told(_) | Self::Closed => false,
        }
    }

    /// For people: what was wrong, then what to do about it, one line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Refused(problem) => refused_lines(problem),
            Self::Here(here) => here.lines(),
            Self::Told(_) | Self::Closed => Vec::new(),
        }
    }

    /// For programs.
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Refused(problem) => serde_json::to_value(problem).ok(),
            Self::Here(here) => Some(here.json()),
            Self::Told(_) | Self::Closed => None,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::new(Sort::Failed, format!("output cannot be written: {error}"))
    }
}

/// Which exit code a problem of the daemon leads to.
pub const fn exit_of(code: Code) -> u8 {
    match code {
        Code::Invalid | Code::TooLarge => 2,
        Code::Forbidden => 3,
        Code::NotFound => 4,
        Code::Ambiguous | Code::Conflict | Code::Locked | Code::Unconfirmed | Code::KeyReused => 5,
        Code::Unavailable => 6,
        Code::Internal => 7,
        Code::Gone | Code::Unsupported => 1,
    }
}

impl Sort {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => USAGE,
            Self::Forbidden => 3,
            Self::Missing => 4,
            Self::Unconfirmed => 5,
            Self::Unavailable => 6,
            Self::Foreign | Self::Failed => FAILED,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Usage => "invalid",
            Self::Forbidden => "forbidden",
            Self::Missing => "not_found",
            Self::Unconfirmed => "unconfirmed",
            Self::Unavailable => "unavailable",
            Self::Foreign => "foreign",
            Self::Failed => "failed",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Usage => "It was asked in a way that is not understood",
            Self::Forbidden => "This is not allowed",
            Self::Missing => "There is no such thing here",
            Self::Unconfirmed => "This needs a confirmation",
            Self::Unavailable => "Dragonfly does not answer",
            Self::Foreign => "What answers is not understood",
            Self::Failed => "It could not be done here",
        }
    }
}

impl Here {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![clean(&self.detail).into_owned()];
        lines.extend(
            self.example
                .as_ref()
                .map(|text| format!("a valid example: {}", clean(text))),
        );
        lines.extend(self.hint.as_ref().map(|text| clean(text).into_owned()));
        lines
    }

    fn json(&self) -> Value {
        let mut told = json!({
            "type": format!("urn:dragonfly:problem:{}", self.sort.name()),
            "title": self.sort.title(),
            "detail": self.detail,
            "code": self.sort.name(),
            "retryable": self.sort == Sort::Unavailable,
        });
        let more = [
            ("field", &self.field),
            ("example", &self.example),
            ("hint", &self.hint),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                told[key] = json!(value);
            }
        }
        told
    }
}

fn refused_lines(problem: &Problem) -> Vec<String> {
    let mut lines = vec![clean(&problem.detail).into_owned()];
    let mut say = |text: String| lines.push(text);
    if let Some(example) = &problem.example {
        say(format!("a valid example: {}", clean(example)));
    }
    for candidate in &problem.candidates {
        say(format!("could be: {}", clean(candidate)));
    }
    if let Some(version) = problem.current_version
        && !problem.detail.contains(&version.to_string())
    {
        say(format!("it stands at version {version} now"));
    }
    if let Some(hint) = hint_for_people(problem) {
        say(hint);
    }
    if problem.code == Code::Internal && !problem.request_id.is_empty() {
        let mut line = String::from("request ");
        let _ = write!(line, "{}", clean(&problem.request_id));
        say(line);
    }
    lines
}

/// The API's own words, but where they speak of its query string.
fn hint_for_people(problem: &Problem) -> Option<String> {
    match problem.code {
        Code::Unconfirmed => Some("add --confirm when you mean it".into()),
        _ => problem.hint.as_ref().map(|hint| clean(hint).into_owned()),
    }
}
