//! The whole daemon on a wire: what a person orders, what a flood does, and what a kill leaves.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use dragonfly::lab::{Dragonfly, Foreign, Host, Lab, Profile, Stopwatch, Vm, VmSpec, net};
use lab::{beside, one_at_a_time, said};
use nix::sys::signal::Signal;

const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
const REACHED: &str = "Dragonfly: script reached";
const BOOTS_WITHIN: Duration = Duration::from_mins(3);
const SOON: Duration = Duration::from_secs(30);
/// The floating IP that a free wire gives: the first one after the host's own.
const FLOATING: Ipv4Addr = net::address(3);

fn start(lab: &Lab) -> Dragonfly {
    let dragonfly = lab.dragonfly(Path::new(BINARY), |_| {}).unwrap();
    lab.until("the floating IP", SOON, || {
        let shown = dragonfly.get("/api/v1/floating-ips")?;
        Ok((shown["items"][0]["state"] == "held").then_some(()))
    })
    .unwrap();
    dragonfly
}

/// Runs the command line, which has to succeed, and gives what it said.
fn cli(dragonfly: &Dragonfly, words: &[&str]) -> String {
    let done = dragonfly.cli(words).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", said(&done));
    said(&done)
}

fn boot(lab: &Lab) -> Vm {
    lab.boot(&VmSpec::new("client", Profile::Bios)).unwrap()
}

/// Whether the machine plane answers at the floating IP, asked from another host.
fn answers(host: &Host, at: Ipv4Addr) -> bool {
    let ask = || {
        let to = SocketAddr::from((at, 3080));
        let stream = TcpStream::connect_timeout(&to, Duration::from_millis(500));
        stream.is_ok_and(|mut stream| {
            let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let mut answer = String::new();
            stream.write_all(head).is_ok()
                && std::io::Read::read_to_string(&mut stream, &mut answer).is_ok()
                && answer.starts_with("HTTP/1.1 200")
        })
    };
    host.netns.run(ask).unwrap()
}

#[test]
fn a_killed_daemon_answers_at_the_same_address_within_three_seconds() {
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = start(&lab);
    let other = lab.add_host("other", Some(net::address(50))).unwrap();
    lab.until("the machine plane", SOON, || {
        Ok(answers(&other, FLOATING).then_some(()))
    })
    .unwrap();
    dragonfly.process.signal(Signal::SIGKILL);
    lab.until("the end of the daemon", SOON, || {
        Ok((!dragonfly.process.is_alive()).then_some(()))
    })
    .unwrap();

    let clock = Stopwatch::start();
    let again = lab.dragonfly(Path::new(BINARY), |_| {}).unwrap();
    lab.until("the same address", SOON, || {
        Ok(answers(&other, FLOATING).then_some(()))
    })
    .unwrap();

    let took = clock.elapsed();
    println!("answered again after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(again.process.is_alive());
}

#[test]
fn an_order_is_booted_once_and_then_the_disk() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = start(&lab);
    let vm = boot(&lab);
    vm.wait_serial(REACHED, BOOTS_WITHIN).unwrap();
    cli(&dragonfly, &["machine", "boot-once", &vm.mac, "--shell"]);

    vm.power_off().unwrap();
    let vm = boot(&lab);
    vm.wait_serial("iPXE>", BOOTS_WITHIN).unwrap();
    vm.power_off().unwrap();
    let vm = boot(&lab);
    vm.wait_serial(REACHED, BOOTS_WITHIN).unwrap();

    vm.wait_serial("disk", SOON).unwrap();
    assert!(
        !vm.serial().text().contains("iPXE>"),
        "it came to the shell again"
    );
    let trace = cli(&dragonfly, &["boot", "trace", &vm.mac]);
    assert!(
        trace.contains("this once") && trace.contains("its own disk"),
        "{trace}"
    );
}

#[test]
fn an_unknown_machine_waits_until_a_person_approves_it() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = start(&lab);
    cli(&dragonfly, &["network", "set", "eth0", "admit=approve"]);
    let vm = boot(&lab);
    vm.wait_serial(REACHED, BOOTS_WITHIN).unwrap();
    let none = dragonfly.get("/api/v1/machines").unwrap();
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0), "{none}");
    let seen = cli(&dragonfly, &["machine", "seen"]);
    assert!(seen.contains(&vm.mac), "{seen}");

    cli(&dragonfly, &["machine", "approve", &vm.mac]);

    lab.until("the machine to go on by itself", BOOTS_WITHIN, || {
        let trace = dragonfly.get(&format!("/api/v1/machines/{}/trace", vm.mac))?;
        let steps = trace["steps"].as_array().cloned().unwrap_or_default();
        Ok(steps
            .iter()
            .any(|step| step["mark"] == "local_boot")
            .then_some(()))
    })
    .unwrap();
}

#[test]
fn a_network_that_stays_silent_sends_nothing_to_an_idle_machine() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = start(&lab);
    cli(&dragonfly, &["network", "set", "eth0", "idle=silence"]);
    let vm = VmSpec::new("client", Profile::Bios);
    let vm = lab.boot(&vm).unwrap();
    cli(&dragonfly, &["machine", "add", &vm.mac]);
    let ours = dragonfly.host.mac().unwrap();
    let capture = lab.capture("silent", "udp port 67 or udp port 68").unwrap();

    vm.wait_serial("No more network devices", BOOTS_WITHIN)
        .unwrap();

    let frames = capture.lines(&format!("ether src {ours}")).unwrap();
    assert_eq!(frames, Vec::<String>::new());
    let trace = cli(&dragonfly, &["boot", "trace", &vm.mac]);
    assert!(trace.contains("silent"), "{trace}");
}

/// How often the store was written to.
fn commits(dragonfly: &Dragonfly) -> String {
    let metrics = dragonfly.ask("GET", "/metrics", None).unwrap().body;
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.starts_with("dragonfly_store_commits_total"));
    line.unwrap_or_else(|| panic!("no count of commits in:\n{metrics}"))
        .to_owned()
}

/// Resident memory in KiB.
fn resident(dragonfly: &Dragonfly) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", dragonfly.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

/// A DISCOVER of a PXE client with this number for a card.
fn discover(number: u32) -> Vec<u8> {
    let mut message = vec![0_u8; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&number.to_be_bytes());
    message[10] = 0x80;
    message[28..30].copy_from_slice(&[0x02, 0xfe]);
    message[30..34].copy_from_slice(&number.to_be_bytes());
    message[236..240].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1]);
    message.extend([60, 32]);
    message.extend(b"PXEClient:Arch:00007:UNDI:003016");
    message.extend([93, 2, 0, 7, 94, 3, 1, 3, 16, 255]);
    message
}

fn flood_dhcp() {
    let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
    socket.set_broadcast(true).unwrap();
    let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
    for number in 0..100_000 {
        // A full queue of the sender drops some of them; they are as many as the wire takes.
        let _ = socket.send_to(&discover(number), everybody);
    }
}

fn flood_tftp() {
    for _ in 0..2_000 {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let _ = socket.send_to(b"\0\x01x64/snponly.efi\0octet\0", (FLOATING, 69));
    }
}

/// Connections that begin a request and never end it.
fn half_open_http() -> Vec<TcpStream> {
    let open = |_| {
        let to = SocketAddr::from((FLOATING, 3080));
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).ok()?;
        stream
            .write_all(b"GET /ipxe/boot.ipxe HTTP/1.1\r\nHost:")
            .ok()?;
        Some(stream)
    };
    (0..500).filter_map(open).collect()
}

#[test]
fn a_flood_leaves_a_real_machine_able_to_boot_and_the_disk_still() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = start(&lab);
    let stranger = lab.add_host("stranger", Some(net::address(66))).unwrap();
    let (before, memory) = (commits(&dragonfly), resident(&dragonfly));

    let clock = Stopwatch::start();
    let held = stranger.netns.run(|| {
        flood_dhcp();
        flood_tftp();
        half_open_http()
    });
    let held = held.unwrap();

    let after = resident(&dragonfly);
    println!(
        "100,000 DISCOVERs, 2,000 opens and {} half-open requests in {:.1} s; resident {memory} KiB before, {after} KiB after",
        held.len(),
        clock.elapsed().as_secs_f64()
    );
    assert_eq!(commits(&dragonfly), before, "the store was written to");
    assert!(
        after < memory + 64 * 1024,
        "it grew from {memory} to {after} KiB"
    );
    let vm = boot(&lab);
    let line = vm.wait_serial(REACHED, BOOTS_WITHIN).unwrap();
    println!("while {} half-open requests are held: {line}", held.len());
    let machines = dragonfly.get("/api/v1/machines").unwrap();
    assert_eq!(machines["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(machines["items"][0]["mac"], vm.mac);
}

#[test]
fn an_idle_daemon_that_serves_a_link_stays_under_20_mb() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let dragonfly = start(&lab);
    let resident = resident(&dragonfly);
    println!("idle: {resident} KiB resident");
    if !cfg!(debug_assertions) {
        assert!(resident < 20_000, "{resident} KiB");
    }
}
