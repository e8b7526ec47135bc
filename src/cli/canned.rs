//! A daemon made of canned answers, for tests of this side alone: each request takes the next answer, and is
//! written down.
#![allow(
    clippy::needless_pass_by_value,
    reason = "answers are written where they are used"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::client::Client;
use super::target::Target;

/// One answer.
#[derive(Debug)]
pub enum Answer {
    Json(u16, Value),
    /// Status, media type and body, as they are.
    Raw(u16, &'static str, String),
    /// Hangs up instead.
    Nothing,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub line: String,
    pub headers: String,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// The daemon, for as long as this lives.
#[derive(Debug)]
pub struct Canned {
    dir: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canned {
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&asked);
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                talk(stream, &book, &mut answers).await;
            }
        });
        Self { dir, asked, task }
    }

    pub fn client(&self) -> Client {
        let place = Target::Unix(self.dir.path().join("sock"));
        Client::new(vec![place], Duration::from_secs(5))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn talk(mut stream: UnixStream, book: &Mutex<Vec<Asked>>, answers: &mut Vec<Answer>) {
    while let Some(asked) = read(&mut stream).await {
        book.lock().unwrap().push(asked);
        let (status, media, body) = match answers.pop() {
            Some(Answer::Json(status, body)) => {
                let media = if status < 400 {
                    "application/json"
                } else {
                    "application/problem+json"
                };
                (status, media, body.to_string())
            }
            Some(Answer::Raw(status, media, body)) => (status, media, body),
            Some(Answer::Nothing) => return,
            None => (500, "text/plain", "no answer is left".into()),
        };
        let stream_of_events = media == "text/event-stream";
        let length = if stream_of_events {
            "connection: close".into()
        } else {
            format!("content-length: {}", body.len())
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {media}\r\n{length}\r\n\r\n");
        if stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .is_err()
            || stream_of_events
        {
            return;
        }
    }
}

async fn read(stream: &mut UnixStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let mut asked = Asked {
        line: line.into(),
        headers: headers.into(),
        body: Value::Null,
    };
    let length: usize = asked
        .header("content-length")
        .and_then(|told| told.parse().ok())
        .unwrap_or(0);
    while bytes.len() < end + 4 + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    if length > 0 {
        asked.body = serde_json::from_slice(&bytes[end + 4..]).unwrap();
    }
    Some(asked)
}

pub fn ok(body: Value) -> Answer {
    Answer::Json(200, body)
}

pub fn list(items: Vec<Value>, next: Option<&str>) -> Answer {
    ok(json!({ "items": items, "next": next }))
}

pub fn problem(code: &str, status: u16, more: Value) -> Answer {
    let mut problem = json!({
        "type": format!("urn:dragonfly:problem:{code}"), "title": "a title", "status": status,
        "detail": "something is wrong", "code": code, "request_id": "r1", "retryable": false,
    });
    for (key, value) in more.as_object().unwrap() {
        problem[key] = value.clone();
    }
    Answer::Json(status, problem)
}

pub fn receipt(command: &str, status: &str, diff: Value) -> Value {
    json!({
        "format": 1, "id": "0199a", "command": command, "status": status, "subject_kind": "machine",
        "subject_id": "0199b", "version": 4, "diff": diff, "events": [],
        "next": [{ "label": "apply it", "command": "dragonfly machine apply web01" }],
        "notes": [], "request": "r1", "correlation": "c1", "causation": null,
    })
}

pub fn machine(name: &str, more: Value) -> Value {
    let mut machine = json!({
        "id": "0199a1b2-0000-7000-8000-000000000001", "version": 3, "name": name,
        "memorable_name": "CensusAbleQualityParent", "friendly_name": null, "hostname": null,
        "mac": "52:54:00:12:34:56", "macs": ["52:54:00:12:34:56"], "smbios_uuid": null,
        "machine_id": null, "identity_hash": null, "state": "discovered", "state_message": null,
        "last_seen": "2026-11-21T11:57:00Z", "os_choice": null, "tags": [], "labels": {},
        "static_ip": null, "vlan": null, "bond": null, "generation": 1, "wanted_now": null, "pending": null,
        "observed": { "generation": null, "hostname": null, "os": null, "addresses": [], "called_home_at": null },
        "lock": null, "bmc": null,
        "boot": { "once": null, "rung": null, "loader": "auto", "platform": null, "arch": null, "at": null },
        "hardware": { "cpu_model": null, "cpu_cores": null, "memory_bytes": null, "disks": [],
            "network_interfaces": [], "is_virtual": false, "virt_platform": null },
        "source": "agent", "created_at": "2026-11-20T12:00:00Z", "updated_at": "2026-11-21T11:00:00Z",
    });
    for (key, value) in more.as_object().unwrap() {
        machine[key] = value.clone();
    }
    machine
}

pub fn event(cursor: &str, text: &str) -> Value {
    json!({
        "cursor": cursor, "format": 1, "at": "2026-11-21T11:58:03Z", "type": "machine.registered",
        "subject_kind": "machine", "subject_id": "0199b", "subject_version": 1, "audit": false,
        "actor": { "kind": "person", "name": "ada", "from": "unix uid 1000" },
        "request": "r1", "correlation": "c1", "causation": null, "data": {}, "text": text,
    })
}

pub fn status() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"), "site_name": "Shelf in the hall", "mode": "installed",
        "installed_by": "the folder /var/lib/dragonfly", "started_at": "2026-11-21T08:00:00Z",
        "ready": true, "store": "redb at /var/lib/dragonfly/store.dragonfly", "machines": 42,
        "machines_by_state": { "provisioned": 30, "ready": 11, "error": 1, "offline": 0 },
        "conflicts": 1, "events": 1234, "cursor": "e00000000004d2", "store_bytes": 9_437_184,
        "store_memory_bytes": 2_097_152,
        "ports": [
            { "name": "http", "at": "127.0.0.1:3000", "purpose": "pages and API" },
            { "name": "socket", "at": "/run/dragonfly/dragonfly.sock", "purpose": "the command line" },
        ],
        "links": [link("eth0")], "seen": 3, "waiting": 1,
    })
}

pub fn link(name: &str) -> Value {
    json!({
        "name": name, "mac": "52:54:00:ff:ff:01", "up": true, "mtu": 1500, "addresses": ["10.0.0.2/24"],
        "serve": "proxy", "from": "10.0.0.9", "why": null,
        "floating": { "state": "held", "address": "10.0.0.9", "since": "2026-11-21T08:00:01Z",
            "text": "10.0.0.9 is held", "warning": null },
        "counters": { "offers": 12, "requests": 14 },
    })
}

pub fn network(name: &str, more: Value) -> Value {
    let mut network = json!({
        "link": name, "version": 3, "serve": "proxy", "idle": "local", "admit": "open",
        "rungs": ["proxy", "binl"], "floating": "auto", "scan": 20, "on_conflict": "move", "loaders": {},
        "pool": null, "router": null, "dns": [], "domain": null, "lease_seconds": 3600,
        "reservations": {}, "held": null, "now": link(name),
    });
    for (key, value) in more.as_object().unwrap() {
        network[key] = value.clone();
    }
    network
}

/// A step so many milliseconds after noon.
pub fn step(number: u64, millis: i64, stage: &str, mark: &str, text: &str) -> Value {
    let noon: jiff::Timestamp = "2026-11-21T11:58:00Z".parse().unwrap();
    let at = noon + jiff::SignedDuration::from_millis(millis);
    json!({
        "number": number, "at": at.to_string(), "stage": stage, "mark": mark, "link": "eth0",
        "text": text, "why": null,
    })
}

pub fn trace(state: &str, steps: Vec<Value>, more: Value) -> Value {
    let last = steps.last().map_or(json!(0), |step| step["number"].clone());
    let mut trace = json!({
        "machine": "web01", "machine_id": "0199b", "macs": ["52:54:00:12:34:56"], "steps": steps,
        "last": last, "state": state, "diagnosis": null,
    });
    for (key, value) in more.as_object().unwrap() {
        trace[key] = value.clone();
    }
    trace
}
