//! File names as firmware sends them, made harmless.

use thiserror::Error;

/// Longer names are cut where a person reads them.
const SHOWN: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("name is not UTF-8")]
    NotUtf8,
    #[error("name leads out of its root")]
    Escapes,
    #[error("name is that of no file")]
    Empty,
}

/// The path under the root that a name means: `\` is `/`, leading and doubled `/` and `.` mean nothing.
///
/// `..` is refused, even where it would stay inside. Some clients copy option 67 with the end of the options behind
/// it, so that trailing 0xFF do not count (netboot.xyz issue 1198).
pub fn clean(name: &[u8]) -> Result<String, NameError> {
    let end = name.iter().rposition(|byte| *byte != 0xFF);
    let name = &name[..end.map_or(0, |end| end + 1)];
    let text = std::str::from_utf8(name).map_err(|_| NameError::NotUtf8)?;
    if text.contains('\0') {
        return Err(NameError::Escapes);
    }
    let mut path = String::with_capacity(text.len());
    for part in text.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => return Err(NameError::Escapes),
            part => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
            }
        }
    }
    if path.is_empty() {
        return Err(NameError::Empty);
    }
    Ok(path)
}

/// Octets off the wire for a person to read.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(b"ipxe.efi", Ok("ipxe.efi"); "plain")]
    #[test_case(b"/ipxe.efi", Ok("ipxe.efi"); "from the root")]
    #[test_case(b"//x64//ipxe.efi", Ok("x64/ipxe.efi"); "doubled slashes")]
    #[test_case(b"\\boot\\x64\\wdsmgfw.efi", Ok("boot/x64/wdsmgfw.efi"); "as Windows writes it")]
    #[test_case(b"./a/./b", Ok("a/b"); "with dots")]
    #[test_case(b"ipxe.efi\xff", Ok("ipxe.efi"); "with the end of the options behind it")]
    #[test_case("gerät".as_bytes(), Ok("gerät"); "letters of the world")]
    #[test_case(b"...", Ok("..."); "three dots are a name")]
    #[test_case(b"..", Err(NameError::Escapes); "upwards")]
    #[test_case(b"a/../../etc/passwd", Err(NameError::Escapes); "upwards inside")]
    #[test_case(b"a/../b", Err(NameError::Escapes); "upwards, and yet inside")]
    #[test_case(b"a\\..\\b", Err(NameError::Escapes); "upwards as Windows writes it")]
    #[test_case(b"a\0b", Err(NameError::Escapes); "with a NUL")]
    #[test_case(b"a\xfe", Err(NameError::NotUtf8); "not UTF-8")]
    #[test_case(b"/", Err(NameError::Empty); "the root itself")]
    #[test_case(b"\xff", Err(NameError::Empty); "nothing but an end")]
    fn cleans(name: &[u8], expected: Result<&str, NameError>) {
        assert_eq!(clean(name), expected.map(str::to_owned));
    }

    #[test_case(b"a\n\x1b[31m\xfe", "a\\n\\x1b[31m\\xfe"; "what moves a terminal")]
    #[test_case(&[b'a'; 200], &format!("{}…", "a".repeat(120)); "a long one")]
    fn shows(name: &[u8], expected: &str) {
        assert_eq!(shown(name), expected);
    }
}
