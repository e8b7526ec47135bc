//! A server for tests, that says and does what a test wants of it: cuts, lies about lengths, changes its mind.

#![allow(
    clippy::cast_possible_truncation,
    clippy::return_self_not_must_use,
    reason = "what a test says is small, and is used"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many there were before.
    pub number: usize,
    pub path: String,
    pub range: Option<Range<u64>>,
    pub if_range: Option<String>,
}

/// What is answered, honest or not.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<String>,
    pub body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Answer {
    /// An honest one.
    pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Self {
        let honest = request.if_range.as_deref().is_none_or(|tag| tag == etag);
        let total = bytes.len();
        let mut fields = vec![format!("ETag: {etag}")];
        let (status, body) = match &request.range {
            Some(range) if honest => {
                let end = range.end.min(total as u64);
                fields.push(format!(
                    "Content-Range: bytes {}-{}/{total}",
                    range.start,
                    end - 1
                ));
                let (start, end) = (range.start as usize, end as usize);
                (206, bytes[start..end].to_vec())
            }
            _ => (200, bytes.to_vec()),
        };
        fields.push(format!("Content-Length: {}", body.len()));
        Self {
            status,
            fields,
            body,
            cut: None,
        }
    }

    pub fn status(status: u16) -> Self {
        Self {
            status,
            fields: vec!["Content-Length: 0".into()],
            body: Vec::new(),
            cut: None,
        }
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = (after < self.body.len()).then_some(after);
        self
    }

    pub fn field(mut self, field: &str) -> Self {
        self.fields.push(field.into());
        self
    }
}

type Behaviour = dyn Fn(&Request) -> Answer + Send + Sync;

#[derive(Debug)]
pub struct Liar {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    pub fn start(behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (seen, end, behaviour) = (Arc::clone(&asked), Arc::clone(&over), Arc::new(behaviour));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (seen, behaviour) = (Arc::clone(&seen), Arc::clone(&behaviour));
                thread::spawn(move || serve(stream.unwrap(), &seen, &*behaviour));
            }
        });
        Self {
            address,
            asked,
            over,
            thread: Some(thread),
        }
    }

    /// That serves one file, as it should be.
    pub fn honest(bytes: Vec<u8>) -> Self {
        Self::start(move |request| Answer::file(request, &bytes, "\"1\""))
    }

    pub fn url(&self) -> super::Url {
        format!("http://{}/image", self.address).parse().unwrap()
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Request>>, behaviour: &Behaviour) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let request = {
            let mut asked = asked.lock().unwrap();
            let request = read(asked.len(), &String::from_utf8(head).unwrap());
            asked.push(request.clone());
            request
        };
        let answer = behaviour(&request);
        let mut fields = answer.fields.join("\r\n");
        fields.push_str("\r\n");
        write!(stream, "HTTP/1.1 {} Said\r\n{fields}\r\n", answer.status).ok()?;
        let len = answer.cut.unwrap_or(answer.body.len());
        stream.write_all(&answer.body[..len]).ok()?;
        if answer.cut.is_some() {
            return None;
        }
    }
}

fn read(number: usize, head: &str) -> Request {
    let field = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_lowercase().starts_with(name));
        line.map(|line| line[name.len()..].trim().to_owned())
    };
    let range = field("range: bytes=").map(|range| {
        let (first, last) = range.split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
    });
    Request {
        number,
        path: head.split(' ').nth(1).unwrap().into(),
        range,
        if_range: field("if-range:"),
    }
}
