//! Values become what an action takes, or tell why they cannot.

use serde_json::{Map, Value};

use super::node::{Data, Node, Scalar, Spot, TemplateError};
use super::schema::{CHECKSUMS_KEYS, DISK_KEYS, Key, Kind, Tree};
use super::{emit, quoted};
use crate::model::action::MAX_CONTENT;
use crate::model::nearest;
use crate::model::oci::OciName;
use crate::model::yaml::to_yaml;
use crate::model::{Digest, SigningKey, SourceUrl};

type Errors = Vec<TemplateError>;

/// The value as an action takes it; nothing where it is wrong, which `errors` then tells. A text with variables still
/// in it may become anything, and is taken as it is.
pub(super) fn read(kind: Kind, node: &Node, errors: &mut Errors) -> Option<Value> {
    if node.scalar().is_some_and(Scalar::has_holes) {
        return Some(Value::Null);
    }
    match kind {
        Kind::Checksums => checksums(node, errors),
        Kind::Disk => disk(node, errors),
        Kind::Disks => list(node, errors, disk),
        Kind::Urls => list(node, errors, address),
        Kind::Texts => list(node, errors, word),
        Kind::Command => command(node, errors),
        Kind::Environment => environment(node, errors),
        Kind::Tree(tree) => sized(node, written(tree, node), errors),
        _ => {
            let read = text(node).and_then(|text| single(kind, text, node));
            keep(read, node.at, errors)
        }
    }
}

fn keep(read: Result<Value, String>, at: Spot, errors: &mut Errors) -> Option<Value> {
    read.map_err(|message| errors.push(TemplateError::new(at, message)))
        .ok()
}

/// The text of a single value.
fn text(node: &Node) -> Result<&str, String> {
    let scalar = node.scalar().filter(|scalar| !scalar.is_null());
    let scalar = scalar.ok_or_else(|| format!("a single value is wanted, not {}", node.kind()))?;
    if scalar.text.contains('\0') {
        return Err("it holds the character NUL".into());
    }
    Ok(&scalar.text)
}

fn single(kind: Kind, text: &str, node: &Node) -> Result<Value, String> {
    match kind {
        Kind::Path => path(text),
        Kind::Url => url(text),
        Kind::Checksum => match text.parse::<Digest>() {
            Ok(digest) => Ok(digest.to_string().into()),
            Err(error) => Err(error.reason),
        },
        Kind::Web => match text.parse().and_then(SourceUrl::web) {
            Ok(url) => Ok(url.to_string().into()),
            Err(error) => Err(format!(
                "{}; a valid example: {}",
                error.reason, error.example
            )),
        },
        Kind::SigningKey => signing_key(text),
        Kind::PartitionNumber => number(text, 1, 128),
        Kind::Number(low, high) => number(text, low, high),
        Kind::Device => device(text),
        Kind::Flag => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(format!("true or false is wanted, not {}", node.kind())),
        },
        Kind::Size => size(text).map(Value::from),
        Kind::Word(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Ok((*word).into()),
            None => Err(nearest::unknown("the word", text, words)),
        },
        Kind::Mode => mode(text),
        Kind::Base64 => base64(text),
        Kind::Content => {
            if text.len() > MAX_CONTENT {
                return Err(too_long(text.len()));
            }
            Ok(text.into())
        }
        _ => line(text),
    }
}

/// One line that can be read.
fn line(text: &str) -> Result<Value, String> {
    match text.chars().find(|c| c.is_control()) {
        Some(bad) => Err(format!("it holds the character {}", bad.escape_debug())),
        None if text.trim().is_empty() => Err("it is empty".into()),
        None => Ok(text.into()),
    }
}

fn path(text: &str) -> Result<Value, String> {
    line(text)?;
    if !text.starts_with('/') {
        return Err(format!(
            "{} is no absolute path: it begins with /",
            quoted(text)
        ));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(format!(
            "{} leads out of where it stands with ..",
            quoted(text)
        ));
    }
    Ok(text.into())
}

fn device(text: &str) -> Result<Value, String> {
    match text.strip_prefix("/dev/") {
        Some(rest) if !rest.is_empty() => path(text),
        _ => Err(format!(
            "{} is no device, such as /dev/vg0/root",
            quoted(text)
        )),
    }
}

fn url(text: &str) -> Result<Value, String> {
    let example = "a valid example: http://images.example.net/debian-13.qcow2, or image:debian-13";
    let wrong = |why: &str| Err(format!("{} {why}; {example}", quoted(text)));
    if let Some(name) = text.strip_prefix("image:") {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || !name.chars().all(fine) || name.starts_with('.') {
            return wrong("names no image");
        }
        return Ok(text.into());
    }
    if OciName::is_meant(text) {
        return match text.parse::<OciName>() {
            Ok(_) => Ok(text.into()),
            Err(why) => Err(format!(
                "{}: {why}; a valid example: oci://registry.example.net/images/debian:13",
                quoted(text)
            )),
        };
    }
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else {
        return wrong("is no address of an image");
    };
    if rest.is_empty() || rest.starts_with('/') {
        return wrong("names no host");
    }
    if !rest
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
    {
        return wrong("holds a character that no address has");
    }
    if rest.split('/').any(|part| part == "..") {
        return wrong("leads elsewhere with ..");
    }
    Ok(text.into())
}

fn number(text: &str, low: u64, high: u64) -> Result<Value, String> {
    let found = text
        .parse::<u64>()
        .ok()
        .filter(|number| (low..=high).contains(number));
    let found = found.map(Value::from);
    found.ok_or_else(|| format!("{} is no whole number from {low} to {high}", quoted(text)))
}

/// Bytes, with the unit in powers of two: `512M`, `20 GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if !unit.contains('i') => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(shift);
    let bytes = bytes.and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("{} is no size; a valid example: 512M, 20G", quoted(text)))
}

fn mode(text: &str) -> Result<Value, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if octal && (3..=5).contains(&digits.len()) {
        return Ok(digits.into());
    }
    Err(format!(
        "{} is no octal mode; a valid example: 0644",
        quoted(text)
    ))
}

/// Whether it is whole; what it means is the agent's to find.
fn base64(text: &str) -> Result<Value, String> {
    let packed: String = text.split_ascii_whitespace().collect();
    let body = packed.trim_end_matches('=');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let padding = packed.len() - body.len();
    if !packed.len().is_multiple_of(4) || padding > 2 || !body.bytes().all(known) {
        return Err("it is no base64".into());
    }
    if packed.len() / 4 * 3 > MAX_CONTENT {
        return Err(too_long(packed.len() / 4 * 3));
    }
    Ok(packed.into())
}

fn too_long(length: usize) -> String {
    format!("{length} bytes are too many for one file, {MAX_CONTENT} is the limit")
}

fn list(
    node: &Node,
    errors: &mut Errors,
    item: fn(&Node, &mut Errors) -> Option<Value>,
) -> Option<Value> {
    let Data::List(items) = &node.data else {
        let message = format!("a list is wanted, not {}", node.kind());
        errors.push(TemplateError::new(node.at, message));
        return None;
    };
    let read: Vec<_> = items.iter().map(|node| item(node, errors)).collect();
    read.into_iter()
        .collect::<Option<Vec<_>>>()
        .map(Value::from)
}

fn address(node: &Node, errors: &mut Errors) -> Option<Value> {
    read(Kind::Url, node, errors)
}

fn word(node: &Node, errors: &mut Errors) -> Option<Value> {
    read(Kind::Text, node, errors)
}

fn argument(node: &Node, errors: &mut Errors) -> Option<Value> {
    if node.scalar().is_some_and(Scalar::has_holes) {
        return Some(Value::Null);
    }
    keep(text(node).map(Value::from), node.at, errors)
}

fn command(node: &Node, errors: &mut Errors) -> Option<Value> {
    if matches!(&node.data, Data::List(items) if items.is_empty()) {
        errors.push(TemplateError::new(
            node.at,
            "the list is empty: its first entry is the program",
        ));
        return None;
    }
    if node.scalar().is_some() {
        let message = format!(
            "a list of program and arguments is wanted, not {}; for a line of a shell write [\"sh\", \"-c\", \"…\"]",
            node.kind()
        );
        errors.push(TemplateError::new(node.at, message));
        return None;
    }
    list(node, errors, argument)
}

fn environment(node: &Node, errors: &mut Errors) -> Option<Value> {
    let Data::Map(pairs) = &node.data else {
        let message = format!("a map is wanted, not {}", node.kind());
        errors.push(TemplateError::new(node.at, message));
        return None;
    };
    let mut read = Map::new();
    for (key, node) in pairs {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let digit = key.text.starts_with(|c: char| c.is_ascii_digit());
        if key.text.is_empty() || digit || !key.text.chars().all(fine) {
            let message = format!(
                "{} is no name of a variable of the environment",
                quoted(&key.text)
            );
            errors.push(TemplateError::new(key.at, message));
        }
        read.insert(key.text.clone(), argument(node, errors)?);
    }
    Some(read.into())
}

fn written(tree: Tree, node: &Node) -> Result<String, String> {
    if node.is_null() {
        return Err("a value is wanted, not nothing".into());
    }
    Ok(match tree {
        Tree::Yaml => to_yaml(&node.value()),
        Tree::Json => emit::json(&node.value()),
    })
}

fn sized(node: &Node, text: Result<String, String>, errors: &mut Errors) -> Option<Value> {
    let fits = text.and_then(|text| match text.len() {
        length if length > MAX_CONTENT => Err(too_long(length)),
        _ => Ok(Value::from(text)),
    });
    keep(fits, node.at, errors)
}

/// `auto`, a device, or a map of what is asked of it.
fn disk(node: &Node, errors: &mut Errors) -> Option<Value> {
    match &node.data {
        Data::Scalar(scalar) if scalar.has_holes() => Some(Value::Null),
        Data::Scalar(scalar) if scalar.text == "auto" => Some("auto".into()),
        Data::Scalar(_) => {
            let read = text(node).and_then(|text| {
                device(text).map_err(|_| {
                    format!(
                        "{} is no disk rule; valid examples: auto, /dev/sda, {{serial: A1}}, {{min_size: 20G, pick: smallest}}",
                        quoted(text)
                    )
                })
            });
            keep(read, node.at, errors)
        }
        Data::List(_) => {
            let message = "one disk rule is wanted, not a list";
            errors.push(TemplateError::new(node.at, message));
            None
        }
        Data::Map(pairs) => {
            if pairs.is_empty() {
                let message = "the disk rule asks nothing; write auto for the only disk there is";
                errors.push(TemplateError::new(node.at, message));
                return None;
            }
            fields(pairs, DISK_KEYS, "the key", errors).map(Value::Object)
        }
    }
}

/// Where checksums are told, and by which key they are signed.
fn checksums(node: &Node, errors: &mut Errors) -> Option<Value> {
    let Data::Map(pairs) = &node.data else {
        let message = format!(
            "a map is wanted, such as {{url: …/SHA256SUMS, signature: …/SHA256SUMS.gpg, key: …}}, not {}",
            node.kind()
        );
        errors.push(TemplateError::new(node.at, message));
        return None;
    };
    let has = |name: &str| {
        let mut given = pairs.iter().filter(|(_, node)| !node.is_null());
        given.any(|(word, _)| word.text == name)
    };
    let read = fields(pairs, CHECKSUMS_KEYS, "the key", errors)?;
    let missing = match (has("url"), has("signature"), has("key")) {
        (false, ..) => "the key 'url' is missing",
        (_, true, false) => {
            "a signature is of no use without the key that made it: 'key' is missing"
        }
        _ => return Some(read.into()),
    };
    errors.push(TemplateError::new(node.at, missing));
    None
}

fn signing_key(text: &str) -> Result<Value, String> {
    match text.parse::<SigningKey>() {
        Ok(key) => Ok(key.to_string().into()),
        Err(error) if text.starts_with("-----") => Err(error.reason),
        Err(_) => Err(nearest::unknown("the key", text, &SigningKey::NAMES)),
    }
}

/// The pairs of a map by a table of keys. What has no value is as if it were not there.
pub(super) fn fields(
    pairs: &[(super::node::Word, Node)],
    keys: &'static [Key],
    what: &str,
    errors: &mut Errors,
) -> Option<Map<String, Value>> {
    let before = errors.len();
    let mut read = Map::new();
    for (word, node) in pairs {
        let Some(key) = keys.iter().find(|key| key.name == word.text) else {
            let names: Vec<_> = keys.iter().map(|key| key.name).collect();
            let message = nearest::unknown(what, &word.text, &names);
            errors.push(TemplateError::new(word.at, message));
            continue;
        };
        if node.is_null() && !key.required {
            continue;
        }
        let from = errors.len();
        if let Some(value) = self::read(key.kind, node, errors) {
            read.insert(key.field.to_owned(), value);
        }
        for error in &mut errors[from..] {
            error.message = format!("{}: {}", key.name, error.message);
        }
    }
    (errors.len() == before).then_some(read)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("512M", 512 << 20)]
    #[test_case("20 GiB", 20 << 30)]
    #[test_case("1gb", 1 << 30)]
    #[test_case("4096", 4096)]
    fn a_size_is_counted_in_powers_of_two(text: &str, bytes: u64) {
        assert_eq!(size(text).unwrap(), bytes);
    }

    #[test_case(""; "nothing")]
    #[test_case("0G"; "zero")]
    #[test_case("1.5G"; "a fraction")]
    #[test_case("-1G"; "less than nothing")]
    #[test_case("20X"; "no unit")]
    #[test_case("20i"; "half a unit")]
    #[test_case("99999999999T"; "more than there is")]
    fn what_is_no_size_is_refused(text: &str) {
        assert!(size(text).unwrap_err().contains("512M"));
    }

    #[test_case(Kind::Path, "etc/hosts", "absolute"; "a relative path")]
    #[test_case(Kind::Path, "/a/../b", ".."; "a path that climbs")]
    #[test_case(Kind::Path, "/a\nb", "\\n"; "a path with two lines")]
    #[test_case(Kind::Url, "ftp://x/y", "image:debian-13"; "a foreign scheme")]
    #[test_case(Kind::Url, "http:///x", "no host"; "an address without a host")]
    #[test_case(Kind::Url, "http://x/a b", "no address has"; "an address with a space")]
    #[test_case(Kind::Url, "image:../x", "names no image"; "an image that climbs")]
    #[test_case(Kind::Mode, "888", "0644"; "a mode that is not octal")]
    #[test_case(Kind::Flag, "yes", "true or false"; "yes")]
    #[test_case(Kind::Base64, "abc", "base64"; "half of base64")]
    #[test_case(Kind::Word(&["raw", "qcow2"]), "qcow", "did you mean 'qcow2'"; "a slip")]
    #[test_case(Kind::Disk, "sda", "valid examples"; "a disk without its folder")]
    #[test_case(Kind::Checksum, "md5:00", "sha256"; "a broken checksum")]
    #[test_case(Kind::Checksums, "SHA256SUMS", "a map is wanted"; "checksums that are a name")]
    #[test_case(Kind::Web, "image:x", "http"; "checksums kept here")]
    #[test_case(Kind::SigningKey, "fedora-34", "did you mean 'fedora-43'"; "a slip in a key's name")]
    #[test_case(Kind::SigningKey, "-----BEGIN", "no armored"; "a key that is none")]
    fn a_wrong_value_tells_why(kind: Kind, text: &str, why: &str) {
        let mut errors = Vec::new();
        let node = Node::text(Spot::default(), text);
        assert_eq!(read(kind, &node, &mut errors), None);
        assert!(errors[0].message.contains(why), "{}", errors[0]);
    }
}
