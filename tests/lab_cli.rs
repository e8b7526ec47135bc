//! `dragonfly-lab` says what is wrong and what to do, in words or as JSON, and its console comes and goes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::Duration,
};

use dragonfly::lab::{Foreign, Profile, VmSpec};
use lab::{BINARY, beside, dragonfly_lab, one_at_a_time, said};
use serde_json::Value;

const NOBODY: u32 = 65534;

#[test]
fn without_root_it_says_so() {
    let up = Command::new(BINARY).arg("up").uid(NOBODY).output();
    // Who is not root cannot become nobody either, and then is told the same.
    let up = up.unwrap_or_else(|_| dragonfly_lab(&["up"]));
    assert_eq!(up.status.code(), Some(1));
    assert!(said(&up).contains("needs root"), "{}", said(&up));
}

#[test]
fn without_its_tools_it_names_the_script_that_brings_them() {
    if beside(Foreign::None).is_none() {
        return;
    }
    let up = Command::new(BINARY)
        .args(["up", "--json"])
        .env("DRAGONFLY_LAB_TOOLS", "/nonexistent")
        .output()
        .unwrap();
    let error: Value = serde_json::from_slice(&up.stderr).unwrap();
    let detail = error["error"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("/nonexistent") && detail.contains("scripts/setup-lab"),
        "{detail}"
    );
}

#[test]
fn a_wrong_word_is_answered_with_the_right_ones() {
    let boot = dragonfly_lab(&["boot", "uefi-https"]);
    assert_eq!(boot.status.code(), Some(2));
    assert!(
        said(&boot).contains("bios, uefi, uefi-http, arm64"),
        "{}",
        said(&boot)
    );
}

#[test]
fn a_host_or_machine_that_is_not_there_is_answered_with_those_that_are() {
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let off = dragonfly_lab(&["vm", "--lab", lab.name(), "c9", "off"]);
    assert!(
        said(&off).contains("no VM is called c9; there are none"),
        "{}",
        said(&off)
    );
    let forward = dragonfly_lab(&["forward", "--lab", lab.name(), "web", "192.168.77.1:80"]);
    assert!(
        said(&forward).contains("no host is called web; there is dhcp"),
        "{}",
        said(&forward)
    );
}

#[test]
fn a_program_runs_inside_a_host() {
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let exec = dragonfly_lab(&[
        "exec",
        "--lab",
        lab.name(),
        "dhcp",
        "ip",
        "-4",
        "-o",
        "address",
    ]);
    assert!(said(&exec).contains("192.168.77.1/24"), "{}", said(&exec));
}

#[test]
fn the_console_shows_the_past_and_leaves_the_machine_running() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let vm = lab.boot(&VmSpec::new("client", Profile::Bios)).unwrap();
    vm.wait_serial("SeaBIOS", Duration::from_mins(1)).unwrap();

    let mut console = Command::new(BINARY);
    console.args(["console", "client", "--lab", lab.name()]);
    console
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut console = console.spawn().unwrap();
    console.stdin.take().unwrap().write_all(b"\x1d").unwrap();
    let output = console.wait_with_output().unwrap();

    assert!(said(&output).contains("SeaBIOS"), "{}", said(&output));
    assert!(
        said(&output).contains("Left; the machine goes on."),
        "{}",
        said(&output)
    );
    assert!(vm.process.is_alive());
}
