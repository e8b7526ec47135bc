//! The demo: alive, of one piece, and without a trace. It is watched by the kernel itself: every system call
//! that opens, makes or sends something is looked at.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure, and poll with a deadline"
)]

#[path = "common/daemon.rs"]
mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use common::{BINARY, Daemon, bare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn demo() -> Command {
    let mut command = bare("demo");
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    command
}

#[test]
fn shows_invented_machines_in_every_state_a_conflict_a_lock_and_a_pending_edit() {
    let daemon = Daemon::start(&mut demo());
    let status = daemon.get("/api/v1/status").1;
    assert_eq!(
        (status["mode"].as_str(), status["machines"].as_u64()),
        (Some("demo"), Some(24))
    );
    assert_eq!(status["store"], "memory");
    assert_eq!(
        status["banner"],
        "Demo Mode: Dragonfly is not installed. This is a preview — none of your hardware is touched."
    );
    let by_state = status["machines_by_state"].as_object().unwrap();
    assert_eq!(
        by_state
            .values()
            .filter(|count| count.as_u64() > Some(0))
            .count(),
        6,
        "{by_state:?}"
    );
    let machines = daemon.get("/api/v1/machines?limit=100").1;
    let all = machines["items"].as_array().unwrap();
    let count = |of: &dyn Fn(&Value) -> bool| all.iter().filter(|machine| of(machine)).count();
    assert_eq!(count(&|machine| machine["lock"].is_object()), 1);
    assert_eq!(count(&|machine| machine["pending"].is_object()), 1);
    assert!(
        count(&|machine| machine["state_message"]
            .as_str()
            .is_some_and(|words| words.len() > 20))
            >= 1
    );
    assert_eq!(count(&|machine| machine["source"] == "demo"), 24);
    assert!(count(&|machine| !machine["tags"].as_array().unwrap().is_empty()) > 15);
    assert_eq!(
        daemon.get("/api/v1/conflicts").1["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let events = daemon.get("/api/v1/events?limit=1000&order=oldest").1;
    let times: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        times.len() > 100 && times.is_sorted(),
        "{} events",
        times.len()
    );
}

#[test]
fn a_person_can_edit_in_it_as_in_the_real_one() {
    let daemon = Daemon::start(&mut demo());
    let (status, receipt) = daemon
        .ask(
            "PATCH",
            "/api/v1/machines/gitea",
            Some(&serde_json::json!({ "hostname": "forge" })),
        )
        .unwrap();
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(
        daemon
            .post("/api/v1/machines/gitea/apply", &serde_json::json!({}))
            .0,
        200
    );
    assert_eq!(daemon.get("/api/v1/machines/forge").0, 200);
}

#[test]
fn a_taken_port_gives_way_to_the_next_unless_it_was_chosen() {
    // Whoever has the usual port keeps it; when nobody has, this test does.
    let _held = TcpListener::bind("127.0.0.1:3000");
    let daemon = Daemon::start(bare("demo").args(["--log-format", "json"]));
    assert!(
        (3001..=3020).contains(&daemon.address.port()),
        "{}",
        daemon.address
    );
    assert!(
        daemon
            .said("port is taken: the next free one is used")
            .is_some()
    );
    let chosen = Daemon::try_start(bare("demo").args(["--listen", &daemon.address.to_string()]));
    assert_eq!(chosen.err().expect("a refusal").0, Some(1));
}

/// Calls that make, change or remove files, or could be used to.
const WRITES: [&str; 19] = [
    "O_WRONLY",
    "O_RDWR",
    "O_CREAT",
    "O_TRUNC",
    "mkdir",
    "rename",
    "unlink",
    "symlink",
    "link(",
    "linkat",
    "mknod",
    "truncate",
    "fallocate",
    "pwrite",
    "chmod",
    "chown",
    "memfd",
    "io_uring",
    "utime",
];
/// Families and addresses that lead out of loopback, or into the file system.
const STRANGERS: [&str; 6] = [
    "AF_PACKET",
    "AF_NETLINK",
    "sin6_addr",
    "sun_path",
    "SOCK_RAW",
    " connect(",
];

/// What `strace` saw of `dragonfly` from its first moment to its last, through its whole life: started, written
/// to, read from and stopped.
fn watched(words: &[&str], home: &Path) -> Vec<String> {
    let there = Command::new("strace").arg("-V").output().is_ok();
    assert!(
        there,
        "strace is missing, and without it nothing is proved: run `make setup`"
    );
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "256", "-e"]);
    command.arg("trace=%file,%network,ftruncate,fallocate,memfd_create,pwrite64,pwritev,fchmod,fchown,io_uring_setup");
    command.arg("-o").arg(&trace).arg(BINARY).args(words);
    command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    command
        .current_dir(home)
        .env("HOME", home)
        .env("TMPDIR", home);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DRAGONFLY_") || name == "KUBECONFIG" || name == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    let mut daemon = Daemon::start(&mut command);
    assert_eq!(daemon.post("/api/v1/machines", &common::machine(1)).0, 201);
    assert_eq!(daemon.get("/readyz").0, 200);
    daemon.get("/metrics");
    daemon.get("/");
    // strace passes no signal on: its child is told.
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let children = std::fs::read_to_string(children).unwrap();
    let child: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
    assert_eq!(daemon.wait().0.code(), Some(0), "{}", daemon.log());
    let calls = std::fs::read_to_string(&trace).unwrap();
    calls.lines().map(str::to_owned).collect()
}

fn writes(calls: &[String]) -> Vec<&String> {
    let terminal = |call: &String| call.contains("\"/dev/null\"") || call.contains("\"/dev/tty\"");
    let writes = calls
        .iter()
        .filter(|call| WRITES.iter().any(|word| call.contains(word)));
    writes.filter(|call| !terminal(call)).collect()
}

fn strangers(calls: &[String]) -> Vec<&String> {
    let abroad = |call: &String| call.contains("sin_addr") && !call.contains("inet_addr(\"127.");
    let odd = |call: &String| STRANGERS.iter().any(|word| call.contains(word));
    calls
        .iter()
        .filter(|call| abroad(call) || odd(call))
        .collect()
}

/// From the first to the last moment no file is opened for writing, made, renamed or removed, and no socket is
/// anything but TCP on loopback.
#[test]
fn writes_no_file_and_speaks_to_no_network() {
    let home = tempfile::tempdir().unwrap();
    let calls = watched(&["demo"], home.path());
    assert!(writes(&calls).is_empty(), "{:#?}", writes(&calls));
    assert!(strangers(&calls).is_empty(), "{:#?}", strangers(&calls));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn the_same_watch_sees_what_an_installed_daemon_writes() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("data")).unwrap();
    let words = ["server", "--data", "data", "--socket", "d.sock"];
    let calls = watched(&words, home.path());
    assert!(
        writes(&calls)
            .iter()
            .any(|call| call.contains("store.dragonfly"))
    );
    assert!(strangers(&calls).iter().any(|call| call.contains("d.sock")));
}
