use jiff::Timestamp;
use test_case::test_case;

use super::*;
use crate::model::machine::Source;
use crate::model::{Evidence, MachineId, MemorableName};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@desk";
const HASH: &str = "$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8B";

pub(in crate::provision) fn machine() -> Machine {
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let name = MemorableName::candidates(mac).next().unwrap();
    let id = MachineId("0190a0b0-0000-7000-8000-000000000001".parse().unwrap());
    let evidence = Evidence::of_macs(mac, []);
    Machine::register(id, &evidence, name, Source::Agent, Timestamp::UNIX_EPOCH)
}

pub(in crate::provision) fn full() -> Defaults {
    Defaults {
        user: Some("ada".parse().unwrap()),
        ssh_keys: vec![KEY.parse().unwrap()],
        password_hash: Some(HASH.parse().unwrap()),
        os: None,
        timezone: Some("Europe/Vienna".parse().unwrap()),
        locale: Some("de_AT.UTF-8".parse().unwrap()),
        dns: vec![
            "192.0.2.53".parse().unwrap(),
            "2001:db8::53".parse().unwrap(),
        ],
        ntp: vec!["ntp.example.net".parse().unwrap()],
    }
}

fn network(hostname: &str, address: &str, vlan: Option<&str>, bond: Option<&str>) -> String {
    let mut machine = machine();
    let config = &mut machine.config;
    config.hostname = Some(hostname.parse().unwrap());
    config.static_ip = (!address.is_empty()).then(|| address.parse().unwrap());
    config.vlan = vlan.map(|vlan| vlan.parse().unwrap());
    config.bond = bond.map(|bond| bond.parse().unwrap());
    cloud_init(&machine, &full(), None).network_config
}

#[test]
fn everything_that_is_known_goes_into_user_data() {
    let mut machine = machine();
    machine.config.hostname = Some("web01.example.net".parse().unwrap());
    insta::assert_snapshot!(cloud_init(&machine, &full(), None).user_data);
}

#[test]
fn with_nothing_known_a_user_without_a_password_is_made() {
    insta::assert_snapshot!(cloud_init(&machine(), &Defaults::default(), None).user_data);
}

#[test]
fn another_installation_is_another_instance() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut machine = machine();
    let text = |machine: &Machine, of| cloud_init(machine, &full(), of).meta_data;
    assert_ne!(text(&machine, Some(one)), text(&machine, Some(two)));
    let before = text(&machine, None);
    assert_eq!(
        before,
        "instance-id: \"0190a0b0-0000-7000-8000-000000000001-1\"\nlocal-hostname: \"abandonaboutairport\"\n"
            .replace("abandonaboutairport", &machine.config.memorable_name.as_str().to_lowercase())
    );
    machine.config.generation += 1;
    assert_ne!(text(&machine, None), before);
}

const TWO: &str = "52:54:00:12:34:56,52:54:00:12:34:57";

#[test_case("dhcp", "", None, None)]
#[test_case("static_v4", "192.0.2.10/24 via 192.0.2.1", None, None)]
#[test_case("static_v6", "2001:db8::10/64 via fe80::1", None, None)]
#[test_case("vlan_static", "192.0.2.10/24 via 192.0.2.1", Some("20"), None)]
#[test_case("vlan_dhcp", "", Some("20"), None)]
#[test_case("lacp", "", None, Some("802.3ad"))]
#[test_case(
    "active_backup_vlan",
    "192.0.2.10/24",
    Some("20"),
    Some("active-backup")
)]
fn a_network(name: &str, address: &str, vlan: Option<&str>, mode: Option<&str>) {
    let bond = mode.map(|mode| format!("{mode}:{TWO}"));
    let text = network("web01.example.net", address, vlan, bond.as_deref());
    insta::assert_snapshot!(format!("network_{name}"), text);
}
