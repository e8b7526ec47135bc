//! The query string: each route lists what it takes, and what it does not list is refused by name.
//!
//! The same list makes the checks here and the parameters of the OpenAPI document.

use axum::extract::Query;
use axum::http::Uri;

use super::nearest;
use super::problem::Fault;
use crate::api::Code;

/// One parameter of a query string.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub about: &'static str,
    pub example: &'static str,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text of one character up to so many.
    Text(usize),
    /// The same, and it may be given more than once.
    Texts(usize),
    /// `true` or `false`.
    Flag,
    /// A whole number from, to, and the one that is taken when none is given.
    Number(u32, u32, u32),
    /// One of these words; the first is taken when none is given.
    Word(&'static [&'static str]),
}

/// The parameters of one request, checked against its route.
#[derive(Clone, Debug, Default)]
pub struct Params {
    given: Vec<(&'static Param, String)>,
}

impl Params {
    /// Reads the query string, or says which parameter is wrong and why.
    pub fn read(uri: &Uri, known: &[&'static Param]) -> Result<Self, Fault> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            Fault::new(Code::Invalid, "the query string cannot be read")
                .hint("write it as name=value&name=value, other characters as %XX")
        })?;
        let mut given: Vec<(&'static Param, String)> = Vec::new();
        for (name, value) in pairs.0 {
            let Some(param) = known.iter().find(|param| param.name == name) else {
                return Err(unknown(&name, known));
            };
            let twice = given.iter().any(|(other, _)| other.name == param.name);
            if twice && !matches!(param.kind, Kind::Texts(_)) {
                return Err(Fault::field(param.name, "it is given twice", param.example));
            }
            param.check(&value)?;
            given.push((param, value));
        }
        Ok(Self { given })
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(param, _)| param.name == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be given more than once.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self
            .given
            .iter()
            .filter(move |(param, _)| param.name == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }

    /// The number that was given, or the parameter's own default.
    pub fn number(&self, param: &Param) -> u32 {
        let default = match param.kind {
            Kind::Number(.., default) => default,
            _ => 0,
        };
        self.text(param.name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }
}

impl Param {
    fn check(&self, value: &str) -> Result<(), Fault> {
        let wrong = |reason: String| Err(Fault::field(self.name, reason, self.example));
        let length = value.chars().count();
        match self.kind {
            Kind::Text(_) | Kind::Texts(_) if length == 0 => {
                wrong("it is empty; leave it out instead".into())
            }
            Kind::Text(max) | Kind::Texts(max) if length > max => wrong(format!(
                "{length} characters are too many, {max} is the limit"
            )),
            Kind::Flag if value != "true" && value != "false" => {
                wrong(format!("'{}' is neither true nor false", shown(value)))
            }
            Kind::Number(low, high, _)
                if !plain_number(value).is_some_and(|n| (low..=high).contains(&n)) =>
            {
                wrong(format!(
                    "'{}' is not a whole number from {low} to {high}",
                    shown(value)
                ))
            }
            Kind::Word(words) if !words.contains(&value) => {
                wrong(nearest::unknown("the word", value, words))
            }
            _ => Ok(()),
        }
    }
}

/// Digits alone: no sign, no spaces.
fn plain_number(value: &str) -> Option<u32> {
    let plain = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| plain)
}

fn unknown(name: &str, known: &[&'static Param]) -> Fault {
    let names: Vec<_> = known.iter().map(|param| param.name).collect();
    let example = known.first().map_or_else(
        || "no parameters at all".into(),
        |param| format!("{}={}", param.name, param.example),
    );
    Fault::field(
        shown(name),
        nearest::unknown("the parameter", name, &names),
        example,
    )
}

/// What came from the wire, made fit for a sentence.
pub fn shown(text: &str) -> String {
    text.chars()
        .take(80)
        .flat_map(char::escape_default)
        .collect()
}
