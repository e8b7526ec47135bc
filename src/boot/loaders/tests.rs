use std::cell::RefCell;
use std::path::Path;

use jiff::SignedDuration;
use test_case::test_case;

use super::*;

const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
const START: Timestamp = Timestamp::UNIX_EPOCH;

fn client(arch: u16) -> Client {
    let arch = Arch(arch);
    Client {
        mac: MAC,
        platform: arch.platform(),
        arch: Some(arch),
        ipxe: None,
    }
}

fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn planned(arch: u16, choice: LoaderChoice) -> Option<String> {
    let memory = LoaderMemory::default();
    plan(client(arch), choice, &memory, START, |_| true).map(|loader| loader.tftp_name)
}

#[test_case(0, "bios/undionly.kpxe", "bios/ipxe.pxe"; "bios")]
#[test_case(20, "bios/undionly.kpxe", "bios/ipxe.pxe"; "bios by http")]
#[test_case(6, "ia32/ipxe-i386.efi", "ia32/ipxe-i386.efi"; "ia32, not the x64 one")]
#[test_case(7, "x64/snponly.efi", "x64/ipxe.efi"; "x64 by the erratum")]
#[test_case(9, "x64/snponly.efi", "x64/ipxe.efi"; "x64 by the first text")]
#[test_case(16, "x64/snponly.efi", "x64/ipxe.efi"; "x64 by http")]
#[test_case(10, "arm32/ipxe-arm32.efi", "arm32/ipxe-arm32.efi"; "arm32, not the arm64 one")]
#[test_case(11, "arm64/ipxe-arm64.efi", "arm64/ipxe-arm64.efi"; "arm64")]
#[test_case(19, "arm64/ipxe-arm64.efi", "arm64/ipxe-arm64.efi"; "arm64 by http")]
#[test_case(21, "arm32/ipxe-arm32.efi", "arm32/ipxe-arm32.efi"; "u-boot on arm32")]
#[test_case(22, "arm64/ipxe-arm64.efi", "arm64/ipxe-arm64.efi"; "u-boot on arm64")]
#[test_case(27, "riscv64/ipxe-riscv64.efi", "riscv64/ipxe-riscv64.efi"; "riscv64")]
#[test_case(39, "loong64/ipxe-loong64.efi", "loong64/ipxe-loong64.efi"; "loong64")]
#[test_case(41, "rpi/start4.elf", "rpi/start4.elf"; "raspberry pi")]
fn every_platform_has_its_loader(arch: u16, firmware: &str, full: &str) {
    let named = |choice| planned(arch, choice).unwrap();
    assert_eq!(named(LoaderChoice::Auto), firmware);
    assert_eq!(named(LoaderChoice::Firmware), firmware);
    assert_eq!(named(LoaderChoice::Full), full);
}

#[test_case(7, Some("signed/shimx64.efi"))]
#[test_case(11, Some("signed/shimaa64.efi"))]
#[test_case(0, Some("bios/undionly.kpxe"); "there is no secure boot from a bios")]
#[test_case(31, None; "an architecture that nobody knows")]
fn the_signed_chain_is_for_those_that_have_one(arch: u16, name: Option<&str>) {
    assert_eq!(planned(arch, LoaderChoice::Signed).as_deref(), name);
}

#[test]
fn a_board_known_by_its_card_is_no_bios() {
    let pi = Client {
        platform: Some(Platform::RaspberryPi),
        ..client(0)
    };
    let memory = LoaderMemory::default();
    let loader = plan(pi, LoaderChoice::Auto, &memory, START, |_| true).unwrap();
    assert_eq!(loader.tftp_name, "rpi/start4.elf");
}

#[test]
fn by_http_a_loader_has_the_same_name_below_boot() {
    let memory = LoaderMemory::default();
    let loader = plan(client(16), LoaderChoice::Auto, &memory, START, |_| true).unwrap();
    assert_eq!(loader.http_path, "/boot/x64/snponly.efi");
    assert_eq!(loader.build, Some(Build::Firmware));
}

#[test_case("x64/snponly.efi", Some(Build::Firmware))]
#[test_case("x64/ipxe.efi", Some(Build::Full))]
#[test_case("arm64/ipxe-arm64.efi", Some(Build::Firmware); "one file for both builds")]
#[test_case("signed/shimx64.efi", Some(Build::Signed))]
#[test_case("signed/ipxe.efi", None; "what a shim fetches next")]
#[test_case("x64/autoexec.ipxe", None; "a script")]
fn a_build_is_known_by_its_name(name: &str, is: Option<Build>) {
    assert_eq!(build(name), is);
}

#[test]
fn a_clock_set_back_does_not_hold_on_to_a_loader_that_led_to_nothing() {
    let mut memory = LoaderMemory::default();
    memory.fetched(MAC, Build::Firmware, after(7200));
    let loader = plan(client(7), LoaderChoice::Auto, &memory, after(0), |_| true);
    assert_eq!(loader.unwrap().build, Some(Build::Full));
}

#[test]
fn a_loader_that_led_to_no_script_is_followed_by_the_other_and_one_that_did_stays() {
    let mut memory = LoaderMemory::default();
    let next = |memory: &LoaderMemory, now| {
        let loader = plan(client(7), LoaderChoice::Auto, memory, now, |_| true);
        loader.unwrap().build.unwrap()
    };
    assert_eq!(next(&memory, after(0)), Build::Firmware);
    memory.fetched(MAC, Build::Firmware, after(10));
    assert_eq!(
        next(&memory, after(12)),
        Build::Firmware,
        "the same attempt"
    );
    assert_eq!(next(&memory, after(200)), Build::Full);
    memory.fetched(MAC, Build::Full, after(201));
    memory.reached(MAC);
    assert_eq!(next(&memory, after(900)), Build::Full, "it worked");
    memory.fetched(MAC, Build::Full, after(901));
    assert_eq!(
        next(&memory, after(999)),
        Build::Firmware,
        "until it does not"
    );
}

#[test]
fn a_pin_is_not_given_up() {
    let mut memory = LoaderMemory::default();
    memory.fetched(MAC, Build::Full, START);
    let loader = plan(client(7), LoaderChoice::Full, &memory, after(600), |_| true);
    assert_eq!(loader.unwrap().tftp_name, "x64/ipxe.efi");
}

#[test]
fn what_is_not_there_is_passed_over_and_named_only_when_nothing_is() {
    let memory = LoaderMemory::default();
    let choose = |present: &dyn Fn(&str) -> bool| {
        let loader = plan(client(7), LoaderChoice::Auto, &memory, START, present);
        loader.unwrap().tftp_name
    };
    assert_eq!(choose(&|name| name == "x64/ipxe.efi"), "x64/ipxe.efi");
    assert_eq!(choose(&|_| false), "x64/snponly.efi");
}

#[test_case(true, true, "ipxe/boot.ipxe"; "whole")]
#[test_case(false, true, "bios/undionly.kpxe"; "without http")]
#[test_case(true, false, "bios/undionly.kpxe"; "without kernels")]
fn an_ipxe_gets_the_script_when_it_can_run_it(http: bool, kernels: bool, name: &str) {
    let asks = Client {
        ipxe: Some(Ipxe { http, kernels }),
        ..client(0)
    };
    let memory = LoaderMemory::default();
    let loader = plan(asks, LoaderChoice::Auto, &memory, START, |_| true).unwrap();
    assert_eq!(loader.tftp_name, name);
}

#[test]
fn an_ipxe_that_stays_poor_is_not_chained_for_ever() {
    let asks = Client {
        ipxe: Some(Ipxe {
            http: false,
            kernels: true,
        }),
        ..client(0)
    };
    let mut memory = LoaderMemory::default();
    memory.fetched(MAC, Build::Firmware, START);
    let loader = plan(asks, LoaderChoice::Auto, &memory, after(9), |_| true).unwrap();
    assert_eq!(loader.http_path, "/ipxe/boot.ipxe");
}

#[test]
fn the_machines_own_choice_stands_above_its_vendors() {
    let vendors = BTreeMap::from([(Oui([0x52, 0x54, 0]), LoaderChoice::Full)]);
    let chosen = |own| choice(own, MAC, &vendors);
    assert_eq!(chosen(LoaderChoice::Auto), LoaderChoice::Full);
    assert_eq!(chosen(LoaderChoice::Firmware), LoaderChoice::Firmware);
    let other = MacAddr::new([0x52, 0x54, 1, 0, 0, 1]);
    assert_eq!(
        choice(LoaderChoice::Auto, other, &vendors),
        LoaderChoice::Auto
    );
}

#[test]
fn the_memory_forgets_the_one_not_heard_of_for_longest() {
    let mut memory = LoaderMemory::default();
    let mac = |n: usize| {
        let [.., high, low] = n.to_be_bytes();
        MacAddr::new([2, 0, 0, 0, high, low])
    };
    for n in 0..memory::MAX_MACHINES + 10 {
        memory.fetched(mac(n), Build::Firmware, START);
        memory.fetched(mac(0), Build::Firmware, START);
    }
    assert_eq!(memory.len(), memory::MAX_MACHINES);
    assert!(memory.fetched_lately(mac(0), after(1)));
    assert!(!memory.fetched_lately(mac(1), after(1)));
}

#[test]
fn every_name_of_the_table_is_asked_for_once_and_each_lack_has_a_remedy() {
    let asked = RefCell::new(Vec::new());
    let lacks = lacks(Path::new("/data/boot"), |name| {
        asked.borrow_mut().push(name.to_owned());
        false
    });
    let mut names = asked.into_inner();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), lacks.len()), (count, count));
    assert!(lacks.iter().all(|lack| lack.remedy.contains("/data/boot/")));
    let shim = lacks.iter().find(|lack| lack.name.starts_with(SIGNED));
    assert_eq!(shim.unwrap().from, Supplier::Person);
    let undi = lacks.iter().find(|lack| lack.name == "bios/undionly.kpxe");
    assert!(undi.unwrap().remedy.contains("package ipxe"));
}
