//! A blank machine becomes a running, named, tagged server: real firmware, the real boot environment, a real Debian.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;

use std::net::Ipv4Addr;

use dragonfly::lab::stock::TEMPLATE;
use dragonfly::lab::{Profile, Stopwatch, Vm, net};
use lab::one_at_a_time;
use serde_json::Value;
use site::{INSTALLS_WITHIN, Site};
use test_case::test_case;

/// The disk that QEMU gives every machine of the lab.
const SERIAL: &str = "disk0";

#[test_case(Profile::Bios, "bios")]
#[test_case(Profile::Uefi, "uefi")]
fn a_blank_machine_becomes_the_server_that_was_asked_for(profile: Profile, firmware: &str) {
    let _turn = one_at_a_time();
    let Some(site) = Site::open() else { return };
    let clock = Stopwatch::start();
    let vm = site.power_on("web", profile);
    let machine = site.wait_inventory(&vm);
    println!(
        "{profile}: inventory after {:.0} s",
        clock.elapsed().as_secs_f64()
    );
    let hardware = &machine["hardware"];
    assert_eq!(hardware["firmware"], firmware, "{hardware}");
    assert_eq!(hardware["disks"][0]["serial"], SERIAL, "{hardware}");
    assert_eq!(
        hardware["disks"][0]["size_bytes"],
        8_u64 << 30,
        "{hardware}"
    );

    let asked = ["hostname=web01", "vlan=20", "static_ip=10.20.0.60/24"];
    site.cli(&[&["machine", "set", &vm.mac][..], &asked].concat());
    site.cli(&["machine", "apply", &vm.mac]);
    site.cli(&["reimage", &vm.mac, "--os", TEMPLATE, "--yes"]);
    let machine = site.wait_state(&vm, "provisioned", INSTALLS_WITHIN);
    println!(
        "{profile}: provisioned after {:.0} s",
        clock.elapsed().as_secs_f64()
    );

    let look = "hostname; id -un; ip -d link; ip -br addr; df -B1 --output=size /";
    let said = site.wait_ssh(address(&machine), look);
    assert!(said.starts_with("web01\nada\n"), "{said}");
    assert!(said.contains("vlan protocol 802.1Q id 20"), "{said}");
    assert!(said.contains("10.20.0.60/24"), "{said}");
    let root: u64 = said.lines().last().unwrap().trim().parse().unwrap();
    assert!(root > 6 << 30, "the root was not grown: {root}");
}

/// Where the installed system said that it is reached, on the lab's own network.
fn address(machine: &Value) -> Ipv4Addr {
    let told = machine["observed"]["addresses"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut told = told
        .iter()
        .filter_map(|address| address.as_str()?.parse().ok());
    let own = |at: &Ipv4Addr| at.octets()[..3] == net::NETWORK;
    told.find(own)
        .unwrap_or_else(|| panic!("no address here in {machine}"))
}

/// The installed system is told to boot the network once, and becomes another.
fn again(site: &Site, vm: &Vm, at: Ipv4Addr, clock: &Stopwatch) {
    let before = site.wait_ssh(at, "cat /etc/ssh/ssh_host_ed25519_key.pub");
    let known = site.machine(&vm.mac);
    site.cli(&["machine", "set", &vm.mac, "hostname=web02"]);
    site.cli(&["machine", "apply", &vm.mac]);
    site.cli(&["reimage", &vm.mac, "--os", TEMPLATE, "--yes"]);
    site.wait_state(vm, "provisioning", INSTALLS_WITHIN);
    let machine = site.wait_state(vm, "provisioned", INSTALLS_WITHIN);
    println!(
        "{}: provisioned again after {:.0} s",
        vm.profile,
        clock.elapsed().as_secs_f64()
    );

    assert_eq!(machine["id"], known["id"], "it is another record");
    assert_eq!(machine["memorable_name"], known["memorable_name"]);
    let said = site.wait_ssh(
        address(&machine),
        "hostname; cat /etc/ssh/ssh_host_ed25519_key.pub",
    );
    assert!(said.starts_with("web02\n"), "{said}");
    assert!(
        !said.contains(before.trim()),
        "it is the same system: {said}"
    );
}

#[test_case(Profile::Bios)]
#[test_case(Profile::Uefi)]
#[ignore = "long: two installations, one after the other"]
fn a_server_boots_the_network_once_and_is_installed_anew(profile: Profile) {
    let _turn = one_at_a_time();
    let Some(site) = Site::open() else { return };
    let clock = Stopwatch::start();
    let vm = site.power_on("web", profile);
    site.wait_inventory(&vm);
    site.cli(&["reimage", &vm.mac, "--os", TEMPLATE, "--yes"]);
    let machine = site.wait_state(&vm, "provisioned", INSTALLS_WITHIN);
    again(&site, &vm, address(&machine), &clock);
}
