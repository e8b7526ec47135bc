//! Fifty clients that ask for one image of 1 GiB: cold, when it still lies at its source, and warm, when it is here. What
//! counts is the time until the last of them has its last byte; cold ÷ warm tells what the way from the source costs.
//! Beside ours nginx with `proxy_cache` and its lock, in front of the same source. The source counts its requests, and
//! there has to be one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dragonfly::boot::cache::registry::Registries;
use dragonfly::boot::cache::{Cache, Environment, Settings};
use dragonfly::boot::files::Files;
use dragonfly::boot::http::{self, Ask, Given, Machines, Plane, Seen, Unavailable, Watcher};
use dragonfly::boot::ipxe::Scripts;
use dragonfly::core::SystemClock;
use dragonfly::lab::Tools;
use dragonfly::model::ImageShelf;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::sys::socket::{MsgFlags, recv};
use tokio::sync::watch;

use super::Result;
use super::common::Running;
use super::measure::{Only, median, print};

const NAME: &str = "cache_cold_50";
const SIZE: u64 = 1 << 30;
const CLIENTS: usize = 50;
const ROUNDS: usize = 3;
/// What one call may throw away.
const AT_ONCE: usize = 1 << 20;
const STARTS_WITHIN: Duration = Duration::from_secs(10);

pub fn run(only: &Only) -> Result<()> {
    if !only.wants(NAME) {
        return Ok(());
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    write_file(&home.path().join("file"))?;
    let (mut ours, mut peer) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let source = Source::start(home.path())?;
            if (round + turn) % 2 == 0 {
                let side = Ours::start(home.path(), &source)?;
                ours.take(side.address, &side.path, &source)?;
            } else {
                let side = Proxy::start(home.path(), &source)?;
                peer.take(side.address, "/file", &source)?;
            }
        }
    }
    let ratio = median(&ours.ratios);
    print(NAME, median(&ours.cold), median(&ours.warm), ratio);
    println!(
        "# {NAME}: seconds to the last byte, ours cold and ours warm; smaller is better, the goal is 1.20"
    );
    println!(
        "# {NAME}: nginx proxy_cache with its lock, cold {:.2}, warm {:.2}, ratio {:.2}",
        median(&peer.cold),
        median(&peer.warm),
        median(&peer.ratios)
    );
    println!("# {NAME}: the source was asked once in each round, by either side");
    Ok(())
}

#[derive(Default)]
struct Times {
    cold: Vec<f64>,
    warm: Vec<f64>,
    ratios: Vec<f64>,
}

impl Times {
    fn take(&mut self, address: SocketAddr, path: &str, source: &Source) -> Result<()> {
        let cold = crowd(address, path)?;
        let warm = crowd(address, path)?;
        let asked = source.asked()?;
        if asked != 1 {
            return Err(format!("the source was asked {asked} times").into());
        }
        self.cold.push(cold);
        self.warm.push(warm);
        self.ratios.push(cold / warm);
        Ok(())
    }
}

/// All at once, each on a connection of its own; the seconds until the last has its last byte.
fn crowd(address: SocketAddr, path: &str) -> Result<f64> {
    let began = Instant::now();
    let done = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| fetch(address, path)))
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("a client does not panic"))
    });
    done?;
    Ok(began.elapsed().as_secs_f64())
}

/// Throws the body away in the kernel (`MSG_TRUNC` on TCP, tcp(7)).
fn fetch(address: SocketAddr, path: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(ask.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(
            String::from_utf8_lossy(&head).into_owned(),
        ));
    }
    let mut buffer = vec![0; AT_ONCE];
    let mut left = SIZE;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        let count = recv(socket.as_raw_fd(), &mut buffer[..most], MsgFlags::MSG_TRUNC)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= count as u64;
    }
    Ok(())
}

/// Every page differs, as those of a real image do.
fn write_file(path: &Path) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for number in 0..SIZE / 8 {
        file.write_all(&number.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// nginx in a folder of its own, with this `server` block.
fn nginx(folder: &Path, port: u16, more: &str, server: &str) -> Result<Running> {
    fs::create_dir_all(folder)?;
    let at = folder.display();
    let text = format!(
        "daemon off;\nuser root;\nworker_processes auto;\npid {at}/pid;\nerror_log {at}/error.log;\n\
         events {{ worker_connections 768; }}\n\
         http {{ log_format told '$status'; access_log {at}/access.log told; sendfile on; tcp_nopush on;\n\
         client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
         {more}\nserver {{ listen 127.0.0.1:{port}; {server} }} }}\n"
    );
    let config = folder.join("nginx.conf");
    fs::write(&config, text)?;
    let mut command = Tools::find()?.command("nginx")?;
    command.arg("-e").arg(folder.join("error.log"));
    command.arg("-c").arg(config).stderr(Stdio::null());
    let running = Running(command.spawn()?);
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if began.elapsed() > STARTS_WITHIN {
            return Err("nginx does not listen".into());
        }
        std::thread::yield_now();
    }
    Ok(running)
}

/// Where the image lies at first.
struct Source {
    port: u16,
    folder: tempfile::TempDir,
    _running: Quits,
}

impl Source {
    fn start(home: &Path) -> Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir_in(home)?);
        let server = format!("root {};", home.display());
        let running = nginx(folder.path(), port, "", &server)?;
        Ok(Self {
            port,
            folder,
            _running: Quits(running),
        })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/file", self.port)
    }

    /// How often it was asked for the image; a line is written when an answer has ended.
    fn asked(&self) -> Result<usize> {
        let text = fs::read_to_string(self.folder.path().join("access.log"))?;
        Ok(text.lines().filter(|line| line.starts_with("20")).count())
    }
}

/// nginx and its workers: told to quit, not killed, or the workers would stay.
struct Quits(Running);

impl Drop for Quits {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.0.id()).unwrap_or(i32::MAX));
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.0.0.wait();
    }
}

/// nginx before the source: one request fetches, the others wait for it.
struct Proxy {
    address: SocketAddr,
    _folder: tempfile::TempDir,
    _running: Quits,
}

impl Proxy {
    fn start(home: &Path, source: &Source) -> Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir_in(home)?);
        let at = folder.path().display();
        let more = format!(
            "proxy_cache_path {at}/cache keys_zone=images:10m max_size=8g inactive=1d use_temp_path=off;"
        );
        let server = format!(
            "location / {{ proxy_pass http://127.0.0.1:{}; proxy_cache images; proxy_cache_valid 200 1d;\n\
             proxy_cache_lock on; proxy_cache_lock_timeout 600s; proxy_cache_lock_age 600s; }}",
            source.port
        );
        let running = nginx(folder.path(), port, &more, &server)?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            _folder: folder,
            _running: Quits(running),
        })
    }
}

struct Nobody;

impl Machines for Nobody {
    fn script<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, std::result::Result<Given, Unavailable>> {
        std::future::ready(Err(Unavailable("no machines here".into()))).boxed()
    }
}

impl Watcher for Nobody {
    fn seen(&self, _: &Seen<'_>) {}
}

/// The machine plane with an empty cache, in threads of its own.
struct Ours {
    address: SocketAddr,
    path: String,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Ours {
    fn start(home: &Path, source: &Source) -> Result<Self> {
        let folder = tempfile::tempdir_in(home)?;
        let settings = Settings {
            folder: folder.path().to_owned(),
            quota: 8 << 30,
            offline: false,
            registries: Registries::new(),
            environment: Environment::default(),
        };
        let clock = Arc::new(SystemClock);
        let (cache, keeper) = Cache::open(&settings, clock.clone())?;
        let path = cache.adopt(&source.url(), None)?.path();
        let files = Files::new(PathBuf::new(), Vec::new(), Scripts::new()?);
        let plane = Plane::new(Arc::new(files), Box::new(Nobody), Box::new(Nobody), clock);
        let plane = Arc::new(plane.with_images(cache));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Runtime::new()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let serving = http::serve(listener, plane, stopped.clone());
                let _ = tokio::join!(serving, keeper.run(stopped));
            });
        });
        Ok(Self {
            address,
            path,
            stop,
            thread: Some(thread),
            _folder: folder,
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
