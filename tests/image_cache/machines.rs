//! The machine plane with a cache, on loopback, and what a machine gets there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dragonfly::boot::cache::registry::FRESH;
use dragonfly::boot::cache::{Cache, Environment, Settings};
use dragonfly::boot::files::Files;
use dragonfly::boot::http::{self, Ask, Given, Machines, Plane, Seen, Unavailable, Watcher};
use dragonfly::boot::ipxe::Scripts;
use dragonfly::core::SystemClock;
use dragonfly::core::clock::ManualClock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct Nobody;

impl Machines for Nobody {
    fn script<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Given, Unavailable>> {
        std::future::ready(Err(Unavailable("no machines here".into()))).boxed()
    }
}

impl Watcher for Nobody {
    fn seen(&self, _: &Seen<'_>) {}
}

/// The plane, for as long as this lives.
pub struct Door {
    address: SocketAddr,
    clock: Arc<ManualClock>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

pub struct Reply {
    pub code: u16,
    pub body: Vec<u8>,
    head: String,
}

impl Door {
    /// With this registry as `own`.
    pub async fn open(registry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: folder.path().to_owned(),
            quota: 1 << 30,
            offline: false,
            registries: BTreeMap::from([("own".to_owned(), registry.parse().unwrap())]),
            environment: Environment::default(),
        };
        let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
        let (cache, keeper) = Cache::open(&settings, clock.clone()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let kept = stopped.clone();
        let keeper = tokio::spawn(async move { keeper.run(kept).await.unwrap() });
        let files = Files::new(folder.path().into(), Vec::new(), Scripts::new().unwrap());
        let nobody = (Box::new(Nobody), Box::new(Nobody));
        let plane = Plane::new(Arc::new(files), nobody.0, nobody.1, Arc::new(SystemClock));
        let plane = Arc::new(plane.with_images(cache));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(http::serve(listener, plane, stopped));
        Self {
            address,
            clock,
            stop,
            tasks: vec![keeper, serving],
            _folder: folder,
        }
    }

    /// What tags stand for is asked anew from here on.
    pub fn wait_past_fresh(&self) {
        self.clock.advance(FRESH);
    }

    pub async fn get(&self, path: &str) -> Reply {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
        socket.write_all(ask.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        Reply {
            code: head[9..12].parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: all[end + 4..].to_vec(),
        }
    }

    pub async fn close(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

impl Reply {
    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(own, _)| *own == name);
        found.next().map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
