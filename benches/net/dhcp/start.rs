//! What the daemon needs when it does nothing, and how soon it answers after its start.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dragonfly::lab::{Dragonfly, Host, Lab, LabError};

use super::servers::{SERVER, binary};
use crate::Result;
use crate::common::{median, print_beside_goal, resident};
use crate::pxe::discover;

/// As long as it may take to hold an address the first time: all candidates are probed.
const HELD_WITHIN: Duration = Duration::from_mins(1);
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(2);
const RESTARTS: usize = 7;
const CARD: [u8; 6] = [2, 0xbb, 0, 0, 0, 1];
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
    let resident = resident(daemon.process.pid())?;
    daemon.process.end()?;
    print_beside_goal("idle_memory", "MiB", resident, GOAL_MIB);
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
    println!("# start_to_answer: {RESTARTS} restarts: {took:.1?}");
    print_beside_goal("start_to_answer", "ms", median(&took), GOAL_MS);
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
        let question = discover(CARD, number);
        socket.send_to(&question, (Ipv4Addr::BROADCAST, 67))?;
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
