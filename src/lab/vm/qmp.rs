//! QEMU's own protocol: a greeting, one line of JSON per command, one per answer, events in between.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use super::LabError;
use crate::lab::error::Doing;

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// One command on a connection of its own, so that no caller waits for another's.
pub(super) fn ask(socket: &Path, command: &str, arguments: &Value) -> Result<Value, LabError> {
    let talk = || format!("talk to QEMU at {}", socket.display());
    let mut stream = UnixStream::connect(socket).doing(talk)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN)).doing(talk)?;
    let reader = stream.try_clone().doing(talk)?;
    let mut lines = BufReader::new(reader).lines();
    lines.next().transpose().doing(talk)?;
    let mut answer = Value::Null;
    for (command, arguments) in [("qmp_capabilities", &json!({})), (command, arguments)] {
        let line = json!({ "execute": command, "arguments": arguments });
        writeln!(stream, "{line}").doing(talk)?;
        answer = returned(&mut lines, command, talk)?;
    }
    Ok(answer)
}

fn returned(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    command: &str,
    talk: impl Fn() -> String,
) -> Result<Value, LabError> {
    let refused = |said: String| LabError::Qmp {
        command: command.to_owned(),
        said,
    };
    for line in lines {
        let mut answer: Value = serde_json::from_str(&line.doing(&talk)?)
            .map_err(|error| refused(error.to_string()))?;
        if let Some(value) = answer.get_mut("return") {
            return Ok(value.take());
        }
        if let Some(said) = answer.pointer("/error/desc").and_then(Value::as_str) {
            return Err(refused(said.to_owned()));
        }
    }
    Err(refused("it hung up without an answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Result<Value, LabError> {
        let mut lines = lines.iter().map(|line| Ok((*line).to_owned()));
        returned(&mut lines, "set_link", String::new)
    }

    #[test]
    fn events_before_the_answer_are_passed_over() {
        let got = answer(&[
            r#"{"event": "RESUME"}"#,
            r#"{"return": {"status": "running"}}"#,
        ]);
        assert_eq!(got.unwrap()["status"], "running");
    }

    #[test]
    fn a_refusal_says_what_was_asked_and_why_not() {
        let got =
            answer(&[r#"{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}}"#]);
        assert_eq!(
            got.unwrap_err().to_string(),
            "QEMU refused set_link: Device 'x' not found"
        );
    }
}
