//! isc-dhcp-server. Its lease file only grows: the last block of an address is the truth, and only
//! `binding state active` is a lease.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, process::Command};

use super::{CONFIGURATION, LEASES, LabError, Lease, Manner, Tools};
use crate::lab::net::{FOREIGN, MASK, NETWORK, POOL};

pub(super) const MANNER: Manner = Manner {
    configuration: |dir, extra| Ok(configuration(dir, extra)),
    command,
    ready: "Server starting service",
    leases,
};

/// `db-time-format local` writes times as seconds since 1970.
fn configuration(_: &Path, extra: &str) -> String {
    let [a, b, c] = NETWORK;
    let (first, last) = POOL;
    format!(
        "authoritative;\nping-check false;\ndb-time-format local;\n\
         default-lease-time 600;\nmax-lease-time 600;\n{extra}\n\
         subnet {a}.{b}.{c}.0 netmask {MASK} {{\n  range {first} {last};\n  option routers {FOREIGN};\n}}\n"
    )
}

fn command(tools: &Tools, dir: &Path) -> Result<Command, LabError> {
    let mut command = tools.command("dhcpd")?;
    command
        .args(["-4", "-f", "-d", "--no-pid", "-cf"])
        .arg(dir.join(CONFIGURATION));
    command.arg("-lf").arg(dir.join(LEASES)).arg("eth0");
    Ok(command)
}

fn leases(text: &str) -> Vec<Lease> {
    let mut last: BTreeMap<Ipv4Addr, Option<Lease>> = BTreeMap::new();
    for block in text.split("\nlease ").skip(1) {
        if let Some((address, lease)) = lease(block) {
            last.insert(address, lease);
        }
    }
    last.into_values().flatten().collect()
}

fn lease(block: &str) -> Option<(Ipv4Addr, Option<Lease>)> {
    let (name, body) = block.split_once('{')?;
    let address = name.trim().parse().ok()?;
    let (body, _) = body.split_once("\n}")?;
    let said = |what: &str| {
        let mut lines = body.lines().map(|line| line.trim().trim_end_matches(';'));
        lines
            .find_map(|line| line.strip_prefix(what))
            .map(str::trim)
    };
    let held = said("binding state ") == Some("active");
    let ends = said("ends ").and_then(|ends| {
        let (_, seconds) = ends.split_once("epoch ")?;
        seconds.split([';', ' ']).next()?.parse().ok()
    });
    let lease = said("hardware ethernet ").map(|mac| Lease {
        address,
        mac: mac.to_ascii_lowercase(),
        ends: ends.unwrap_or_default(),
        hostname: said("client-hostname ").map(|name| name.trim_matches('"').to_owned()),
    });
    Some((address, lease.filter(|_| held)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_of_an_address_is_the_truth() {
        let text = "authoring-byte-order little-endian;\n\nlease 192.168.77.100 {\n  starts epoch 1795249400; # Sat\n  \
            ends epoch 1795250000; # Sat Nov 21 08:33:20 2026\n  binding state active;\n  next binding state free;\n  \
            hardware ethernet 52:54:00:aa:00:01;\n  client-hostname \"ada\";\n}\n\
            lease 192.168.77.101 {\n  ends epoch 1795250000;\n  binding state active;\n  hardware ethernet 52:54:00:aa:00:02;\n}\n\
            lease 192.168.77.101 {\n  ends epoch 1795250001;\n  binding state free;\n  hardware ethernet 52:54:00:aa:00:02;\n}\n";
        let leases = leases(text);
        assert_eq!(leases.len(), 1, "the second was released: {leases:?}");
        assert_eq!(leases[0].ends, 1_795_250_000);
        assert_eq!(leases[0].hostname.as_deref(), Some("ada"));
    }
}
