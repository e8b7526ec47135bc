//! The TFTP server and real clients, on a wire of the lab.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may fail where it stands, and measures time"
)]

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dragonfly::lab::{Foreign, Host, Lab, net};
use dragonfly::model::trace::Mark;
use dragonfly::net::tftp::{
    Embedded, FileRequest, Files, Limits, OpenError, Source, Watcher, serve,
};
use test_case::test_matrix;
use tokio::sync::watch;

mod lab;

const SERVER: Ipv4Addr = net::address(20);

/// Files in memory, and what became of them.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<&'static str, Arc<[u8]>>,
    seen: Mutex<Vec<(Mark, String)>>,
}

impl Files for Shelf {
    fn open(&self, request: &FileRequest<'_>) -> Result<Box<dyn Source>, OpenError> {
        assert_eq!(request.local, SERVER);
        let file = self.files.get(request.name).ok_or(OpenError::Missing)?;
        Ok(Box::new(Embedded(Arc::clone(file))))
    }
}

impl Watcher for Shelf {
    fn tftp(&self, _: SocketAddr, mark: Mark, text: String) {
        self.seen.lock().unwrap().push((mark, text));
    }
}

impl Shelf {
    fn marks(&self) -> Vec<Mark> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(mark, _)| *mark).collect()
    }

    fn wait(&self, lab: &Lab, mark: Mark) -> String {
        let found = lab.until(&format!("{mark:?}"), Duration::from_secs(20), || {
            let seen = self.seen.lock().unwrap();
            let found = seen.iter().find(|(seen, _)| *seen == mark);
            Ok(found.map(|(_, text)| text.clone()))
        });
        found.unwrap()
    }
}

fn shelf() -> Shelf {
    let loader: Arc<[u8]> = (0..1_100_003_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect();
    let text: Arc<[u8]> = "one\ntwo\rthree\n".repeat(500).into_bytes().into();
    Shelf {
        files: [
            ("x64/ipxe.efi", loader),
            ("script.txt", text),
            ("empty", Arc::from([])),
        ]
        .into(),
        seen: Mutex::default(),
    }
}

/// Serves inside `host` while `work` is done.
fn while_serving<T>(
    host: &Host,
    shelf: &Arc<Shelf>,
    limits: Limits,
    work: impl FnOnce() -> T,
) -> T {
    let (stop, stopped) = watch::channel(false);
    let (files, watcher) = (Arc::clone(shelf), Arc::clone(shelf));
    let (ready, waiting) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let serving = async {
                let listener = tokio::net::UdpSocket::bind((SERVER, 69)).await.unwrap();
                ready.send(()).unwrap();
                serve(listener, files, watcher, limits, stopped).await
            };
            host.netns
                .run(|| runtime.block_on(serving))
                .unwrap()
                .unwrap();
        });
        waiting.recv().unwrap();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.send(true).unwrap();
        server.join().unwrap();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A lab with the server's host and a client's.
fn wire() -> Option<(Lab, Host, Host)> {
    let lab = lab::beside(Foreign::None)?;
    let server = lab.add_host("server", Some(SERVER)).unwrap();
    let client = lab.add_host("client", Some(net::address(30))).unwrap();
    Some((lab, server, client))
}

/// The words that a client fetches `name` to `into` with.
fn words(client: &str, name: &str, into: &str) -> Vec<String> {
    let line = match client {
        "curl" => format!("-sS --max-time 60 -o {into} tftp://{SERVER}/{name}"),
        "curl-1468" => {
            format!("-sS --max-time 60 --tftp-blksize 1468 -o {into} tftp://{SERVER}/{name}")
        }
        "tftp" => format!("-m binary {SERVER} -c get {name} {into}"),
        "tftp-ascii" => format!("-m ascii {SERVER} -c get {name} {into}"),
        "atftp" => format!("--get -r {name} -l {into} {SERVER}"),
        "atftp-w16" => format!(
            "--get --option windowsize_16 --option blksize_1428 --option tsize_0 -r {name} -l {into} {SERVER}"
        ),
        "busybox" => format!("tftp -g -b 1468 -r {name} -l {into} {SERVER}"),
        other => panic!("{other}"),
    };
    let words = line.split(' ');
    words.map(|word| word.replacen('_', " ", 1)).collect()
}

fn fetch(lab: &Lab, host: &Host, client: &str, name: &str) -> (Vec<u8>, String) {
    let into = lab.dir().join(format!("{client}.got"));
    let program = client.split('-').next().unwrap();
    let mut command = lab.tools().command(program).unwrap();
    command.args(words(client, name, into.to_str().unwrap()));
    let said = lab::said(&host.command(&command).output().unwrap());
    (std::fs::read(&into).unwrap_or_default(), said)
}

#[test_matrix(
    ["curl", "curl-1468", "tftp", "atftp", "atftp-w16", "busybox"],
    [false, true]
)]
fn a_real_client_gets_the_file(client: &str, single_port: bool) {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    let limits = Limits {
        single_port,
        ..Limits::default()
    };
    while_serving(&server, &shelf, limits, || {
        let (got, said) = fetch(&lab, &host, client, "x64/ipxe.efi");
        assert!(
            got == *shelf.files["x64/ipxe.efi"],
            "{} octets; {said}",
            got.len()
        );
        shelf.wait(&lab, Mark::FileDone);
    });
    assert_eq!(shelf.marks(), [Mark::FileBegun, Mark::FileDone]);
}

#[test]
fn netascii_becomes_the_text_again() {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    while_serving(&server, &shelf, Limits::default(), || {
        let (got, said) = fetch(&lab, &host, "tftp-ascii", "script.txt");
        assert!(
            got == *shelf.files["script.txt"],
            "{} octets; {said}",
            got.len()
        );
    });
}

/// One of fifty datagrams to this host is lost; each crosses the wire for itself.
fn lose(lab: &Lab, host: &Host) {
    host.ip("link set dev eth0 gso_max_segs 1").unwrap();
    let mut nft = lab.tools().command("nft").unwrap();
    nft.arg(
        "add table inet loss; \
         add chain inet loss in { type filter hook input priority 0; }; \
         add rule inet loss in meta l4proto udp numgen random mod 50 < 1 drop",
    );
    let output = host.command(&nft).output().unwrap();
    assert!(output.status.success(), "{}", lab::said(&output));
}

#[test_matrix(["curl", "atftp-w16"])]
fn a_file_crosses_a_lossy_path(client: &str) {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    for host in [&server, &host] {
        lose(&lab, host);
    }
    let shelf = Arc::new(shelf());
    while_serving(&server, &shelf, Limits::default(), || {
        let (got, said) = fetch(&lab, &host, client, "script.txt");
        assert!(
            got == *shelf.files["script.txt"],
            "{} octets; {said}",
            got.len()
        );
    });
}

#[test]
fn a_block_never_exceeds_what_the_path_carries() {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    server.ip("link set dev eth0 mtu 1400").unwrap();
    let shelf = Arc::new(shelf());
    while_serving(&server, &shelf, Limits::default(), || {
        let (got, said) = fetch(&lab, &host, "curl-1468", "script.txt");
        assert!(got == *shelf.files["script.txt"], "{said}");
        let begun = shelf.wait(&lab, Mark::FileBegun);
        assert!(begun.contains("blksize 1368"), "{begun}");
    });
}

#[test_matrix([false, true])]
fn what_is_not_there_and_what_is_written_is_refused_in_words(single_port: bool) {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    let limits = Limits {
        single_port,
        ..Limits::default()
    };
    let asked = |datagram: &[u8]| {
        let (socket, mut buffer) = (client_socket(&host), [0; 600]);
        socket.send_to(datagram, (SERVER, 69)).unwrap();
        let (length, _) = socket.recv_from(&mut buffer).unwrap();
        buffer[..length].escape_ascii().to_string()
    };
    while_serving(&server, &shelf, limits, || {
        assert_eq!(
            asked(b"\0\x01../etc/passwd\0octet\0"),
            "\\x00\\x05\\x00\\x01file not found\\x00"
        );
        assert_eq!(
            asked(b"\0\x01no\xfe\0octet\0"),
            "\\x00\\x05\\x00\\x01file not found\\x00"
        );
        assert_eq!(
            asked(b"\0\x02x64/ipxe.efi\0octet\0"),
            "\\x00\\x05\\x00\\x02this server takes no files, it only sends them\\x00"
        );
        assert!(asked(b"\0\x01x64/ipxe.efi\0mail\0").starts_with("\\x00\\x05\\x00\\x04"));
        let (_, said) = fetch(&lab, &host, "curl", "missing");
        assert!(
            said.contains("(68)"),
            "curl's code for a file that is not found: {said}"
        );
    });
    let seen = shelf.seen.lock().unwrap();
    assert_eq!(
        seen[1],
        (Mark::FileMissing, "no\\xfe: name is not UTF-8".to_owned())
    );
}

/// A socket of this host that gives up after a second.
fn client_socket(host: &Host) -> UdpSocket {
    let bound = host
        .netns
        .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)));
    let socket = bound.unwrap().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    socket
}

/// EDK2 asks for the size, aborts, and asks again; the ports are the same where the firmware has but one.
#[test_matrix([false, true])]
fn firmware_probes_for_the_size_and_asks_again_from_the_same_port(single_port: bool) {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    let limits = Limits {
        single_port,
        ..Limits::default()
    };
    while_serving(&server, &shelf, limits, || {
        let (socket, mut buffer) = (client_socket(&host), [0; 2000]);
        let probe = b"\0\x01x64/ipxe.efi\0octet\0tsize\x000\0";
        socket.send_to(probe, (SERVER, 69)).unwrap();
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"\0\x06tsize\x001100003\0");
        assert_eq!(from.port() == 69, single_port);
        socket
            .send_to(b"\0\x05\0\x08User aborted the transfer\0", from)
            .unwrap();
        shelf.wait(&lab, Mark::FileProbed);

        let real = b"\0\x01x64/ipxe.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
        socket.send_to(real, (SERVER, 69)).unwrap();
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let expected = b"\0\x06tsize\x001100003\0blksize\x001468\0windowsize\x004\0";
        assert_eq!(&buffer[..length], expected);
        socket.send_to(b"\0\x04\0\0", from).unwrap();
        let (length, _) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((length, &buffer[..4]), (1472, &b"\0\x03\0\x01"[..]));

        // It was switched off and on: from the beginning, without the rest of what was in flight.
        socket.send_to(probe, (SERVER, 69)).unwrap();
        loop {
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            if &buffer[..length] == b"\0\x06tsize\x001100003\0" {
                break;
            }
        }
    });
    let expected = [
        Mark::FileBegun,
        Mark::FileProbed,
        Mark::FileBegun,
        Mark::FileBroken,
        Mark::FileBegun,
    ];
    assert_eq!(shelf.marks(), expected);
}

/// Firmware that is reset has its port closed: nothing is sent for half a minute to a machine that does not listen.
#[test]
fn a_client_that_closes_its_port_is_let_go_at_once() {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    while_serving(&server, &shelf, Limits::default(), || {
        let (socket, mut buffer) = (client_socket(&host), [0; 600]);
        socket
            .send_to(b"\0\x01x64/ipxe.efi\0octet\0", (SERVER, 69))
            .unwrap();
        let (_, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(b"\0\x04\0\x01", from).unwrap();
        socket.recv_from(&mut buffer).unwrap();
        drop(socket);
        let broken = shelf.wait(&lab, Mark::FileBroken);
        assert!(
            broken.ends_with("after 512 of 1100003 octets: the client closed its port"),
            "{broken}"
        );
    });
}

#[test_matrix([false, true])]
fn a_flood_of_requests_without_acks_leaves_a_client_its_file(single_port: bool) {
    let Some((lab, server, host)) = wire() else {
        return;
    };
    let shelf = Arc::new(shelf());
    let limits = Limits {
        single_port,
        ..Limits::default()
    };
    let flooder = lab.add_host("flooder", Some(net::address(31))).unwrap();
    while_serving(&server, &shelf, limits, || {
        let (stopped, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| flooder.netns.run(|| flood(&stopped, &sent)));
            let fetched = while_flooded(&sent, || fetch(&lab, &host, "curl-1468", "x64/ipxe.efi"));
            stopped.store(true, Ordering::Relaxed);
            flood.join().unwrap().unwrap();
            for (got, said) in fetched {
                let whole = got == *shelf.files["x64/ipxe.efi"];
                assert!(whole, "{} octets; {said}", got.len());
            }
        });
    });
}

/// What `fetch` brings while requests pour in: again and again until they are as many as make a flood.
fn while_flooded<T>(sent: &AtomicUsize, fetch: impl Fn() -> T) -> Vec<T> {
    let begun = Instant::now();
    let mut fetched = vec![fetch()];
    while sent.load(Ordering::Relaxed) < FLOOD {
        let count = sent.load(Ordering::Relaxed);
        let late = begun.elapsed() > Duration::from_mins(1);
        assert!(!late, "a flood of {count} requests in a minute is none");
        fetched.push(fetch());
    }
    fetched
}

/// As many requests as are a flood.
const FLOOD: usize = 1000;

/// Requests, each from a port of its own, whose answers nobody takes, until told to stop; `sent` tells how many there
/// were. One in sixteen waits for its answer, so that they are as many as the server takes.
fn flood(stopped: &AtomicBool, sent: &AtomicUsize) {
    let mut sockets = VecDeque::new();
    while !stopped.load(Ordering::Relaxed) {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let request = b"\0\x01x64/ipxe.efi\0octet\0blksize\x001468\0";
        let count = match socket.send_to(request, (SERVER, 69)) {
            Ok(_) => sent.fetch_add(1, Ordering::Relaxed),
            Err(_) => 0,
        };
        if count % 16 == 0 {
            socket
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let _ = socket.peek_from(&mut [0; 4]);
        }
        // A port that closes says so to the server; these stay open.
        sockets.push_back(socket);
        if sockets.len() > 500 {
            sockets.pop_front();
        }
    }
}
