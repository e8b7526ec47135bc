//! A tree of values as YAML.
//!
//! It is written in blocks, for people, and every text of it stands in double quotes with all that could mean
//! something escaped. So YAML 1.1 and 1.2 read the same tree, whatever a value holds.

use std::fmt::Write;

use serde_json::Value;

/// The document of `value`, with a line feed at its end.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => write_items(&mut out, items, 0),
        _ => {
            write_scalar(&mut out, value);
            out.push('\n');
        }
    }
    out
}

/// `inline` when the first key goes on the line that is begun, behind the hyphen of a list.
fn write_map(
    out: &mut String,
    map: &serde_json::Map<String, Value>,
    depth: usize,
    mut inline: bool,
) {
    for (key, value) in map {
        if !std::mem::take(&mut inline) {
            indent(out, depth);
        }
        write_key(out, key);
        out.push(':');
        write_below(out, value, depth);
    }
}

fn write_items(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        out.push('-');
        match item {
            Value::Object(map) if !map.is_empty() => {
                out.push(' ');
                write_map(out, map, depth + 1, true);
            }
            _ => write_below(out, item, depth),
        }
    }
}

fn write_below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_map(out, map, depth + 1, false);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_items(out, items, depth + 1);
        }
        _ => {
            out.push(' ');
            write_scalar(out, value);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    (0..depth).for_each(|_| out.push_str("  "));
}

/// A key stands bare where no reader takes it for anything but a text.
fn write_key(out: &mut String, key: &str) {
    const OTHER: [&str; 10] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan",
    ];
    let letter = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let inner = |b: u8| letter(b) || b.is_ascii_digit() || b == b'-';
    let bare = key.bytes().next().is_some_and(letter) && key.bytes().all(inner);
    if bare && !OTHER.contains(&key) {
        out.push_str(key);
    } else {
        write_text(out, key);
    }
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_text(out, text),
        // `null`, numbers, `true`, `[]` and `{}` are the same in both.
        other => out.push_str(&other.to_string()),
    }
}

/// YAML 1.2 7.3.1, double-quoted style; what is no printable character by 5.1 is escaped, and so are breaks of lines.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if u32::from(c) > 0xffff => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    #[test]
    fn a_tree_stands_in_blocks() {
        let tree = json!({
            "users": [{"name": "ada", "keys": ["a", "b"], "lock": true}, "default"],
            "empty": {},
            "none": [],
            "nothing": null,
            "deep": {"on": 1, "00:11": [[1, 2]]},
        });
        let lines = [
            "deep:",
            "  \"00:11\":",
            "    -",
            "      - 1",
            "      - 2",
            "  \"on\": 1",
            "empty: {}",
            "none: []",
            "nothing: null",
            "users:",
            "  - keys:",
            "      - \"a\"",
            "      - \"b\"",
            "    lock: true",
            "    name: \"ada\"",
            "  - \"default\"",
            "",
        ];
        assert_eq!(to_yaml(&tree), lines.join("\n"));
    }

    #[test_case("a: b\n- c", r#""a: b\n- c""#; "what looks like structure")]
    #[test_case("\"quoted\" \\", r#""\"quoted\" \\""#; "quotes and backslashes")]
    #[test_case("# no: *comment &anchor !tag %d", "\"# no: *comment &anchor !tag %d\""; "signs")]
    #[test_case("\u{85}\u{2028}\u{7f}\r\0", r#""\u0085\u2028\u007f\u000d\u0000""#; "breaks and controls")]
    #[test_case("yes", "\"yes\""; "a word that is a truth elsewhere")]
    #[test_case("ü 🐉", "\"ü \\U0001f409\""; "letters of other scripts")]
    fn a_text_stays_a_text(text: &str, written: &str) {
        assert_eq!(to_yaml(&json!(text)), format!("{written}\n"));
    }

    #[test]
    fn python_reads_what_was_written() {
        let tree = json!({
            "plain": "x", "yes": "no", "1": "2024-01-01", "list": [[], {}, [["deep"]], {"a": {"b": [1]}}],
            "hard": "\u{85}\u{2028}\u{7f}\r\n\t \"'\\ 🐉 #: - ? ~ <<",
            "{x}": "{{ y }}", "": "",
        });
        let script =
            "import sys,json,yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout)";
        let Some(out) = piped("python3", &["-c", script], &to_yaml(&tree)) else {
            eprintln!("skipped: python3 with yaml is not here");
            return;
        };
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), tree);
    }

    fn piped(program: &str, args: &[&str], input: &str) -> Option<Vec<u8>> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let probe = Command::new(program).args(["-c", "import yaml"]).output();
        if !probe.is_ok_and(|probe| probe.status.success()) {
            return None;
        }
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} refused:\n{input}");
        Some(output.stdout)
    }
}
