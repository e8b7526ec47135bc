//! The head of a request: bytes become a meaning, or a refusal with its reason.

use super::answer::Status;
use super::target::Target;

/// As many bytes as a head may have, and as are kept of one connection.
pub const MAX_HEAD: usize = 8 * 1024;
/// As many fields as a head may have. EDK2 sends 4, iPXE 3, curl 3, a browser 15.
pub const MAX_FIELDS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
}

/// A request without a body; one with a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    /// The client spoke HTTP/1.0.
    pub old: bool,
    pub keep_alive: bool,
    pub fields: Fields,
}

/// The fields that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
}

/// A request that is not answered with what it asks for, and why. The connection ends after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: Status,
    pub why: &'static str,
}

/// What the bytes of a connection begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// More is to come.
    Part,
    /// A whole head, and of how many bytes.
    Whole(Request, usize),
    Refused(Refused),
}

/// Reads the first head in `bytes`, of which there are at most [`MAX_HEAD`].
pub fn read(bytes: &[u8]) -> Head {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut raw = httparse::Request::new(&mut fields);
    match raw.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => match request(&raw) {
            Ok(request) => Head::Whole(request, length),
            Err(refused) => Head::Refused(refused),
        },
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => Head::Refused(Refused {
            status: Status::HeadTooLarge,
            why: "the head of the request is larger than 8192 bytes",
        }),
        Ok(httparse::Status::Partial) => Head::Part,
        Err(httparse::Error::TooManyHeaders) => Head::Refused(Refused {
            status: Status::HeadTooLarge,
            why: "the request has more than 64 header fields",
        }),
        Err(httparse::Error::Version) => bad("only HTTP/1.0 and HTTP/1.1 are spoken here"),
        Err(_) => bad("this is no HTTP request"),
    }
}

fn bad(why: &'static str) -> Head {
    let status = Status::BadRequest;
    Head::Refused(Refused { status, why })
}

fn request(raw: &httparse::Request<'_, '_>) -> Result<Request, Refused> {
    let refused = |status, why| Refused { status, why };
    let method = match raw.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => {
            let why = "only GET and HEAD are answered here";
            return Err(refused(Status::MethodNotAllowed, why));
        }
    };
    if has_body(raw) {
        let why = "a request has no body here";
        return Err(refused(Status::ContentTooLarge, why));
    }
    let target = Target::parse(raw.path.unwrap_or_default())
        .map_err(|why| refused(Status::BadRequest, why))?;
    let old = raw.version == Some(0);
    let wishes = |wish: &str| {
        let all = values(raw, "connection").flat_map(|value| value.split(','));
        all.into_iter()
            .any(|word| word.trim().eq_ignore_ascii_case(wish))
    };
    Ok(Request {
        method,
        target,
        old,
        keep_alive: !wishes("close") && (!old || wishes("keep-alive")),
        fields: Fields {
            range: only(raw, "range"),
            if_range: only(raw, "if-range"),
            if_none_match: joined(raw, "if-none-match"),
            if_modified_since: only(raw, "if-modified-since"),
        },
    })
}

/// RFC 9112 6.3: either field says that there is a body.
fn has_body(raw: &httparse::Request<'_, '_>) -> bool {
    let chunked = fields(raw, "transfer-encoding").next().is_some();
    chunked || fields(raw, "content-length").any(|value| value != b"0")
}

fn fields<'a>(raw: &'a httparse::Request<'_, '_>, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let named = raw
        .headers
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value)
}

/// A value that is not text means nothing to us.
fn values<'a>(raw: &'a httparse::Request<'_, '_>, name: &str) -> impl Iterator<Item = &'a str> {
    fields(raw, name).filter_map(|value| std::str::from_utf8(value).ok())
}

/// A field that has one value. Where two are sent, neither is heeded.
fn only(raw: &httparse::Request<'_, '_>, name: &str) -> Option<String> {
    let mut all = values(raw, name);
    all.next()
        .filter(|_| all.next().is_none())
        .map(str::to_owned)
}

/// A field that is a list, which may come in pieces (RFC 9110 5.3).
fn joined(raw: &httparse::Request<'_, '_>, name: &str) -> Option<String> {
    let all: Vec<&str> = values(raw, name).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn whole(text: &str) -> Request {
        match read(text.as_bytes()) {
            Head::Whole(request, length) if length == text.len() => request,
            other => panic!("{other:?}"),
        }
    }

    #[test_case("GET / HTTP/1.1\r\n\r\n", true; "since 1.1")]
    #[test_case("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false; "unless asked otherwise")]
    #[test_case("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n", false; "in a list")]
    #[test_case("GET / HTTP/1.0\r\n\r\n", false; "not in 1.0")]
    #[test_case("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", true; "in 1.0 when asked")]
    fn a_connection_is_kept(text: &str, kept: bool) {
        assert_eq!(whole(text).keep_alive, kept);
    }

    #[test]
    fn the_fields_are_read_whatever_their_case_and_a_host_is_not_missed() {
        let request = whole(
            "HEAD //a?b=c HTTP/1.1\r\nRANGE: bytes=0-1\r\nIf-None-Match: \"a\"\r\nif-none-match: \"b\"\r\ncontent-length: 0\r\n\r\n",
        );
        assert_eq!(request.method, Method::Head);
        assert_eq!(request.target.path(), "a");
        assert_eq!(request.fields.range.as_deref(), Some("bytes=0-1"));
        assert_eq!(
            request.fields.if_none_match.as_deref(),
            Some("\"a\", \"b\"")
        );
    }

    #[test]
    fn two_ranges_in_two_fields_are_none() {
        let request = whole("GET / HTTP/1.1\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n");
        assert_eq!(request.fields.range, None);
    }

    #[test_case("GET /"; "cut off")]
    #[test_case("GET / HTTP/1.1\r\nHost: a\r\n"; "without its end")]
    #[test_case(""; "nothing")]
    #[test_case("\r\n\r\n"; "empty lines before it")]
    fn what_is_not_whole_is_waited_for(text: &str) {
        assert_eq!(read(text.as_bytes()), Head::Part);
    }

    #[test_case("POST / HTTP/1.1\r\n\r\n", Status::MethodNotAllowed)]
    #[test_case("get / HTTP/1.1\r\n\r\n", Status::MethodNotAllowed; "a method in small letters")]
    #[test_case("GET / HTTP/2.0\r\n\r\n", Status::BadRequest; "another version")]
    #[test_case("GET /../a HTTP/1.1\r\n\r\n", Status::BadRequest; "a path that leads up")]
    #[test_case("\u{16}\u{3}\u{1}\r\n\r\n", Status::BadRequest; "TLS")]
    #[test_case("GET / HTTP/1.1\r\nA b: c\r\n\r\n", Status::BadRequest; "a space in a name")]
    #[test_case("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Status::BadRequest; "a folded field")]
    #[test_case("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Status::ContentTooLarge; "a body")]
    #[test_case("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Status::ContentTooLarge; "a chunked body")]
    fn what_is_wrong_is_refused(text: &str, status: Status) {
        match read(text.as_bytes()) {
            Head::Refused(refused) => assert_eq!(refused.status, status),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_bounded_in_bytes_and_fields() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(MAX_HEAD));
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "a: b\r\n".repeat(MAX_FIELDS + 1)
        );
        for text in [&long.as_bytes()[..MAX_HEAD], many.as_bytes()] {
            let Head::Refused(refused) = read(text) else {
                panic!("not refused")
            };
            assert_eq!(refused.status, Status::HeadTooLarge);
        }
    }
}
