//! A whole people's plane on real sockets over a memory store, and a client that speaks HTTP by hand, so that
//! a test can also say what no proper client would.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fixture that fails is a test that fails"
)]
#![allow(
    clippy::format_push_string,
    reason = "a request reads best line by line"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dragonfly::core::{Core, SystemClock};
use dragonfly::store::memory::MemoryStore;
use dragonfly::web::{self, About, Listeners, Mode, Ready};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What nothing here may take longer than.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Place {
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub core: Core,
    pub store: Arc<MemoryStore>,
    pub ready: watch::Sender<Ready>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Place {
    pub async fn new() -> Self {
        Self::in_mode(Mode::Installed).await
    }

    pub async fn in_mode(mode: Mode) -> Self {
        let store = Arc::new(MemoryStore::new());
        let core = Core::new(store.clone(), Arc::new(SystemClock));
        let (ready, waits) = watch::channel(Ready::Yes);
        let about = About {
            version: "0.0.0".into(),
            mode,
            installed_by: None,
            started_at: core.clock().now(),
            ports: Vec::new(),
            boot_port: 3080,
            ready: waits,
        };
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("d.sock");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = UnixListener::bind(&socket).unwrap();
        let listeners = Listeners {
            tcp: vec![tcp],
            unix: vec![unix],
        };
        let (stop, stopped) = watch::channel(false);
        let router = web::router(core.clone(), about);
        let task = tokio::spawn(web::serve(
            listeners,
            router,
            stopped,
            Duration::from_secs(1),
        ));
        Self {
            address,
            socket,
            core,
            store,
            ready,
            stop,
            task,
            _directory: directory,
        }
    }

    /// Says stop and waits until everything is over; tells how long that took.
    pub async fn stop(self) -> Duration {
        let began = tokio::time::Instant::now();
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server to stop")
            .unwrap();
        began.elapsed()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], "").await
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        self.call(method, path, &[], body).await
    }

    /// One call on a connection of its own. A body is announced as JSON unless a header says otherwise.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        self.raw(&self.request(method, path, headers, body)).await
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let has = |name: &str| {
            headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !has("host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
            if !has("content-type") {
                request += "Content-Type: application/json\r\n";
            }
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request + "\r\n" + body
    }

    /// Sends these bytes and reads until the server closes.
    pub async fn raw(&self, bytes: &str) -> Reply {
        let socket = TcpStream::connect(self.address).await.unwrap();
        exchange(socket, bytes.as_bytes()).await
    }

    /// The same over the unix socket.
    pub async fn over_unix(&self, bytes: &str) -> Reply {
        let socket = UnixStream::connect(&self.socket).await.unwrap();
        exchange(socket, bytes.as_bytes()).await
    }

    /// Adds a machine and returns its id.
    pub async fn add(&self, body: &str) -> String {
        let reply = self.send("POST", "/api/v1/machines", body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["subject_id"].as_str().unwrap().to_owned()
    }

    /// Opens a live stream, past its first comment.
    pub async fn follow(&self, query: &str, headers: &[(&str, &str)]) -> Stream {
        let mut all = vec![("Accept", "text/event-stream")];
        all.extend(headers);
        let request = self.request("GET", &format!("/api/v1/events{query}"), &all, "");
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Stream {
            lines: BufReader::new(socket),
        };
        let head = stream.until_blank().await.expect("a head");
        assert!(head[0].contains(" 200 "), "{head:?}");
        stream.until_blank().await.expect("the first comment");
        stream
    }
}

/// A live stream.
pub struct Stream {
    lines: BufReader<TcpStream>,
}

/// One message of a live stream.
#[derive(Debug, Default)]
pub struct Message {
    pub id: String,
    pub event: String,
    pub data: Value,
}

impl Stream {
    /// The next message that is not a comment; none at the end.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let lines = self.until_blank().await?;
            let mut message = Message::default();
            for line in &lines {
                // Sizes of chunks stand between the lines; no field of ours looks like one.
                match line.split_once(": ") {
                    Some(("id", id)) => message.id = id.into(),
                    Some(("event", event)) => message.event = event.into(),
                    Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                    _ => {}
                }
            }
            if !message.event.is_empty() {
                return Some(message);
            }
        }
    }

    /// Lines up to an empty one that ends a block; what chunked encoding puts between is left out.
    async fn until_blank(&mut self) -> Option<Vec<String>> {
        let mut block = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line);
            let read = tokio::time::timeout(PATIENCE, read)
                .await
                .expect("a line of the stream");
            if read.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let size = !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
            if !line.is_empty() && !size {
                block.push(line.to_owned());
            } else if !block.is_empty() && line.is_empty() {
                return Some(block);
            }
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// Checks that this is a problem as it should be, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", self.body);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        problem
    }

    /// Checks that `field` was refused, with a reason and an example.
    #[track_caller]
    pub fn refused(&self, field: &str) -> Value {
        let problem = self.problem(400, "invalid");
        assert_eq!(problem["field"], field, "{}", self.body);
        assert!(
            problem["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
        assert!(
            problem["example"]
                .as_str()
                .is_some_and(|example| !example.is_empty())
        );
        problem
    }
}

pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, bytes: &[u8]) -> Reply {
    let both = async {
        // A server that refuses early closes before it has read everything.
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("an answer");
    read(&answer)
}

pub fn read(answer: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
