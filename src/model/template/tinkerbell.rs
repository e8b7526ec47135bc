//! Tinkerbell's format, whose actions become ours: `version: "0.1"`, tasks, and actions named by container images.
//!
//! No container is run. An action is told by the last word of its image's path, and its environment is read as the
//! original reads it. What we cannot do is an error that says so, never a step that is left out.

mod actions;
mod disk;
pub(super) mod placeholder;

use std::collections::BTreeMap;

use super::document::{Fields, name, steps};
use super::expression::{Dialect, Operand};
use super::node::{Data, Node, Spot, TemplateError, Word};
use super::schema::MAX_TIMEOUT;
use super::{Format, Template, yaml};

type Errors = Vec<TemplateError>;

/// A template inside an object of Kubernetes: its `spec.data` is a text.
pub(super) fn read_object(root: &Node, errors: &mut Errors) -> Option<Template> {
    const TOP: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
    const METADATA: &[&str] = &["name", "namespace", "labels", "annotations"];
    let top = Fields::of(root, "the file", TOP, errors)?;
    let kind = top.required("kind", errors)?;
    if kind.scalar().is_none_or(|scalar| scalar.text != "Template") {
        let message = format!("kind has to be Template, not {}", kind.kind());
        errors.push(TemplateError::new(kind.at, message));
        return None;
    }
    let metadata = top.required("metadata", errors)?;
    let metadata = Fields::of(metadata, "metadata", METADATA, errors)?;
    let object = metadata
        .required("name", errors)
        .and_then(|node| name(node, errors));
    let spec = top.required("spec", errors)?;
    let spec = Fields::of(spec, "spec", &["data"], errors)?;
    let data = spec.required("data", errors)?;
    let text = data.scalar().map_or("", |scalar| scalar.text.as_str());
    let mut inside = Errors::new();
    let read = yaml::read(text, Dialect::Go, &mut inside);
    let template = read.and_then(|root| self::read(&root, &mut inside));
    // A text in a block stands at its first line.
    errors.extend(inside.into_iter().map(|error| TemplateError {
        line: error.line + data.at.line - 1,
        message: format!("in spec.data: {}", error.message),
        ..error
    }));
    template.map(|template| Template {
        name: object.unwrap_or(template.name),
        ..template
    })
}

pub(super) fn read(root: &Node, errors: &mut Errors) -> Option<Template> {
    const TOP: &[&str] = &["version", "name", "id", "global_timeout", "tasks"];
    let top = Fields::of(root, "the file", TOP, errors)?;
    if let Some(version) = top.required("version", errors)
        && version.scalar().is_none_or(|scalar| scalar.text != "0.1")
    {
        let message = format!("version has to be \"0.1\", not {}", version.kind());
        errors.push(TemplateError::new(version.at, message));
    }
    let name = top
        .required("name", errors)
        .and_then(|node| name(node, errors));
    let timeout_seconds = top.number("global_timeout", MAX_TIMEOUT, errors);
    let tasks = top.required("tasks", errors)?;
    let Data::List(items) = &tasks.data else {
        let message = format!("tasks is a list, not {}", tasks.kind());
        errors.push(TemplateError::new(tasks.at, message));
        return None;
    };
    let before = errors.len();
    let made: Vec<_> = items.iter().flat_map(|item| task(item, errors)).collect();
    if errors.len() > before {
        return None;
    }
    let steps = steps(&Node::list(tasks.at, made), &[], errors);
    Some(Template {
        name: name?,
        description: None,
        annotations: BTreeMap::new(),
        version: Some("0.1".into()),
        timeout_seconds,
        format: Format::Tinkerbell,
        parameters: Vec::new(),
        steps,
    })
}

/// The actions of one task, as ours.
fn task(node: &Node, errors: &mut Errors) -> Vec<Node> {
    const KEYS: &[&str] = &["name", "worker", "volumes", "environment", "actions"];
    let Some(fields) = Fields::of(node, "the task", KEYS, errors) else {
        return Vec::new();
    };
    if let Some(worker) = fields.required("worker", errors) {
        let hole = worker.scalar().and_then(|scalar| scalar.whole());
        if !hole.is_some_and(|hole| matches!(hole.operand, Operand::Name(_))) {
            let message = "worker has to be {{.device_1}}: which machine it is, is said when the template is used";
            errors.push(TemplateError::new(worker.at, message));
        }
    }
    let shared = fields
        .get("environment")
        .map(|node| pairs(node, "environment", errors));
    let shared = shared.unwrap_or_default();
    let Some(list) = fields.required("actions", errors) else {
        return Vec::new();
    };
    let Data::List(items) = &list.data else {
        let message = format!("actions is a list, not {}", list.kind());
        errors.push(TemplateError::new(list.at, message));
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| action(item, shared, errors))
        .collect()
}

fn pairs<'a>(node: &'a Node, what: &str, errors: &mut Errors) -> &'a [(Word, Node)] {
    if let Data::Map(pairs) = &node.data {
        return pairs;
    }
    let message = format!("{what} is a map, not {}", node.kind());
    errors.push(TemplateError::new(node.at, message));
    &[]
}

fn action(node: &Node, shared: &[(Word, Node)], errors: &mut Errors) -> Option<Node> {
    const KEYS: &[&str] = &[
        "name",
        "image",
        "timeout",
        "command",
        "volumes",
        "environment",
        "namespaces",
        "pid",
        "on-timeout",
        "on-failure",
    ];
    let fields = Fields::of(node, "the action", KEYS, errors)?;
    let image = fields.required("image", errors)?;
    let own = fields
        .get("environment")
        .map(|node| pairs(node, "environment", errors));
    let mut environment = own.unwrap_or_default().to_vec();
    for (word, value) in shared {
        if !environment.iter().any(|(own, _)| own.text == word.text) {
            environment.push((word.clone(), value.clone()));
        }
    }
    let asked = actions::Asked {
        at: node.at,
        image,
        command: fields.get("command"),
        environment,
        shared,
    };
    let mut made = asked.ours(errors)?;
    for key in ["name", "timeout"] {
        if let Some(value) = fields.get(key) {
            made.push((word(value.at, key), value.clone()));
        }
    }
    Some(Node::new(node.at, Data::Map(made)))
}

fn word(at: Spot, text: &str) -> Word {
    let text = text.to_owned();
    Word { at, text }
}
