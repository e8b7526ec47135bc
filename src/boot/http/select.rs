//! Conditions and ranges (RFC 9110 13 and 14): which part of a content a request gets.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::request::{Method, Request};

/// What is known of a content.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub len: u64,
    /// Quoted, and strong: equal tags are equal bytes.
    pub tag: &'a str,
    pub modified: Option<Timestamp>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Whole,
    /// From the first byte to the last, both counted.
    Part(u64, u64),
    /// The client has it already.
    NotModified,
    /// The range lies behind the end.
    Nothing,
}

pub fn select(request: &Request, about: &About<'_>) -> Selection {
    if is_known(request, about) {
        return Selection::NotModified;
    }
    let fields = &request.fields;
    let Some(range) = &fields.range else {
        return Selection::Whole;
    };
    let holds = |condition: &String| is_same(condition, about);
    if request.method == Method::Head || !fields.if_range.as_ref().is_none_or(holds) {
        return Selection::Whole;
    }
    part(range, about.len)
}

/// RFC 9110 13.1.2 and 13.1.3: a date counts only when there is no tag.
fn is_known(request: &Request, about: &About<'_>) -> bool {
    let fields = &request.fields;
    if let Some(tags) = &fields.if_none_match {
        let weakly = |tag: &str| tag.trim().trim_start_matches("W/") == about.tag;
        return tags.trim() == "*" || tags.split(',').any(weakly);
    }
    let since = fields.if_modified_since.as_deref().and_then(date);
    matches!((since, about.modified), (Some(since), Some(modified)) if seconds(modified) <= seconds(since))
}

/// RFC 9110 13.1.5: the very same tag, or the very same date.
fn is_same(condition: &str, about: &About<'_>) -> bool {
    let condition = condition.trim();
    if condition.starts_with(['"', 'W']) {
        return condition == about.tag;
    }
    let when = date(condition).map(seconds);
    when.is_some() && when == about.modified.map(seconds)
}

/// HTTP tells whole seconds.
fn seconds(time: Timestamp) -> i64 {
    time.as_second()
}

fn date(text: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text.trim()).ok()
}

/// One range is heeded. More than one, another unit, and what is no range, are as if there was none (14.2).
fn part(range: &str, len: u64) -> Selection {
    let spec = range.trim().strip_prefix("bytes=").map(str::trim);
    let ends = spec
        .filter(|spec| !spec.contains(','))
        .and_then(|spec| spec.split_once('-'));
    let Some((first, last)) = ends else {
        return Selection::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= len && is_number_or_empty(last) => Selection::Nothing,
        (Some(first), Some(last)) if first <= last => Selection::Part(first, last.min(len - 1)),
        (Some(first), None) if last.is_empty() => Selection::Part(first, len - 1),
        (None, Some(0)) if first.is_empty() => Selection::Nothing,
        (None, Some(_)) if first.is_empty() && len == 0 => Selection::Nothing,
        (None, Some(count)) if first.is_empty() => {
            Selection::Part(len.saturating_sub(count), len - 1)
        }
        _ => Selection::Whole,
    }
}

fn is_number_or_empty(text: &str) -> bool {
    text.is_empty() || number(text).is_some()
}

/// More digits than a number has mean the largest one: it lies behind every end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::request::{Head, read};
    use super::*;

    const TAG: &str = "\"5a\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn selected(fields: &str, len: u64) -> Selection {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        let Head::Whole(request, _) = read(text.as_bytes()) else {
            panic!("{text}")
        };
        let modified = date(DATE);
        let about = About {
            len,
            tag: TAG,
            modified,
        };
        select(&request, &about)
    }

    #[test_case("bytes=0-0", Selection::Part(0, 0))]
    #[test_case("bytes=0-99", Selection::Part(0, 99); "all of it")]
    #[test_case("bytes=10-", Selection::Part(10, 99); "to the end")]
    #[test_case("bytes=90-1000", Selection::Part(90, 99); "beyond the end")]
    #[test_case("bytes=-10", Selection::Part(90, 99); "the last ten")]
    #[test_case("bytes=-1000", Selection::Part(0, 99); "the last thousand")]
    #[test_case("bytes=99-99999999999999999999999", Selection::Part(99, 99); "a number too large")]
    #[test_case("bytes=100-", Selection::Nothing; "behind the end")]
    #[test_case("bytes=100-200", Selection::Nothing; "wholly behind the end")]
    #[test_case("bytes=-0", Selection::Nothing; "the last none")]
    #[test_case("bytes=0-1,5-6", Selection::Whole; "two")]
    #[test_case("bytes=5-1", Selection::Whole; "backwards")]
    #[test_case("bytes=a-b", Selection::Whole; "letters")]
    #[test_case("bytes=100-b", Selection::Whole; "a letter behind the end")]
    #[test_case("bytes=-", Selection::Whole; "nothing")]
    #[test_case("bytes=+1-2", Selection::Whole; "a sign")]
    #[test_case("lines=0-1", Selection::Whole; "another unit")]
    fn one_range_is_heeded(range: &str, selection: Selection) {
        assert_eq!(selected(&format!("Range: {range}"), 100), selection);
    }

    #[test_case("bytes=0-")]
    #[test_case("bytes=0-0")]
    #[test_case("bytes=-1")]
    fn an_empty_content_has_no_part(range: &str) {
        assert_eq!(selected(&format!("Range: {range}"), 0), Selection::Nothing);
    }

    #[test_case("\"5a\"", true; "the same tag")]
    #[test_case("\"5b\"", false; "another tag")]
    #[test_case("W/\"5a\"", false; "a weak one")]
    #[test_case(DATE, true; "the same date")]
    #[test_case("Sun, 06 Nov 1994 08:49:38 GMT", false; "a later date")]
    #[test_case("yesterday", false; "no date")]
    fn a_range_holds_only_for_the_same_content(condition: &str, holds: bool) {
        let fields = format!("Range: bytes=0-0\r\nIf-Range: {condition}");
        let part = selected(&fields, 100) == Selection::Part(0, 0);
        assert_eq!(part, holds);
    }

    #[test_case("If-None-Match: \"5a\"", true; "the same tag")]
    #[test_case("If-None-Match: \"x\", W/\"5a\"", true; "among others and weak")]
    #[test_case("If-None-Match: *", true; "any")]
    #[test_case("If-None-Match: \"x\"", false; "another")]
    #[test_case("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", true; "not since")]
    #[test_case("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", false; "since")]
    #[test_case("If-Modified-Since: yesterday", false; "no date")]
    #[test_case("If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", false; "a tag before a date")]
    fn what_the_client_has_is_not_sent_again(fields: &str, known: bool) {
        assert_eq!(selected(fields, 100) == Selection::NotModified, known);
    }
}
