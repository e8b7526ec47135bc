//! A YAML document as a tree in which every value knows where it stands.

use std::fmt;

use serde_json::Value;

use super::expression::Hole;

/// A place in a text, line and column counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub line: usize,
    pub column: usize,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct TemplateError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(at: Spot, message: impl Into<String>) -> Self {
        Self {
            line: at.line,
            column: at.column,
            message: message.into(),
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub at: Spot,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Word, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub at: Spot,
    pub text: String,
}

/// A single value as it was written. What it means is for those who know what is wanted: `0644` is a mode or a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub text: String,
    /// Without quotes, so that it may be a number, a truth value or nothing.
    pub plain: bool,
    /// The parts of a text with variables in it; empty where there are none.
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Hole(Hole),
}

impl Scalar {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            plain: false,
            parts: Vec::new(),
        }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            plain: true,
            ..Self::text(text)
        }
    }

    pub fn has_holes(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The variable that it is made of alone, spaces around it aside.
    pub fn whole(&self) -> Option<&Hole> {
        let mut found = None;
        for part in &self.parts {
            match part {
                Part::Text(text) if text.trim().is_empty() => {}
                Part::Hole(hole) if found.is_none() => found = Some(hole),
                _ => return None,
            }
        }
        found
    }

    /// Whether it says that there is nothing.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Its meaning by YAML's core schema.
    pub fn value(&self) -> Value {
        if !self.plain {
            return Value::from(self.text.as_str());
        }
        if self.is_null() {
            return Value::Null;
        }
        match self.text.as_str() {
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        number(&self.text).unwrap_or_else(|| Value::from(self.text.as_str()))
    }
}

/// Decimal numbers as JSON writes them; a leading zero is no number, so that modes stay what they are.
fn number(text: &str) -> Option<Value> {
    let found: serde_json::Number = serde_json::from_str(text).ok()?;
    Some(Value::Number(found))
}

impl Node {
    pub fn new(at: Spot, data: Data) -> Self {
        Self { at, data }
    }

    pub fn text(at: Spot, text: impl Into<String>) -> Self {
        Self::new(at, Data::Scalar(Scalar::text(text)))
    }

    pub fn list(at: Spot, items: Vec<Self>) -> Self {
        Self::new(at, Data::List(items))
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(scalar) if !scalar.has_holes() && scalar.is_null())
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// A value that came from a variable: all of it stands where the variable stood.
    pub fn of(at: Spot, value: &Value) -> Self {
        let data = match value {
            Value::Null => Data::Scalar(Scalar::plain("null")),
            Value::Bool(value) => Data::Scalar(Scalar::plain(value.to_string())),
            Value::Number(number) => Data::Scalar(Scalar::plain(number.to_string())),
            Value::String(text) => Data::Scalar(Scalar::text(text)),
            Value::Array(items) => {
                Data::List(items.iter().map(|item| Self::of(at, item)).collect())
            }
            Value::Object(map) => {
                let pairs = map.iter().map(|(key, value)| {
                    let text = key.clone();
                    (Word { at, text }, Self::of(at, value))
                });
                Data::Map(pairs.collect())
            }
        };
        Self::new(at, data)
    }

    /// Its meaning by YAML's core schema.
    pub fn value(&self) -> Value {
        match &self.data {
            Data::Scalar(scalar) => scalar.value(),
            Data::List(items) => items.iter().map(Self::value).collect(),
            Data::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.value()));
                Value::Object(pairs.collect())
            }
        }
    }

    /// What it is, for an error.
    pub fn kind(&self) -> Shape<'_> {
        Shape(self)
    }
}

/// A value in the words of an error: `the text 'abc'`, `a list`.
pub(super) struct Shape<'a>(&'a Node);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.data {
            Data::List(_) => f.write_str("a list"),
            Data::Map(_) => f.write_str("a map"),
            Data::Scalar(scalar) => match scalar.value() {
                Value::Null => f.write_str("nothing"),
                _ => f.write_str(&crate::model::field::quoted(&scalar.text)),
            },
        }
    }
}
