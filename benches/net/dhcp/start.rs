//! What the daemon needs when it does nothing, and how soon it answers after its start.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dragonfly::lab::{Dragonfly, Host, Lab, LabError};

use super::servers::{SERVER, binary};
use crate::Result;
use crate::common::{median, print};

/// As long as it may take to hold an address the first time: all candidates are probed.
const HELD_WITHIN: Duration = Duration::from_mins(1);
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(2);
const RESTARTS: usize = 7;
const MIB: f64 = 1024.0;
const GOAL_MIB: f64 = 20.0;
const GOAL_MS: f64 = 200.0;

/// Resident memory, with one link served and an empty store.
pub fn idle_memory(lab: &Lab) -> Result<()> {
    let daemon = lab.dragonfly(binary(), |_| ())?;
    held(lab, &daemon)?;
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process.pid()))?;
    for what in ["VmRSS", "VmHWM", "RssAnon", "RssFile", "Threads"] {
        let line = status.lines().find(|line| line.starts_with(what));
        println!(
            "# idle_memory {}",
            line.unwrap_or_default().replace('\t', " ")
        );
    }
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|rest| rest.split_whitespace().next());
    let resident = resident.ok_or("no VmRSS")?.parse::<f64>()? / MIB;
    daemon.process.end()?;
    println!("# idle_memory: MiB; peer is the goal");
    print("idle_memory", resident, GOAL_MIB, GOAL_MIB / resident);
    Ok(())
}

/// From the start of the process to the first answer to a PXE client, at an address that the one before held.
pub fn start_to_answer(lab: &Lab, client: &Host) -> Result<()> {
    let mut daemon = lab.dragonfly(binary(), |_| ())?;
    let address = held(lab, &daemon)?;
    let mut took = Vec::new();
    for _ in 0..RESTARTS {
        daemon.process.end()?;
        let (ask, asked) = std::sync::mpsc::channel();
        let answered = std::thread::scope(|scope| {
            let answered = scope.spawn(|| client.netns.run(|| first_answer(address, &ask)));
            // The client asks already.
            asked.recv_timeout(ANSWERED_WITHIN)?;
            let begun = Instant::now();
            daemon = lab.dragonfly(binary(), |_| ())?;
            let answered = answered.join().map_err(|_| "the client panicked")???;
            Ok::<_, Box<dyn std::error::Error>>(answered.duration_since(begun))
        })?;
        took.push(answered.as_secs_f64() * 1000.0);
    }
    daemon.process.end()?;
    println!("# start_to_answer: ms, {RESTARTS} restarts: {took:.1?}; peer is the goal");
    let ours = median(&took);
    print("start_to_answer", ours, GOAL_MS, GOAL_MS / ours);
    Ok(())
}

/// Waits until it holds a floating IP, and says which.
fn held(lab: &Lab, daemon: &Dragonfly) -> Result<Ipv4Addr> {
    let held = lab.until("a floating IP", HELD_WITHIN, || {
        daemon.process.expect_alive()?;
        let shown = daemon.host.ip("-o -4 address show dev eth0")?;
        let own = SERVER.to_string();
        let addresses = shown.split_whitespace().filter_map(|word| {
            let (address, prefix) = word.split_once('/')?;
            (prefix == "32" && address != own).then(|| address.parse().ok())?
        });
        Ok::<_, LabError>(addresses.into_iter().next())
    })?;
    Ok(held)
}

/// Asks until there is an answer from that address.
fn first_answer(
    from: Ipv4Addr,
    began: &std::sync::mpsc::Sender<()>,
) -> std::result::Result<Instant, std::io::Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(ASK_EVERY))?;
    let end = Instant::now() + ANSWERED_WITHIN;
    let mut buffer = [0; 1500];
    let mut number = 0_u32;
    while Instant::now() < end {
        number += 1;
        socket.send_to(&discover(number), (Ipv4Addr::BROADCAST, 67))?;
        if number == 1 {
            let _ = began.send(());
        }
        let by = socket.recv_from(&mut buffer).map(|(_, by)| by);
        if by.is_ok_and(|by| by == SocketAddr::from((from, 67))) {
            return Ok(Instant::now());
        }
    }
    Err(std::io::Error::other("no answer"))
}

/// RFC 2131, section 2: a DISCOVER of x86-64 UEFI that wants its answer as a broadcast.
fn discover(number: u32) -> Vec<u8> {
    let mut packet = vec![1, 1, 6, 0];
    packet.extend(number.to_be_bytes());
    packet.extend([0, 0, 0x80, 0]);
    packet.extend([0; 16]);
    packet.extend([2, 0xbb, 0, 0, 0, 1]);
    packet.extend([0; 10 + 64 + 128]);
    packet.extend([0x63, 0x82, 0x53, 0x63]);
    packet.extend([53, 1, 1, 93, 2, 0, 7, 94, 3, 1, 3, 16, 55, 4, 1, 3, 66, 67]);
    let class = b"PXEClient:Arch:00007:UNDI:003016";
    packet.extend([60, 32]);
    packet.extend(class);
    packet.push(255);
    packet
}
