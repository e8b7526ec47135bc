//! What machines read at their first boot, and what installers are answered, held against each language's own
//! validator. `scripts/setup-validators` fetches them; a test whose validator is not there says that it is skipped.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dragonfly::model::action::{Answers, Installer};
use dragonfly::model::machine::{Disk, Source};
use dragonfly::model::{Defaults, DiskRule, Evidence, Machine, MachineId, MemorableName, action};
use dragonfly::provision::answers::{Links, Questions, answers, is_verified};
use dragonfly::provision::first_boot::cloud_init;
use test_case::test_case;

const HOSTILE: &str = r#"a'b"c\d $(x) `id` ${HOME} <!&amp;]]> %end #{y} {{z}} ; | & \"#;

fn machine() -> Machine {
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let name = MemorableName::candidates(mac).next().unwrap();
    let id = MachineId(uuid::Uuid::from_u128(1));
    let evidence = Evidence::of_macs(mac, []);
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut machine = Machine::register(id, &evidence, name, Source::Agent, now);
    machine.config.hostname = Some("web01.example.net".parse().unwrap());
    machine.hardware.disks = vec![Disk {
        device: "vda".into(),
        size_bytes: 20 << 30,
        ..Disk::default()
    }];
    machine
}

/// A key's comment is the one text that a person may write as they like.
fn defaults(full: bool) -> Defaults {
    let key = format!(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f {HOSTILE}"
    );
    if !full {
        return Defaults::default();
    }
    Defaults {
        user: Some("ada".parse().unwrap()),
        ssh_keys: vec![key.parse().unwrap()],
        password_hash: "$6$saltsaltsalt$EzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8B"
            .parse()
            .ok(),
        os: None,
        timezone: "Europe/Vienna".parse().ok(),
        locale: "de_AT.UTF-8".parse().ok(),
        dns: vec![
            "192.0.2.53".parse().unwrap(),
            "2001:db8::53".parse().unwrap(),
        ],
        ntp: vec!["ntp.example.net".parse().unwrap()],
    }
}

fn answered(kind: Answers, machine: &Machine, defaults: &Defaults) -> String {
    let link = |what: &str| format!("http://192.0.2.1:3080/answers/{what}/5ec2e7");
    let installer = Installer {
        kernel: "http://192.0.2.1:3080/linux".into(),
        initrd: None,
        cmdline: String::new(),
        answers: kind,
        source: Some("http://deb.example.net/debian".into()),
        suite: Some("trixie".into()),
        packages: if kind == Answers::Ignition { "" } else { "vim" }.into(),
        disk: DiskRule::Auto,
    };
    let links = Links {
        finish: link("finish"),
        installed: link("installed"),
        home: link("home"),
    };
    let questions = Questions {
        machine,
        defaults,
        installer: &installer,
        links: &links,
    };
    answers(&questions).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("build/validators/root")
}

/// Gives `text` to a program in the validators' own root; nothing where the program is not there.
fn judged(program: &str, args: &[&str], text: &str) -> Option<(bool, String)> {
    let root = root();
    let own = root.join(program.trim_start_matches('/'));
    // Its root can only be entered by root.
    if !own.exists() || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: no {program}; as root, run scripts/setup-validators");
        return None;
    }
    let mut child = Command::new("chroot")
        .arg(&root)
        .args([
            "env",
            "PYTHONPATH=/opt/kickstart",
            "LC_ALL=C.UTF-8",
            program,
        ])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// The same for a program that wants a file; its name takes the place of `FILE`.
fn judged_file(program: &str, args: &[&str], text: &str) -> Option<(bool, String)> {
    let name = format!(
        "/tmp/validated-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let name = name.replace(['(', ')'], "");
    let path = root().join(name.trim_start_matches('/'));
    if root().exists() && nix::unistd::geteuid().is_root() {
        std::fs::write(&path, text).unwrap();
    }
    let args: Vec<_> = args
        .iter()
        .map(|arg| if *arg == "FILE" { &*name } else { *arg })
        .collect();
    let judged = judged(program, &args, "");
    let _ = std::fs::remove_file(path);
    judged
}

fn accepted(judged: Option<(bool, String)>, text: &str) {
    if let Some((fine, said)) = judged {
        assert!(fine, "{said}\n{text}");
    }
}

fn refused(judged: Option<(bool, String)>) {
    if let Some((fine, said)) = judged {
        assert!(!fine, "the validator takes anything: {said}");
    }
}

const CLOUD_INIT: &str = "/usr/bin/cloud-init";
const USER_DATA: &[&str] = &["schema", "--config-file", "FILE"];
const NETWORK: &[&str] = &[
    "schema",
    "--schema-type",
    "network-config",
    "--config-file",
    "FILE",
];

#[test_case(true; "everything set")]
#[test_case(false; "nothing set")]
fn cloud_init_takes_our_user_data(full: bool) {
    let text = cloud_init(&machine(), &defaults(full), None).user_data;
    accepted(judged_file(CLOUD_INIT, USER_DATA, &text), &text);
    refused(judged_file(
        CLOUD_INIT,
        USER_DATA,
        "#cloud-config\nusers: 7\n",
    ));
}

const TWO: &str = "52:54:00:12:34:56,52:54:00:12:34:57";

#[test_case("", "", ""; "by DHCP")]
#[test_case("192.0.2.10/24 via 192.0.2.1", "", ""; "an address")]
#[test_case("2001:db8::10/64 via fe80::1", "", ""; "an address of IPv6")]
#[test_case("192.0.2.10/24 via 192.0.2.1", "20", ""; "in a VLAN")]
#[test_case("", "20", "802.3ad"; "a VLAN on a bond")]
#[test_case("", "", "active-backup"; "a bond")]
fn cloud_init_and_netplan_take_our_network(address: &str, vlan: &str, bond: &str) {
    let mut machine = machine();
    machine.config.static_ip = address.parse().ok();
    machine.config.vlan = vlan.parse().ok();
    machine.config.bond = format!("{bond}:{TWO}").parse().ok();
    let text = cloud_init(&machine, &defaults(true), None).network_config;
    accepted(judged_file(CLOUD_INIT, NETWORK, &text), &text);
    let kinds = ["netplan", "networkd", "eni", "network-manager"];
    for kind in kinds {
        let args = [
            "devel",
            "net-convert",
            "--network-data",
            "FILE",
            "--kind",
            "yaml",
            "--directory",
            "/tmp/converted",
            "--distro",
            "debian",
            "--output-kind",
            kind,
        ];
        accepted(judged_file(CLOUD_INIT, &args, &text), &text);
    }
}

#[test]
fn debconf_takes_our_preseed() {
    let text = answered(Answers::Preseed, &machine(), &defaults(true));
    let check = |text: &str| judged("/usr/bin/debconf-set-selections", &["--checkonly"], text);
    accepted(check(&text), &text);
    refused(check("d-i passwd/username text ada\n"));
}

const KSVALIDATOR: &str = "/opt/kickstart/bin/ksvalidator";

#[test_case("RHEL9", "", ""; "of Red Hat 9")]
#[test_case("RHEL10", "192.0.2.10/24 via 192.0.2.1", ""; "of Red Hat 10 with an address")]
#[test_case("F43", "2001:db8::10/64", "20"; "of Fedora with a VLAN")]
fn pykickstart_takes_our_kickstart(version: &str, address: &str, vlan: &str) {
    let mut machine = machine();
    machine.config.static_ip = address.parse().ok();
    machine.config.vlan = vlan.parse().ok();
    let text = answered(Answers::Kickstart, &machine, &defaults(true));
    let check = |text: &str| {
        let script = ["python3", KSVALIDATOR, "--version", version, "FILE"];
        root()
            .join("opt/kickstart")
            .exists()
            .then(|| judged_file("/usr/bin/env", &script, text))?
    };
    accepted(check(&text), &text);
    refused(check("lang\nnonsense --x\n"));
}

#[test]
fn cloud_init_takes_our_autoinstall() {
    let text = answered(Answers::Autoinstall, &machine(), &defaults(true));
    accepted(judged_file(CLOUD_INIT, USER_DATA, &text), &text);
    refused(judged_file(
        CLOUD_INIT,
        USER_DATA,
        "#cloud-config\nautoinstall: {version: x}\n",
    ));
}

#[test]
fn ignition_takes_our_config() {
    let text = answered(Answers::Ignition, &machine(), &defaults(true));
    let check = |text: &str| judged_file("/usr/bin/ignition-validate", &["FILE"], text);
    accepted(check(&text), &text);
    refused(check(
        r#"{"ignition":{"version":"3.3.0"},"storage":{"files":[{"path":"x"}]}}"#,
    ));
}

#[test]
fn an_autoyast_profile_is_well_formed_and_no_more_is_claimed() {
    let text = answered(Answers::Autoyast, &machine(), &defaults(true));
    let check = |text: &str| judged("/usr/bin/xmllint", &["--noout", "-"], text);
    accepted(check(&text), &text);
    refused(check("<profile><a></profile>"));
    let unverified = action::Answers::ALL
        .into_iter()
        .filter(|kind| !is_verified(*kind));
    assert_eq!(unverified.collect::<Vec<_>>(), [Answers::Autoyast]);
}
