use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use test_case::test_case;

use super::super::files::Content;
use super::*;
use crate::model::digest::{Digest, DigestKind};

/// A folder with an environment for amd64.
fn place(protocol: u16) -> (TempDir, Environments) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("amd64");
    fs::create_dir(&own).unwrap();
    let manifest = format!(
        r#"{{"architecture": "amd64", "kernel": "6.12", "agent": {{"version": "1", "protocol": {protocol}}},
            "packages": {{}}, "files": {{"rest.tar.zst": {{"bytes": 4, "digest": "{}"}}}}}}"#,
        Digest::of(DigestKind::Sha256, &[0; 32]).unwrap()
    );
    write(&own, MANIFEST, &manifest);
    write(
        &own,
        FIRMWARE_LIST,
        r#"{"bnx2": {"pci": ["14e4:164a"], "files": []}}"#,
    );
    write(&own, KERNEL, "kernel");
    write(&own, REST, "rest");
    write(&own, "secret", "secret");
    write(folder.path(), "secret", "secret");
    let environments = Environments::new(folder.path().to_owned());
    (folder, environments)
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test_case(&[], &["/agent/amd64/initrd.zst"]; "nothing known")]
#[test_case(&["1af4:1000"], &["/agent/amd64/initrd.zst"]; "needs none")]
#[test_case(&["1af4:1000", "14e4:164a"], &["/agent/amd64/initrd.zst", "/agent/amd64/firmware.zst"]; "needs some")]
fn firmware_is_loaded_where_a_device_asks_for_it(ids: &[&str], initrds: &[&str]) {
    let (_folder, environments) = place(PROTOCOL);
    for platform in [Platform::Bios, Platform::X64] {
        let load = environments.load(platform, ids.iter().copied()).unwrap();
        assert_eq!(load.kernel, "/agent/amd64/vmlinuz");
        assert_eq!(load.initrds, initrds);
    }
}

#[test_case(Platform::Arm64, "there is no boot environment at"; "none was built")]
#[test_case(Platform::Riscv64, "there is no boot environment for UEFI riscv64"; "nobody builds one")]
fn without_an_environment_it_is_told_why(platform: Platform, told: &str) {
    let (_folder, environments) = place(PROTOCOL);
    let error = environments.load(platform, []).unwrap_err().to_string();
    assert!(error.starts_with(told), "{error}");
}

#[test]
fn an_agent_that_speaks_otherwise_is_not_started() {
    let (_folder, environments) = place(PROTOCOL + 1);
    let error = environments.load(Platform::X64, []).unwrap_err();
    assert!(matches!(error, NoEnvironment::Stranger(_, _)), "{error}");
}

#[test]
fn a_manifest_that_is_none_is_told() {
    let (folder, environments) = place(PROTOCOL);
    write(&folder.path().join("amd64"), MANIFEST, "{}");
    let error = environments.manifest("amd64").unwrap_err();
    assert!(matches!(error, NoEnvironment::Broken(_, _)), "{error}");
}

#[test_case(Some("other"); "another length")]
#[test_case(None; "absent")]
fn a_file_of_another_environment_is_told(rest: Option<&str>) {
    let (folder, environments) = place(PROTOCOL);
    let path = folder.path().join("amd64/rest.tar.zst");
    fs::remove_file(&path).unwrap();
    if let Some(rest) = rest {
        fs::write(&path, rest).unwrap();
    }
    let error = environments.load(Platform::X64, []).unwrap_err();
    assert!(
        matches!(&error, NoEnvironment::Mixed(own) if *own == path),
        "{error}"
    );
}

#[test_case("vmlinuz", "kernel")]
#[test_case("rest.tar.zst", "rest")]
fn the_files_of_an_environment_are_served(name: &str, content: &str) {
    let (_folder, environments) = place(PROTOCOL);
    let opened = environments.open(&format!("amd64/{name}")).unwrap();
    let Content::File(mut file) = opened.content else {
        panic!("no file");
    };
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, content);
}

#[test_case("amd64/secret"; "another file")]
#[test_case("secret"; "beside the folders")]
#[test_case("vmlinuz"; "no architecture")]
#[test_case("riscv64/vmlinuz"; "another architecture")]
#[test_case("arm64/vmlinuz"; "one that was not built")]
#[test_case("amd64/initrd.zst"; "a link out of the folder")]
fn nothing_else_is_served(name: &str) {
    let (folder, environments) = place(PROTOCOL);
    let link = folder.path().join("amd64").join(INITRD);
    symlink("/etc/passwd", link).unwrap();
    let error = environments.open(name).unwrap_err();
    assert!(matches!(error, Missing::Absent(_)), "{error}");
}
