//! However a lab ends, nothing of it is left: no process, no namespace, no file. And nothing that it did
//! not start is ended.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::{
    io::{BufRead, BufReader},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use dragonfly::lab::{Foreign, Lab, Netns, Profile, Stop, VmSpec};
use lab::{BINARY, beside, dragonfly_lab, one_at_a_time, said};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SOON: Duration = Duration::from_secs(15);

/// What must be gone after a lab's end.
struct Traces {
    dir: PathBuf,
    hosts: Vec<Netns>,
    pids: Vec<i32>,
}

impl Traces {
    fn of(lab: &Lab) -> Traces {
        let hosts = lab.hosts();
        Traces {
            dir: lab.dir().to_owned(),
            hosts: hosts
                .iter()
                .map(|host| lab.host(host).unwrap().netns)
                .collect(),
            pids: lab.running().into_iter().map(|(_, pid)| pid).collect(),
        }
    }

    fn assert_gone(&self) {
        assert!(!self.dir.exists(), "{} is left", self.dir.display());
        for netns in &self.hosts {
            assert!(!netns.exists(), "{} is left", netns.name());
        }
        for pid in &self.pids {
            assert!(!runs(*pid), "process {pid} is left");
        }
    }
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// `dragonfly-lab up` in the foreground, once it says that the lab is up.
fn up(name: &str) -> Option<(Child, Lab)> {
    drop(beside(Foreign::None)?);
    let mut up = Command::new(BINARY);
    up.args(["up", "--name", name, "--foreign", "dnsmasq"])
        .stdout(Stdio::piped());
    let mut child = up.spawn().unwrap();
    let first = BufReader::new(child.stdout.as_mut().unwrap())
        .lines()
        .next();
    assert!(first.unwrap().unwrap().contains("is up"));
    let lab = Lab::open(Some(name), &Stop::default()).unwrap();
    Some((child, lab))
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn a_panic_takes_the_lab_down() {
    let _turn = one_at_a_time();
    let mut traces = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let Some(lab) = beside(Foreign::Dnsmasq) else {
            return;
        };
        lab.boot(&VmSpec::new("client", Profile::Bios)).unwrap();
        traces = Some(Traces::of(&lab));
        panic!("a test fails");
    }));
    let Some(traces) = traces else { return };
    assert!(panicked.is_err());
    assert_eq!(traces.pids.len(), 2, "a server and a VM");
    traces.assert_gone();
}

#[test]
fn an_interrupt_takes_the_lab_down() {
    let Some((mut child, lab)) = up("t-int") else {
        return;
    };
    let traces = Traces::of(&lab);

    signal(&child, Signal::SIGINT);

    assert!(child.wait().unwrap().success());
    traces.assert_gone();
}

#[test]
fn down_takes_down_what_a_kill_left() {
    let Some((mut child, lab)) = up("t-kill") else {
        return;
    };
    let traces = Traces::of(&lab);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert!(
        traces.pids.iter().all(|pid| runs(*pid)),
        "the server outlives its lab"
    );

    let down = dragonfly_lab(&["down", "t-kill"]);

    assert!(said(&down).contains("t-kill is down"), "{}", said(&down));
    traces.assert_gone();
}

#[test]
fn a_detached_lab_stays_until_down() {
    let Some(probe) = beside(Foreign::None) else {
        return;
    };
    drop(probe);
    let up = dragonfly_lab(&["up", "--name", "t-stay", "--detach", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&up.stdout).unwrap();
    assert_eq!(told["data"]["name"], "t-stay");
    let traces = Traces::of(&Lab::open(Some("t-stay"), &Stop::default()).unwrap());
    assert!(traces.pids.iter().all(|pid| runs(*pid)));

    dragonfly_lab(&["down", "t-stay"]);

    traces.assert_gone();
}

#[test]
fn a_process_that_the_lab_did_not_start_is_left_alone() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let host = lab.add_host("host", None).unwrap();
    let mut stranger = host
        .command(Command::new("sleep").arg("60"))
        .spawn()
        .unwrap();
    lab.until("the stranger inside", SOON, || {
        let inside = host.netns.pids(lab.tools());
        Ok(inside
            .contains(&i32::try_from(stranger.id()).unwrap())
            .then_some(()))
    })
    .unwrap();

    let done = lab.down().unwrap();

    assert_eq!(done.strangers, [i32::try_from(stranger.id()).unwrap()]);
    assert!(stranger.try_wait().unwrap().is_none(), "it was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_server_that_does_not_start_leaves_nothing_and_its_words_are_told() {
    let options = dragonfly::lab::LabOptions {
        name: Some("t-bad".to_owned()),
        foreign_extra: "no-such-option\n".to_owned(),
        ..Default::default()
    };
    if beside(Foreign::None).is_none() {
        return;
    }
    let error = Lab::start(&options).unwrap_err().to_string();

    assert!(
        error.contains("no-such-option") || error.contains("bad option"),
        "{error}"
    );
    assert!(!Path::new("/run/netns/dfl-t-bad-wire").exists());
    assert!(!Lab::names().contains(&"t-bad".to_owned()));
}
