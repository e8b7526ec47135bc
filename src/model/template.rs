//! Templates: what is done to a machine, step by step, written by a person, with variables in it.
//!
//! [`Template::parse`] reads a file strictly and tells all that is wrong with it, each with its place.
//! [`Template::render`] puts typed values into the tree that was read, never into a text that is read again, and makes
//! [`Action`]s of it. So whatever a value holds (a machine tells its own serial number), it stays that value.
//!
//! Two formats are read: our own (`apiVersion: dragonfly.computer/v1`), and Tinkerbell's, whose actions become ours.

mod condition;
mod document;
mod emit;
mod expression;
mod holes;
mod kind;
mod mask;
mod names;
mod node;
mod place;
mod render;
pub mod schema;
mod step;
#[cfg(test)]
mod tests;
mod tinkerbell;
mod yaml;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Action;
use super::field::{OsChoice, quoted};

pub use names::{Known, VARIABLES, page as page_of_variables, variables};
pub use node::{Spot, TemplateError};
pub use render::RenderError;

use expression::Dialect;
use step::Step;

/// As many bytes as a template's file may have.
pub const MAX_BYTES: usize = 256 * 1024;
/// As many actions as a template may have.
pub const MAX_ACTIONS: usize = 100;
/// As many errors as are told at once.
pub const MAX_ERRORS: usize = 50;
/// What our own format calls itself.
pub const API_VERSION: &str = "dragonfly.computer/v1";

/// A template that was read, and is right as far as can be told without a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub name: OsChoice,
    pub description: Option<String>,
    /// What else its author says of it, such as where its image's checksums are signed.
    pub annotations: BTreeMap<String, String>,
    pub version: Option<String>,
    /// Seconds that the whole of it may take.
    pub timeout_seconds: Option<u64>,
    pub format: Format,
    pub parameters: Vec<Parameter>,
    steps: Vec<Step>,
}

/// How a template's file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Dragonfly,
    Tinkerbell,
}

/// A value that a person gives when the template is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub description: Option<String>,
    /// What it is where nobody gives it; without, it has to be given.
    pub default: Option<Value>,
}

/// A template of a person's own, as it was written. It was read before it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFile {
    pub name: OsChoice,
    pub source: String,
}

/// One step with every value known.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedStep {
    pub name: String,
    pub action: Action,
    pub timeout_seconds: u64,
}

impl Template {
    /// The template in `text`, or all that is wrong with it in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        let template = match kind_of(text) {
            Written::Own => {
                let root = yaml::read(text, Dialect::Own, &mut errors);
                root.and_then(|root| document::read(&root, &mut errors))
            }
            Written::Tinkerbell => {
                let root = yaml::read(text, Dialect::Go, &mut errors);
                root.and_then(|root| tinkerbell::read(&root, &mut errors))
            }
            Written::Object => {
                let root = yaml::read(text, Dialect::None, &mut errors);
                root.and_then(|root| tinkerbell::read_object(&root, &mut errors))
            }
        };
        errors.sort();
        errors.dedup();
        errors.truncate(MAX_ERRORS);
        match template {
            Some(template) if errors.is_empty() => Ok(template),
            _ => Err(errors),
        }
    }

    /// Its steps with the values of `variables` in them; those are left out whose condition does not hold. See
    /// [`variables`] for what there is.
    pub fn render(&self, variables: &Value) -> Result<Vec<RenderedStep>, RenderError> {
        render::render(self, variables)
    }

    /// The names and actions of its steps, as they stand in it.
    pub fn outline(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.steps
            .iter()
            .map(|step| (step.name.as_str(), step.spec.name))
    }
}

/// Which of the formats a text is in, told without reading it.
enum Written {
    Own,
    Tinkerbell,
    /// Tinkerbell's, inside an object of Kubernetes.
    Object,
}

fn kind_of(text: &str) -> Written {
    let value = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))
    };
    let theirs = |api: &str| {
        let api = api.trim().trim_matches(['"', '\'']);
        api.starts_with("tinkerbell.org/")
    };
    match value("apiVersion") {
        Some(api) if theirs(api) => Written::Object,
        None if value("tasks").is_some() || value("global_timeout").is_some() => {
            Written::Tinkerbell
        }
        _ => Written::Own,
    }
}
