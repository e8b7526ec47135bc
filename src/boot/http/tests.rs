//! The machine plane over real sockets on loopback.

use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::FutureExt;
use tempfile::TempDir;
use test_case::test_case;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::boot::ipxe::Scripts;
use crate::core::SystemClock;
use crate::model::boot::Boot;

const LOADER: &[u8] = b"0123456789";

#[derive(Default)]
struct Notes {
    asks: Mutex<Vec<Ask>>,
    seen: Mutex<Vec<(Mark, String)>>,
}

struct Decider(Arc<Notes>);

impl Machines for Decider {
    fn script<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Given, Unavailable>> {
        self.0.asks.lock().unwrap().push(ask.clone());
        let given = if ask.mac.octets()[5] == 0xff {
            Err(Unavailable("the store is full".to_owned()))
        } else {
            let why = "a test says so";
            let decision = Decision {
                boot: Boot::Local,
                why,
            };
            Ok(Given {
                name: "brave-otter".to_owned(),
                decision,
                agent: None,
                installer: None,
            })
        };
        std::future::ready(given).boxed()
    }
}

struct Eye(Arc<Notes>);

impl Watcher for Eye {
    fn seen(&self, seen: &Seen<'_>) {
        let mut all = self.0.seen.lock().unwrap();
        all.push((seen.mark, seen.name.to_owned()));
    }
}

struct Server {
    folder: TempDir,
    address: SocketAddr,
    notes: Arc<Notes>,
    plane: Arc<Plane>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with(|plane| plane).await
    }

    /// A server whose plane was told of something more.
    async fn with(more: impl FnOnce(Plane) -> Plane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("x64")).unwrap();
        std::fs::write(folder.path().join("x64/snponly.efi"), LOADER).unwrap();
        let big = std::fs::File::create(folder.path().join("big")).unwrap();
        big.set_len(64 * 1024 * 1024).unwrap();
        let scripts = Scripts::new().unwrap();
        let files = Files::new(folder.path().to_owned(), Vec::new(), scripts);
        let notes = Arc::new(Notes::default());
        let (decider, eye) = (Decider(notes.clone()), Eye(notes.clone()));
        let clock = Arc::new(SystemClock);
        let plane = Plane::new(Arc::new(files), Box::new(decider), Box::new(eye), clock);
        Self::serving(folder, notes, more(plane)).await
    }

    async fn serving(folder: TempDir, notes: Arc<Notes>, plane: Plane) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let plane = Arc::new(plane);
        let task = tokio::spawn(serve(listener, plane.clone(), stopped));
        Self {
            folder,
            address,
            notes,
            plane,
            stop,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// All that comes back until the server closes.
    async fn said(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        socket.read_to_end(&mut said).await.unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// One request on a connection that then closes.
    async fn ask(&self, method: &str, target: &str, fields: &str) -> Reply {
        let request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
        Reply::read(&self.said(&request).await)
    }

    async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "").await
    }

    fn seen(&self) -> Vec<(Mark, String)> {
        self.notes.seen.lock().unwrap().clone()
    }
}

struct Reply {
    code: u16,
    head: String,
    body: String,
}

impl Reply {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        Self {
            code: head[9..12].parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }
}

#[tokio::test]
async fn a_loader_is_sent_with_all_that_firmware_wants_to_know() {
    let server = Server::start().await;
    let reply = server.get("/boot/x64/snponly.efi").await;
    assert_eq!((reply.code, reply.body.as_bytes()), (200, LOADER));
    assert_eq!(reply.field("content-length"), Some("10"));
    assert_eq!(reply.field("content-type"), Some("application/efi"));
    assert_eq!(reply.field("accept-ranges"), Some("bytes"));
    assert!(reply.field("last-modified").unwrap().ends_with(" gmt"));
    let tag = format!("If-None-Match: {}\r\n", reply.field("etag").unwrap());
    let again = server.ask("GET", "/boot/x64/snponly.efi", &tag).await;
    assert_eq!((again.code, again.body.as_str()), (304, ""));
}

#[tokio::test]
async fn a_head_tells_the_size_and_sends_nothing() {
    let server = Server::start().await;
    let reply = server.ask("HEAD", "/boot/x64/snponly.efi", "").await;
    assert_eq!((reply.code, reply.body.as_str()), (200, ""));
    assert_eq!(reply.field("content-length"), Some("10"));
    assert_eq!(
        server.seen(),
        [(Mark::FileProbed, "x64/snponly.efi".to_owned())]
    );
}

#[test_case("bytes=2-4", 206, "234", "bytes 2-4/10")]
#[test_case("bytes=8-", 206, "89", "bytes 8-9/10")]
#[test_case("bytes=-1", 206, "9", "bytes 9-9/10")]
#[test_case(
    "bytes=10-",
    416,
    "the range lies behind the end, at 10 bytes\n",
    "bytes */10"
)]
#[tokio::test]
async fn a_part_is_sent(range: &str, code: u16, body: &str, told: &str) {
    let server = Server::start().await;
    let fields = format!("Range: {range}\r\n");
    let reply = server.ask("GET", "/boot/x64/snponly.efi", &fields).await;
    assert_eq!((reply.code, reply.body.as_str()), (code, body));
    assert_eq!(reply.field("content-range"), Some(told));
}

#[test_case("//boot//x64/snponly.efi")]
#[test_case("/boot/x64/./snponly.efi")]
#[test_case("/boot/x64%2Fsnponly%2eefi?x=y")]
#[test_case("http://any.host/boot/x64/snponly.efi")]
#[tokio::test]
async fn a_path_written_otherwise_is_answered_at_once_and_never_redirected(target: &str) {
    let reply = Server::start().await.get(target).await;
    assert_eq!((reply.code, reply.body.as_bytes()), (200, LOADER));
}

#[test_case("GET", "/boot/none.efi", 404, "there is no file none.efi")]
#[test_case("GET", "/elsewhere", 404, "/boot/")]
#[test_case("GET", "/boot/x64", 404, "not a regular file")]
#[test_case("GET", "/boot/../secret", 400, "upwards")]
#[test_case("GET", "/boot/%00", 400, "control character")]
#[test_case("GET", "/ipxe/machine/nonsense", 400, "MAC address")]
#[test_case("GET", "/ipxe/machine/52-54-00-00-00-ff", 503, "the store is full")]
#[test_case("HEAD", "/ipxe/machine/52-54-00-00-00-01", 405, "")]
#[test_case("POST", "/boot/x64/snponly.efi", 405, "only GET and HEAD")]
#[test_case("GET", "/healthz", 200, "ok")]
#[tokio::test]
async fn what_is_wrong_is_said(method: &str, target: &str, code: u16, why: &str) {
    let reply = Server::start().await.ask(method, target, "").await;
    assert_eq!(reply.code, code);
    assert!(reply.body.contains(why), "{}", reply.body);
    if method != "HEAD" {
        assert_eq!(
            reply.field("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn a_machine_gets_its_script_with_urls_of_the_address_it_asked() {
    let server = Server::start().await;
    let entry = server.get("/ipxe/boot.ipxe").await.body;
    let url = format!(
        "http://{}/ipxe/machine/${{netX/mac:hexhyp}}",
        server.address
    );
    assert!(entry.contains(&url), "{entry}");
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let target = format!(
        "/ipxe/machine/52-54-00-00-00-01?platform=pcbios&arch=i386&uuid={uuid}&maker=a%0Ab&product=${{x}}"
    );
    let reply = server.get(&target).await;
    assert!(
        reply
            .body
            .contains("Dragonfly: script reached, brave-otter\n")
    );
    assert!(reply.body.contains("52:54:00:00:00:01, 127.0.0.1, BIOS\n"));
    let asks = server.notes.asks.lock().unwrap();
    assert_eq!(asks[0].uuid, Some(uuid.parse().unwrap()));
    assert_eq!(asks[0].platform, Some(Platform::Bios));
    assert_eq!(
        (asks[0].told.maker.as_str(), asks[0].told.product.as_str()),
        ("a?b", "?{x}")
    );
    assert_eq!(
        (asks[0].local, asks[0].peer.ip()),
        (server.address, IpAddr::from([127, 0, 0, 1]))
    );
}

#[tokio::test]
async fn requests_that_came_early_are_answered_in_their_order() {
    let server = Server::start().await;
    let said = server
        .said("HEAD /boot/x64/snponly.efi HTTP/1.1\r\n\r\nGET /boot/x64/snponly.efi HTTP/1.1\r\nRange: bytes=0-1\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n")
        .await;
    let codes: Vec<_> = said
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &said[at + 9..at + 12])
        .collect();
    assert_eq!(codes, ["200", "206", "200"]);
    assert!(said.ends_with("\r\n\r\nok\n"), "{said}");
}

#[tokio::test]
async fn an_old_client_is_told_that_the_connection_stays_and_a_new_one_need_not_be() {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    for (request, told) in [
        (
            "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            true,
        ),
        ("GET /healthz HTTP/1.1\r\n\r\n", false),
    ] {
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut said = vec![0; 1024];
        let count = socket.read(&mut said).await.unwrap();
        let reply = Reply::read(std::str::from_utf8(&said[..count]).unwrap());
        assert_eq!(reply.field("connection") == Some("keep-alive"), told);
    }
}

#[test_case("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", "405"; "a method")]
#[test_case("GET / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", "413"; "a body")]
#[test_case("GET / HTTP/9\r\n\r\n", "400"; "a version")]
#[test_case("GET / HTTP/1.1\r\nx: ", "431"; "a long head")]
#[tokio::test]
async fn a_refusal_arrives_though_the_client_goes_on_sending(head: &str, code: &str) {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b'x'; 20_000]).await.unwrap();
    let mut said = Vec::new();
    socket.read_to_end(&mut said).await.unwrap();
    assert_eq!(&said[9..12], code.as_bytes());
}

#[tokio::test]
async fn a_file_larger_than_any_buffer_arrives_whole() {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    let request = "GET /boot/big HTTP/1.1\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    socket.read_to_end(&mut said).await.unwrap();
    let head = said
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    assert_eq!(said.len() - head - 4, 64 * 1024 * 1024);
    let big = "big".to_owned();
    assert_eq!(
        server.seen(),
        [(Mark::FileBegun, big.clone()), (Mark::FileDone, big)]
    );
}

/// Waits until the trace says so.
async fn until_seen(server: &Server, mark: Mark) {
    let found = async {
        while !server.seen().iter().any(|(seen, _)| *seen == mark) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), found).await;
    waited.unwrap_or_else(|_| panic!("{mark:?} was not seen"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_noticed() {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /boot/big HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    socket.read_exact(&mut [0; 4096]).await.unwrap();
    drop(socket);
    until_seen(&server, Mark::FileBroken).await;
}

#[tokio::test]
async fn a_transfer_whose_seat_is_given_away_is_told_as_broken() {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    let request = b"GET /boot/big HTTP/1.1\r\n\r\n";
    socket.write_all(request).await.unwrap();
    socket.read_exact(&mut [0; 4096]).await.unwrap();
    server.plane.seats.clear();
    until_seen(&server, Mark::FileBroken).await;
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    let server = Server::start().await;
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /boot/big HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    socket.read_exact(&mut [0; 4096]).await.unwrap();
    let big = std::fs::OpenOptions::new()
        .write(true)
        .open(server.folder.path().join("big"));
    big.unwrap().set_len(1).unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * 1024 * 1024);
    until_seen(&server, Mark::FileBroken).await;
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out() {
    let server = Server::start().await;
    let mut crowd = Vec::new();
    for _ in 0..seats::PER_ADDRESS + 50 {
        let mut socket = server.connect().await;
        socket
            .write_all(b"GET /boot/x64/snponly.efi HT")
            .await
            .unwrap();
        crowd.push(socket);
    }
    assert_eq!(server.get("/boot/x64/snponly.efi").await.code, 200);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once_and_answers_what_was_asked() {
    let server = Server::start().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    idle.read_exact(&mut [0; 20]).await.unwrap();
    server.stop.send(true).unwrap();
    let ended = tokio::time::timeout(GRACE / 2, server.task).await;
    ended.expect("the server to stop").unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"ok\n"));
}

#[test]
fn the_words_for_a_full_house_are_as_long_as_they_say() {
    let reply = Reply::read(std::str::from_utf8(connection::FULL).unwrap());
    let length = reply.body.len().to_string();
    assert_eq!(
        (reply.code, reply.field("content-length")),
        (503, Some(length.as_str()))
    );
}

mod fuzz {
    use super::super::request::{Head, MAX_HEAD, read};
    use super::super::target::Target;
    use crate::boot::files::Name;

    fn cases() -> usize {
        let told = std::env::var("FUZZ_CASES").ok();
        told.and_then(|text| text.parse().ok()).unwrap_or(10_000)
    }

    #[test]
    fn fuzz_heads_of_requests() {
        bolero::check!()
            .with_iterations(cases())
            .for_each(|bytes: &[u8]| {
                let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
                if let Head::Whole(request, length) = read(bytes) {
                    assert!(length > 0 && length <= bytes.len());
                    assert!(request.target.path().len() <= bytes.len());
                }
            });
    }

    #[test]
    fn fuzz_targets_and_names() {
        bolero::check!()
            .with_iterations(cases())
            .with_type::<String>()
            .for_each(|text: &String| {
                for text in [text.clone(), format!("/boot/{text}"), format!("/?{text}")] {
                    let Ok(target) = Target::parse(&text) else {
                        continue;
                    };
                    let _ = target.value("uuid");
                    let plain = |segment: &str| !matches!(segment, "." | "..");
                    assert!(target.path().split('/').all(plain));
                    let name = target.path().parse::<Name>();
                    assert!(name.is_err() || !name.unwrap().as_str().contains("//"));
                }
            });
    }
}

mod images;
