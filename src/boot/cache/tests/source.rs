//! A source for images that does as it is told: cuts, lies, waits, changes its mind.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How one request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As HTTP asks, with Range.
    Well,
    /// The same, and hangs up after so many bytes of the body.
    Cut(usize),
    /// The same, and waits for [`Source::go_on`] after so many.
    Wait(usize),
    /// Whole, whatever part was asked for.
    Whole,
    /// Whole, in chunks, without a length.
    Chunked,
    /// Says that it has so many bytes.
    Says(usize),
    Code(u16),
    /// Wants a token from there, unless one is brought.
    Wants(String),
    To(String),
    Packed,
}

#[derive(Debug)]
pub struct Source {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    content: Mutex<Vec<u8>>,
    /// What lies at paths of their own.
    files: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
    tag: Mutex<Option<String>>,
    manners: Mutex<VecDeque<Manner>>,
    asked: Mutex<Vec<String>>,
    go_on: Notify,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    /// Answers in these manners, one request each, and well from then on.
    pub async fn new(content: &[u8], manners: impl IntoIterator<Item = Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            content: Mutex::new(content.to_vec()),
            files: Mutex::default(),
            tag: Mutex::new(Some("\"one\"".into())),
            manners: Mutex::new(manners.into_iter().collect()),
            asked: Mutex::default(),
            go_on: Notify::new(),
        });
        let own = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&own);
                tokio::spawn(async move { state.talk(socket).await });
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    pub fn go_on(&self) {
        self.state.go_on.notify_one();
    }

    /// Another content at this path.
    pub fn put(&self, path: &str, content: &[u8]) {
        let mut files = self.state.files.lock().unwrap();
        files.insert(path.to_owned(), Some(content.to_vec()));
    }

    /// Nothing at this path.
    pub fn gone(&self, path: &str) {
        let mut files = self.state.files.lock().unwrap();
        files.insert(path.to_owned(), None);
    }

    pub fn change(&self, content: &[u8], tag: Option<&str>) {
        *self.state.content.lock().unwrap() = content.to_vec();
        *self.state.tag.lock().unwrap() = tag.map(str::to_owned);
    }
}

impl State {
    async fn talk(&self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = socket.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        self.asked.lock().unwrap().push(head.clone());
        let manner = self.manners.lock().unwrap().pop_front();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let own = self.files.lock().unwrap().get(&path[1..]).cloned();
        let (content, manner) = match own {
            Some(None) => (Vec::new(), Manner::Code(404)),
            Some(Some(content)) => (content, manner.unwrap_or(Manner::Well)),
            None => {
                let content = self.content.lock().unwrap().clone();
                (content, manner.unwrap_or(Manner::Well))
            }
        };
        let _ = self.answer(&mut socket, &head, content, manner).await;
    }

    async fn answer(
        &self,
        socket: &mut TcpStream,
        head: &str,
        content: Vec<u8>,
        manner: Manner,
    ) -> std::io::Result<()> {
        let tag = self.tag.lock().unwrap().clone();
        let line = tag
            .as_ref()
            .map_or(String::new(), |tag| format!("ETag: {tag}\r\n"));
        let whole = format!(
            "HTTP/1.1 200 OK\r\n{line}Content-Length: {}\r\n\r\n",
            content.len()
        );
        match manner {
            Manner::Code(code) => empty(socket, &format!("{code} No")).await,
            Manner::Wants(realm) => {
                let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"");
                empty(socket, &format!("401 No\r\n{challenge}")).await
            }
            Manner::To(target) => empty(socket, &format!("302 Found\r\nLocation: {target}")).await,
            Manner::Packed => {
                let text =
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
                socket.write_all(text.as_bytes()).await
            }
            Manner::Whole => {
                socket.write_all(whole.as_bytes()).await?;
                socket.write_all(&content).await
            }
            Manner::Says(bytes) => {
                let text = format!("HTTP/1.1 200 OK\r\n{line}Content-Length: {bytes}\r\n\r\n");
                socket.write_all(text.as_bytes()).await?;
                socket.write_all(&content).await
            }
            Manner::Chunked => {
                let text = format!("HTTP/1.1 200 OK\r\n{line}Transfer-Encoding: chunked\r\n\r\n");
                socket.write_all(text.as_bytes()).await?;
                for piece in content.chunks(1000) {
                    let size = format!("{:x}\r\n", piece.len());
                    socket.write_all(size.as_bytes()).await?;
                    socket.write_all(piece).await?;
                    socket.write_all(b"\r\n").await?;
                }
                socket.write_all(b"0\r\n\r\n").await
            }
            Manner::Well
                if tag
                    .as_ref()
                    .is_some_and(|tag| head.contains(&format!("if-none-match: {tag}"))) =>
            {
                socket.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n").await
            }
            Manner::Well | Manner::Cut(_) | Manner::Wait(_) => {
                let from = from(head, tag.as_deref());
                let text = match from {
                    Some(from) => format!(
                        "HTTP/1.1 206 Partial Content\r\n{line}Content-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n",
                        content.len() - from,
                        content.len() - 1,
                        content.len()
                    ),
                    None => whole,
                };
                socket.write_all(text.as_bytes()).await?;
                let body = &content[from.unwrap_or(0)..];
                let stop = match manner {
                    Manner::Cut(bytes) | Manner::Wait(bytes) => bytes.min(body.len()),
                    _ => body.len(),
                };
                socket.write_all(&body[..stop]).await?;
                if matches!(manner, Manner::Wait(_)) {
                    socket.flush().await?;
                    self.go_on.notified().await;
                    socket.write_all(&body[stop..]).await?;
                }
                Ok(())
            }
        }
    }
}

/// An answer without a body.
async fn empty(socket: &mut TcpStream, head: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n");
    socket.write_all(text.as_bytes()).await
}

/// Where the part begins that is asked for, if it is still of the same content.
fn from(head: &str, tag: Option<&str>) -> Option<usize> {
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    };
    let from = field("range")?.strip_prefix("bytes=")?.strip_suffix('-')?;
    let same = field("if-range").is_none_or(|condition| Some(condition) == tag);
    same.then(|| from.parse().unwrap())
}
