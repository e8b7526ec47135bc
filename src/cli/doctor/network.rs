//! What `doctor` looks at where machines boot from the network: links, addresses, doors and loaders.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Facts, Finding};
use crate::api::{Link, Status};
use crate::cli::network::words;
use crate::cli::out::text::count;

/// How long a door of this machine may take to open.
const PATIENCE: Duration = Duration::from_secs(2);
const TFTP_PORT: u16 = 69;

pub(super) async fn all(facts: &Facts, status: Option<&Status>) -> Vec<Finding> {
    let mut findings = vec![served(facts, status)];
    let links = status.map_or(&[][..], |status| &status.links);
    findings.extend(links.iter().map(link));
    findings.extend(links.iter().filter_map(floating_ip));
    findings.push(doors(facts, links).await);
    findings.push(loaders(facts, links));
    findings.push(environments(facts, links));
    findings
}

/// Whether anything is served, and whether it is what the configuration names.
fn served(facts: &Facts, status: Option<&Status>) -> Finding {
    const NAME: &str = "network boot";
    let Some(status) = status else {
        return Finding::skipped(NAME, "the daemon cannot be asked");
    };
    if status.mode == "demo" {
        return Finding::skipped(NAME, "the demo gives nothing out on any wire");
    }
    if !status.links.is_empty() {
        let names: Vec<_> = status.links.iter().map(|link| link.name.as_str()).collect();
        return Finding::well(NAME, format!("served on {}", names.join(", ")));
    }
    if facts.links.is_empty() {
        return Finding::notice(
            NAME,
            "off: no link is named in net.links",
            "to boot machines, name one and restart the daemon: net.links = [\"eth0\"]",
        );
    }
    Finding::wrong(
        NAME,
        format!(
            "no link is served, though net.links names {}",
            facts.links.join(", ")
        ),
        "restart the daemon, if the configuration is newer than it; see the links: ip link",
    )
}

fn link(link: &Link) -> Finding {
    const NAME: &str = "link";
    let name = &link.name;
    if !link.up {
        return Finding::notice(
            NAME,
            format!("{name} is down; it is served as soon as it is up"),
            format!("look for its cable, then: sudo ip link set {name} up"),
        );
    }
    let at = link.from.as_ref();
    let at = at.map_or("no address yet".into(), |from| format!("at {from}"));
    let told = format!("{name}: {} {at}", link.serve);
    match &link.why {
        Some(why) => Finding::notice(
            NAME,
            format!("{told}; {why}"),
            format!("dragonfly network show {name}"),
        ),
        None => Finding::well(NAME, told),
    }
}

fn floating_ip(link: &Link) -> Option<Finding> {
    const NAME: &str = "floating IP";
    let (name, floating) = (&link.name, &link.floating);
    let address = floating.address.as_deref().unwrap_or("none");
    if let Some(warning) = &floating.warning {
        let remedy = format!(
            "take it out of there, or choose another: dragonfly net floating-ip set {name} ADDRESS"
        );
        return Some(Finding::notice(NAME, format!("{name}: {warning}"), remedy));
    }
    match floating.state.as_str() {
        "off" => None,
        "held" => Some(Finding::well(NAME, format!("{name}: {address}"))),
        state => {
            let text = floating.text.as_ref();
            let text = text.map(|text| format!("; {text}")).unwrap_or_default();
            let told = format!("{name}: {}{text}", words(state));
            let remedy =
                format!("see who has which address: dragonfly net floating-ip scan {name}");
            Some(Finding::notice(NAME, told, remedy))
        }
    }
}

/// Whether machines would find TFTP and HTTP open where they are sent.
async fn doors(facts: &Facts, links: &[Link]) -> Finding {
    const NAME: &str = "boot ports";
    let told: Vec<Ipv4Addr> = links
        .iter()
        .filter_map(|link| link.from.as_ref()?.parse().ok())
        .collect();
    if told.is_empty() {
        return Finding::skipped(NAME, "machines are sent nowhere");
    }
    let port = facts.http_port;
    let mut closed = Vec::new();
    for address in told {
        let place = SocketAddrV4::new(address, port);
        let opened = timeout(PATIENCE, TcpStream::connect(place)).await;
        if !matches!(opened, Ok(Ok(_))) {
            closed.push(format!("{place}/tcp"));
        }
        let tftp = fs::read_to_string("/proc/net/udp");
        // What cannot be looked at is not called closed.
        if tftp.is_ok_and(|table| !binds(&table, address, TFTP_PORT)) {
            closed.push(format!("{address}:{TFTP_PORT}/udp"));
        }
    }
    if closed.is_empty() {
        return Finding::well(NAME, format!("{TFTP_PORT}/udp and {port}/tcp are open"));
    }
    Finding::wrong(
        NAME,
        format!("closed: {}", closed.join(", ")),
        format!(
            "the daemon's log says why; another program may be there: sudo ss -lpn 'sport = :{TFTP_PORT} or sport = :{port}'"
        ),
    )
}

/// Whether the kernel's table of sockets has one there, or at every address.
fn binds(table: &str, address: Ipv4Addr, port: u16) -> bool {
    let own = u32::from_ne_bytes(address.octets());
    let places = [own, 0].map(|address| format!("{address:08X}:{port:04X}"));
    let mut locals = table.lines().skip(1);
    locals.any(|line| {
        let local = line.split_whitespace().nth(1);
        local.is_some_and(|local| places.iter().any(|place| place == local))
    })
}

/// Whether the loaders of common machines are there.
fn loaders(facts: &Facts, links: &[Link]) -> Finding {
    const NAME: &str = "boot loaders";
    let folder = facts.loaders.display();
    let Some(first) = facts.lacking.first() else {
        return Finding::well(NAME, "all that the package brings are there");
    };
    let names: Vec<_> = facts
        .lacking
        .iter()
        .map(|lacking| format!("{} ({})", lacking.name, lacking.platform))
        .collect();
    let told = match fs::metadata(&facts.loaders) {
        Ok(_) => format!(
            "{} not there: {}",
            count(names.len() as u64, "loader"),
            names.join(", ")
        ),
        Err(error) => format!("{folder}: {error}"),
    };
    if links.is_empty() {
        return Finding::skipped(NAME, format!("{told}; nothing is served"));
    }
    Finding::wrong(NAME, told, &first.remedy)
}

/// Whether the common machines have an agent to run.
fn environments(facts: &Facts, links: &[Link]) -> Finding {
    const NAME: &str = "boot environment";
    let Some(first) = facts.environments.first() else {
        return Finding::skipped(NAME, "the configuration does not say where it is");
    };
    match &first.found {
        Err(why) if links.is_empty() => Finding::skipped(NAME, format!("{why}; nothing is served")),
        Err(why) => Finding::wrong(
            NAME,
            why,
            "build it in Dragonfly's source (make agent-env), and name its folder in boot.agent",
        ),
        Ok(_) => {
            let there = facts.environments.iter().filter_map(|environment| {
                let kernel = environment.found.as_ref().ok()?;
                Some(format!("{} with kernel {kernel}", environment.architecture))
            });
            Finding::well(NAME, there.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use test_case::test_case;

    use super::super::{Environment, Lacking, Verdict};
    use super::*;
    use crate::cli::canned::status;

    fn facts(links: &[&str]) -> Facts {
        Facts {
            config_file: None,
            config_errors: Vec::new(),
            data: "/var/lib/dragonfly".into(),
            data_named: false,
            socket: "/run/dragonfly/dragonfly.sock".into(),
            socket_mode: 0o660,
            socket_group: "dragonfly".into(),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            http_port: 3080,
            loaders: "/usr/lib/ipxe".into(),
            lacking: Vec::new(),
            environments: Vec::new(),
        }
    }

    fn told(more: &Value) -> Status {
        let mut told = status();
        for (path, value) in more.as_object().unwrap() {
            *told.pointer_mut(path).unwrap() = value.clone();
        }
        serde_json::from_value(told).unwrap()
    }

    #[test_case(&json!({}), &[], Verdict::Well, "served on eth0"; "a link")]
    #[test_case(&json!({ "/links": [] }), &[], Verdict::Notice, "off"; "none is named")]
    #[test_case(&json!({ "/links": [] }), &["eth7"], Verdict::Wrong, "eth7"; "one is named and not served")]
    #[test_case(&json!({ "/links": [], "/mode": "demo" }), &["eth0"], Verdict::Skipped, "demo"; "the demo")]
    fn what_is_served_is_held_against_what_was_named(
        more: &Value,
        named: &[&str],
        verdict: Verdict,
        found: &str,
    ) {
        let finding = served(&facts(named), Some(&told(more)));
        assert_eq!(finding.verdict, verdict);
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[test_case(&json!({}), Verdict::Well, "eth0: proxy at 10.0.0.9"; "all is well")]
    #[test_case(&json!({ "/links/0/up": false }), Verdict::Notice, "eth0 is down"; "no cable")]
    #[test_case(&json!({ "/links/0/why": "there is a pool missing" }), Verdict::Notice, "a pool missing"; "not what is wanted")]
    fn a_link_tells_how_it_is(more: &Value, verdict: Verdict, found: &str) {
        let finding = link(&told(more).links[0]);
        assert_eq!(finding.verdict, verdict);
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[test_case(&json!({}), Some(Verdict::Well), "10.0.0.9"; "held")]
    #[test_case(&json!({ "/links/0/floating/state": "off" }), None, ""; "none is wanted")]
    #[test_case(&json!({ "/links/0/floating/state": "none_free" }), Some(Verdict::Notice), "none free"; "none is free")]
    #[test_case(&json!({ "/links/0/floating/warning": "10.0.0.9 lies in the pool of 10.0.0.1" }), Some(Verdict::Notice), "pool of 10.0.0.1"; "in a pool")]
    fn a_floating_ip_that_troubles_is_told_of(more: &Value, verdict: Option<Verdict>, found: &str) {
        let finding = floating_ip(&told(more).links[0]);
        assert_eq!(finding.as_ref().map(|finding| finding.verdict), verdict);
        assert!(finding.is_none_or(|finding| finding.found.contains(found)));
    }

    #[test]
    fn a_loader_that_is_missing_is_wrong_where_machines_boot() {
        let lacking = Lacking {
            name: "x64/snponly.efi".into(),
            platform: "UEFI x64".into(),
            remedy: "install ipxe".into(),
        };
        let facts = Facts {
            lacking: vec![lacking],
            loaders: "/".into(),
            ..facts(&[])
        };
        let status = told(&json!({}));
        let finding = loaders(&facts, &status.links);
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert!(
            finding.found.contains("snponly.efi (UEFI x64)"),
            "{finding:?}"
        );
        assert_eq!(loaders(&facts, &[]).verdict, Verdict::Skipped);
    }

    #[test_case(Ok("6.12"), Verdict::Well, Verdict::Well, "amd64 with kernel 6.12"; "there")]
    #[test_case(Err("nothing at /x/amd64"), Verdict::Wrong, Verdict::Skipped, "nothing at /x/amd64"; "not there")]
    fn without_an_environment_a_machine_that_boots_comes_to_nothing(
        found: Result<&str, &str>,
        served: Verdict,
        alone: Verdict,
        told: &str,
    ) {
        let environment = |architecture: &str, found: Result<&str, &str>| Environment {
            architecture: architecture.to_owned(),
            found: found.map(str::to_owned).map_err(str::to_owned),
        };
        let facts = Facts {
            environments: vec![
                environment("amd64", found),
                environment("arm64", Err("none")),
            ],
            ..facts(&[])
        };
        let finding = environments(&facts, &self::told(&json!({})).links);
        assert_eq!(finding.verdict, served);
        assert!(finding.found.starts_with(told), "{finding:?}");
        assert_eq!(environments(&facts, &[]).verdict, alone);
    }

    #[test]
    fn a_socket_is_found_in_the_table_of_the_kernel() {
        let table = "  sl  local_address rem_address   st\n  77: 0900000A:0045 00000000:0000 07\n";
        let at = |text: &str| text.parse().unwrap();
        assert!(cfg!(target_endian = "big") || binds(table, at("10.0.0.9"), 69));
        assert!(!binds(table, at("10.0.0.8"), 69) && !binds(table, at("10.0.0.9"), 68));
        let every = table.replace("0900000A", "00000000");
        assert!(binds(&every, at("10.0.0.8"), 69));
    }

    #[tokio::test]
    async fn a_door_that_nobody_holds_open_is_wrong() {
        let mut status = told(&json!({}));
        status.links[0].from = Some("127.0.0.1".into());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().port();
        drop(listener);
        let facts = Facts {
            http_port: open,
            ..facts(&[])
        };
        let finding = doors(&facts, &status.links).await;
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert!(
            finding.found.contains(&format!("127.0.0.1:{open}/tcp")),
            "{finding:?}"
        );
        assert_eq!(doors(&facts, &[]).await.verdict, Verdict::Skipped);
    }
}
