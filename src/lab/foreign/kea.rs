//! Kea. Its memfile is a CSV that only grows: the last row of an address is the truth, and a row that is
//! declined, reclaimed or of no lifetime is no lease.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, process::Command};

use serde_json::{Map, Value, json};

use super::{CONFIGURATION, LEASES, LabError, Lease, Manner, Tools};
use crate::lab::net::{FOREIGN, NETWORK, POOL, PREFIX};

pub(super) const MANNER: Manner = Manner {
    configuration,
    command,
    ready: "DHCP4_STARTED",
    leases,
};

/// `extra` is a JSON object whose members replace those of `Dhcp4`. No lease file clean-up: its helper
/// would be looked for where Kea is installed.
fn configuration(dir: &Path, extra: &str) -> Result<String, LabError> {
    let [a, b, c] = NETWORK;
    let mut dhcp4 = json!({
        "interfaces-config": { "interfaces": ["eth0"] },
        "lease-database": {
            "type": "memfile", "persist": true, "lfc-interval": 0,
            "name": dir.join(LEASES).display().to_string(),
        },
        "valid-lifetime": 600,
        "subnet4": [{
            "id": 1,
            "subnet": format!("{a}.{b}.{c}.0/{PREFIX}"),
            "pools": [{ "pool": format!("{} - {}", POOL.0, POOL.1) }],
            "option-data": [{ "name": "routers", "data": FOREIGN.to_string() }],
        }],
        "loggers": [{
            "name": "kea-dhcp4", "severity": "INFO",
            "output_options": [{ "output": "stdout" }],
        }],
    });
    if let Some(whole) = dhcp4.as_object_mut() {
        whole.extend(members(extra)?);
    }
    Ok(format!("{:#}\n", json!({ "Dhcp4": dhcp4 })))
}

fn members(extra: &str) -> Result<Map<String, Value>, LabError> {
    if extra.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(extra).map_err(|error| LabError::Extra {
        said: error.to_string(),
    })
}

fn command(tools: &Tools, dir: &Path) -> Result<Command, LabError> {
    let mut command = tools.command("kea-dhcp4")?;
    command.arg("-c").arg(dir.join(CONFIGURATION));
    command
        .env("KEA_PIDFILE_DIR", dir)
        .env("KEA_LOCKFILE_DIR", dir);
    Ok(command)
}

fn leases(text: &str) -> Vec<Lease> {
    let mut last: BTreeMap<Ipv4Addr, Option<Lease>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((address, lease)) = row(line) {
            last.insert(address, lease);
        }
    }
    last.into_values().flatten().collect()
}

/// `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,…`
fn row(line: &str) -> Option<(Ipv4Addr, Option<Lease>)> {
    let columns: Vec<&str> = line.split(',').collect();
    let address = columns.first()?.parse().ok()?;
    let [mac, lifetime, ends, hostname, state] = [1, 3, 4, 8, 9].map(|at| columns.get(at).copied());
    let lease = Lease {
        address,
        mac: mac?.to_ascii_lowercase(),
        ends: ends?.parse().ok()?,
        hostname: hostname.filter(|name| !name.is_empty()).map(str::to_owned),
    };
    let held = state? == "0" && lifetime? != "0";
    Some((address, held.then_some(lease)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n";

    #[test]
    fn the_last_row_of_an_address_is_the_truth() {
        let text = format!(
            "{HEAD}192.168.77.100,52:54:00:aa:00:01,,600,1795250000,1,0,0,,0,\n\
             192.168.77.101,52:54:00:aa:00:02,,600,1795250005,1,0,0,ada,0,\n\
             192.168.77.100,52:54:00:aa:00:01,,0,1795250009,1,0,0,,0,\n"
        );
        let leases = leases(&text);
        assert_eq!(leases.len(), 1, "the first was released: {leases:?}");
        assert_eq!(
            (leases[0].ends, leases[0].hostname.as_deref()),
            (1_795_250_005, Some("ada"))
        );
    }

    #[test]
    fn extra_members_replace_the_generated_ones() {
        let extra = r#"{"valid-lifetime": 60, "authoritative": true}"#;
        let text = configuration(Path::new("/x"), extra).unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole["Dhcp4"]["valid-lifetime"], 60);
        assert_eq!(whole["Dhcp4"]["authoritative"], true);
        assert_eq!(
            whole["Dhcp4"]["subnet4"][0]["pools"][0]["pool"],
            "192.168.77.100 - 192.168.77.199"
        );
    }

    #[test]
    fn extra_lines_that_are_not_an_object_are_refused() {
        let refused = configuration(Path::new("/x"), "valid-lifetime 60").unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("extra configuration for Kea"),
            "{refused}"
        );
    }
}
