//! The floating IP on a real wire: other hosts that have addresses, cables that are pulled, a daemon that is killed.
//!
//! The daemon is this very binary inside a host of the lab: the keeper with a packet socket, the kernel's own netlink
//! and a record in a file. What it says of itself it writes into a file, too; what others see of it is asked on the wire.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use dragonfly::{
    core::SystemClock,
    lab::{Foreign, Host, Lab, Process, Stopwatch, net},
    model::{
        LinkName, MacAddr,
        network::{Floating, FloatingState, FloatingStatus, Held, Want},
    },
    net::{
        floating_ip::{Input, Keeper, Place, Records, Setting},
        frame::Frame,
        link::{Link, RawLink},
        links::Watch,
    },
};
use lab::{beside, said};
use nix::sys::signal::Signal;
use serde::{Serialize, de::DeserializeOwned};
use tokio::signal::unix::{SignalKind, signal};

/// Names the folder of the one that is the daemon.
const DAEMON: &str = "DRAGONFLY_TEST_FLOATING_IP";
/// A claim takes eight seconds at most; machines are slow and shared.
const CLAIMED: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(15);

/// Does nothing unless it is the daemon.
#[test]
fn holds_an_address_until_it_is_stopped() {
    let Some(dir) = env::var_os(DAEMON) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(daemon(Files(dir.into())));
}

/// What the daemon reads and writes.
#[derive(Clone, Debug)]
struct Files(PathBuf);

impl Files {
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = fs::read(self.0.join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Whole, whenever it is read.
    fn write<T: Serialize>(&self, name: &str, content: &T) {
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, serde_json::to_vec(content).unwrap()).unwrap();
        fs::rename(new, self.0.join(name)).unwrap();
    }
}

impl Records for Files {
    async fn hold(&self, _: &LinkName, held: Option<Held>) -> Result<(), String> {
        self.write("held", &held);
        Ok(())
    }
}

async fn daemon(files: Files) {
    let began = tokio::time::Instant::now();
    let watch = Watch::start().await.unwrap();
    let mut links = watch.subscribe();
    let link = RawLink::open(&"eth0".parse().unwrap()).unwrap();
    let place = Place::of(&links.borrow_and_update(), link.index()).unwrap();
    let mut keeper = Keeper::new(Setting {
        link: link.name().clone(),
        index: link.index(),
        mac: link.mac(),
        handle: watch.handle(),
        place,
        config: files.read("config").unwrap_or_default(),
        held: files.read::<Option<Held>>("held").flatten(),
        records: files.clone(),
        clock: Arc::new(SystemClock),
    });
    let mut status = keeper.status();
    let mut end = signal(SignalKind::terminate()).unwrap();
    let mut release = signal(SignalKind::user_defined1()).unwrap();
    let mut buffer = [0; RawLink::BUFFER];
    keeper.feed(&link, began.elapsed(), Input::Tick).await;
    loop {
        if status.has_changed().unwrap() {
            files.write("status", &*status.borrow_and_update());
        }
        let due = keeper.next_timer().map(|due| began + due);
        let tick = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = link.recv(&mut buffer) => {
                let received = received.unwrap();
                let frame = Frame::parse(&buffer[..received.length], received.tag, received.checksum);
                if let Ok(Frame::Arp(packet)) = frame {
                    keeper.feed(&link, began.elapsed(), Input::Arp(&packet)).await;
                }
            }
            changed = links.changed() => {
                changed.unwrap();
                let place = Place::of(&links.borrow_and_update(), link.index());
                let place = Input::Place(place.unwrap_or_default());
                keeper.feed(&link, began.elapsed(), place).await;
            }
            () = tick => keeper.feed(&link, began.elapsed(), Input::Tick).await,
            _ = release.recv() => keeper.feed(&link, began.elapsed(), Input::Release).await,
            _ = end.recv() => return keeper.stop(),
        }
    }
}

/// A host of the lab with a daemon in it.
struct Daemon<'a> {
    lab: &'a Lab,
    host: Host,
    files: Files,
    process: Process,
}

impl<'a> Daemon<'a> {
    fn start(lab: &'a Lab, name: &str, address: Ipv4Addr, config: &Floating) -> Self {
        let host = lab.add_host(name, Some(address)).unwrap();
        let files = Files(lab.dir().join(format!("floating-{name}")));
        fs::create_dir(&files.0).unwrap();
        files.write("config", config);
        let process = run(lab, &host, &files, "first");
        Self {
            lab,
            host,
            files,
            process,
        }
    }

    fn restart(&mut self, name: &str) {
        // What it says from now on is its own.
        fs::remove_file(self.files.0.join("status")).unwrap();
        self.process = run(self.lab, &self.host, &self.files, name);
    }

    fn kill(&self) {
        self.process.signal(Signal::SIGKILL);
        self.wait("the daemon is dead", SOON, |_| !self.process.is_alive());
    }

    fn status(&self) -> Option<FloatingStatus> {
        self.files.read("status")
    }

    fn wait(&self, awaited: &str, within: Duration, is: impl Fn(&FloatingStatus) -> bool) {
        let look = || Ok(self.status().filter(&is).map(drop));
        if let Err(error) = self.lab.until(awaited, within, look) {
            panic!(
                "{error}; its status: {:?}\n{}",
                self.status(),
                log(&self.process.log)
            );
        }
    }

    fn holds(&self, address: Ipv4Addr) {
        let awaited = format!("{address} is held");
        let held = (FloatingState::Held, Some(address));
        self.wait(&awaited, CLAIMED, |status| {
            (status.state, status.address) == held
        });
        assert!(self.on_link(address), "{}", self.addresses());
    }

    fn held(&self) -> Ipv4Addr {
        let held = |status: &FloatingStatus| status.state == FloatingState::Held;
        self.wait("an address is held", CLAIMED, held);
        self.status().unwrap().address.unwrap()
    }

    fn addresses(&self) -> String {
        self.host.ip("-4 -o address show dev eth0").unwrap()
    }

    fn on_link(&self, address: Ipv4Addr) -> bool {
        self.addresses().contains(&format!("inet {address}/32"))
    }

    fn mac(&self) -> MacAddr {
        self.host.mac().unwrap().parse().unwrap()
    }

    fn arp_settings(&self) -> String {
        let mut cat = Command::new("cat");
        cat.args(
            ["arp_ignore", "arp_announce"]
                .map(|name| format!("/proc/sys/net/ipv4/conf/eth0/{name}")),
        );
        said(&self.host.command(&cat).output().unwrap())
    }
}

fn run(lab: &Lab, host: &Host, files: &Files, name: &str) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "holds_an_address_until_it_is_stopped",
            "--nocapture",
        ])
        .env(DAEMON, &files.0);
    lab.spawn(&format!("{}-{name}", host.name), host, &command)
        .unwrap()
}

fn log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Who answers for an address, asked from `host`.
fn who_has(lab: &Lab, host: &Host, address: Ipv4Addr) -> Option<MacAddr> {
    let mut arping = lab.tools().command("busybox").unwrap();
    arping
        .args(["arping", "-f", "-c", "1", "-w", "1", "-I", "eth0"])
        .arg(address.to_string());
    let said = said(&host.command(&arping).output().unwrap());
    let (_, rest) = said.split_once('[')?;
    rest.split_once(']')?.0.parse().ok()
}

/// Takes an address as a person does who knows nothing of us, and says so on the wire.
fn takes(lab: &Lab, host: &Host, address: Ipv4Addr) {
    host.ip(&format!("address add {address}/24 dev eth0"))
        .unwrap();
    says(lab, host, address);
}

fn says(lab: &Lab, host: &Host, address: Ipv4Addr) {
    let mut arping = lab.tools().command("busybox").unwrap();
    arping
        .args(["arping", "-U", "-c", "1", "-I", "eth0"])
        .arg(address.to_string());
    host.command(&arping).output().unwrap();
}

#[test]
fn occupied_addresses_are_skipped() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    lab.add_host("a", Some(net::address(3))).unwrap();
    let peer = lab.add_host("b", Some(net::address(4))).unwrap();
    let daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());

    daemon.holds(net::address(5));

    assert_eq!(who_has(&lab, &peer, net::address(5)), Some(daemon.mac()));
    assert_ne!(who_has(&lab, &peer, net::address(3)), Some(daemon.mac()));
}

#[test]
fn two_daemons_that_start_at_once_settle_on_two_addresses() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let one = Daemon::start(&lab, "one", net::address(2), &Floating::default());
    let two = Daemon::start(&lab, "two", net::address(3), &Floating::default());
    let peer = lab.add_host("peer", Some(net::address(9))).unwrap();

    let (first, second) = (one.held(), two.held());

    assert_ne!(first, second);
    assert_eq!(who_has(&lab, &peer, first), Some(one.mac()));
    assert_eq!(who_has(&lab, &peer, second), Some(two.mac()));
}

#[test]
fn a_conflict_is_defended_against_once_and_then_it_moves() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    let peer = lab.add_host("peer", Some(net::address(9))).unwrap();
    let held = net::address(3);
    daemon.holds(held);
    let mac: MacAddr = peer.mac().unwrap().parse().unwrap();

    takes(&lab, &peer, held);
    let defended =
        |status: &FloatingStatus| status.text.contains(&format!("defended against {mac}"));
    daemon.wait("the address was defended", SOON, defended);
    assert!(daemon.on_link(held));

    says(&lab, &peer, held);
    let conflict = |status: &FloatingStatus| status.state == FloatingState::Conflict;
    daemon.wait("it gives way", SOON, conflict);
    assert!(
        daemon.on_link(held),
        "it answers there until it has another one"
    );

    daemon.holds(net::address(4));
    assert!(!daemon.on_link(held));
    assert_eq!(who_has(&lab, &peer, net::address(4)), Some(daemon.mac()));
}

#[test]
fn a_pulled_cable_takes_nothing_away_and_a_new_one_is_announced_on() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    let peer = lab.add_host("peer", Some(net::address(9))).unwrap();
    let held = net::address(3);
    daemon.holds(held);

    daemon.host.set_link(false).unwrap();
    daemon.wait("it knows", SOON, |status| {
        status.text.contains("cable is out")
    });
    assert!(daemon.on_link(held));
    assert_eq!(who_has(&lab, &peer, held), None);

    let capture = lab.capture("arp", "arp").unwrap();
    daemon.host.set_link(true).unwrap();
    daemon.wait("it looks whether it is free", SOON, |status| {
        status.text.contains("cable is in")
    });
    daemon.wait("it is sure", SOON, |status| !status.text.contains("cable"));
    capture.wait(&format!("tell {held}"), SOON).unwrap();
    assert_eq!(who_has(&lab, &peer, held), Some(daemon.mac()));
    capture.end().unwrap();
}

#[test]
fn an_address_that_somebody_deletes_is_back_within_a_second() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    let held = net::address(3);
    daemon.holds(held);

    for _ in 0..3 {
        daemon
            .host
            .ip(&format!("address del {held}/32 dev eth0"))
            .unwrap();
        let gone = Stopwatch::start();
        daemon.wait("the address is back", SOON, |_| daemon.on_link(held));
        let took = gone.elapsed();
        assert!(took < Duration::from_secs(1), "it took {took:?}");
    }
}

#[test]
fn a_daemon_that_was_killed_answers_at_the_same_address_within_three_seconds() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    // The first free one is another by the time it starts again.
    let config = Floating {
        want: Want::Auto,
        ..Floating::default()
    };
    let neighbour = lab.add_host("neighbour", Some(net::address(3))).unwrap();
    let mut daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &config);
    let held = net::address(4);
    daemon.holds(held);
    let since = daemon.status().unwrap().since;
    neighbour.ip("address flush dev eth0").unwrap();
    neighbour
        .ip(&format!("address add {}/24 dev eth0", net::address(9)))
        .unwrap();

    daemon.kill();
    assert!(daemon.on_link(held));
    let capture = lab.capture("arp", "arp").unwrap();
    let started = Stopwatch::start();
    daemon.restart("second");
    daemon.wait("it is held again", SOON, |status| {
        status.state == FloatingState::Held
    });
    let took = started.elapsed();

    assert!(took < Duration::from_secs(3), "it took {took:?}");
    eprintln!("floating IP held again {took:?} after the start of a process");
    let status = daemon.status().unwrap();
    assert_eq!((status.address, status.since), (Some(held), since));
    assert_eq!(who_has(&lab, &neighbour, held), Some(daemon.mac()));
    capture.wait(&format!("tell {held}"), SOON).unwrap();
    capture.end().unwrap();
}

#[test]
fn a_daemon_that_was_killed_and_lost_its_address_claims_the_same_one() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let neighbour = lab.add_host("neighbour", Some(net::address(3))).unwrap();
    let mut daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    let held = net::address(4);
    daemon.holds(held);

    daemon.kill();
    daemon
        .host
        .ip(&format!("address del {held}/32 dev eth0"))
        .unwrap();
    neighbour.ip("address flush dev eth0").unwrap();
    daemon.restart("second");

    daemon.holds(held);
}

#[test]
fn a_daemon_whose_address_went_to_another_meanwhile_takes_the_next() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let peer = lab.add_host("peer", Some(net::address(9))).unwrap();
    let mut daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    let held = net::address(3);
    daemon.holds(held);

    daemon.kill();
    daemon
        .host
        .ip(&format!("address del {held}/32 dev eth0"))
        .unwrap();
    takes(&lab, &peer, held);
    daemon.restart("second");

    daemon.holds(net::address(4));
    assert!(!daemon.on_link(held));
}

/// What `ip address` and `ip route` of the host say, but for the floating IP.
#[test]
fn the_hosts_own_addresses_and_settings_are_as_they_were() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let host = lab.add_host("fly", Some(net::DRAGONFLY)).unwrap();
    for words in [
        "address add 192.168.77.3/24 dev eth0",
        "address add 10.5.0.1/32 dev eth0",
        "route add default via 192.168.77.1 dev eth0",
    ] {
        host.ip(words).unwrap();
    }
    let files = Files(lab.dir().join("floating-fly"));
    fs::create_dir(&files.0).unwrap();
    let shown = |words: &str| host.ip(words).unwrap();
    let source = |to: &str| shown(&format!("route get {to}"));
    let everything = || {
        (
            shown("-4 address"),
            shown("route show table all type unicast"),
        )
    };
    let before = everything();
    let sources = [source("192.168.77.200"), source("8.8.8.8")];
    let process = run(&lab, &host, &files, "first");
    let daemon = Daemon {
        lab: &lab,
        host: host.clone(),
        files,
        process,
    };
    let settings = daemon.arp_settings();

    daemon.holds(net::address(4));
    assert_eq!(daemon.arp_settings(), "1\n2\n");
    assert_eq!([source("192.168.77.200"), source("8.8.8.8")], sources);

    // A stop keeps the address, and puts the settings back.
    daemon.process.end().unwrap();
    assert!(daemon.on_link(net::address(4)));
    assert_eq!(daemon.arp_settings(), settings);

    // A release leaves nothing.
    let mut daemon = daemon;
    daemon.restart("second");
    daemon.holds(net::address(4));
    assert_eq!(daemon.arp_settings(), "1\n2\n");
    daemon.process.signal(Signal::SIGUSR1);
    let released = |status: &FloatingStatus| status.state == FloatingState::Released;
    daemon.wait("it is released", SOON, released);
    assert_eq!(everything(), before);
    assert_eq!(daemon.arp_settings(), settings);
    assert_eq!(daemon.files.read::<Option<Held>>("held"), Some(None));
}

/// The one before it could not put them back: they are in the record.
#[test]
fn settings_from_before_a_kill_are_put_back_by_the_next_daemon() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let mut daemon = Daemon::start(&lab, "fly", net::DRAGONFLY, &Floating::default());
    daemon.holds(net::address(3));
    daemon.kill();
    assert_eq!(daemon.arp_settings(), "1\n2\n");

    daemon.restart("second");
    daemon.holds(net::address(3));
    daemon.process.end().unwrap();

    assert_eq!(daemon.arp_settings(), "0\n0\n");
}
