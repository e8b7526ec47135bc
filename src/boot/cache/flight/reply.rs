//! What a source's answer means for a download: from where on it sends, and of how much.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED,
};

use super::super::failure::Failure;
use super::super::short_sum;
use super::super::upstream::Reply;

/// The content as the source describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub bytes: Option<u64>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media: Option<String>,
}

impl Told {
    /// What the source has to hold against what is here: a strong tag, or a date (RFC 9110 13.1.5).
    pub fn same(&self) -> Option<&String> {
        let tag = self.etag.as_ref().filter(|tag| tag.starts_with('"'));
        tag.or(self.last_modified.as_ref())
    }

    /// A tag for the content while its digest is not known, the same for the same `place` and content over a restart of
    /// ours: a client that was cut by that goes on. None where the source tells nothing by which a content is known again.
    pub fn tag(&self, place: &str) -> Option<String> {
        let same = self.same()?;
        let length = self
            .bytes
            .map(|bytes| bytes.to_string())
            .unwrap_or_default();
        let name = short_sum(&[place, same, &length].join("\n"), 16);
        Some(format!("\"arriving-{name}\""))
    }
}

/// What is sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sends {
    /// The content, from this byte on.
    From(u64, Told),
    /// It is what was had before.
    Same,
    /// There is nothing behind what was asked for.
    Behind,
}

pub fn read(reply: &Reply, asked_from: u64) -> Result<Sends, Failure> {
    let text = |name| reply.header(name).map(str::to_owned);
    if let Some(packed) = text(&CONTENT_ENCODING).filter(|name| name != "identity") {
        return Err(Failure::Packed(packed.escape_default().to_string()));
    }
    let mut told = Told {
        bytes: None,
        etag: text(&ETAG),
        last_modified: text(&LAST_MODIFIED),
        media: text(&CONTENT_TYPE),
    };
    match reply.status {
        StatusCode::OK => {
            told.bytes = text(&CONTENT_LENGTH).and_then(|length| length.parse().ok());
            Ok(Sends::From(0, told))
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = text(&CONTENT_RANGE).unwrap_or_default();
            let (first, whole) = part(&range).ok_or(Failure::Part)?;
            if first != asked_from {
                return Err(Failure::Part);
            }
            told.bytes = Some(whole);
            Ok(Sends::From(first, told))
        }
        StatusCode::NOT_MODIFIED => Ok(Sends::Same),
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(Sends::Behind),
        other => Err(Failure::Status(other.as_u16())),
    }
}

/// RFC 9110 14.4: `bytes 100-199/200`, to the end.
fn part(range: &str) -> Option<(u64, u64)> {
    let (ends, whole) = range.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = ends.split_once('-')?;
    let (first, last, whole): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, whole.parse().ok()?);
    (first <= last && last.checked_add(1)? == whole).then_some((first, whole))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("bytes 100-199/200", Some((100, 200)))]
    #[test_case("bytes 0-0/1", Some((0, 1)); "one byte")]
    #[test_case("bytes 100-198/200", None; "not to the end")]
    #[test_case("bytes 100-199/*", None; "of who knows how much")]
    #[test_case("bytes */200", None; "nothing")]
    #[test_case("bytes 5-4/5", None; "backwards")]
    #[test_case("bytes 0-18446744073709551615/0", None; "a number too large")]
    #[test_case("lines 0-1/2", None; "another unit")]
    #[test_case("", None; "no range")]
    fn a_part_goes_to_the_end_or_is_none(text: &str, read: Option<(u64, u64)>) {
        assert_eq!(part(text), read);
    }
}
