//! Workflows and installing anew, against canned answers.

use serde_json::{Value, json};
use test_case::test_case;

use super::super::canned::{Canned, list, machine, ok, problem, receipt};
use super::super::out::paper::{screen, screen_with};
use super::{ended, run, said};

fn step(name: &str, status: &str, more: Value) -> Value {
    let mut whole = json!({
        "name": name, "action": name, "status": status, "attempts": u8::from(status != "pending"),
        "started_at": null, "ended_at": null, "seconds": null, "message": null,
    });
    put(&mut whole, more);
    whole
}

fn workflow(state: &str, active: bool, more: Value) -> Value {
    let mut whole = json!({
        "id": "0199f3a0-5b7c-7e21-8d44-2a1b3c4d5e6f", "version": 7, "machine": "0199b", "name": "web01",
        "template": "debian-13", "by": "ada", "state": state, "active": active,
        "since": "2026-11-21T11:58:00Z", "created_at": "2026-11-21T11:55:00Z",
        "started_at": "2026-11-21T11:56:00Z", "ended_at": null, "attempt": 1, "generation": 3,
        "steps": [], "disks": ["/dev/sda (QEMU HARDDISK, disk0)"], "error": null, "progress": null,
        "left_seconds": null, "before_it": null, "took_seconds": 240, "now": "image2disk",
    });
    put(&mut whole, more);
    whole
}

fn put(whole: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        for (key, value) in more {
            whole[key] = value;
        }
    }
}

fn running() -> Value {
    let steps = [
        step("wipe", "done", json!({ "seconds": 4 })),
        step("image2disk", "running", json!({ "attempts": 2 })),
        step("reboot", "pending", json!({})),
    ];
    let progress = json!({
        "step": 2, "bytes_done": 1_u64 << 29, "bytes_total": 1_u64 << 30, "bytes_per_second": 100 << 20,
        "phase": "writing", "at": "2026-11-21T11:59:59Z",
    });
    workflow(
        "running",
        true,
        json!({ "steps": steps, "progress": progress, "left_seconds": 65, "attempt": 2 }),
    )
}

fn failed() -> Value {
    let message = "the image is 12 GiB, and the disk /dev/sda has 8 GiB";
    let steps = [step(
        "image2disk",
        "failed",
        json!({ "seconds": 9, "message": message }),
    )];
    workflow(
        "failed",
        false,
        json!({ "steps": steps, "error": format!("image2disk: {message}"), "now": "" }),
    )
}

#[tokio::test]
async fn workflows_are_listed_and_one_is_shown() {
    let waits = workflow(
        "queued",
        true,
        json!({ "name": "db1", "before_it": 3, "now": "waits for its turn" }),
    );
    let items = vec![running(), failed(), waits];
    let daemon = Canned::new([list(items, None)]);
    insta::assert_snapshot!("workflow_list", said("workflow list", &daemon, 120).await);
    assert!(daemon.asked()[0].line.contains("limit=50"));
    let daemon = Canned::new([ok(running())]);
    insta::assert_snapshot!(
        "workflow_show",
        said("workflow show web01", &daemon, 100).await
    );
    let daemon = Canned::new([ok(failed())]);
    insta::assert_snapshot!(
        "workflow_show_failed",
        said("workflow show web01", &daemon, 100).await
    );
}

#[tokio::test]
async fn no_workflow_is_no_error_and_says_how_one_begins() {
    let daemon = Canned::new([list(vec![], None)]);
    let told = said("workflow list --active --state failed", &daemon, 80).await;
    assert!(told.contains("dragonfly reimage MACHINE"), "{told}");
    let asked = &daemon.asked()[0].line;
    assert!(
        asked.contains("active=true") && asked.contains("state=failed"),
        "{asked}"
    );
}

#[tokio::test]
async fn watching_goes_on_past_a_daemon_that_restarts_and_ends_with_the_workflow() {
    let over = workflow("success", false, json!({ "now": "" }));
    let gone = problem("unavailable", 503, json!({ "retryable": true }));
    let daemon = Canned::new([ok(running()), gone, ok(over)]);
    let told = said("workflow watch web01", &daemon, 100).await;
    assert!(told.contains("web01  debian-13  success"), "{told}");
    assert!(!told.contains("exit"), "{told}");
    let asked = daemon.asked();
    assert!(
        asked[1].line.contains("/workflows/0199f3a0-"),
        "the machine may have another by then: {asked:?}"
    );
}

#[tokio::test]
async fn watching_one_that_fails_ends_with_its_cause_and_what_to_do() {
    let daemon = Canned::new([ok(failed())]);
    let told = said("workflow watch web01", &daemon, 100).await;
    assert!(told.contains("the disk /dev/sda has 8 GiB"), "{told}");
    assert!(told.contains("dragonfly workflow retry web01"), "{told}");
    assert!(told.ends_with("exit 1\n"), "{told}");
}

#[tokio::test]
async fn cancelling_is_told_under_the_workflow_s_own_name() {
    let daemon = Canned::new([ok(receipt("workflow.cancel", "accepted", json!([])))]);
    let told = said("--json workflow cancel web01", &daemon, 80).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["workflow"], &told["machine"]),
        (&json!("web01"), &Value::Null)
    );
    assert_eq!(
        daemon.asked()[0].line,
        "POST /api/v1/workflows/web01/cancel HTTP/1.1"
    );
}

fn full() -> Value {
    let disks = json!([
        { "device": "/dev/sda", "size_bytes": 8_u64 << 30, "model": "QEMU HARDDISK", "serial": "a",
          "contents": ["gpt", "ext4"] },
        { "device": "/dev/sdb", "size_bytes": 1_u64 << 40, "model": null, "serial": "b", "contents": [] },
    ]);
    let hardware = json!({ "disks": disks, "network_interfaces": [], "is_virtual": false });
    machine("web01", json!({ "hardware": hardware }))
}

#[tokio::test]
async fn whoever_installs_anew_reads_what_may_be_lost_and_types_the_name() {
    let done = ok(receipt("machine.reimage", "accepted", json!([])));
    let daemon = Canned::new([ok(full()), done]);
    let (mut paper, out, err) = screen_with("web01\n");
    let outcome = run("reimage web01 --os debian-13", &daemon, &mut paper).await;
    let told = ended(outcome, &mut paper, &out, &err);
    for what in [
        "/dev/sda (QEMU HARDDISK, 8 GiB, holds gpt ext4)",
        "/dev/sdb (1 TiB, blank)",
        "becomes debian-13",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    let asked = &daemon.asked()[1];
    assert!(asked.line.contains("/machines/web01/reimage?confirm=true"));
    assert_eq!(asked.body, json!({ "os": "debian-13" }));
}

#[test_case(Some("web02\n"), "untouched"; "another name")]
#[test_case(None, "--yes"; "nobody there to ask")]
#[tokio::test]
async fn without_the_right_name_nothing_is_sent(typed: Option<&str>, why: &str) {
    let daemon = Canned::new([ok(full())]);
    let (mut paper, out, err) = typed.map_or_else(|| screen(80), screen_with);
    let outcome = run("reimage web01", &daemon, &mut paper).await;
    let told = ended(outcome, &mut paper, &out, &err);
    assert!(told.contains(why) && told.contains("exit"), "{told}");
    assert_eq!(daemon.asked().len(), 1, "only the machine was read");
}

#[tokio::test]
async fn a_parameter_has_a_name_and_a_value() {
    let daemon = Canned::new([]);
    let told = said("reimage web01 --yes --param url", &daemon, 80).await;
    assert!(told.contains("NAME=VALUE"), "{told}");
    assert!(daemon.asked().is_empty());
    let done = ok(receipt("machine.reimage", "accepted", json!([])));
    let daemon = Canned::new([done]);
    said("reimage web01 --yes --param url=image:mine", &daemon, 80).await;
    assert_eq!(
        daemon.asked()[0].body,
        json!({ "params": { "url": "image:mine" } })
    );
}
