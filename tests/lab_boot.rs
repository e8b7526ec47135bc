//! The lab proves itself without Dragonfly: real firmware reaches an iPXE script that dnsmasq serves, and
//! every foreign server leases to a booting machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::time::Duration;

use dragonfly::lab::{Foreign, LabOptions, Profile, Stopwatch, VmSpec, netboot};
use lab::{beside, one_at_a_time};
use test_case::test_case;

/// Software emulation on a machine that others use too.
const BOOTS_WITHIN: Duration = Duration::from_mins(2);
const SOON: Duration = Duration::from_secs(10);

#[test_case(Profile::Bios, "pcbios i386 on undionly"; "bios by tftp to undionly")]
#[test_case(Profile::Uefi, "efi x86_64"; "uefi by tftp to snponly")]
#[test_case(Profile::UefiHttp, "efi x86_64"; "uefi http by a url")]
#[test_case(Profile::Arm64, "efi arm64"; "arm64 by tftp")]
fn firmware_reaches_an_ipxe_script(profile: Profile, platform: &str) {
    let _turn = one_at_a_time();
    let Some(lab) = lab::lab(&LabOptions {
        netboot: true,
        ..LabOptions::default()
    }) else {
        return;
    };
    let capture = lab
        .capture("boot", "port 67 or port 68 or port 69 or tcp port 80")
        .unwrap();
    let clock = Stopwatch::start();

    let vm = lab.boot(&VmSpec::new("client", profile)).unwrap();
    let line = vm.wait_serial(netboot::REACHED, BOOTS_WITHIN).unwrap();

    println!(
        "{profile}: {line} after {:.1} s",
        clock.elapsed().as_secs_f64()
    );
    let reached = format!("{}, {platform}", netboot::REACHED);
    vm.wait_serial(&reached, SOON).unwrap();
    assert!(vm.wait_lease(&lab, SOON).is_ok());
    let fetched = capture.lines("tcp port 80").unwrap().join("\n");
    assert_eq!(
        fetched.contains("/ipxe.efi"),
        profile == Profile::UefiHttp,
        "{fetched}"
    );
}

#[test_case(Foreign::Kea)]
#[test_case(Foreign::IscDhcp)]
fn a_booting_machine_gets_a_lease_without_boot_files(foreign: Foreign) {
    let _turn = one_at_a_time();
    let Some(lab) = beside(foreign) else { return };

    let vm = lab.boot(&VmSpec::new("client", Profile::Bios)).unwrap();
    let address = vm.wait_lease(&lab, BOOTS_WITHIN).unwrap();

    vm.wait_serial(&format!("net0: {address}/"), BOOTS_WITHIN)
        .unwrap();
}

#[test]
fn a_machine_keeps_its_disks_when_it_is_switched_off_and_on() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let spec = VmSpec::new("client", Profile::Bios);
    let vm = lab.boot(&spec).unwrap();
    assert!(lab.boot(&spec).is_err(), "it is on already");
    vm.wait_serial("SeaBIOS", BOOTS_WITHIN).unwrap();
    let shot = lab.dir().join("screen.png");
    vm.screenshot(&shot).unwrap();
    assert!(std::fs::read(&shot).unwrap().starts_with(b"\x89PNG"));
    let disk = vm.dir.join("disk0.qcow2");
    let made = std::fs::metadata(&disk).unwrap().created().unwrap();

    vm.power_off().unwrap();
    let again = lab.boot(&spec).unwrap();

    assert_eq!(again.mac, vm.mac);
    assert_eq!(std::fs::metadata(&disk).unwrap().created().unwrap(), made);
}

#[test]
fn a_machine_without_its_cable_gets_no_lease_until_the_cable_is_in_again() {
    let _turn = one_at_a_time();
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let vm = lab.boot(&VmSpec::new("client", Profile::Bios)).unwrap();
    vm.set_link(false).unwrap();
    vm.wait_serial("No configuration methods", BOOTS_WITHIN)
        .unwrap();
    assert_eq!(lab.foreign().unwrap().leases().unwrap(), []);

    vm.set_link(true).unwrap();
    vm.reset().unwrap();

    vm.wait_lease(&lab, BOOTS_WITHIN).unwrap();
}
