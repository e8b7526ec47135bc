//! Real firmware beside real DHCP servers reaches our iPXE script: every pair of docs/firmware.md.
//!
//! The foreign server keeps its job in all of them: the address that the client holds is the one that stands in
//! the server's own lease file, and the machine is registered by what it fetched.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dragonfly::lab::{Dragonfly, Foreign, Lab, LabOptions, Profile, Stopwatch, VmSpec, net};
use lab::{one_at_a_time, said};
use test_case::test_case;

const BINARY: &str = env!("CARGO_BIN_EXE_dragonfly");
/// What every script of ours says first.
const REACHED: &str = "Dragonfly: script reached";
/// Software emulation on a machine that others use too.
const BOOTS_WITHIN: Duration = Duration::from_mins(3);
const SOON: Duration = Duration::from_secs(20);

/// How the boot instructions reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Proxy,
    Binl,
    Staple,
    OwnServer,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Proxy => "proxy",
            By::Binl => "4011",
            By::Staple => "staple",
            By::OwnServer => "own server",
        })
    }
}

impl By {
    /// What a person would type to have it so.
    fn settings(self) -> Vec<String> {
        let words: &[&str] = match self {
            By::Proxy => &["rungs=proxy"],
            By::Binl => &["rungs=binl"],
            By::Staple => &["rungs=staple"],
            By::OwnServer => &["serve=server", "lease=600"],
        };
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if self == By::OwnServer {
            words.push(format!("pool={}-{}", net::POOL.0, net::POOL.1));
        }
        words
    }
}

#[test_case(Profile::Bios, Foreign::Dnsmasq, By::Proxy)]
#[test_case(Profile::Uefi, Foreign::Dnsmasq, By::Proxy)]
#[test_case(Profile::UefiHttp, Foreign::Dnsmasq, By::Proxy)]
#[test_case(Profile::Arm64, Foreign::Dnsmasq, By::Proxy)]
#[test_case(Profile::Uefi, Foreign::Dnsmasq, By::Binl)]
#[test_case(Profile::Uefi, Foreign::Kea, By::Staple)]
#[test_case(Profile::Bios, Foreign::None, By::OwnServer)]
fn firmware_reaches_our_script(profile: Profile, foreign: Foreign, by: By) {
    reaches(profile, foreign, by);
}

#[test_case(Profile::Bios, Foreign::Kea, By::Proxy)]
#[test_case(Profile::Bios, Foreign::IscDhcp, By::Proxy)]
#[test_case(Profile::Bios, Foreign::Dnsmasq, By::Binl)]
#[test_case(Profile::Bios, Foreign::Kea, By::Binl)]
#[test_case(Profile::Bios, Foreign::IscDhcp, By::Binl)]
#[test_case(Profile::Bios, Foreign::Dnsmasq, By::Staple)]
#[test_case(Profile::Bios, Foreign::Kea, By::Staple)]
#[test_case(Profile::Bios, Foreign::IscDhcp, By::Staple)]
#[test_case(Profile::Uefi, Foreign::Kea, By::Proxy)]
#[test_case(Profile::Uefi, Foreign::IscDhcp, By::Proxy)]
#[test_case(Profile::Uefi, Foreign::Kea, By::Binl)]
#[test_case(Profile::Uefi, Foreign::IscDhcp, By::Binl)]
#[test_case(Profile::Uefi, Foreign::Dnsmasq, By::Staple)]
#[test_case(Profile::Uefi, Foreign::IscDhcp, By::Staple)]
#[test_case(Profile::Uefi, Foreign::None, By::OwnServer)]
#[test_case(Profile::UefiHttp, Foreign::Kea, By::Proxy)]
#[test_case(Profile::UefiHttp, Foreign::IscDhcp, By::Proxy)]
#[test_case(Profile::UefiHttp, Foreign::None, By::OwnServer)]
#[test_case(Profile::Arm64, Foreign::Kea, By::Proxy)]
#[test_case(Profile::Arm64, Foreign::IscDhcp, By::Proxy)]
#[test_case(Profile::Arm64, Foreign::Dnsmasq, By::Binl)]
#[test_case(Profile::Arm64, Foreign::Kea, By::Binl)]
#[test_case(Profile::Arm64, Foreign::IscDhcp, By::Binl)]
#[test_case(Profile::Arm64, Foreign::Dnsmasq, By::Staple)]
#[test_case(Profile::Arm64, Foreign::Kea, By::Staple)]
#[test_case(Profile::Arm64, Foreign::IscDhcp, By::Staple)]
#[test_case(Profile::Arm64, Foreign::None, By::OwnServer)]
#[ignore = "minutes of emulated firmware: make test-long"]
fn long_firmware_reaches_our_script(profile: Profile, foreign: Foreign, by: By) {
    reaches(profile, foreign, by);
}

fn reaches(profile: Profile, foreign: Foreign, by: By) {
    let _turn = one_at_a_time();
    let options = LabOptions {
        foreign,
        ..LabOptions::default()
    };
    let Some(lab) = lab::lab(&options) else {
        return;
    };
    let dragonfly = lab.dragonfly(Path::new(BINARY), |_| {}).unwrap();
    set_up(&lab, &dragonfly, by);
    let clock = Stopwatch::start();

    let vm = lab.boot(&VmSpec::new("client", profile)).unwrap();
    let reached = vm.wait_serial(REACHED, BOOTS_WITHIN);

    let seconds = clock.elapsed().as_secs_f64();
    let line = reached.unwrap_or_else(|error| panic!("{error}\n{}", told(&dragonfly, &vm.mac)));
    println!("{profile} beside {foreign} by {by}: {line} after {seconds:.1} s");
    let address = leased(&lab, &dragonfly, foreign, &vm.mac);
    vm.wait_serial(&address, SOON).unwrap();
    let machines = dragonfly.get("/api/v1/machines").unwrap();
    let machine = &machines["items"][0];
    assert_eq!(machine["mac"], vm.mac, "{machines}");
    assert_eq!(machine["state"], "discovered");
    came_by(&dragonfly, &vm.mac, profile, by);
}

/// The way is the one that was meant: a firmware that fails on it may come by another.
fn came_by(dragonfly: &Dragonfly, mac: &str, profile: Profile, by: By) {
    let trace = dragonfly
        .get(&format!("/api/v1/machines/{mac}/trace"))
        .unwrap();
    let steps = trace["steps"].as_array().unwrap();
    let until = steps.iter().position(|step| step["mark"] == "script_given");
    let steps = &steps[..until.unwrap()];
    let has = |stage: &str, mark: &str| {
        steps
            .iter()
            .any(|step| step["stage"] == stage && step["mark"] == mark)
    };
    let said = |text: &str| {
        steps
            .iter()
            .any(|step| step["text"].to_string().contains(text))
    };
    let told = || told(dragonfly, mac);
    match profile {
        // QEMU's ROM is iPXE already, and fetches its script by HTTP.
        Profile::Bios => assert!(has("http", "file_done"), "{}", told()),
        Profile::UefiHttp => assert!(
            said("HTTPClient") && !has("tftp", "file_done"),
            "{}",
            told()
        ),
        Profile::Uefi | Profile::Arm64 => {
            assert!(
                has("tftp", "file_done") && !said("HTTPClient"),
                "{}",
                told()
            );
        }
    }
    match by {
        By::Binl => assert!(has("dhcp", "binl_answered"), "{}", told()),
        By::Staple => assert!(
            has("dhcp", "relayed") && has("dhcp", "acknowledged"),
            "{}",
            told()
        ),
        By::OwnServer => assert!(has("dhcp", "acknowledged"), "{}", told()),
        By::Proxy => assert!(
            !has("dhcp", "relayed") && !has("dhcp", "acknowledged"),
            "{}",
            told()
        ),
    }
}

/// Changes the network as a person does, and waits until it is served.
fn set_up(lab: &Lab, dragonfly: &Dragonfly, by: By) {
    let settings = by.settings();
    let mut words = vec!["network", "set", "eth0"];
    words.extend(settings.iter().map(String::as_str));
    let done = dragonfly.cli(&words).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    lab.until("the link to be served", SOON, || {
        let shown = dragonfly.get("/api/v1/floating-ips")?;
        Ok((shown["items"][0]["state"] == "held").then_some(()))
    })
    .unwrap();
}

/// The address that the server in charge has given the machine, by its own records.
fn leased(lab: &Lab, dragonfly: &Dragonfly, foreign: Foreign, mac: &str) -> String {
    if foreign != Foreign::None {
        let lease = lab.foreign().unwrap().wait_lease(lab, mac, SOON).unwrap();
        return lease.address.to_string();
    }
    let leases = dragonfly.get("/api/v1/leases").unwrap();
    let items = leases["items"].as_array().unwrap();
    let own = items.iter().find(|lease| lease["mac"] == mac);
    own.unwrap_or_else(|| panic!("no lease for {mac}: {leases}"))["address"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What a person would look at when it went wrong.
fn told(dragonfly: &Dragonfly, mac: &str) -> String {
    let trace = dragonfly.cli(&["boot", "trace", mac]).output().unwrap();
    let log = std::fs::read_to_string(&dragonfly.process.log).unwrap_or_default();
    let end = log.lines().rev().take(30).collect::<Vec<_>>();
    format!(
        "{}\nthe daemon's log, newest first:\n{}",
        said(&trace),
        end.join("\n")
    )
}

/// An ordinary client asks for its address while we serve: the foreign server answers, and we do not.
#[test_case(By::Proxy)]
#[test_case(By::Staple)]
fn an_ordinary_client_never_sees_us(by: By) {
    let _turn = one_at_a_time();
    let Some(lab) = lab::beside(Foreign::Dnsmasq) else {
        return;
    };
    let dragonfly = lab.dragonfly(Path::new(BINARY), |_| {}).unwrap();
    set_up(&lab, &dragonfly, by);
    let client = lab.add_host("plain", None).unwrap();
    let capture = lab
        .capture("plain", "udp port 67 or udp port 68 or udp port 4011")
        .unwrap();

    let told = lab::udhcpc(&lab, &client);

    assert!(told.contains(&format!("{}", net::FOREIGN)), "{told}");
    capture.wait("Reply", SOON).unwrap();
    let ours = dragonfly.host.mac().unwrap();
    let frames = capture.lines(&format!("ether src {ours}")).unwrap();
    assert_eq!(frames, Vec::<String>::new());
    let seen = dragonfly.get("/api/v1/seen").unwrap();
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(0), "{seen}");
}
