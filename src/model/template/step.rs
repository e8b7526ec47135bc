//! One action of a template, checked against the table of actions.

use super::condition::Condition;
use super::node::{Data, Node, Scalar, Spot, TemplateError, Word};
use super::schema::{self, ACTIONS, ActionSpec, COMMON, Key, Kind, MAX_TIMEOUT, UNSUPPORTED};
use super::{Parameter, holes, kind, names};
use crate::model::nearest;

type Errors = Vec<TemplateError>;

pub(super) const TOLD_TWICE: &str =
    "checksum and checksums stand here both: what the image has to be is told by one of them";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub at: Spot,
    pub name: String,
    pub spec: Spec,
    pub timeout: Option<u64>,
    pub when: Option<Condition>,
    /// The keys of the action alone, each with what it is.
    pub body: Vec<(Word, Node)>,
}

/// A row of the table of actions.
#[derive(Clone, Copy)]
pub(super) struct Spec(pub &'static ActionSpec);

impl std::ops::Deref for Spec {
    type Target = ActionSpec;

    fn deref(&self) -> &ActionSpec {
        self.0
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// The step in `node`, or what is wrong with it.
pub(super) fn read(node: &Node, parameters: &[Parameter], errors: &mut Errors) -> Option<Step> {
    let Data::Map(pairs) = &node.data else {
        let message = format!(
            "an action is a map that begins with `action: …`, not {}",
            node.kind()
        );
        errors.push(TemplateError::new(node.at, message));
        return None;
    };
    let spec = spec(node.at, pairs, errors)?;
    let mut step = Step {
        at: node.at,
        name: spec.name.to_owned(),
        spec: Spec(spec),
        timeout: None,
        when: None,
        body: Vec::new(),
    };
    let before = errors.len();
    for (word, value) in pairs {
        if COMMON.iter().any(|key| key.name == word.text) {
            common(&mut step, word, value, parameters, errors);
        } else {
            step.body.push((word.clone(), value.clone()));
        }
    }
    check(&step, parameters, errors);
    (errors.len() == before).then_some(step)
}

fn spec(at: Spot, pairs: &[(Word, Node)], errors: &mut Errors) -> Option<&'static ActionSpec> {
    let Some((_, node)) = pairs.iter().find(|(key, _)| key.text == "action") else {
        let names: Vec<_> = ACTIONS.iter().map(|spec| spec.name).collect();
        let message = format!(
            "the key 'action' is missing; there are {}",
            names.join(", ")
        );
        errors.push(TemplateError::new(at, message));
        return None;
    };
    let name = node.scalar().map_or("", |scalar| scalar.text.as_str());
    let found = schema::find(name);
    if found.is_none() {
        let known = UNSUPPORTED.iter().find(|(known, _)| *known == name);
        let message = if let Some((_, instead)) = known {
            format!("the action '{name}' is not done here: {instead}")
        } else {
            let names: Vec<_> = ACTIONS.iter().map(|spec| spec.name).collect();
            nearest::unknown("the action", name, &names)
        };
        errors.push(TemplateError::new(node.at, message));
    }
    found
}

fn common(
    step: &mut Step,
    word: &Word,
    node: &Node,
    parameters: &[Parameter],
    errors: &mut Errors,
) {
    let mut wrong = |message: String| errors.push(TemplateError::new(node.at, message));
    let fixed = node
        .scalar()
        .filter(|scalar| !scalar.has_holes() && !scalar.is_null());
    let Some(scalar) = fixed else {
        return wrong(format!(
            "{}: a fixed value is wanted, without variables",
            word.text
        ));
    };
    match word.text.as_str() {
        "name" => scalar.text.trim().clone_into(&mut step.name),
        "timeout" => {
            let mut found = Vec::new();
            let read = kind::read(Kind::Number(1, MAX_TIMEOUT), node, &mut found);
            step.timeout = read.and_then(|value| value.as_u64());
            for error in found {
                wrong(format!("timeout: {}", error.message));
            }
        }
        "when" => match Condition::read(&scalar.text) {
            Ok(condition) => {
                let names = condition.names().map(|name| names::check(name, parameters));
                for message in names.filter_map(Result::err) {
                    wrong(format!("when: {message}"));
                }
                step.when = Some(condition);
            }
            Err(message) => wrong(format!("when: {message}")),
        },
        _ => {}
    }
}

/// Two ways to say what an image has to be could contradict each other.
fn told_twice(step: &Step, errors: &mut Errors) {
    let given = |name: &str| {
        let mut body = step.body.iter();
        let found = body.find(|(word, _)| word.text == name)?;
        let fixed = |node: &Node| !node.is_null() && !node.scalar().is_some_and(Scalar::has_holes);
        fixed(&found.1).then_some(found.0.at)
    };
    if let (Some(_), Some(at)) = (given("checksum"), given("checksums")) {
        errors.push(TemplateError::new(at, TOLD_TWICE));
    }
}

/// The keys of the action against its row of the table, as far as they are known without a machine.
fn check(step: &Step, parameters: &[Parameter], errors: &mut Errors) {
    let what = format!("{}: the key", step.spec.name);
    let names: Vec<_> = step
        .spec
        .keys
        .iter()
        .chain(COMMON)
        .map(|key| key.name)
        .collect();
    for (word, node) in &step.body {
        if let Some(key) = step.spec.key(&word.text) {
            check_value(key, node, parameters, errors);
        } else {
            let message = nearest::unknown(&what, &word.text, &names);
            errors.push(TemplateError::new(word.at, message));
        }
    }
    for key in step
        .spec
        .keys
        .iter()
        .filter(|key| key.required && !step.has(key.name))
    {
        let message = format!(
            "{}: the key '{}' is missing ({})",
            step.spec.name, key.name, key.help
        );
        errors.push(TemplateError::new(step.at, message));
    }
    told_twice(step, errors);
    let given = step
        .spec
        .one_of
        .iter()
        .filter(|name| step.has(name))
        .count();
    if !step.spec.one_of.is_empty() && given != 1 {
        let how = if given == 0 { "none" } else { "more than one" };
        let message = format!(
            "{}: {how} of {} stands here, and it has to be one",
            step.spec.name,
            step.spec.one_of.join(", ")
        );
        errors.push(TemplateError::new(step.at, message));
    }
}

fn check_value(key: &'static Key, node: &Node, parameters: &[Parameter], errors: &mut Errors) {
    if node.is_null() {
        if key.required {
            let message = format!("{}: a value is wanted, not nothing", key.name);
            errors.push(TemplateError::new(node.at, message));
        }
        return;
    }
    holes::fill(key.kind, node, &mut |scalar, _, rule| {
        holes::check(scalar, rule, parameters, errors);
        None
    });
    let from = errors.len();
    kind::read(key.kind, node, errors);
    for error in &mut errors[from..] {
        error.message = format!("{}: {}", key.name, error.message);
    }
}

impl Step {
    fn has(&self, name: &str) -> bool {
        self.body.iter().any(|(word, _)| word.text == name)
    }
}
