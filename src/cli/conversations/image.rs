//! Images, against canned answers and real files.

use std::fs;

use serde_json::{Value, json};

use super::super::canned::{Canned, list, ok, receipt};
use super::said;

fn image(name: &str, state: &str, more: Value) -> Value {
    let mut whole = json!({
        "name": name, "path": format!("/images/{name}"), "state": state, "pinned": false,
        "url": format!("https://images.example.net/{name}"),
    });
    if let Value::Object(more) = more {
        for (key, value) in more {
            whole[key] = value;
        }
    }
    whole
}

#[tokio::test]
async fn images_are_listed_with_what_is_wrong_and_how_much_room_they_take() {
    let items = vec![
        image(
            "debian-13.raw.zst",
            "here",
            json!({ "bytes": 400 << 20, "pinned": true, "used_at": "2026-11-21T11:00:00Z" }),
        ),
        image(
            "rescue.iso",
            "arriving",
            json!({ "bytes": 100 << 20, "received": 41 << 20 }),
        ),
        image(
            "gone.raw",
            "failed",
            json!({ "why": "images.example.net answers 404" }),
        ),
    ];
    let daemon = Canned::new([list(items, None)]);
    insta::assert_snapshot!("image_list", said("image list", &daemon, 100).await);
    let daemon = Canned::new([list(vec![], None)]);
    let told = said("image list", &daemon, 80).await;
    assert!(told.contains("dragonfly image add --help"), "{told}");
}

#[tokio::test]
async fn an_image_from_a_url_is_waited_for() {
    let waits = image("a.raw", "arriving", json!({ "bytes": 100, "received": 40 }));
    let here = image("a.raw", "here", json!({ "bytes": 100 }));
    let daemon = Canned::new([
        ok(receipt("image.add", "accepted", json!([]))),
        ok(waits),
        ok(here),
    ]);
    let told = said(
        "image add a.raw https://images.example.net/a.raw",
        &daemon,
        80,
    )
    .await;
    assert!(
        told.contains("40 % of 100 B") || told.contains("% of 100 B"),
        "{told}"
    );
    assert!(!told.contains("exit"), "{told}");
}

#[tokio::test]
async fn an_image_that_does_not_arrive_is_a_failure_with_the_reason() {
    let broken = image(
        "a.raw",
        "failed",
        json!({ "why": "images.example.net answers 404" }),
    );
    let daemon = Canned::new([ok(receipt("image.add", "accepted", json!([]))), ok(broken)]);
    let told = said(
        "image add a.raw https://images.example.net/a.raw",
        &daemon,
        80,
    )
    .await;
    assert!(told.contains("answers 404"), "{told}");
    assert!(told.contains("exit 1"), "{told}");
}

#[tokio::test]
async fn what_would_be_done_with_a_file_is_told_to_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.raw");
    fs::write(&file, "bytes").unwrap();
    let daemon = Canned::new([ok(receipt("image.upload", "dry_run", json!([])))]);
    let line = format!("--json image add mine.raw {} --dry-run", file.display());
    let told: Value = serde_json::from_str(&said(&line, &daemon, 80).await).unwrap();
    assert_eq!(told["image"], "mine.raw");
    assert_eq!(daemon.asked().len(), 1, "no bytes were sent");
}

#[tokio::test]
async fn a_damaged_image_is_a_failure_behind_all_that_was_looked_at() {
    let sound =
        |name: &str, sound| ok(json!({ "name": name, "sound": sound, "digest": "sha256:00" }));
    let daemon = Canned::new([sound("a.raw", false), sound("b.raw", true)]);
    let told = said("image verify a.raw b.raw", &daemon, 80).await;
    assert!(
        told.contains("✗ a.raw") && told.contains("✓ b.raw"),
        "{told}"
    );
    assert!(
        told.contains("1 image damaged") && told.ends_with("exit 1\n"),
        "{told}"
    );
}
