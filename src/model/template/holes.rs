//! The rules for variables by where they stand: what each kind of value lets them be.

use super::expression::{Form, Hole, Operand};
use super::node::{Data, Node, Part, Scalar, Spot, TemplateError};
use super::schema::Kind;
use super::{Parameter, names, place};

/// What a text with variables is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A value of its own; alone a variable keeps its type.
    Value,
    /// An address: what is put in behind its beginning is escaped.
    Url,
    /// Words: what is put in between others stays a part of its word.
    Words,
    /// The content of a file: a filter says what the file's language makes of a value.
    Content,
    /// A program's text: a filter always.
    Script,
}

/// The same tree, in which each text with variables became what `fill` made of it.
pub(super) fn fill(
    kind: Kind,
    node: &Node,
    with: &mut dyn FnMut(&Scalar, Spot, Rule) -> Option<Node>,
) -> Node {
    let rule = match kind {
        Kind::Content => Rule::Content,
        Kind::Url | Kind::Urls | Kind::Checksums => Rule::Url,
        Kind::Words => Rule::Words,
        Kind::Command => return command(node, with),
        _ => Rule::Value,
    };
    by_rule(rule, node, with)
}

fn by_rule(
    rule: Rule,
    node: &Node,
    with: &mut dyn FnMut(&Scalar, Spot, Rule) -> Option<Node>,
) -> Node {
    let data = match &node.data {
        Data::Scalar(scalar) if scalar.has_holes() => {
            return with(scalar, node.at, rule).unwrap_or_else(|| node.clone());
        }
        Data::Scalar(scalar) => Data::Scalar(scalar.clone()),
        Data::List(items) => {
            Data::List(items.iter().map(|item| by_rule(rule, item, with)).collect())
        }
        Data::Map(pairs) => {
            let pairs = pairs.iter();
            Data::Map(
                pairs
                    .map(|(key, item)| (key.clone(), by_rule(rule, item, with)))
                    .collect(),
            )
        }
    };
    Node::new(node.at, data)
}

/// An argument behind `-c` or `-e` is a program of its own.
fn command(node: &Node, with: &mut dyn FnMut(&Scalar, Spot, Rule) -> Option<Node>) -> Node {
    let Data::List(items) = &node.data else {
        return by_rule(Rule::Value, node, with);
    };
    let mut script = false;
    let mut filled = Vec::with_capacity(items.len());
    for item in items {
        let rule = if script { Rule::Script } else { Rule::Value };
        filled.push(by_rule(rule, item, with));
        script = item
            .scalar()
            .is_some_and(|scalar| takes_program(&scalar.text));
    }
    Node::list(node.at, filled)
}

fn takes_program(argument: &str) -> bool {
    let letters = argument.strip_prefix('-').unwrap_or_default();
    let short = letters.len() <= 4 && letters.chars().all(|c| c.is_ascii_alphabetic());
    short && letters.ends_with(['c', 'e'])
}

/// Tells all that is wrong with the variables of one text.
pub(super) fn check(
    scalar: &Scalar,
    rule: Rule,
    parameters: &[Parameter],
    errors: &mut Vec<TemplateError>,
) {
    let alone = scalar.whole().is_some();
    for (index, part) in scalar.parts.iter().enumerate() {
        let Part::Hole(hole) = part else { continue };
        let fine = named(hole, parameters).and_then(|()| match (rule, hole.form()) {
            (Rule::Content | Rule::Script, Some(form)) => place::check(&scalar.parts, index, form),
            (Rule::Content, None) if !alone => Err(unfiltered("in the content of a file")),
            (Rule::Script, None) => Err(unfiltered("in a program's text")),
            (Rule::Value | Rule::Url | Rule::Words, Some(form)) => Err(format!(
                "the filter {} is for the content of files and for scripts; leave it out here",
                form.name()
            )),
            _ => Ok(()),
        });
        if let Err(message) = fine {
            errors.push(TemplateError::new(hole.at, message));
        }
    }
}

fn named(hole: &Hole, parameters: &[Parameter]) -> Result<(), String> {
    match &hole.operand {
        Operand::Name(name) => names::check(name, parameters),
        Operand::Literal(_) => Ok(()),
        Operand::Disk(_) => Err(
            "a disk of the hardware can only stand alone, where an action asks for a disk".into(),
        ),
    }
}

fn unfiltered(place: &str) -> String {
    let forms: Vec<_> = Form::ALL.iter().map(|(name, _)| *name).collect();
    format!(
        "a variable {place} goes through a filter that says what the text is: {}",
        forms.join(", ")
    )
}
