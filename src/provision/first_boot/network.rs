//! The network configuration, version 2 of cloud-init, which is netplan's.
//!
//! ```text
//!   card, found by its MAC ─┬─ the address                          neither VLAN nor bond
//!                           ├─ DHCP; VLAN 20 ─ the address          vlan=20
//!   card ─┐                 │
//!   card ─┴─ bond0 ─────────┴─ the same two                         bond=MODE:MAC,MAC
//! ```
//!
//! Below a VLAN the bare link keeps asking DHCP, for that is the network that it was installed over and calls home by;
//! its routes give way to those of the VLAN. Cards get names of ours only where something else has to name them.

use serde_json::{Map, Value, json};

use super::OwnName;
use crate::model::{Bond, BondMode, Defaults, MacAddr, Machine, StaticIp};

const BOND: &str = "bond0";
const CARD: &str = "uplink";
/// More than the 100 that DHCP's routes have by default.
const BELOW_A_VLAN: u32 = 200;
const MII_MILLISECONDS: u32 = 100;

/// The tree of the machine's network.
pub fn network_config(machine: &Machine, defaults: &Defaults) -> Value {
    let config = &machine.config;
    let address = address(machine, defaults);
    let base = match config.vlan {
        Some(_) => json!({
            "dhcp4": true,
            "dhcp4-overrides": { "route-metric": BELOW_A_VLAN },
            "optional": true,
        }),
        None => address.clone(),
    };
    let mut network = json!({ "version": 2 });
    let link = if let Some(bond) = &config.bond {
        network["ethernets"] = members(bond);
        network["bonds"] = json!({ BOND: bonded(bond, base) });
        BOND.to_owned()
    } else {
        let name = format!("{CARD}0");
        let named = config.vlan.map(|_| &name);
        let card = card(machine.identity.primary_mac, named);
        network["ethernets"] = json!({ &name: merged(card, base) });
        name
    };
    if let Some(vlan) = config.vlan {
        let own = json!({ "id": vlan, "link": link });
        network["vlans"] = json!({ format!("vlan{vlan}"): merged(own, address) });
    }
    network
}

/// DHCP, or the address of its own; under IPv6 that stands beside DHCP, since the way home is IPv4.
fn address(machine: &Machine, defaults: &Defaults) -> Value {
    let Some(ip) = &machine.config.static_ip else {
        return json!({ "dhcp4": true });
    };
    let mut own = json!({
        "dhcp4": ip.address().is_ipv6(),
        "addresses": [format!("{}/{}", ip.address(), ip.prefix())],
    });
    if let Some(gateway) = ip.gateway() {
        own["routes"] = json!([{ "to": everywhere(ip), "via": gateway }]);
    }
    let mut servers = Map::new();
    if !defaults.dns.is_empty() {
        servers.insert("addresses".into(), json!(defaults.dns));
    }
    if let Some(domain) = OwnName::of(machine).domain {
        servers.insert("search".into(), json!([domain]));
    }
    if servers.contains_key("addresses") {
        own["nameservers"] = Value::Object(servers);
    }
    own
}

/// Not `default`: cloud-init's own renderers know the numbers alone.
const fn everywhere(ip: &StaticIp) -> &'static str {
    if ip.address().is_ipv4() {
        "0.0.0.0/0"
    } else {
        "::/0"
    }
}

/// A card is found by its MAC address, and renamed where a bond or a VLAN has to name it.
fn card(mac: MacAddr, name: Option<&String>) -> Value {
    let mut card = json!({ "match": { "macaddress": mac } });
    if let Some(name) = name {
        card["set-name"] = json!(name);
    }
    card
}

fn members(bond: &Bond) -> Value {
    let members = bond.members().iter().enumerate().map(|(place, mac)| {
        let name = format!("{CARD}{place}");
        let card = merged(card(*mac, Some(&name)), json!({ "dhcp4": false }));
        (name, card)
    });
    Value::Object(members.collect())
}

fn bonded(bond: &Bond, base: Value) -> Value {
    let names: Vec<String> = (0..bond.members().len())
        .map(|place| format!("{CARD}{place}"))
        .collect();
    let mut parameters = json!({
        "mode": bond.mode().name(),
        "mii-monitor-interval": MII_MILLISECONDS,
    });
    match bond.mode() {
        BondMode::Lacp => {
            parameters["lacp-rate"] = json!("fast");
            parameters["transmit-hash-policy"] = json!("layer3+4");
        }
        BondMode::ActiveBackup => parameters["primary"] = json!(names[0]),
    }
    let own = json!({ "interfaces": names, "parameters": parameters });
    merged(own, base)
}

/// The keys of both; they have none in common.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
