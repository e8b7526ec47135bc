//! Values are put into the tree of a template, and actions are made of it.

use serde_json::{Map, Value};

use super::emit;
use super::expression::{Filter, Form, Hole, Operand};
use super::holes::{self, Rule};
use super::node::{Node, Part, Scalar, Spot, TemplateError};
use super::step::{Step, TOLD_TWICE};
use super::{RenderedStep, Template, kind, names};
use crate::model::action::Action;

/// Why a template did not fit a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {template}, line {line}, step '{step}': {message}")]
pub struct RenderError {
    pub template: String,
    pub line: usize,
    pub column: usize,
    pub step: String,
    pub message: String,
}

pub(super) fn render(
    template: &Template,
    variables: &Value,
) -> Result<Vec<RenderedStep>, RenderError> {
    let variables = with_parameters(template, variables)?;
    let mut steps = Vec::new();
    for step in &template.steps {
        let value = |name: &[String]| names::find(name, &variables).cloned().unwrap_or_default();
        if step.when.as_ref().is_some_and(|when| !when.holds(&value)) {
            continue;
        }
        let action = action(step, &variables).map_err(|error| failed(template, step, error))?;
        let timeout = step.timeout.unwrap_or_else(|| action.default_timeout());
        steps.push(RenderedStep {
            name: step.name.clone(),
            action,
            timeout_seconds: timeout,
        });
    }
    Ok(steps)
}

fn failed(template: &Template, step: &Step, error: TemplateError) -> RenderError {
    RenderError {
        template: template.name.to_string(),
        line: error.line,
        column: error.column,
        step: step.name.clone(),
        message: error.message,
    }
}

/// Parameters that nobody gave take their default; one without has to be given, and only known ones are taken.
fn with_parameters(template: &Template, variables: &Value) -> Result<Value, RenderError> {
    let mut variables = variables.clone();
    let wrong = |message: String| RenderError {
        template: template.name.to_string(),
        line: 1,
        column: 1,
        step: "parameters".into(),
        message,
    };
    let mut params = match variables.get_mut("params").map(Value::take) {
        Some(Value::Object(given)) => given,
        _ => Map::new(),
    };
    let known: Vec<_> = template
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    if let Some(other) = params.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(crate::model::nearest::unknown(
            "the parameter",
            other,
            &known,
        )));
    }
    for parameter in &template.parameters {
        if params.contains_key(&parameter.name) {
            continue;
        }
        let Some(default) = &parameter.default else {
            let about = parameter
                .description
                .as_ref()
                .map(|text| format!(" ({text})"));
            return Err(wrong(format!(
                "the parameter '{}'{} has to be given",
                parameter.name,
                about.unwrap_or_default()
            )));
        };
        params.insert(parameter.name.clone(), default.clone());
    }
    if let Value::Object(all) = &mut variables {
        all.insert("params".into(), Value::Object(params));
    }
    Ok(variables)
}

fn action(step: &Step, variables: &Value) -> Result<Action, TemplateError> {
    let mut errors = Vec::new();
    let mut body = Vec::new();
    for (word, node) in &step.body {
        let Some(key) = step.spec.key(&word.text) else {
            continue;
        };
        let filled = holes::fill(key.kind, node, &mut |scalar, at, rule| match fill(
            scalar, at, rule, variables,
        ) {
            Ok(node) => Some(node),
            Err(error) => {
                errors.push(error);
                None
            }
        });
        body.push((word.clone(), filled));
    }
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let mut errors = Vec::new();
    let read = kind::fields(&body, step.spec.keys, "the key", &mut errors);
    let Some(mut fields) = read else {
        let first = errors.into_iter().next();
        return Err(first.unwrap_or_else(|| TemplateError::new(step.at, "a value does not fit")));
    };
    let wanted = step.spec.keys.iter().filter(|key| key.required);
    if let Some(key) = wanted
        .into_iter()
        .find(|key| !fields.contains_key(key.field))
    {
        let message = format!("the key '{}' has no value here", key.name);
        return Err(TemplateError::new(step.at, message));
    }
    if fields.contains_key("checksum") && fields.contains_key("checksums") {
        return Err(TemplateError::new(step.at, TOLD_TWICE));
    }
    fields.insert("action".into(), step.spec.name.into());
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| TemplateError::new(step.at, error.to_string()))
}

fn fill(scalar: &Scalar, at: Spot, rule: Rule, variables: &Value) -> Result<Node, TemplateError> {
    if matches!(rule, Rule::Value | Rule::Url | Rule::Words)
        && let Some(hole) = scalar.whole()
    {
        let value = value(hole, variables)?;
        return Ok(Node::of(hole.at, &value));
    }
    let mut text = String::new();
    for part in &scalar.parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Hole(hole) => {
                let value = value(hole, variables)?;
                let put = put(hole, &value)?;
                if rule == Rule::Words && put.contains(|c: char| c.is_whitespace() || c == '"') {
                    let message = "the value has a space or quotes in it, and would be more than one word here";
                    return Err(TemplateError::new(hole.at, message));
                }
                if rule == Rule::Url && !text.trim().is_empty() {
                    escape(&put, &mut text);
                } else {
                    text.push_str(&put);
                }
            }
        }
    }
    Ok(Node::text(at, text))
}

/// The value of a variable, or its default.
fn value(hole: &Hole, variables: &Value) -> Result<Value, TemplateError> {
    let found = match &hole.operand {
        Operand::Literal(value) => return Ok(value.clone()),
        Operand::Name(name) => names::find(name, variables),
        Operand::Disk(_) => Err("a disk of the hardware cannot stand here".into()),
    };
    let missing = found.as_ref().map_or(true, |value| value.is_null());
    let default = hole.filters.iter().find_map(|filter| match filter {
        Filter::Default(value) => Some(value),
        Filter::Form(_) => None,
    });
    match (default, found) {
        (Some(default), _) if missing => Ok(default.clone()),
        (_, Ok(value)) => Ok(value.clone()),
        (_, Err(message)) => Err(TemplateError::new(hole.at, message)),
    }
}

/// What stands in a text for a value.
fn put(hole: &Hole, value: &Value) -> Result<String, TemplateError> {
    let wrong = |what: &str| {
        let message = format!("the variable has {what} for its value, which is no text");
        Err(TemplateError::new(hole.at, message))
    };
    match hole.form() {
        Some(Form::Json) => return Ok(emit::json_line(value)),
        Some(Form::Yaml) => return Ok(emit::yaml_line(value)),
        Some(Form::Shell) => {
            return emit::shell(value).map_or_else(|| wrong("a map, or nothing,"), Ok);
        }
        Some(Form::Raw) | None => {}
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => wrong("nothing"),
        Value::Array(_) => wrong("a list"),
        Value::Object(_) => wrong("a map"),
    }
}

/// RFC 3986 2.1: everything but unreserved characters and what separates the parts of a path.
fn escape(value: &str, into: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}
