//! YAML becomes a tree, within bounds: no text can make it large, deep or slow, and nothing in it is guessed.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::expression::Dialect;
use super::node::{Data, Node, Part, Scalar, Spot, TemplateError, Word};
use super::{MAX_BYTES, mask};

/// Values inside values; a template needs six.
const MAX_DEPTH: usize = 32;
/// Values altogether, what aliases repeat counted each time.
const MAX_NODES: usize = 20_000;

/// The document, or all that is wrong with it. Variables are read as `dialect` writes them.
pub(super) fn read(text: &str, dialect: Dialect, errors: &mut Vec<TemplateError>) -> Option<Node> {
    let start = Spot { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let message = format!(
            "{} bytes are too many, {MAX_BYTES} is the limit",
            text.len()
        );
        errors.push(TemplateError::new(start, message));
        return None;
    }
    let masked = match dialect {
        Dialect::None => Ok(text.to_owned()),
        Dialect::Own | Dialect::Go => mask::mask(text),
    };
    let masked = match masked {
        Ok(masked) => masked,
        Err(at) => {
            let message =
                "a private-use character stands here; write it as an escape in double quotes";
            errors.push(TemplateError::new(at, message));
            return None;
        }
    };
    let mut builder = Builder::new(&masked, dialect, errors);
    match builder.build() {
        Ok(root) => root,
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

/// A list or a map that is not closed yet.
struct Open {
    at: Spot,
    anchor: usize,
    data: OpenData,
}

enum OpenData {
    List(Vec<Node>),
    Map(Vec<(Word, Node)>, Option<Word>),
}

struct Builder<'a> {
    lines: Vec<&'a str>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    dialect: Dialect,
    errors: &'a mut Vec<TemplateError>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, dialect: Dialect, errors: &'a mut Vec<TemplateError>) -> Self {
        Self {
            lines: text.split('\n').collect(),
            parser: Parser::new_from_str(text),
            dialect,
            errors,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            root: None,
        }
    }

    fn build(&mut self) -> Result<Option<Node>, TemplateError> {
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let marker = error.marker();
                let at = spot(marker.line(), marker.col());
                TemplateError::new(at, format!("this is no YAML: {}", error.info()))
            })?;
            self.event(event, span)?;
        }
        if self.root.is_none() && self.errors.is_empty() {
            return Err(TemplateError::new(spot(1, 0), "the file is empty"));
        }
        Ok(self.root.take())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), TemplateError> {
        let at = spot(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                let scalar = self.scalar(&text, style, at);
                self.finish(Node::new(at, Data::Scalar(scalar)), anchor, 1)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                self.begin(at, anchor, OpenData::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                self.begin(at, anchor, OpenData::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).cloned();
                let (node, size) = found.ok_or_else(|| {
                    TemplateError::new(at, "the alias stands inside the value that it names")
                })?;
                self.finish(node, 0, size)?;
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second document begins here; a file holds one template";
                return Err(TemplateError::new(at, message));
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: Spot, anchor: usize, data: OpenData) -> Result<(), TemplateError> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("values are nested deeper than {MAX_DEPTH}");
            return Err(TemplateError::new(at, message));
        }
        self.open.push(Open { at, anchor, data });
        Ok(())
    }

    fn end(&mut self) -> Result<(), TemplateError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let data = match open.data {
            OpenData::List(items) => Data::List(items),
            OpenData::Map(pairs, _) => Data::Map(pairs),
        };
        self.finish(Node::new(open.at, data), open.anchor, 1)
    }

    /// Puts a value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), TemplateError> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted each time");
            return Err(TemplateError::new(node.at, message));
        }
        if anchor > 0 {
            let size = count(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let at = node.at;
        match self.open.last_mut().map(|open| &mut open.data) {
            None => self.root = Some(node),
            Some(OpenData::List(items)) => items.push(node),
            Some(OpenData::Map(pairs, key @ Some(_))) => {
                let key = key.take().unwrap_or(Word {
                    at,
                    text: String::new(),
                });
                match pairs.iter().find(|(known, _)| known.text == key.text) {
                    Some((first, _)) => {
                        let message = format!(
                            "'{}' stands twice; the first is in line {}",
                            key.text, first.at.line
                        );
                        self.errors.push(TemplateError::new(key.at, message));
                    }
                    None => pairs.push((key, node)),
                }
            }
            Some(OpenData::Map(_, key)) => *key = Some(word(node)?),
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Spot) -> Scalar {
        let plain = style == ScalarStyle::Plain;
        let whole = |text: String| Scalar {
            text,
            plain,
            parts: Vec::new(),
        };
        if self.dialect == Dialect::None {
            return whole(text.to_owned());
        }
        let Some(parts) = mask::parts(text) else {
            return whole(text.to_owned());
        };
        let mut from = at;
        let mut filled = Vec::new();
        for part in parts {
            match part {
                mask::Part::Text(text) => filled.push(Part::Text(text)),
                mask::Part::Hole(masked) => {
                    from = self.find(&masked, from);
                    let source = unescaped(&mask::inside(&masked), style);
                    match self.dialect.read(&source, from) {
                        Ok(hole) => filled.push(Part::Hole(hole)),
                        Err(message) => self.errors.push(TemplateError::new(from, message)),
                    }
                    from.column += masked.chars().count();
                }
            }
        }
        Scalar {
            text: mask::unmask(text),
            plain,
            parts: filled,
        }
    }

    /// Where a variable stands: the next place in the source that reads like it. (A text may be folded, so that its
    /// lines are not those of the source; a masked variable never is.)
    fn find(&self, masked: &str, from: Spot) -> Spot {
        for (index, line) in self.lines.iter().enumerate().skip(from.line - 1) {
            let skip = if index + 1 == from.line {
                from.column - 1
            } else {
                0
            };
            let start = line
                .char_indices()
                .nth(skip)
                .map_or(line.len(), |(at, _)| at);
            if let Some(found) = line[start..].find(masked) {
                return spot(index + 1, line[..start + found].chars().count());
            }
        }
        from
    }
}

/// Quotes inside a variable, as the quotes around it want them written.
fn unescaped(source: &str, style: ScalarStyle) -> String {
    match style {
        ScalarStyle::DoubleQuoted => source.replace("\\\"", "\""),
        ScalarStyle::SingleQuoted => source.replace("''", "'"),
        _ => source.to_owned(),
    }
}

fn refuse_tag(tagged: bool, at: Spot) -> Result<(), TemplateError> {
    let message = "a YAML tag (!…) stands here; none is taken";
    (!tagged)
        .then_some(())
        .ok_or_else(|| TemplateError::new(at, message))
}

fn word(node: Node) -> Result<Word, TemplateError> {
    match node.data {
        Data::Scalar(scalar) if !scalar.has_holes() => Ok(Word {
            at: node.at,
            text: scalar.text,
        }),
        _ => Err(TemplateError::new(node.at, "a key has to be a plain word")),
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.data {
        Data::Scalar(_) => 0,
        Data::List(items) => items.iter().map(count).sum(),
        Data::Map(pairs) => pairs.iter().map(|(_, node)| 1 + count(node)).sum(),
    }
}

/// The parser counts lines from one and columns from zero.
fn spot(line: usize, column: usize) -> Spot {
    Spot {
        line: line.max(1),
        column: column + 1,
    }
}
