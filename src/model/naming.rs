//! Names out of the reverse DNS: a rule of a person's own says what the parts of a name mean.
//!
//! ```text
//! {role}{number}.{rack}.*        web01.rack2.example.net  →  hostname web01, tags web, rack2
//! ```
//!
//! A rule is written as a name is, part by part with dots between. In a part, `{word}` stands for letters, digits and
//! hyphens, as few as will do, and becomes a tag; `{number}` stands for digits, and `{_}` for anything, and neither
//! becomes one. What stands outside of braces has to be there. A part that is an asterisk stands for any one part, and
//! at the end for any number of them. The host name is the first part.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::field::{FieldError, Hostname, Tag, quoted};

const EXAMPLE: &str = "{role}{number}.{rack}.*";
/// As many braces as one part may have: with more, a long name could be read in millions of ways.
const MAX_FIELDS: usize = 3;
const MAX_RULE: usize = 253;

/// A rule that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamingRule {
    text: Box<str>,
    parts: Vec<Part>,
    /// It ends in an asterisk.
    open: bool,
}

/// What a rule made of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub hostname: Hostname,
    pub tags: BTreeSet<Tag>,
}

/// What has to stand between two dots.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Pieces(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number,
    /// Whether it becomes a tag.
    Field {
        tag: bool,
    },
}

impl NamingRule {
    /// What the rule makes of `name`; nothing where it does not fit.
    pub fn apply(&self, name: &Hostname) -> Option<Named> {
        let labels: Vec<_> = name.as_str().split('.').collect();
        let (there, asked) = (labels.len(), self.parts.len());
        if there < asked || (there > asked && !self.open) {
            return None;
        }
        let mut found = Vec::new();
        for (part, label) in self.parts.iter().zip(&labels) {
            if let Part::Pieces(pieces) = part {
                found.extend(read(pieces, label)?);
            }
        }
        let hostname = labels[0].parse().ok()?;
        let tags = found.iter().filter_map(|tag| tag.parse().ok());
        Some(Named {
            hostname,
            tags: tags.collect(),
        })
    }
}

/// The tags in `label`, where all of it fits.
fn read<'a>(pieces: &[Piece], label: &'a str) -> Option<Vec<&'a str>> {
    let Some((piece, rest)) = pieces.split_first() else {
        return label.is_empty().then(Vec::new);
    };
    match piece {
        Piece::Text(text) => read(rest, label.strip_prefix(text.as_str())?),
        Piece::Number => {
            let digits = label.bytes().take_while(u8::is_ascii_digit).count();
            (digits > 0).then(|| read(rest, &label[digits..])).flatten()
        }
        Piece::Field { tag } => (1..=label.len()).find_map(|end| {
            let (own, after) = (label.get(..end)?, label.get(end..)?);
            let mut tags = read(rest, after)?;
            if *tag {
                tags.insert(0, own);
            }
            Some(tags)
        }),
    }
}

impl FromStr for NamingRule {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_ascii_lowercase();
        let wrong = |why: String| FieldError::new("naming.rule", why, EXAMPLE);
        if text.is_empty() || text.len() > MAX_RULE {
            return Err(wrong(format!("it has to have 1 to {MAX_RULE} characters")));
        }
        let mut words: Vec<&str> = text.split('.').collect();
        let open = words.len() > 1 && words.last() == Some(&"*");
        if open {
            words.pop();
        }
        let parts: Result<Vec<_>, _> = words.into_iter().map(part).collect();
        Ok(Self {
            parts: parts.map_err(wrong)?,
            open,
            text: text.into(),
        })
    }
}

fn part(word: &str) -> Result<Part, String> {
    if word == "*" {
        return Ok(Part::Any);
    }
    let mut pieces = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("the brace in {} is not closed", quoted(word)))?;
            pieces.push(field(name)?);
            rest = after;
        } else {
            let end = rest.find('{').unwrap_or(rest.len());
            let plain = &rest[..end];
            if !plain
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            {
                return Err(format!("{} holds what no host name has", quoted(plain)));
            }
            pieces.push(Piece::Text(plain.to_owned()));
            rest = &rest[end..];
        }
    }
    let fields = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Field { .. }));
    match fields.count() {
        _ if pieces.is_empty() => Err("it has a dot too many, or two in a row".into()),
        count if count > MAX_FIELDS => Err(format!(
            "{} has {count} words in braces, {MAX_FIELDS} is the limit",
            quoted(word)
        )),
        _ => Ok(Part::Pieces(pieces)),
    }
}

fn field(name: &str) -> Result<Piece, String> {
    match name {
        "number" => Ok(Piece::Number),
        "_" => Ok(Piece::Field { tag: false }),
        name if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) => {
            Ok(Piece::Field { tag: true })
        }
        _ => Err(format!("{} is no word of a to z", quoted(name))),
    }
}

impl fmt::Display for NamingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<NamingRule> for String {
    fn from(rule: NamingRule) -> Self {
        rule.text.into()
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("{role}{number}.{rack}.*", "web01.rack2.example.net" => Some("web01: rack2 web".into()); "the rule of the example")]
    #[test_case("{role}{number}.{rack}.*", "web01.rack2" => Some("web01: rack2 web".into()); "an asterisk stands for none as well")]
    #[test_case("{role}{number}.{rack}.*", "web01" => None; "a part too few")]
    #[test_case("{role}{number}.{rack}.*", "web.rack2.example.net" => None; "no number")]
    #[test_case("{role}{number}.{rack}", "web01.rack2.example.net" => None; "parts too many")]
    #[test_case("{role}-{zone}.*", "db-eu-1.example.net" => Some("db-eu-1: db eu-1".into()); "as few letters as will do")]
    #[test_case("r{number}-{_}.*.example.net", "r12-x.any.example.net" => Some("r12-x: ".into()); "nothing that becomes a tag")]
    #[test_case("{role}{number}.*.example.net", "web01.a.b.example.net" => None; "an asterisk inside is one part")]
    #[test_case("{rack}{role}", "ab" => Some("ab: a b".into()); "two words side by side")]
    #[test_case("{a}{b}{c}x", &"a".repeat(63) => None; "a long name that does not fit")]
    fn a_name_becomes(rule: &str, name: &str) -> Option<String> {
        let rule: NamingRule = rule.parse().unwrap();
        let named = rule.apply(&name.parse().unwrap())?;
        let tags: Vec<_> = named.tags.iter().map(Tag::as_str).collect();
        Some(format!("{}: {}", named.hostname, tags.join(" ")))
    }

    #[test_case("", "1 to 253"; "nothing")]
    #[test_case("{role", "not closed"; "an open brace")]
    #[test_case("{ro le}", "no word"; "a space")]
    #[test_case("web_{number}", "no host name"; "a line below")]
    #[test_case("a..b", "dot too many"; "two dots")]
    #[test_case("{a}{b}{c}{d}", "limit"; "too many words")]
    fn what_is_no_rule(text: &str, why: &str) {
        let error = text.parse::<NamingRule>().unwrap_err();
        assert!(error.reason.contains(why), "{error}");
        assert!(error.example.parse::<NamingRule>().is_ok());
    }
}
