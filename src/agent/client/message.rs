//! HTTP/1.1 (RFC 9112), as much of it as one client needs that posts JSON to one server that is its own.

use std::io::{self, Read};
use std::net::SocketAddr;

/// An answer's head, at most.
const HEAD: usize = 16 * 1024;
/// An answer's body, at most. A workflow with files in it is what comes nearest.
const BODY: usize = 16 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the connection can be used again.
    pub(super) keep: bool,
}

pub(super) fn post(server: &SocketAddr, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(super) fn read(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD {
            return Err(wrong("a head without end"));
        }
        more(stream, &mut bytes)?;
    };
    let head = Head::parse(&bytes[..end])?;
    let length = if head.status == 204 {
        0
    } else {
        head.length
            .ok_or_else(|| wrong("an answer without its length"))?
    };
    if length > BODY {
        return Err(wrong("an answer that is too long"));
    }
    while bytes.len() < end + length {
        more(stream, &mut bytes)?;
    }
    let whole = bytes.len() == end + length;
    Ok(Answer {
        status: head.status,
        body: bytes[end..end + length].to_vec(),
        keep: head.keep && whole,
    })
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 8192];
    match stream.read(&mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend(&piece[..read]);
            Ok(())
        }
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
    keep: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("a head that is no text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let mut head = Self {
            status: status.ok_or_else(|| wrong("no HTTP/1.1"))?,
            length: None,
            keep: true,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.parse().map_err(|_| wrong("a length that is none"))?);
            } else if name.eq_ignore_ascii_case("connection") {
                head.keep = !value.eq_ignore_ascii_case("close");
            }
        }
        Ok(head)
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} instead of an answer"),
    )
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let answer = read(&mut bytes.as_slice()).unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 200,
                body: b"{}".to_vec(),
                keep: true
            }
        );
        let more = [bytes.as_slice(), b"x"].concat();
        assert!(
            !read(&mut more.as_slice()).unwrap().keep,
            "what follows is nobody's"
        );
    }

    #[test]
    fn an_empty_one_needs_no_length() {
        let answer =
            read(&mut b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".as_slice()).unwrap();
        assert_eq!((answer.status, answer.keep), (204, false));
    }

    #[test_case("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}"; "cut short")]
    #[test_case("HTTP/1.1 200 OK\r\n\r\n"; "no length")]
    #[test_case("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"; "too long")]
    #[test_case("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"; "a length below nothing")]
    #[test_case("SSH-2.0-OpenSSH\r\n\r\n"; "another protocol")]
    #[test_case(""; "nothing")]
    fn what_is_no_answer_is_an_error(text: &str) {
        assert!(read(&mut text.as_bytes()).is_err());
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        assert!(read(&mut io::repeat(b'x')).is_err());
    }
}
