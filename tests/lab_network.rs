//! The lab's wire: foreign DHCP servers lease on it, labs do not meet, cables can be pulled, ports
//! reach this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use dragonfly::lab::{Foreign, LabOptions, forward::Forward, net};
use lab::{beside, udhcpc};
use test_case::test_case;

const SOON: Duration = Duration::from_secs(15);

#[test_case(Foreign::Dnsmasq)]
#[test_case(Foreign::Kea)]
#[test_case(Foreign::IscDhcp)]
fn an_ordinary_client_gets_a_lease_that_the_server_has_written_down(foreign: Foreign) {
    let Some(lab) = beside(foreign) else { return };
    let client = lab.add_host("client", None).unwrap();

    let said = udhcpc(&lab, &client);

    let lease = lab
        .foreign()
        .unwrap()
        .wait_lease(&lab, &client.mac().unwrap(), SOON)
        .unwrap();
    assert!(
        said.contains(&format!("lease of {}", lease.address)),
        "{said}"
    );
    assert!((net::POOL.0..=net::POOL.1).contains(&lease.address));
    assert!(lease.ends > 0);
    assert_eq!(lab.foreign().unwrap().leases().unwrap().len(), 1);
}

#[test]
fn without_a_server_there_is_no_lease() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let client = lab.add_host("client", None).unwrap();
    assert!(udhcpc(&lab, &client).contains("no lease"));
}

#[test]
fn labs_with_the_same_addresses_do_not_meet() {
    let Some(one) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let Some(two) = beside(Foreign::None) else {
        return;
    };
    let client = two.add_host("client", Some(net::address(9))).unwrap();

    assert!(
        udhcpc(&two, &client).contains("no lease"),
        "the other lab's server answered"
    );
    assert_ne!(one.name(), two.name());
}

#[test]
fn a_pulled_cable_carries_nothing_until_it_is_in_again() {
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let client = lab.add_host("client", None).unwrap();

    client.set_link(false).unwrap();
    assert!(udhcpc(&lab, &client).contains("no lease"));
    client.set_link(true).unwrap();
    assert!(udhcpc(&lab, &client).contains("lease of"));
}

#[test]
fn a_forwarded_port_answers_here() {
    let options = LabOptions {
        netboot: true,
        ..LabOptions::default()
    };
    let Some(lab) = lab::lab(&options) else {
        return;
    };
    let host = lab.host("dhcp").unwrap();
    let to = SocketAddr::from((net::FOREIGN, 80));

    let forward = Forward::start("127.0.0.1:0".parse().unwrap(), 1, &host.netns, to).unwrap();
    let mut stream = TcpStream::connect(forward.listening).unwrap();
    write!(stream, "GET /boot.ipxe HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    assert!(
        answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"),
        "{answer}"
    );
    assert!(answer.contains("#!ipxe"), "{answer}");
}

#[test]
fn what_a_host_asks_for_is_fetched_outside() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    let host = lab.add_host("gate", Some(net::address(60))).unwrap();
    let client = lab.add_host("client", Some(net::address(9))).unwrap();
    let at = SocketAddr::from((net::address(60), 80));
    let _way = Forward::outward(&host.netns, at, ("localhost".to_owned(), port)).unwrap();

    let mut inside = client
        .netns
        .run(|| TcpStream::connect(at))
        .unwrap()
        .unwrap();
    let (mut heard, _) = outside.accept().unwrap();
    inside.write_all(b"question").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    heard.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    heard.write_all(b"answer").unwrap();
    drop(heard);
    let mut answer = String::new();
    inside.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn a_folder_lies_over_the_mirror() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let over = tempfile::tempdir().unwrap();
    fs::create_dir_all(over.path().join("dists/own")).unwrap();
    fs::write(over.path().join("dists/own/Release"), "Suite: own\n").unwrap();
    let mirror = match lab.mirror("dists/trixie/InRelease", Some(over.path())) {
        Ok(mirror) => mirror,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED a lab test: {error}");
            return;
        }
    };
    let client = lab.add_host("client", Some(net::address(9))).unwrap();
    let mut curl = lab.tools().command("curl").unwrap();
    let at = mirror.url.strip_prefix("http://").unwrap();
    let (name, folder) = at.split_once('/').unwrap();
    let port = name.split_once(':').map_or("80", |(_, port)| port);
    curl.arg("--connect-to")
        .arg(format!("::{}:{port}", net::address(60)));
    for file in [
        "dists/own/Release",
        "dists/trixie/Release",
        "dists/own/none",
    ] {
        curl.arg(format!("http://{name}/{folder}/{file}"));
    }
    curl.args(["--silent", "--write-out", "%{http_code}\n"]);
    let said = client.command(&curl).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.starts_with("Suite: own\n200\n"), "{said}");
    assert!(said.contains("\nCodename: trixie\n"), "{said}");
    assert!(said.ends_with("404\n"), "{said}");
}

#[test]
fn a_capture_holds_what_passed() {
    let Some(lab) = beside(Foreign::Dnsmasq) else {
        return;
    };
    let capture = lab.capture("dhcp", "port 67 or port 68").unwrap();
    let client = lab.add_host("client", None).unwrap();
    udhcpc(&lab, &client);

    for kind in ["Discover", "Offer", "Request", "ACK"] {
        capture.wait(kind, SOON).unwrap();
    }
    capture.end().unwrap();
}
