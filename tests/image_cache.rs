//! The image cache beside real peers: nginx as the source of images, Debian's container registry, a full disk, and the
//! daemon killed in the middle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "it is all test: it waits with deadlines, and panics where it fails"
)]

#[path = "common/daemon.rs"]
mod common;
#[path = "image_cache/machines.rs"]
mod machines;
#[path = "image_cache/peers.rs"]
mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Daemon, Place, await_that, bare, run};
use machines::Door;
use peers::{Nginx, Registry, sum};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

fn image(daemon: &Daemon, name: &str) -> Value {
    daemon.get(&format!("/api/v1/images/{name}")).1
}

fn add(daemon: &Daemon, name: &str, url: &str) {
    let body = json!({ "name": name, "url": url });
    let (status, told) = daemon.post("/api/v1/images", &body);
    assert_eq!(status, 200, "{told}");
}

#[test]
fn a_daemon_that_is_killed_goes_on_with_what_it_had() {
    let Some(nginx) = Nginx::start(160 * MIB, "40m") else {
        return;
    };
    let place = Place::new();
    let mut daemon = place.start();
    add(&daemon, "x.raw", &nginx.url());
    await_that("100 MiB have come", || {
        let received = image(&daemon, "x.raw")["received"].as_u64()?;
        (received > 100 * MIB).then_some(())
    });
    daemon.kill();
    let daemon = place.start();
    let done = await_that("the image is here", || {
        let now = image(&daemon, "x.raw");
        (now["state"] == "here").then_some(now)
    });
    assert_eq!(done["digest"], json!(sum(&nginx.file())));
    let asked = nginx.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("200 -"), "{asked:?}");
    let from = asked[1].strip_prefix("206 bytes=").unwrap();
    let from: u64 = from.trim_end_matches('-').parse().unwrap();
    assert!(from >= 64 * MIB, "{asked:?}");
}

/// Where the inner half of a test finds its small disk.
const INSIDE: &str = "DRAGONFLY_TEST_SMALL_DISK";

/// Runs this very test again where a disk of this size lies at a folder of its own; false without root.
fn inside(test: &str, size: &str) -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED {test}: a small disk can be had by root alone");
        return false;
    }
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "mount --make-rprivate / && mount -t tmpfs -o size={size} tmpfs \"$1\" && exec \"$0\" --exact --nocapture {test}"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(home.path())
        .env(INSIDE, home.path())
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    true
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half() {
    let Some(disk) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        inside("a_full_disk_is_told_and_leaves_nothing_half", "128m");
        return;
    };
    let Some(nginx) = Nginx::start(60 * MIB, "20m") else {
        return;
    };
    let place = Place {
        folder: tempfile::tempdir_in(&disk).unwrap(),
    };
    let daemon = place.start();
    add(&daemon, "x.raw", &nginx.url());
    await_that("20 MiB have come", || {
        let received = image(&daemon, "x.raw")["received"].as_u64()?;
        (received > 20 * MIB).then_some(())
    });
    fill(&disk.join("ballast"));
    let failed = await_that("the download has failed", || {
        let now = image(&daemon, "x.raw");
        (now["state"] == "failed").then_some(now)
    });
    assert_eq!(failed["why"], "the disk is full");
    for folder in ["partial", "blobs/sha256"] {
        let left = std::fs::read_dir(place.data().join("images").join(folder)).unwrap();
        assert_eq!(left.count(), 0, "{folder}");
    }
    std::fs::remove_file(disk.join("ballast")).unwrap();
    add(&daemon, "x.raw", &nginx.url());
    let done = await_that("the image is here", || {
        let now = image(&daemon, "x.raw");
        (now["state"] == "here").then_some(now)
    });
    assert_eq!(done["digest"], json!(sum(&nginx.file())));
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    let piece = vec![7; 64 * 1024];
    while file.write_all(&piece).is_ok() {}
}

#[test]
fn images_go_in_by_the_command_line_and_over_to_another_place_in_a_bundle() {
    let (here, there) = (Place::new(), Place::new());
    let (_one, _two) = (here.start(), there.start());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.raw");
    std::fs::write(&file, vec![5; 3_000_000]).unwrap();
    let dragonfly = |place: &Place, words: &[&str]| {
        let mut command = bare("image");
        let server = format!("unix:{}", place.socket().display());
        run(command.args(words).args(["--server", &server]))
    };
    let text = |path: &Path| path.display().to_string();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let refused = dragonfly(&here, &["add", "mine", &text(&file), "--checksum", &wrong]);
    assert_eq!(refused.code, Some(5), "{}", refused.err);
    assert!(refused.err.contains("checksum is wrong"), "{}", refused.err);
    let added = dragonfly(
        &here,
        &["add", "mine", &text(&file), "--checksum", &sum(&file)],
    );
    assert_eq!(added.code, Some(0), "{}", added.err);
    assert!(added.err.contains("100 % of"), "{}", added.err);
    let again = dragonfly(&here, &["add", "mine", &text(&file)]);
    assert_eq!(again.code, Some(5), "{}", again.err);
    let bundle = text(&folder.path().join("images.tar"));
    let exported = dragonfly(&here, &["export", &bundle]);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let tried = dragonfly(&there, &["import", &bundle, "--dry-run"]);
    assert_eq!(tried.code, Some(0), "{}", tried.err);
    assert_eq!(dragonfly(&there, &["list", "-q"]).out, "");
    let imported = dragonfly(&there, &["import", &bundle]);
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert_eq!(dragonfly(&there, &["list", "-q"]).out, "mine\n");
    let verified = dragonfly(&there, &["verify"]);
    assert!(verified.out.contains("is what it was"), "{}", verified.out);
    let removed = dragonfly(&there, &["rm", "mine"]);
    assert_eq!(removed.code, Some(0), "{}", removed.err);
    let events = there.store();
    assert!(events.exists());
}

#[test]
fn an_image_in_a_registry_is_fetched_as_any_other() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let content = vec![7; 300_000];
    let pushed = registry.push("images/disk", "1.0", &content);
    let place = Place::new();
    let daemon = place.start();
    let add = |name: &str, reference: &str| {
        let server = format!("unix:{}", place.socket().display());
        let at = registry.url().replacen("http:", "oci:", 1);
        let url = format!("{at}/images/disk{reference}");
        run(bare("image").args(["add", name, &url, "--server", &server]))
    };
    for (name, reference) in [("tag", ":1.0"), ("digest", &*format!("@{}", pushed.digest))] {
        let added = add(name, reference);
        assert_eq!(added.code, Some(0), "{}", added.err);
        let shown = image(&daemon, name);
        assert_eq!(shown["digest"], json!(pushed.layer), "{shown}");
        assert_eq!(shown["bytes"], json!(300_000), "{shown}");
    }
    let absent = add("absent", ":2.0");
    assert_eq!(absent.code, Some(1), "{}", absent.err);
    assert!(absent.err.contains("404"), "{}", absent.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_pulled_through_and_not_needed_any_more() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let pushed = registry.push("tools/web", "1.0", b"a layer of nothing much");
    let door = Door::open(&registry.url()).await;
    let hello = door.get("/v2/").await;
    assert_eq!((hello.code, hello.text()), (200, "{}\n".to_owned()));
    let manifest = door.get("/v2/own/tools/web/manifests/1.0").await;
    assert_eq!(manifest.code, 200, "{}", manifest.text());
    assert_eq!(manifest.body, pushed.manifest);
    assert_eq!(
        manifest.field("docker-content-digest"),
        Some(&*pushed.digest)
    );
    assert_eq!(
        manifest.field("content-type"),
        Some("application/vnd.oci.image.manifest.v1+json")
    );
    let layer = format!("/v2/own/tools/web/blobs/{}", pushed.layer);
    assert_eq!(door.get(&layer).await.body, b"a layer of nothing much");
    let absent = door.get("/v2/own/tools/none/manifests/1.0").await;
    assert_eq!(absent.code, 404, "{}", absent.text());
    drop(registry);
    door.wait_past_fresh();
    let stale = door.get("/v2/own/tools/web/manifests/1.0").await;
    assert_eq!((stale.code, stale.body), (200, pushed.manifest));
    assert_eq!(door.get(&layer).await.code, 200);
    let other = format!("/v2/other/tools/web/blobs/{}", pushed.layer);
    assert_eq!(door.get(&other).await.code, 404);
    door.close().await;
}
