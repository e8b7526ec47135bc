//! Templates, the defaults and the mode, against canned answers and real files.

use std::fs;

use serde_json::json;
use test_case::test_case;

use super::super::canned::{Canned, list, ok, receipt};
use super::super::out::paper::screen;
use super::{run, said};

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is made where it is given"
)]
fn template(name: &str, more: serde_json::Value) -> serde_json::Value {
    let mut whole = json!({
        "name": name, "origin": "catalogue", "version": 0, "format": "dragonfly",
        "steps": [{ "name": "write the image", "action": "image2disk" }, { "name": "reboot", "action": "reboot" }],
    });
    for (key, value) in more.as_object().unwrap() {
        whole[key] = value.clone();
    }
    whole
}

#[tokio::test]
async fn templates_are_listed_and_one_is_shown() {
    let debian =
        json!({ "description": "Debian 13 (trixie)", "template_version": "20251117-2299" });
    let own = json!({
        "origin": "own", "version": 2, "timeout_seconds": 3600, "description": "Any image",
        "annotations": { "dragonfly.computer/tried": "no" },
        "parameters": [
            { "name": "url", "description": "where it is", "required": true },
            { "name": "disk", "required": false, "default": "auto" },
        ],
        "errors": [{ "line": 3, "column": 1, "message": "it is old" }],
        "source": "kind: Template\n",
    });
    let daemon = Canned::new([list(
        vec![template("debian-13", debian), template("web", own.clone())],
        None,
    )]);
    insta::assert_snapshot!("template_list", said("template list", &daemon, 80).await);
    let daemon = Canned::new([ok(template("web", own.clone()))]);
    insta::assert_snapshot!(
        "template_show",
        said("template show web", &daemon, 80).await
    );
    let daemon = Canned::new([ok(template("web", own))]);
    assert_eq!(
        said("template show web --source", &daemon, 80).await,
        "kind: Template\n"
    );
}

#[tokio::test]
async fn a_file_is_checked_without_a_daemon_and_never_sent_when_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        folder.path().join("good.yaml"),
        folder.path().join("bad.yaml"),
    );
    let right = "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {name: off}\nspec: {actions: [{action: poweroff}]}\n";
    fs::write(&good, right).unwrap();
    fs::write(
        &bad,
        right
            .replace("poweroff", "powerof")
            .replace("kind: T", "kind: t"),
    )
    .unwrap();
    let line = format!("template check {} {}", good.display(), bad.display());
    let told = said(&line, &Canned::new([]), 200).await;
    let told = told.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!("template_check", told);
    let daemon = Canned::new([]);
    let told = said(&format!("template add off {}", bad.display()), &daemon, 200).await;
    assert!(
        told.ends_with("exit 1\n") && daemon.asked().is_empty(),
        "{told}"
    );
    let daemon = Canned::new([ok(receipt("template.put", "accepted", json!([])))]);
    said(
        &format!("template add off {}", good.display()),
        &daemon,
        200,
    )
    .await;
    let asked = &daemon.asked()[0];
    assert_eq!(asked.line, "PUT /api/v1/templates/off HTTP/1.1");
    assert_eq!(asked.body, json!({ "source": right }));
}

#[tokio::test]
async fn defaults_are_shown_without_the_password() {
    let daemon = Canned::new([ok(json!({
        "user": "ada", "password_set": true, "os": "debian-13", "dns": ["192.0.2.1"], "ntp": [],
        "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@desk"],
    }))]);
    insta::assert_snapshot!("defaults", said("defaults", &daemon, 80).await);
}

#[tokio::test]
async fn defaults_are_sent_as_texts_lists_and_nulls() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "# mine\nssh-ed25519 AAAA a\n\nssh-rsa BBBB b\n").unwrap();
    let daemon = Canned::new([ok(receipt("defaults.set", "accepted", json!([])))]);
    let line = format!(
        "defaults set user=ada dns=192.0.2.1,192.0.2.2 os= ssh_keys=@{}",
        keys.display()
    );
    said(&line, &daemon, 80).await;
    let asked = &daemon.asked()[0];
    assert_eq!(asked.line, "PATCH /api/v1/defaults HTTP/1.1");
    assert_eq!(
        asked.body,
        json!({
            "user": "ada", "dns": ["192.0.2.1", "192.0.2.2"], "os": null,
            "ssh_keys": ["ssh-ed25519 AAAA a", "ssh-rsa BBBB b"],
        })
    );
}

#[test_case("defaults set usre=ada", "did you mean user"; "a slip")]
#[test_case("defaults set user", "KEY=VALUE"; "no value")]
#[test_case("defaults set user=a user=b", "given twice"; "twice")]
#[test_case("defaults set ssh_keys=@/nowhere/at/all", "not read"; "a file that is not there")]
#[tokio::test]
async fn a_wrong_word_is_told_of_here(line: &str, why: &str) {
    let daemon = Canned::new([]);
    let told = said(line, &daemon, 80).await;
    assert!(told.contains(why) && daemon.asked().is_empty(), "{told}");
}

#[tokio::test]
async fn the_mode_is_shown_with_the_others_and_set() {
    let setting = json!({
        "key": "provision.mode", "value": "flight", "default": "unset", "set": true, "version": 1,
        "help": "", "example": "flight",
    });
    let defaults =
        json!({ "user": "dragonfly", "password_set": false, "dns": [], "ntp": [], "ssh_keys": [] });
    let daemon = Canned::new([ok(setting), ok(defaults)]);
    insta::assert_snapshot!("mode", said("mode", &daemon, 80).await);
    let daemon = Canned::new([ok(receipt("setting.set", "accepted", json!([])))]);
    let (mut screen, ..) = screen(80);
    run("mode set simple", &daemon, &mut screen).await.unwrap();
    let asked = &daemon.asked()[0];
    assert_eq!(asked.line, "PUT /api/v1/settings/provision.mode HTTP/1.1");
    assert_eq!(asked.body, json!({ "value": "simple" }));
}
