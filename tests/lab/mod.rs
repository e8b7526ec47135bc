//! What the lab's tests share: a lab or a loud reason why there is none, and one VM at a time.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::Write,
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
};

use dragonfly::lab::{Foreign, Host, Lab, LabError, LabOptions};

pub const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly-lab");

/// Emulated machines have the processors to themselves, or their deadlines mean little.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lab of this test's own; without root or the lab's tools the test is skipped, and says so.
pub fn lab(options: &LabOptions) -> Option<Lab> {
    match Lab::start(options) {
        Ok(lab) => Some(lab),
        Err(error @ (LabError::NotRoot | LabError::Missing { .. })) => {
            // Past the test harness, which keeps the words of tests that pass.
            let _ = writeln!(std::io::stderr(), "SKIPPED a lab test: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub fn beside(foreign: Foreign) -> Option<Lab> {
    lab(&LabOptions {
        foreign,
        ..LabOptions::default()
    })
}

/// An ordinary DHCP client, once: what it said.
pub fn udhcpc(lab: &Lab, host: &Host) -> String {
    let mut udhcpc = lab.tools().command("busybox").unwrap();
    udhcpc.args([
        "udhcpc",
        "-i",
        "eth0",
        "-f",
        "-n",
        "-q",
        "-t",
        "5",
        "-T",
        "2",
        "-s",
        "/bin/true",
    ]);
    said(&host.command(&udhcpc).output().unwrap())
}

pub fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

pub fn dragonfly_lab(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}
