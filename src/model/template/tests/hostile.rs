//! Values that a machine or a stranger may have chosen stay values: real readers are asked what they read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::{Value, json};
use test_case::test_case;

use super::{actions, told, values};
use crate::model::template::Template;

/// The content of the first file, with this for the machine's serial number.
fn content(lines: &str, serial: &str) -> String {
    let template = Template::parse(&actions(lines)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut values = values();
    values["hardware"]["serial"] = json!(serial);
    let steps = template
        .render(&values)
        .unwrap_or_else(|error| panic!("{error}"));
    let action = serde_json::to_value(&steps[0].action).unwrap();
    action["content"].as_str().unwrap().to_owned()
}

fn piped(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap().stdout
}

const SCRIPT: &str = "- action: writefile\n  path: /x.sh\n  content: |\n    # it's a script\n    name={{ hardware.serial | shell }}\n    printf '%s' \"$name\"\n";
const JSON: &str = "- action: writefile\n  path: /x\n  content: |\n    {\"a\": [\n      {{ hardware.serial | json }},\n      1],\n     \"b\": {{ hardware.serial | json }}\n    }\n";
const YAML: &str = "- action: writefile\n  path: /x\n  content: |\n    a:\n      - {{ hardware.serial | yaml }}\n    b: {{ hardware.serial | yaml }}\n    c: {{ defaults.dns | yaml }}\n";
const TREE: &str = "- action: writefile\n  path: /x\n  yaml: {a: ['{{ hardware.serial }}'], b: 'x {{ hardware.serial }}'}\n";

#[test_case("$(reboot)`reboot`; reboot"; "commands")]
#[test_case("'; reboot; '"; "single quotes")]
#[test_case("\"; reboot; \""; "double quotes")]
#[test_case("a\nb: c\n- d # e"; "lines that look like YAML")]
#[test_case("\\'\\\\\\"; "backslashes")]
#[test_case("{{ machine.name }}"; "what looks like a variable")]
#[test_case("\u{2028}\u{85}\u{feff}x"; "strange breaks of lines")]
#[test_case(""; "nothing")]
fn a_hostile_value_stays_one_value(serial: &str) {
    let shell = piped("sh", &[], content(SCRIPT, serial).as_bytes());
    assert_eq!(String::from_utf8(shell).unwrap(), serial);
    let read: Value = serde_json::from_str(&content(JSON, serial)).unwrap();
    assert_eq!(read, json!({"a": [serial, 1], "b": serial}));
    assert_eq!(
        yaml(&content(YAML, serial)),
        json!({"a": [serial], "b": serial, "c": ["192.0.2.1", "192.0.2.2"]})
    );
    assert_eq!(
        yaml(&content(TREE, serial)),
        json!({"a": [serial], "b": format!("x {serial}")})
    );
}

/// By our own reader, which keeps to YAML 1.2.
fn yaml(text: &str) -> Value {
    use crate::model::template::expression::Dialect;
    let mut errors = Vec::new();
    let read = crate::model::template::yaml::read(text, Dialect::None, &mut errors);
    assert_eq!(errors, [], "{text}");
    read.unwrap().value()
}

#[test_case("name=\"{{ hardware.serial | shell }}\"", "outside of \"…\""; "in double quotes")]
#[test_case("name='{{ hardware.serial | shell }}'", "outside of '…'"; "in single quotes")]
#[test_case("name=`echo {{ hardware.serial | shell }}`", "outside of `…`"; "in a command's output")]
#[test_case("x=\"$(echo \"{{ hardware.serial | shell }}\")\"", "quotes in quotes"; "in quotes in quotes")]
#[test_case("x=\"`echo \"{{ hardware.serial | shell }}\"`\"", "quotes in quotes"; "in quotes in an output in quotes")]
#[test_case("# {{ hardware.serial | shell }}", "in a comment"; "in a comment")]
#[test_case("cat <<EOF\n{{ hardware.serial | shell }}\nEOF", "here-document"; "in a here-document")]
#[test_case("x=$(({{ hardware.serial | shell }}))", "arithmetic"; "in arithmetic")]
#[test_case("x=${{ hardware.serial | shell }}", "backslash"; "behind a dollar")]
#[test_case("x=\\{{ hardware.serial | shell }}", "backslash"; "behind a backslash")]
#[test_case("{\"a\": \"{{ hardware.serial | json }}\"}", "a whole value"; "json in quotes")]
#[test_case("{\"a\": \"x {{ hardware.serial | json }}", "a whole value"; "json in open quotes")]
#[test_case("a: x {{ hardware.serial | yaml }}", "a whole value"; "yaml behind a word")]
#[test_case("a: {{ hardware.serial | yaml }} x", "a whole value"; "yaml before a word")]
#[test_case("a:{{ hardware.serial | yaml }}", "a whole value"; "yaml without a space")]
#[test_case("a: 'x'{{ hardware.serial | yaml }}", "a whole value"; "yaml behind quotes")]
#[test_case("a {{ hardware.serial }}", "goes through a filter"; "without a filter")]
fn a_place_where_quotes_would_not_hold_is_refused(line: &str, why: &str) {
    let lines: Vec<_> = line.lines().map(|line| format!("    {line}\n")).collect();
    let told = told(&actions(&format!(
        "- action: writefile\n  path: /x\n  content: |\n{}",
        lines.concat()
    )));
    assert!(told.contains(why), "{told}");
}

#[test]
fn a_value_in_an_address_stays_a_part_of_it() {
    let template =
        actions("- {action: image2disk, url: '{{ server.http }}/images/{{ hardware.serial }}'}");
    let template = Template::parse(&template).unwrap();
    let url = |serial: &str| {
        let mut values = values();
        values["hardware"]["serial"] = json!(serial);
        let steps = template
            .render(&values)
            .map_err(|error| error.to_string())?;
        let action = serde_json::to_value(&steps[0].action).unwrap();
        Ok::<_, String>(action["url"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        url("a b?c#d@e").unwrap(),
        "http://10.0.0.2:3080/images/a%20b%3Fc%23d%40e"
    );
    assert!(url("../../secret").unwrap_err().contains(".."));
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn no_text_leaves_its_quotes(serial in "[^\0]{0,40}") {
            let shell = content(SCRIPT, &serial);
            let words = piped("sh", &[], shell.as_bytes());
            prop_assert_eq!(String::from_utf8(words).unwrap(), serial.clone());
            let read: Value = serde_json::from_str(&content(JSON, &serial)).unwrap();
            prop_assert_eq!(&read["a"][0], &json!(serial));
            prop_assert_eq!(&yaml(&content(YAML, &serial))["b"], &json!(serial));
            prop_assert_eq!(&yaml(&content(TREE, &serial))["a"][0], &json!(serial));
        }

        #[test]
        fn nothing_that_is_read_makes_it_panic(text in "[ -~\n]{0,200}") {
            let _ = Template::parse(&text);
            let _ = Template::parse(&actions(&text));
        }
    }
}
