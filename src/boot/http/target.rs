//! The target of a request: path and query, decoded and put in order.

use std::borrow::Cow;

/// More pairs than a script of ours sends; the rest are left out.
const MAX_PAIRS: usize = 32;

/// What is asked for. The path has no empty segment, no `.`, no `..` and no control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: String,
    query: Vec<(String, String)>,
}

impl Target {
    /// Reads origin form (`/a?b`) and absolute form (`http://host/a?b`, RFC 9112 3.2.2). The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let local = without_host(text).ok_or("the target is no path")?;
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        let path =
            decode(path).ok_or("a per cent sign in the path is not followed by two digits")?;
        let path = String::from_utf8(path.into_owned()).map_err(|_| "the path is not UTF-8")?;
        if path.chars().any(char::is_control) {
            return Err("the path holds a control character");
        }
        let segments = || path.split('/').filter(|part| !matches!(*part, "" | "."));
        if segments().any(|segment| segment == "..") {
            return Err("the path leads upwards");
        }
        let path = segments().collect::<Vec<_>>().join("/");
        let query = query.split('&').filter(|pair| !pair.is_empty());
        let query = query.take(MAX_PAIRS).map(pair).collect();
        Ok(Self { path, query })
    }

    /// Without the first slash: `boot/x64/snponly.efi`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The first value of that name; empty when there is none.
    pub fn value(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }
}

fn without_host(text: &str) -> Option<&str> {
    if text.starts_with('/') {
        return Some(text);
    }
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    known.then_some(path)
}

/// A query is only looked at, so what is wrong in it is kept as it came.
fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let read = |text: &str| {
        let bytes = decode(text).unwrap_or(Cow::Borrowed(text.as_bytes()));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (read(name), read(value))
}

/// RFC 3986 2.1.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            plain => plain,
        });
    }
    Some(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("/boot/x64/snponly.efi", "boot/x64/snponly.efi")]
    #[test_case("//boot///x64/./snponly.efi", "boot/x64/snponly.efi"; "slashes")]
    #[test_case("/boot/a%20b%2fc", "boot/a b/c"; "per cent signs")]
    #[test_case("/boot/%C3%BC", "boot/ü"; "utf 8")]
    #[test_case("http://192.0.2.1:3080/boot/a", "boot/a"; "absolute form")]
    #[test_case("HTTP://host", ""; "absolute form without a path")]
    #[test_case("/", ""; "the root")]
    #[test_case("/a?b=/../c", "a"; "a query is no path")]
    fn a_path_is_put_in_order(text: &str, path: &str) {
        assert_eq!(Target::parse(text).unwrap().path(), path);
    }

    #[test_case("*"; "an asterisk")]
    #[test_case("boot/a"; "no slash")]
    #[test_case("ftp://host/a"; "another scheme")]
    #[test_case("/../etc/passwd"; "upwards")]
    #[test_case("/a/%2e%2e/%2e%2e/etc/passwd"; "upwards, hidden")]
    #[test_case("/a%2f..%2fb"; "upwards, with hidden slashes")]
    #[test_case("/a%00b"; "a nul")]
    #[test_case("/a%0d%0ab"; "a line break")]
    #[test_case("/a%f"; "half a byte")]
    #[test_case("/a%zz"; "no digits")]
    #[test_case("/a%ff"; "not utf 8")]
    fn what_is_no_path_is_refused(text: &str) {
        assert!(Target::parse(text).is_err());
    }

    #[test]
    fn a_query_is_read_as_far_as_it_goes() {
        let target = Target::parse("/a?x=1&y=%20%2B+&x=2&z&%zz=%ff&empty=").unwrap();
        let values = ["x", "y", "z", "%zz", "empty", "none"].map(|name| target.value(name));
        assert_eq!(values, ["1", " ++", "", "\u{fffd}", "", ""]);
        let many = format!("/a?{}last=1", "x=1&".repeat(MAX_PAIRS));
        assert_eq!(Target::parse(&many).unwrap().value("last"), "");
    }
}
