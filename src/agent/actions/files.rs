//! One file written into the system on the disk.

use std::os::unix::fs::lchown;
use std::path::Path;

use super::target::Mounted;
use super::{ActionError, Context, Control, inside};
use crate::model::action::WriteFile;

pub(super) fn write(
    wanted: &WriteFile,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let bytes = content(wanted)?;
    let (mode, folders) = (mode(&wanted.mode)?, mode(&wanted.dir_mode)?);
    let mounted = Mounted::open(context, control, &wanted.place)?;
    let path = Path::new(&wanted.path);
    let file = inside::write(mounted.root(), path, &bytes, mode, folders)
        .map_err(ActionError::io(&wanted.path))?;
    lchown(&file, Some(wanted.uid), Some(wanted.gid)).map_err(ActionError::io(&wanted.path))?;
    mounted.close()?;
    Ok(format!("{}, {} bytes", wanted.path, bytes.len()))
}

fn content(wanted: &WriteFile) -> Result<Vec<u8>, ActionError> {
    match (&wanted.content, &wanted.content_b64) {
        (Some(text), None) => Ok(text.clone().into_bytes()),
        (None, Some(text)) => base64(text).ok_or_else(|| {
            ActionError::Other(format!("the content of {} is no base64", wanted.path))
        }),
        _ => Err(ActionError::Other(format!(
            "{} needs a content, or one in base64, and not both",
            wanted.path
        ))),
    }
}

fn mode(text: &str) -> Result<u32, ActionError> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| ActionError::Other(format!("{text:?} is no mode; 0644 is one")))
}

/// RFC 4648 §4, over any lines.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let text: Vec<u8> = digits.collect();
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if text.len() & 3 != 0 || padding > 2 {
        return None;
    }
    for digit in &text[..text.len() - padding] {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("", Some(b""); "nothing")]
    #[test_case("Zg==", Some(b"f"); "one byte")]
    #[test_case("Zm8=", Some(b"fo"); "two bytes")]
    #[test_case("Zm9v\nYmFy\n", Some(b"foobar"); "over lines")]
    #[test_case("/+8A", Some(b"\xff\xef\0"); "no text")]
    #[test_case("Zg", None; "without its end")]
    #[test_case("Z===", None; "too much of it")]
    #[test_case("Z=g=", None; "an end in the middle")]
    #[test_case("Zm-v", None; "another alphabet")]
    fn base64_is_read(text: &str, bytes: Option<&[u8]>) {
        assert_eq!(base64(text).as_deref(), bytes);
    }

    #[test_case("0644", Some(0o644))]
    #[test_case("4755", Some(0o4755))]
    #[test_case("9", None)]
    #[test_case("77777", None)]
    #[test_case("-1", None)]
    fn a_mode_is_octal(text: &str, expected: Option<u32>) {
        assert_eq!(mode(text).ok(), expected);
    }

    #[test_case(r#"{"path":"/x"}"#; "none")]
    #[test_case(r#"{"path":"/x","content":"","content_b64":""}"#; "both")]
    fn a_file_has_one_content(json: &str) {
        assert!(content(&serde_json::from_str(json).unwrap()).is_err());
    }
}
