//! Our own format: `apiVersion: dragonfly.computer/v1`, `kind: Template`.

use std::collections::BTreeMap;

use super::node::{Data, Node, TemplateError, Word};
use super::schema::{Kind, MAX_TIMEOUT};
use super::step::{self, Step};
use super::{API_VERSION, Format, MAX_ACTIONS, Parameter, Template, kind, quoted};
use crate::model::field::OsChoice;
use crate::model::{action::Action, nearest};

type Errors = Vec<TemplateError>;

/// As many parameters as a template may have.
const MAX_PARAMETERS: usize = 32;

pub(super) fn read(root: &Node, errors: &mut Errors) -> Option<Template> {
    let top = Fields::of(
        root,
        "the file",
        &["apiVersion", "kind", "metadata", "spec"],
        errors,
    )?;
    expect(&top, "apiVersion", API_VERSION, errors);
    expect(&top, "kind", "Template", errors);
    let (metadata, spec) = (
        top.required("metadata", errors),
        top.required("spec", errors),
    );
    let metadata = metadata.and_then(|node| Fields::of(node, "metadata", METADATA, errors));
    let spec = spec.and_then(|node| Fields::of(node, "spec", SPEC, errors));
    let (metadata, spec) = (metadata?, spec?);
    let name = metadata
        .required("name", errors)
        .and_then(|node| name(node, errors));
    let description = metadata.text("description", errors);
    let annotations = metadata.texts("annotations", errors);
    let version = spec.text("version", errors);
    let timeout_seconds = spec.number("timeout", MAX_TIMEOUT, errors);
    environment(&spec, errors);
    let parameters = spec.get("parameters").map(|node| parameters(node, errors));
    let parameters = parameters.unwrap_or_default();
    let steps = spec
        .required("actions", errors)
        .map(|node| steps(node, &parameters, errors));
    Some(Template {
        name: name?,
        description,
        annotations,
        version,
        timeout_seconds,
        format: Format::Dragonfly,
        parameters,
        steps: steps?,
    })
}

const METADATA: &[&str] = &[
    "name",
    "description",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "annotations",
    "creationTimestamp",
];
const SPEC: &[&str] = &["version", "timeout", "bootEnv", "parameters", "actions"];

fn expect(top: &Fields, key: &str, wanted: &str, errors: &mut Errors) {
    let Some(node) = top.required(key, errors) else {
        return;
    };
    if node.scalar().is_none_or(|scalar| scalar.text != wanted) {
        let message = format!("{key} has to be {wanted}, not {}", node.kind());
        errors.push(TemplateError::new(node.at, message));
    }
}

/// There is one boot environment; the words that others know are taken, and choose nothing.
fn environment(spec: &Fields, errors: &mut Errors) {
    let Some(node) = spec.get("bootEnv") else {
        return;
    };
    kind::read(Kind::Word(&["alpine", "debian"]), node, errors);
}

pub(super) fn name(node: &Node, errors: &mut Errors) -> Option<OsChoice> {
    let text = node.scalar().map_or("", |scalar| scalar.text.as_str());
    let wrong = |message: String| TemplateError::new(node.at, message);
    match text.parse::<OsChoice>() {
        Ok(name) if name.as_str() == text => Some(name),
        Ok(_) => {
            errors.push(wrong(format!(
                "the name {} has to be in lower case",
                quoted(text)
            )));
            None
        }
        Err(error) => {
            errors.push(wrong(format!(
                "the name is none: {}; a valid example: {}",
                error.reason, error.example
            )));
            None
        }
    }
}

fn parameters(node: &Node, errors: &mut Errors) -> Vec<Parameter> {
    let Data::Map(pairs) = &node.data else {
        let message = format!("parameters is a map of names, not {}", node.kind());
        errors.push(TemplateError::new(node.at, message));
        return Vec::new();
    };
    if pairs.len() > MAX_PARAMETERS {
        let message = format!(
            "{} parameters are too many, {MAX_PARAMETERS} is the limit",
            pairs.len()
        );
        errors.push(TemplateError::new(node.at, message));
    }
    pairs
        .iter()
        .filter_map(|(word, node)| parameter(word, node, errors))
        .collect()
}

fn parameter(word: &Word, node: &Node, errors: &mut Errors) -> Option<Parameter> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fine =
        word.text.starts_with(|c: char| c.is_ascii_lowercase()) && word.text.chars().all(letter);
    if !fine {
        let message = format!(
            "{} is no name of a parameter: a to z, digits and _",
            quoted(&word.text)
        );
        errors.push(TemplateError::new(word.at, message));
    }
    let mut parameter = Parameter {
        name: word.text.clone(),
        description: None,
        default: None,
    };
    if node.is_null() {
        return fine.then_some(parameter);
    }
    let fields = Fields::of(node, "the parameter", &["description", "default"], errors)?;
    parameter.description = fields.text("description", errors);
    parameter.default = fields.find("default").map(Node::value);
    fine.then_some(parameter)
}

pub(super) fn steps(node: &Node, parameters: &[Parameter], errors: &mut Errors) -> Vec<Step> {
    let Data::List(items) = &node.data else {
        let message = format!("actions is a list, not {}", node.kind());
        errors.push(TemplateError::new(node.at, message));
        return Vec::new();
    };
    if items.is_empty() {
        errors.push(TemplateError::new(
            node.at,
            "actions is empty: there is nothing to do",
        ));
    }
    if items.len() > MAX_ACTIONS {
        let message = format!(
            "{} actions are too many, {MAX_ACTIONS} is the limit",
            items.len()
        );
        errors.push(TemplateError::new(items[MAX_ACTIONS].at, message));
        return Vec::new();
    }
    let steps = items
        .iter()
        .filter_map(|item| step::read(item, parameters, errors));
    let steps: Vec<_> = steps.collect();
    let installer = steps.iter().find(|step| step.spec.name == "installer");
    if let Some(step) = installer.filter(|_| items.len() > 1) {
        let message = "the installer starts in the agent's place, so it can only be the only step";
        errors.push(TemplateError::new(step.at, message));
    }
    for pair in steps.windows(2) {
        if ends(&pair[0]) {
            let message = format!(
                "nothing is done behind '{}', with which the agent ends",
                pair[0].spec.name
            );
            errors.push(TemplateError::new(pair[1].at, message));
        }
    }
    steps
}

/// Whether the agent is gone after it, whatever the machine.
fn ends(step: &Step) -> bool {
    step.when.is_none() && Action::ENDING.contains(&step.spec.name)
}

/// A map whose keys are known.
pub(super) struct Fields<'a> {
    at: &'a Node,
    what: &'a str,
    pairs: &'a [(Word, Node)],
}

impl<'a> Fields<'a> {
    pub fn of(node: &'a Node, what: &'a str, known: &[&str], errors: &mut Errors) -> Option<Self> {
        let Data::Map(pairs) = &node.data else {
            let message = format!("{what} is a map, not {}", node.kind());
            errors.push(TemplateError::new(node.at, message));
            return None;
        };
        for (word, _) in pairs {
            if !known.contains(&word.text.as_str()) {
                let message = nearest::unknown(&format!("{what}: the key"), &word.text, known);
                errors.push(TemplateError::new(word.at, message));
            }
        }
        Some(Self {
            at: node,
            what,
            pairs,
        })
    }

    /// What is there, if only to say that it is nothing.
    pub fn find(&self, name: &str) -> Option<&'a Node> {
        let found = self.pairs.iter().find(|(word, _)| word.text == name);
        found.map(|(_, node)| node)
    }

    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.find(name).filter(|node| !node.is_null())
    }

    pub fn required(&self, name: &str, errors: &mut Errors) -> Option<&'a Node> {
        let found = self.get(name);
        if found.is_none() {
            let message = format!("{}: the key '{name}' is missing", self.what);
            errors.push(TemplateError::new(self.at.at, message));
        }
        found
    }

    /// A line of text without variables.
    pub fn text(&self, name: &str, errors: &mut Errors) -> Option<String> {
        let node = self.get(name)?;
        if node.scalar().is_none_or(super::node::Scalar::has_holes) {
            let message = format!("{name}: a fixed text is wanted, without variables");
            errors.push(TemplateError::new(node.at, message));
            return None;
        }
        let read = kind::read(Kind::Text, node, errors)?;
        read.as_str().map(str::to_owned)
    }

    /// A map of texts.
    pub fn texts(&self, name: &str, errors: &mut Errors) -> BTreeMap<String, String> {
        let Some(node) = self.get(name) else {
            return BTreeMap::new();
        };
        let Data::Map(pairs) = &node.data else {
            let message = format!("{name} is a map of texts, not {}", node.kind());
            errors.push(TemplateError::new(node.at, message));
            return BTreeMap::new();
        };
        let texts = pairs.iter().filter_map(|(word, node)| {
            let read = kind::read(Kind::Text, node, errors)?;
            Some((word.text.clone(), read.as_str()?.to_owned()))
        });
        texts.collect()
    }

    pub fn number(&self, name: &str, max: u64, errors: &mut Errors) -> Option<u64> {
        let node = self.get(name)?;
        let before = errors.len();
        let read = kind::read(Kind::Number(1, max), node, errors);
        for error in &mut errors[before..] {
            error.message = format!("{name}: {}", error.message);
        }
        read.and_then(|value| value.as_u64())
    }
}
