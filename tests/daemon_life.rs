//! The daemon's promises about its own life: it starts, says so, serves, and stops within two seconds with
//! everything joined, whatever its clients do; and a kill loses nothing that was acknowledged.

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

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Daemon, PATIENCE, Place, ask_socket, await_that, machine};
use nix::sys::signal::Signal;

/// As long as a stop may take.
const STOP: Duration = Duration::from_secs(2);

#[test]
fn starts_answers_on_both_doors_and_stops_within_two_seconds() {
    let place = Place::new();
    let mut daemon = place.start();
    assert_eq!(daemon.get("/readyz").0, 200);
    let (status, body) = ask_socket(&place.socket(), "GET", "/api/v1/status").unwrap();
    assert_eq!((status, body["mode"].as_str()), (200, Some("installed")));
    assert_eq!(body["installed_by"], "the variable DRAGONFLY_INSTALLED");
    let ports: Vec<_> = body["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].clone())
        .collect();
    assert_eq!(ports, ["http", "socket"]);
    let events = daemon.get("/api/v1/events?limit=5").1;
    assert_eq!(events["items"][0]["type"], "appliance.started");
    let folder = std::fs::metadata(place.data()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    println!("ready after {} ms", daemon.ready_after.as_millis());
    let (ended, took) = daemon.stop();
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
    assert!(took < STOP, "stopped after {took:?}\n{}", daemon.log());
    assert!(
        daemon.said("not ended in time").is_none(),
        "{}",
        daemon.log()
    );
    assert!(!place.socket().exists(), "the socket is still there");
}

#[test]
fn open_streams_and_half_open_connections_do_not_hold_up_a_stop() {
    let place = Place::new();
    let mut daemon = place.start();
    let streams: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = daemon.half_open(
                "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n",
            );
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let silent: Vec<_> = (0..20).map(|_| daemon.half_open("")).collect();
    let slow: Vec<_> = (0..20)
        .map(|_| daemon.half_open("GET /api/v1/mach"))
        .collect();
    let half = "POST /api/v1/machines HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{";
    let half_sent: Vec<_> = (0..5).map(|_| daemon.half_open(half)).collect();
    let (ended, took) = daemon.stop();
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
    assert!(took < STOP, "stopped after {took:?}\n{}", daemon.log());
    drop((streams, silent, slow, half_sent));
}

/// Adds machines from several threads until told to stop; what was acknowledged, by number.
fn writers(
    daemon: &Daemon,
    stop: &Arc<AtomicBool>,
    acknowledged: &Arc<Mutex<Vec<u32>>>,
) -> Vec<std::thread::JoinHandle<()>> {
    let next = Arc::new(AtomicU32::new(1));
    let writer = |_| {
        let (address, stop, acknowledged, next) = (
            daemon.address,
            stop.clone(),
            acknowledged.clone(),
            next.clone(),
        );
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let answer =
                    common::ask_at(address, "POST", "/api/v1/machines", Some(&machine(number)));
                match answer {
                    Some((201 | 200, _)) => acknowledged.lock().unwrap().push(number),
                    Some(_) => {}
                    None => return,
                }
            }
        })
    };
    (0..4).map(writer).collect()
}

fn assert_kept(daemon: &Daemon, acknowledged: &[u32]) {
    let mut missing = Vec::new();
    for number in acknowledged {
        let body = machine(*number);
        let mac = body["mac"].as_str().unwrap();
        if daemon.get(&format!("/api/v1/machines/{mac}")).0 != 200 {
            missing.push(*number);
        }
    }
    assert!(
        missing.is_empty(),
        "lost {missing:?} of {}",
        acknowledged.len()
    );
}

#[test]
fn a_stop_amid_writes_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let mut daemon = place.start();
    let (stop, acknowledged) = (Arc::default(), Arc::new(Mutex::new(Vec::new())));
    let threads = writers(&daemon, &stop, &acknowledged);
    await_that("60 machines are there", || {
        (acknowledged.lock().unwrap().len() >= 60).then_some(())
    });
    let (ended, took) = daemon.stop();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
    assert!(took < STOP, "stopped after {took:?}\n{}", daemon.log());
    let again = place.start();
    assert_kept(&again, &acknowledged.lock().unwrap());
}

#[test]
fn a_kill_amid_writes_loses_nothing_that_was_acknowledged_and_the_socket_is_taken_over() {
    let place = Place::new();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut daemon = place.start();
    let stop = Arc::default();
    let threads = writers(&daemon, &stop, &acknowledged);
    await_that("40 machines are there", || {
        (acknowledged.lock().unwrap().len() >= 40).then_some(())
    });
    daemon.kill();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(place.socket().exists(), "a kill leaves the socket");
    let again = place.start();
    assert!(
        again.said("socket of a dead daemon replaced").is_some(),
        "{}",
        again.log()
    );
    assert_kept(&again, &acknowledged.lock().unwrap());
    assert_eq!(ask_socket(&place.socket(), "GET", "/livez").unwrap().0, 200);
}

/// A service manager that notes what it is told.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(place: &Place) -> Self {
        let path = place.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("word from the daemon");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn await_word(&self, word: &str) -> String {
        loop {
            let said = self.next();
            if said.lines().any(|line| line == word) {
                return said;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_of_readiness_life_and_the_end() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let mut command = place.server();
    command
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", "200000");
    let mut daemon = Daemon::start(&mut command);
    let ready = manager.await_word("READY=1");
    assert!(
        ready.contains("STATUS=installed, http://127.0.0.1:"),
        "{ready}"
    );
    for _ in 0..3 {
        manager.await_word("WATCHDOG=1");
    }
    daemon.signal(Signal::SIGTERM);
    manager.await_word("STOPPING=1");
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn a_watchdog_meant_for_another_process_is_not_fed() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let mut command = place.server();
    command.env("NOTIFY_SOCKET", &manager.path);
    command
        .env("WATCHDOG_USEC", "50000")
        .env("WATCHDOG_PID", "1");
    let mut daemon = Daemon::start(&mut command);
    manager.await_word("READY=1");
    daemon.stop();
    assert!(manager.next().starts_with("STOPPING=1"));
}

#[test]
fn hanging_up_changes_nothing_and_is_answered_in_the_log() {
    let place = Place::new();
    let mut daemon = place.start();
    daemon.signal(Signal::SIGHUP);
    daemon.await_said("SIGHUP changes nothing");
    assert_eq!(daemon.get("/readyz").0, 200);
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn an_interrupt_stops_it_as_well() {
    let place = Place::new();
    let mut daemon = place.start();
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn a_taken_port_is_named_with_a_way_out() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut command = place.server();
    command.args(["--listen", &at]);
    let (code, log) = Daemon::try_start(&mut command).err().expect("a refusal");
    assert_eq!(code, Some(1), "{log}");
    let port = taken.local_addr().unwrap().port();
    assert!(
        log.contains(&format!("port {port} of 127.0.0.1 is in use")),
        "{log}"
    );
    assert!(log.contains("choose another with --listen"), "{log}");
    assert!(
        !place.data().exists(),
        "a daemon that cannot serve makes no folder"
    );
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused_and_the_first_lives_on() {
    let place = Place::new();
    let first = place.start();
    let (code, log) = Daemon::try_start(&mut place.server())
        .err()
        .expect("a refusal");
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains("is in use by another process"), "{log}");
    assert_eq!(first.get("/readyz").0, 200);
    assert_eq!(ask_socket(&place.socket(), "GET", "/livez").unwrap().0, 200);
}

#[test]
fn a_socket_that_answers_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir_all(place.socket().parent().unwrap()).unwrap();
    let living = UnixListener::bind(place.socket()).unwrap();
    let (code, log) = Daemon::try_start(&mut place.server())
        .err()
        .expect("a refusal");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("belongs to a daemon that is running"), "{log}");
    assert!(place.socket().exists());
    drop(living);
}

#[test]
fn a_file_in_the_sockets_place_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir_all(place.socket().parent().unwrap()).unwrap();
    std::fs::write(place.socket(), "precious").unwrap();
    let (code, log) = Daemon::try_start(&mut place.server())
        .err()
        .expect("a refusal");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("is there and is no socket"), "{log}");
    assert_eq!(std::fs::read(place.socket()).unwrap(), b"precious");
}

#[test]
fn without_its_group_the_socket_is_its_owners_alone_and_the_log_says_what_to_do() {
    let place = Place::new();
    let mut command = place.server();
    command.env("DRAGONFLY_SOCKET_GROUP", "no-such-group");
    let daemon = Daemon::start(&mut command);
    let mode = std::fs::metadata(place.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = daemon.await_said("socket is open to its owner alone");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains("groupadd --system no-such-group")
    );
}

#[test]
fn with_its_group_the_socket_is_open_to_its_members() {
    let place = Place::new();
    let own = nix::unistd::Group::from_gid(nix::unistd::getegid())
        .unwrap()
        .unwrap();
    let mut command = place.server();
    command.env("DRAGONFLY_SOCKET_GROUP", own.name);
    let _daemon = Daemon::start(&mut command);
    let mode = std::fs::metadata(place.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

/// A request whose body never comes keeps the daemon for a second; who asks twice does not wait for it.
#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let mut daemon = place.start();
    let body = "POST /api/v1/machines HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{";
    let _held = daemon.half_open(body);
    // Answered behind it, so the daemon has taken it up.
    assert_eq!(daemon.get("/livez").0, 200);
    daemon.signal(Signal::SIGTERM);
    daemon.await_said("stopping");
    let (ended, _) = daemon.stop();
    assert!(
        daemon.said("told to stop again: ending at once").is_some(),
        "{}",
        daemon.log()
    );
    assert_eq!(ended.code(), Some(1), "{}", daemon.log());
    assert!(daemon.said("stopped").is_none(), "{}", daemon.log());
}
