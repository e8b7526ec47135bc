//! Images over HTTP: whole, in parts, while they arrive, and never to the end when they are wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use test_case::test_case;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::boot::cache::{Cache, Environment, Settings};
use crate::model::{ImageShelf, Proof};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a cache, and a source that holds back all but the first half of its image.
struct House {
    server: Server,
    cache: Cache,
    source: SocketAddr,
    asked: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
    _folder: TempDir,
    _stop: watch::Sender<bool>,
}

fn image() -> Vec<u8> {
    (0..400_000_u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect()
}

impl House {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: folder.path().to_owned(),
            quota: u64::from(u32::MAX),
            offline: false,
            registries: BTreeMap::new(),
            environment: Environment::default(),
        };
        let (cache, keeper) = Cache::open(&settings, Arc::new(SystemClock)).unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(keeper.run(stopped));
        let own = cache.clone();
        let server = Server::with(|plane| plane.with_images(own)).await;
        let (asked, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let source = source(asked.clone(), go_on.clone()).await;
        Self {
            server,
            cache,
            source,
            asked,
            go_on,
            _folder: folder,
            _stop: stop,
        }
    }

    /// Where machines fetch what lies at the source.
    fn adopt(&self, checksum: Option<&str>) -> String {
        let url = format!("http://{}/x.raw", self.source);
        let proof = checksum.map(|sum| Proof::Checksum(sum.parse().unwrap()));
        let name = self.cache.adopt(&url, proof.as_ref()).unwrap();
        name.path()
    }
}

async fn source(asked: Arc<AtomicUsize>, go_on: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            let image = image();
            let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", image.len());
            let (first, rest) = image.split_at(image.len() / 2);
            let _ = socket.write_all(told.as_bytes()).await;
            let _ = socket.write_all(first).await;
            go_on.notified().await;
            let _ = socket.write_all(rest).await;
        }
    });
    address
}

/// Reads so many bytes of a body behind its head.
async fn body(socket: &mut TcpStream, bytes: usize) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let mut body = vec![0; bytes];
    socket.read_exact(&mut body).await.unwrap();
    (String::from_utf8(head).unwrap(), body)
}

async fn request(house: &House, path: &str, fields: &str) -> TcpStream {
    let mut socket = house.server.connect().await;
    let text = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn an_image_is_sent_while_it_arrives_to_all_who_ask_and_fetched_once() {
    let house = House::start().await;
    let path = house.adopt(None);
    let whole = image();
    let half = whole.len() / 2;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut socket = request(&house, &path, "").await;
        let (head, first) = body(&mut socket, half).await;
        assert!(head.contains("Content-Length: 400000\r\n"), "{head}");
        assert_eq!(first, whole[..half]);
        clients.push(socket);
    }
    let mut behind = request(&house, &path, "Range: bytes=300000-300003\r\n").await;
    house.go_on.notify_one();
    let (head, part) = body(&mut behind, 4).await;
    assert!(head.starts_with("HTTP/1.1 206 ") && head.contains("bytes 300000-300003/400000"));
    assert_eq!(part, whole[300_000..300_004]);
    let mut ends = JoinSet::new();
    for mut socket in clients {
        ends.spawn(async move {
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            rest
        });
    }
    while let Some(rest) = ends.join_next().await {
        assert_eq!(rest.unwrap(), whole[half..]);
    }
    assert_eq!(house.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_was_cut_while_it_arrived_goes_on_by_its_first_tag() {
    let house = House::start().await;
    let path = house.adopt(None);
    let mut socket = request(&house, &path, "").await;
    let (head, _) = body(&mut socket, 1000).await;
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("ETag: "))
        .unwrap();
    assert!(tag.starts_with("\"arriving-"), "{tag}");
    house.go_on.notify_one();
    let fields = format!("Range: bytes=1000-\r\nIf-Range: {tag}\r\n");
    let mut rest = request(&house, &path, &fields).await;
    let (head, part) = body(&mut rest, 399_000).await;
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert_eq!(part, image()[1000..]);
    let named = async {
        loop {
            let named = house.server.ask("HEAD", &path, "").await;
            if named.field("etag").unwrap().starts_with("\"sha256:") {
                return;
            }
        }
    };
    timeout(PATIENCE, named).await.expect("it is kept");
    let later = house.server.ask("GET", &path, &fields).await;
    assert_eq!(later.code, 206);
    let other = house.server.ask(
        "GET",
        &path,
        "Range: bytes=1000-\r\nIf-Range: \"arriving-0\"\r\n",
    );
    assert_eq!(other.await.code, 200);
}

#[tokio::test]
async fn nobody_gets_to_the_end_of_a_wrong_image() {
    let house = House::start().await;
    let path = house.adopt(Some(&format!("sha256:{}", "0".repeat(64))));
    let mut socket = request(&house, &path, "").await;
    house.go_on.notify_one();
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all).await;
    let text = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(all.len() - text - 4 < image().len());
    let reply = house.server.get(&path).await;
    assert_eq!(reply.code, 424);
    assert!(reply.body.contains("checksum is wrong"), "{}", reply.body);
}

#[test_case("/images/none", 404, "there is no none")]
#[test_case("/images/a/b", 404, "there is no a/b")]
#[test_case("/images/", 404, "nothing here"; "no name")]
#[tokio::test]
async fn what_is_no_image_is_not_found(path: &str, code: u16, words: &str) {
    let reply = House::start().await.server.get(path).await;
    assert_eq!(reply.code, code);
    assert!(reply.body.contains(words), "{}", reply.body);
}
