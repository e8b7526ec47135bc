use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::model::MachineId;

fn home() -> Home {
    Home {
        server: "127.0.0.1:9".parse().unwrap(),
        pin: "00".repeat(32),
        machine: MachineId(Uuid::nil()),
        workflow: Uuid::nil(),
        secret: "s".into(),
    }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_system_tells_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "etc/os-release",
        "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
    );
    put(
        root.path(),
        "etc/machine-id",
        "0123456789abcdef0123456789abcdef\n",
    );
    put(root.path(), "proc/sys/kernel/hostname", "web01\n");
    let system = System {
        root: root.path().into(),
    };
    let report = system.report(&home(), Some("why".into()));
    assert_eq!(report.os.as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
    assert_eq!(report.hostname.as_deref(), Some("web01"));
    assert_eq!(
        report.machine_id.as_deref(),
        Some("0123456789abcdef0123456789abcdef")
    );
    assert_eq!(
        (report.failed.as_deref(), report.netboot_once),
        (Some("why"), false)
    );
}

#[test]
fn a_system_without_files_still_calls() {
    let system = System {
        root: "/nowhere".into(),
    };
    let report = system.report(&home(), None);
    assert_eq!(
        (report.os, report.hostname, report.netboot_once),
        (None, None, false)
    );
    assert!(system.netboot_once().is_err());
}

#[test]
fn addresses_that_nobody_can_reach_are_not_told() {
    for address in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0"] {
        assert!(!is_reachable(&address.parse().unwrap()), "{address}");
    }
    for address in ["10.0.0.1", "fd00::1", "2001:db8::1"] {
        assert!(is_reachable(&address.parse().unwrap()), "{address}");
    }
}
