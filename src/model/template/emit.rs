//! Values written as YAML or JSON, in which every text is quoted: whatever a value holds, it stays one value.

use std::fmt::Write as _;

use serde_json::Value;

use crate::model::yaml::to_yaml;

/// As a JSON document.
pub(super) fn json(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// As JSON on one line; what some readers of YAML or of lines take amiss is escaped, so that they too read it.
pub(super) fn json_line(value: &Value) -> String {
    let text = value.to_string();
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let odd = matches!(
            c,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        );
        if odd {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// As YAML on one line.
pub(super) fn yaml_line(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(yaml_line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| {
                let key = yaml_line(&Value::from(key.as_str()));
                format!("{key}: {}", yaml_line(value))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        single => to_yaml(single).trim_end_matches('\n').to_owned(),
    }
}

/// As one word of a POSIX shell; the entries of a list as a word each.
pub(super) fn shell(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Array(items) => {
            let words = items.iter().map(|item| match item {
                Value::Array(_) | Value::Object(_) | Value::Null => None,
                single => shell(single),
            });
            return words
                .collect::<Option<Vec<_>>>()
                .map(|words| words.join(" "));
        }
        Value::Null | Value::Object(_) => return None,
    };
    Some(format!("'{}'", text.replace('\'', "'\\''")))
}
