//! The real binary as a daemon of its own: its own folder, its own port, and its log at hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure, and poll with a deadline"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
/// What nothing here may take longer than; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with everything that one daemon needs.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn store(&self) -> PathBuf {
        self.data().join("store.dragonfly")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run").join("d.sock")
    }

    /// `dragonfly server`, installed, on a free port.
    pub fn server(&self) -> Command {
        let mut command = bare("server");
        command.env("DRAGONFLY_INSTALLED", "true");
        command.arg("--data").arg(self.data());
        command.arg("--socket").arg(self.socket());
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
        command
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(&mut self.server())
    }

    /// `dragonfly store …` on this place's store.
    pub fn store_tool(&self, words: &[&str]) -> Ended {
        let mut command = bare("store");
        command.args(words).arg("--data").arg(self.data());
        run(&mut command)
    }
}

/// The binary with nothing of our own environment that it listens to.
pub fn bare(subcommand: &str) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DRAGONFLY_")
            || [
                "KUBECONFIG",
                "NOTIFY_SOCKET",
                "WATCHDOG_USEC",
                "WATCHDOG_PID",
            ]
            .contains(&&*name)
        {
            command.env_remove(name);
        }
    }
    command.arg(subcommand).stdin(Stdio::null());
    command
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs to the end; kills what takes too long.
pub fn run(command: &mut Command) -> Ended {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (done, ended) = std::sync::mpsc::sync_channel::<()>(1);
    let guard = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE).is_err() {
            kill(pid, Signal::SIGKILL).ok();
        }
    });
    let output = child.wait_with_output().unwrap();
    done.send(()).ok();
    guard.join().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `condition` gives something, and says what was awaited when it does not.
pub fn await_that<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "awaited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
    pub address: SocketAddr,
    /// From the start of the process to the word that it is ready.
    pub ready_after: Duration,
}

impl Daemon {
    /// Starts it, and waits until it says that it is ready.
    pub fn start(command: &mut Command) -> Self {
        Self::try_start(command)
            .unwrap_or_else(|(code, log)| panic!("ended with {code:?} before it was ready:\n{log}"))
    }

    /// As `start`, or how it ended instead. Its log has to be JSON.
    pub fn try_start(command: &mut Command) -> Result<Self, (Option<i32>, String)> {
        let begun = Instant::now();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::default();
        let (lines, to) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(lines).lines() {
                let Ok(line) = line else { break };
                to.lock().unwrap().push(line);
            }
        });
        let mut daemon = Self {
            child,
            log,
            reader: Some(reader),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_after: Duration::ZERO,
        };
        let outcome = await_that("the daemon is ready or has ended", || {
            if daemon.said("ready").is_some() {
                return Some(Ok(()));
            }
            daemon.child.try_wait().unwrap().map(Err)
        });
        if let Err(status) = outcome {
            daemon.reader.take().unwrap().join().unwrap();
            return Err((status.code(), daemon.log()));
        }
        daemon.ready_after = begun.elapsed();
        let at = daemon.lines().into_iter().find_map(|line| {
            (line["message"] == "listening")
                .then(|| line["at"].as_str()?.parse().ok())
                .flatten()
        });
        daemon.address = at.expect("an address in the log");
        Ok(daemon)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// All that was logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn lines(&self) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        log.iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The first line of the log with this message.
    pub fn said(&self, message: &str) -> Option<Value> {
        self.lines().into_iter().find(|line| {
            line["message"]
                .as_str()
                .is_some_and(|m| m.starts_with(message))
        })
    }

    pub fn await_said(&self, message: &str) -> Value {
        await_that(&format!("the log says '{message}'"), || self.said(message))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end; with what it ended, and how long that took.
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let status = await_that("the daemon has ended", || self.child.try_wait().unwrap());
        let took = begun.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, took)
    }

    /// Tells it to stop, and waits for its end.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Ends it as a power cut of its process would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let (status, _) = self.wait();
        assert_eq!(status.signal(), Some(9));
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None).expect("an answer")
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body)).expect("an answer")
    }

    /// One request on a connection of its own. None when there was no whole answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        ask_at(self.address, method, path, body)
    }

    /// Opens a connection and sends `text`, to do with it what no client would.
    pub fn half_open(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One request on a connection of its own. None when there was no whole answer.
pub fn ask_at(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    exchange(TcpStream::connect(address).ok()?, method, path, body)
}

/// One request over the unix socket.
pub fn ask_socket(path: &Path, method: &str, route: &str) -> Option<(u16, Value)> {
    exchange(UnixStream::connect(path).ok()?, method, route, None)
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// A body that adds the `number`-th machine.
pub fn machine(number: u32) -> Value {
    let [a, b, c, d] = number.to_be_bytes();
    serde_json::json!({ "mac": format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}") })
}
