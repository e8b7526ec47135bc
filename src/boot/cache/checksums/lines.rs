//! One file's line in a file of checksums, in the forms that vendors write:
//!
//! ```text
//! HASH  NAME             as sha256sum writes it
//! HASH *NAME             the same, of bytes
//! SHA256 (NAME) = HASH   as BSD writes it
//! # …                    a remark
//! ```

use crate::model::Digest;

/// Why a file of checksums tells nothing of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    #[error("it has no line for {0}")]
    None(String),
    #[error("it has two different checksums for {0}")]
    Two(String),
    #[error("it has nothing better than {1} for {0}, which is broken")]
    Weak(String, &'static str),
}

/// What the file of this name has to be; the longer sum, where there are two kinds. A file in another folder is another.
pub fn find(text: &str, name: &str) -> Result<Digest, NoLine> {
    let shown = || name.escape_debug().to_string();
    let (mut found, mut weak): (Vec<Digest>, _) = (Vec::new(), None);
    for (own, sum) in text.lines().filter_map(line) {
        if own.strip_prefix("./").unwrap_or(own) != name {
            continue;
        }
        match sum.parse() {
            Ok(sum) if !found.contains(&sum) => found.push(sum),
            Ok(_) => {}
            Err(_) => weak = weak.or_else(|| broken(sum)),
        }
    }
    found.sort_by_key(Digest::kind);
    match (found.pop(), weak) {
        (Some(sum), _) if found.iter().any(|other| other.kind() == sum.kind()) => {
            Err(NoLine::Two(shown()))
        }
        (Some(sum), _) => Ok(sum),
        (None, Some(kind)) => Err(NoLine::Weak(shown(), kind)),
        (None, None) => Err(NoLine::None(shown())),
    }
}

/// The name of a file, and its sum.
fn line(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end();
    if let Some((head, sum)) = text.rsplit_once(") = ") {
        let (kind, name) = head.split_once(" (")?;
        // A sum of another kind may be as long as one of these.
        let known = [("SHA256", 64), ("SHA512", 128), ("MD5", 32), ("SHA1", 40)];
        return known.contains(&(kind, sum.len())).then_some((name, sum));
    }
    let (sum, rest) = text.split_once(' ')?;
    let name = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('*'));
    let hexadecimal = !sum.is_empty() && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.filter(|_| hexadecimal).map(|name| (name, sum))
}

fn broken(sum: &str) -> Option<&'static str> {
    match sum.len() {
        32 => Some("MD5"),
        40 => Some("SHA-1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    fn filled(text: &str) -> String {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let (long, md5, sha1) = ("c".repeat(128), "d".repeat(32), "e".repeat(40));
        let pairs = [
            ("AAA", a),
            ("BBB", b),
            ("LONG", long),
            ("MD", md5),
            ("SHAONE", sha1),
        ];
        let put = |text: String, (word, sum): (&str, String)| text.replace(word, &sum);
        pairs.into_iter().fold(text.to_owned(), put)
    }

    #[test_case("AAA  x.img\n", "sha256:AAA"; "as sha256sum")]
    #[test_case("BBB *y.img\r\nAAA *x.img\r\n", "sha256:AAA"; "of bytes")]
    #[test_case("LONG  x.img", "sha512:LONG"; "sha512")]
    #[test_case("SHA256 (x.img) = AAA", "sha256:AAA"; "as bsd")]
    #[test_case("# x.img: 5 bytes\nSHA256 (x.img) = AAA", "sha256:AAA"; "with a remark")]
    #[test_case("BBB  old/x.img\nAAA  x.img", "sha256:AAA"; "another folder")]
    #[test_case("AAA  ./x.img", "sha256:AAA"; "this folder")]
    #[test_case("AAA  x.img\nAAA  x.img", "sha256:AAA"; "told twice")]
    #[test_case("AAA  x.img\nMD  x.img", "sha256:AAA"; "with a weak one")]
    #[test_case("AAA  x.img\nLONG  x.img", "sha512:LONG"; "of two kinds the longer")]
    #[test_case("BBB  y x.img\nAAA  x.img", "sha256:AAA"; "a name with a space")]
    fn a_line_is_found(text: &str, sum: &str) {
        assert_eq!(
            find(&filled(text), "x.img").unwrap().to_string(),
            filled(sum)
        );
    }

    #[test_case("", "no line for x.img"; "nothing")]
    #[test_case("AAA  y.img", "no line for x.img"; "others")]
    #[test_case("AAA  x.img.old", "no line for x.img"; "a longer name")]
    #[test_case("AAA x.img", "no line for x.img"; "one space")]
    #[test_case("AAA  x.img\nBBB  x.img", "two different"; "two sums")]
    #[test_case("MD  x.img", "MD5"; "a weak one alone")]
    #[test_case("SHA1 (x.img) = SHAONE", "SHA-1"; "another weak one")]
    #[test_case("BLAKE2s (x.img) = AAA", "no line for x.img"; "another kind of the same length")]
    #[test_case("# AAA  x.img", "no line for x.img"; "a remark alone")]
    fn what_tells_nothing_says_why(text: &str, why: &str) {
        let error = find(&filled(text), "x.img").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn nothing_panics(text in "([a-f0-9]{0,70}|SHA256|[ ()=*#./x\r\n])*", name in ".{0,8}") {
                let _ = find(&text, &name);
            }
        }
    }
}
