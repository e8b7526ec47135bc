//! dnsmasq, for DHCP alone. Lease file: `ends mac address hostname client-id`, one per line.

use std::{path::Path, process::Command};

use super::{CONFIGURATION, LEASES, LabError, Lease, Manner, Tools};
use crate::lab::net::{MASK, POOL};

pub(super) const MANNER: Manner = Manner {
    configuration: |dir, extra| Ok(configuration(dir, extra)),
    command,
    ready: "DHCP, IP range",
    leases,
};

/// `no-ping`: an offer need not wait for an address to prove free, the wire being ours.
fn configuration(dir: &Path, extra: &str) -> String {
    let (first, last) = POOL;
    format!(
        "port=0\nuser=root\ngroup=root\nno-hosts\nno-resolv\nlog-dhcp\nno-ping\n\
         interface=eth0\nbind-dynamic\ndhcp-leasefile={dir}/{LEASES}\n\
         dhcp-range={first},{last},{MASK},10m\n{extra}",
        dir = dir.display()
    )
}

fn command(tools: &Tools, dir: &Path) -> Result<Command, LabError> {
    let mut command = tools.command("dnsmasq")?;
    command.arg(format!("--conf-file={}", dir.join(CONFIGURATION).display()));
    command.args(["--keep-in-foreground", "--log-facility=-", "--pid-file"]);
    Ok(command)
}

fn leases(text: &str) -> Vec<Lease> {
    text.lines().filter_map(lease).collect()
}

fn lease(line: &str) -> Option<Lease> {
    let mut words = line.split_whitespace();
    let (ends, mac, address, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(Lease {
        address: address.parse().ok()?,
        mac: mac.to_ascii_lowercase(),
        ends: ends.parse().ok()?,
        hostname: Some(name).filter(|name| *name != "*").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_passes_over_other_lines() {
        let text = "1795250000 52:54:00:AA:00:01 192.168.77.136 ada ff:00\n\
                    1795250001 52:54:00:aa:00:02 192.168.77.137 * *\nduid 00:01\n";
        let leases = leases(text);
        assert_eq!(leases.len(), 2);
        assert_eq!(leases[0].mac, "52:54:00:aa:00:01");
        assert_eq!(leases[0].hostname.as_deref(), Some("ada"));
        assert_eq!(
            (leases[1].ends, leases[1].hostname.as_deref()),
            (1_795_250_001, None)
        );
    }
}
