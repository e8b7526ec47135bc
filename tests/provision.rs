//! A blank machine becomes a running, named, tagged server: real firmware, the real boot environment, a real Debian.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;

use dragonfly::lab::{Profile, Stopwatch, Vm, net};
use lab::one_at_a_time;
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

    let address = net::address(60);
    let static_ip = format!("static_ip={address}/24");
    site.cli(&[
        "machine",
        "set",
        &vm.mac,
        "hostname=web01",
        "vlan=20",
        &static_ip,
    ]);
    site.cli(&["machine", "apply", &vm.mac]);
    site.cli(&["reimage", &vm.mac, "--os", "lab-debian", "--yes"]);
    site.wait_state(&vm, "provisioned", INSTALLS_WITHIN);
    println!(
        "{profile}: provisioned after {:.0} s",
        clock.elapsed().as_secs_f64()
    );

    let said = site.wait_ssh(
        address,
        "hostname; id -un; ip -d link; df -B1 --output=size /",
    );
    assert!(said.starts_with("web01\nada\n"), "{said}");
    assert!(said.contains("vlan protocol 802.1Q id 20"), "{said}");
    let root: u64 = said.lines().last().unwrap().trim().parse().unwrap();
    assert!(root > 6 << 30, "the root was not grown: {root}");
    again(&site, &vm, address, &clock);
}

/// The installed system is told to boot the network once, and becomes another.
fn again(site: &Site, vm: &Vm, address: std::net::Ipv4Addr, clock: &Stopwatch) {
    let before = site.wait_ssh(address, "cat /etc/machine-id");
    site.cli(&["machine", "set", &vm.mac, "hostname=web02"]);
    site.cli(&["machine", "apply", &vm.mac]);
    site.cli(&["reimage", &vm.mac, "--os", "lab-debian", "--yes"]);
    site.wait_state(vm, "provisioning", INSTALLS_WITHIN);
    site.wait_state(vm, "provisioned", INSTALLS_WITHIN);
    println!(
        "{}: provisioned again after {:.0} s",
        vm.profile,
        clock.elapsed().as_secs_f64()
    );

    let said = site.wait_ssh(address, "hostname; cat /etc/machine-id");
    assert!(said.starts_with("web02\n"), "{said}");
    assert!(
        !said.contains(before.trim()),
        "it is the same system: {said}"
    );
}
