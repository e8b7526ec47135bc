//! Status, head and body of an answer.

use std::borrow::Cow;
use std::fmt::Write;
use std::fs::File;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::boot::cache::{Growing, Lease};

pub const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    PartialContent,
    NotModified,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    ContentTooLarge,
    RangeNotSatisfiable,
    FailedDependency,
    HeadTooLarge,
    Broken,
    BadGateway,
    Unavailable,
}

impl Status {
    /// RFC 9110 15, RFC 4918 11.4 and RFC 6585 5.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::PartialContent => "206 Partial Content",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::RangeNotSatisfiable => "416 Range Not Satisfiable",
            Self::FailedDependency => "424 Failed Dependency",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Broken => "500 Internal Server Error",
            Self::BadGateway => "502 Bad Gateway",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// What goes out, but for what depends on the connection.
#[derive(Debug)]
pub struct Answer {
    pub status: Status,
    /// The media type.
    pub kind: Cow<'static, str>,
    /// Of a file or a script: its whole length, its tag, its date.
    pub entity: Option<Entity>,
    /// The first and the last byte, of a part.
    pub part: Option<(u64, u64)>,
    pub body: Body,
    /// Fields of one route alone, written by us.
    pub more: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub struct Entity {
    pub len: u64,
    pub tag: String,
    pub modified: Option<Timestamp>,
}

#[derive(Debug)]
pub enum Body {
    Bytes(Bytes),
    /// So many bytes of a file, from an offset on.
    File {
        file: File,
        from: u64,
        len: u64,
    },
    /// The same of an image, which stays while it is sent.
    Kept {
        file: File,
        from: u64,
        len: u64,
        lease: Lease,
    },
    /// The same of a file that is still arriving.
    Growing {
        growing: Growing,
        from: u64,
        len: u64,
    },
}

impl Body {
    pub const fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } | Self::Kept { len, .. } | Self::Growing { len, .. } => *len,
        }
    }
}

/// How the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub keep_alive: bool,
    /// The client spoke HTTP/1.0, where staying is what has to be said.
    pub old: bool,
    pub now: Timestamp,
}

impl Answer {
    /// A line for a person.
    pub fn text(status: Status, line: impl Into<String>) -> Self {
        let mut line = line.into();
        line.push('\n');
        Self {
            status,
            kind: Cow::Borrowed(TEXT),
            entity: None,
            part: None,
            body: Body::Bytes(line.into()),
            more: Vec::new(),
        }
    }

    pub fn head(&self, manner: Manner) -> String {
        // Nothing that is written here comes off the wire.
        let mut head = String::with_capacity(320);
        let _ = write!(head, "HTTP/1.1 {}\r\n", self.status.line());
        line(&mut head, "Date", &date(manner.now));
        if self.status != Status::NotModified {
            line(&mut head, "Content-Type", &self.kind);
            line(&mut head, "Content-Length", &self.body.length().to_string());
        }
        self.entity_lines(&mut head);
        for (name, value) in &self.more {
            line(&mut head, name, value);
        }
        match self.status {
            Status::MethodNotAllowed => line(&mut head, "Allow", "GET, HEAD"),
            Status::Unavailable => line(&mut head, "Retry-After", "5"),
            _ => {}
        }
        match (manner.keep_alive, manner.old) {
            (false, _) => line(&mut head, "Connection", "close"),
            (true, true) => line(&mut head, "Connection", "keep-alive"),
            (true, false) => {}
        }
        head.push_str("\r\n");
        head
    }

    fn entity_lines(&self, head: &mut String) {
        let Some(entity) = &self.entity else { return };
        let len = entity.len;
        match (self.status, self.part) {
            (Status::RangeNotSatisfiable, _) => {
                return line(head, "Content-Range", &format!("bytes */{len}"));
            }
            (_, Some((first, last))) => {
                line(
                    head,
                    "Content-Range",
                    &format!("bytes {first}-{last}/{len}"),
                );
            }
            _ => {}
        }
        line(head, "Accept-Ranges", "bytes");
        line(head, "ETag", &entity.tag);
        if let Some(modified) = entity.modified {
            line(head, "Last-Modified", &date(modified));
        }
    }
}

fn line(head: &mut String, name: &str, value: &str) {
    let _ = write!(head, "{name}: {value}\r\n");
}

/// RFC 9110 5.6.7. A time that it cannot tell, before the year 0, is told as the epoch.
fn date(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new();
    let told = PRINTER.timestamp_to_rfc9110_string(&time);
    told.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

/// EDK2 takes a file for a program or a RAM disk by its media type, and only then by its name.
pub fn kind(name: &str) -> &'static str {
    let ends = |end: &str| {
        let at = name.len().checked_sub(end.len());
        at.and_then(|at| name.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    match () {
        () if ends(".efi") => "application/efi",
        () if ends(".iso") => "application/vnd.efi-iso",
        () if ends(".ipxe") || ends(".txt") || ends(".cfg") => TEXT,
        () => "application/octet-stream",
    }
}
