//! What stands between `{{` and `}}`: a variable's name, and filters that say what its text becomes.
//!
//! ```text
//! hole    = operand { "|" filter }
//! operand = name { "." name } | "text" | 'text'
//! filter  = shell | json | yaml | raw | default( "text" | number | true | false )
//! ```

use serde_json::Value;

use super::node::Spot;
use super::tinkerbell::placeholder;

/// How a file writes its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `{{ machine.name }}`
    Own,
    /// `{{ .device_1 }}`, as Go's templates do.
    Go,
    /// Not at all: braces are text.
    None,
}

impl Dialect {
    pub fn read(self, source: &str, at: Spot) -> Result<Hole, String> {
        match self {
            Self::Go => placeholder::read(source, at),
            Self::Own | Self::None => read(source, at),
        }
    }
}

/// A variable in a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hole {
    pub at: Spot,
    pub operand: Operand,
    pub filters: Vec<Filter>,
}

impl Hole {
    /// The filter that says what the text becomes, if there is one.
    pub fn form(&self) -> Option<Form> {
        self.filters.iter().find_map(|filter| match filter {
            Filter::Form(form) => Some(*form),
            Filter::Default(_) => None,
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Name(Vec<String>),
    Literal(Value),
    /// A disk of Tinkerbell's hardware, and perhaps a partition of it.
    Disk(Option<u32>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    Form(Form),
    /// What stands for a value that is not known.
    Default(Value),
}

/// What a value becomes inside a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One word of a shell, quoted.
    Shell,
    /// A JSON value.
    Json,
    /// A YAML value on one line.
    Yaml,
    /// As it is; the template's author answers for it.
    Raw,
}

impl Form {
    pub const ALL: [(&'static str, Self); 4] = [
        ("shell", Self::Shell),
        ("json", Self::Json),
        ("yaml", Self::Yaml),
        ("raw", Self::Raw),
    ];

    pub fn name(self) -> &'static str {
        let own = Self::ALL.iter().find(|(_, form)| *form == self);
        own.map_or("", |(name, _)| name)
    }
}

/// What the grammars here are made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Letters, digits, `_`, `-` and dots between.
    Word(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 6] = ["==", "!=", "|", "(", ")", ","];

pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            &rest[sign.len()..]
        } else if first == '"' || first == '\'' {
            let (text, after) = rest[1..].split_once(first).ok_or_else(|| {
                format!("the text that begins with {first} is not closed in '{source}'")
            })?;
            tokens.push(Token::Text(text.to_owned()));
            after
        } else {
            let end = rest.find(|c: char| !in_word(c)).unwrap_or(rest.len());
            if end == 0 {
                let first = super::quoted(&first.to_string());
                return Err(format!("{first} means nothing in '{source}'"));
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            &rest[end..]
        };
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A word that stands for itself: a number, a truth value or nothing.
pub(super) fn literal(word: &str) -> Option<Value> {
    match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => {
            let number: serde_json::Number = serde_json::from_str(word).ok()?;
            Some(Value::Number(number))
        }
    }
}

/// The parts of a variable's name.
pub(super) fn name(word: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = word.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) {
        return Err(format!(
            "'{word}' is no name of a variable: a dot stands alone in it"
        ));
    }
    Ok(parts)
}

fn read(source: &str, at: Spot) -> Result<Hole, String> {
    let tokens = tokens(source)?;
    let mut tokens = tokens.into_iter();
    let operand = match tokens.next() {
        Some(Token::Word(word)) => Operand::Name(name(&word)?),
        Some(Token::Text(text)) => Operand::Literal(Value::from(text)),
        Some(Token::Sign(sign)) => return Err(format!("'{sign}' stands where a variable should")),
        None => return Err("no variable stands between the braces".into()),
    };
    let mut filters = Vec::new();
    while let Some(token) = tokens.next() {
        if token != Token::Sign("|") {
            return Err(format!(
                "'{}' is more than a variable and its filters, such as {{{{ machine.name | shell }}}}",
                source.trim()
            ));
        }
        filters.push(filter(&mut tokens)?);
    }
    let hole = Hole {
        at,
        operand,
        filters,
    };
    let forms = hole
        .filters
        .iter()
        .filter(|filter| matches!(filter, Filter::Form(_)));
    if forms.count() > 1 {
        return Err("one of shell, json, yaml and raw is enough".into());
    }
    Ok(hole)
}

fn filter(tokens: &mut impl Iterator<Item = Token>) -> Result<Filter, String> {
    let Some(Token::Word(word)) = tokens.next() else {
        return Err("no filter stands behind '|'".into());
    };
    if let Some((_, form)) = Form::ALL.into_iter().find(|(name, _)| *name == word) {
        return Ok(Filter::Form(form));
    }
    if word != "default" {
        let known = ["shell", "json", "yaml", "raw", "default"];
        return Err(crate::model::nearest::unknown("the filter", &word, &known));
    }
    let wrong = || "the filter 'default' is written as default(\"text\")".to_owned();
    let opened = tokens.next() == Some(Token::Sign("("));
    let value = match tokens.next() {
        Some(Token::Text(text)) => Value::from(text),
        Some(Token::Word(word)) => literal(&word).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let closed = tokens.next() == Some(Token::Sign(")"));
    (opened && closed)
        .then_some(Filter::Default(value))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn hole(source: &str) -> Result<Hole, String> {
        read(source, Spot::default())
    }

    #[test]
    fn a_name_and_its_filters_are_read() {
        let hole = hole(" machine.labels.owner | default(\"ada\") | shell ").unwrap();
        let name = ["machine", "labels", "owner"].map(str::to_owned).to_vec();
        assert_eq!(hole.operand, Operand::Name(name));
        assert_eq!(hole.form(), Some(Form::Shell));
        assert_eq!(hole.filters.len(), 2);
    }

    #[test_case("", "no variable"; "nothing")]
    #[test_case("a..b", "dot stands alone"; "two dots")]
    #[test_case("a b", "more than a variable"; "two names")]
    #[test_case("a | shel", "did you mean 'shell'"; "a slip in a filter")]
    #[test_case("a | json | yaml", "is enough"; "two forms")]
    #[test_case("a | default(", "default(\"text\")"; "a default without a value")]
    #[test_case("a $ b", "means nothing"; "a stray sign")]
    #[test_case("\"a", "not closed"; "an open text")]
    fn what_is_no_variable_tells_why(source: &str, why: &str) {
        let error = hole(source).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
