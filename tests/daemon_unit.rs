//! The files that a service manager reads are what it understands, and say what the daemon does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("rootfs")
        .join(path)
}

/// The unit as it would be after installation, but with a program that is here.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("systemd-analyze is not installed: the unit was not checked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("dragonfly.service");
    let text = std::fs::read_to_string(file("usr/lib/systemd/system/dragonfly.service")).unwrap();
    std::fs::write(
        &unit,
        text.replace("/usr/bin/dragonfly", env!("CARGO_BIN_EXE_dragonfly")),
    )
    .unwrap();
    let checked = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&checked.stderr).into_owned();
    // It also tells of the host's own units.
    let ours: Vec<_> = words
        .lines()
        .filter(|line| line.contains("dragonfly"))
        .collect();
    assert!(ours.is_empty(), "{words}");
}

#[test]
fn the_unit_names_the_folders_of_the_configuration() {
    let unit = std::fs::read_to_string(file("usr/lib/systemd/system/dragonfly.service")).unwrap();
    for line in [
        "StateDirectory=dragonfly",
        "RuntimeDirectory=dragonfly",
        "Type=notify",
        "Group=dragonfly",
    ] {
        assert!(unit.lines().any(|own| own == line), "{line}");
    }
    let users = std::fs::read_to_string(file("usr/lib/sysusers.d/dragonfly.conf")).unwrap();
    assert!(users.lines().any(|line| line.starts_with("u dragonfly ")));
}
