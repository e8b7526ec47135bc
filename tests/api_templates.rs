//! Templates, the defaults of installations and the mode over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

#[path = "common/api.rs"]
mod api;

use api::Place;
use serde_json::{Value, json};

const OFF: &str = "/api/v1/templates/off";
const DEFAULTS: &str = "/api/v1/defaults";

fn source(action: &str) -> String {
    let text = format!(
        "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {{name: off}}\nspec: {{actions: [{{action: {action}}}]}}\n"
    );
    json!({ "source": text }).to_string()
}

#[tokio::test]
async fn a_template_is_kept_shown_and_deleted() {
    let place = Place::new().await;
    let all = place.get("/api/v1/templates").await.json();
    let names = all["items"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|item| item["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"debian-13") && !names.contains(&"off"),
        "{names:?}"
    );
    let kept = place.send("PUT", OFF, &source("poweroff")).await.json();
    assert_eq!(
        (&kept["command"], &kept["version"]),
        (&json!("template.put"), &json!(1))
    );
    let shown = place.get(OFF).await;
    assert_eq!(shown.header("etag"), Some("\"v1\""));
    let shown = shown.json();
    assert_eq!(
        (&shown["origin"], &shown["format"]),
        (&json!("own"), &json!("dragonfly"))
    );
    assert_eq!(
        shown["steps"],
        json!([{ "name": "poweroff", "action": "poweroff" }])
    );
    assert!(shown["source"].as_str().unwrap().contains("kind: Template"));
    place.send("DELETE", OFF, "").await.json();
    place.get(OFF).await.problem(404, "not_found");
    place
        .send("DELETE", "/api/v1/templates/debian-13", "")
        .await
        .problem(409, "conflict");
    let slip = place
        .get("/api/v1/templates/debain-13")
        .await
        .problem(404, "not_found");
    assert!(
        slip["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean 'debian-13'?"),
        "{slip}"
    );
}

#[tokio::test]
async fn all_that_is_wrong_with_a_template_is_told_with_its_places() {
    let place = Place::new().await;
    let wrong = source("powerof").replace("kind: Template", "kind: template");
    let told = place.send("PUT", OFF, &wrong).await.refused("source");
    let errors = told["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{told}");
    assert_eq!(
        (&errors[0]["line"], &errors[1]["line"]),
        (&json!(2), &json!(4))
    );
}

#[tokio::test]
async fn defaults_are_changed_together_and_the_password_is_told_nowhere() {
    const HASH: &str = "$6$saltsaltsalt$QzStZXWvYIrbYjW8kHwBuRjxlCh8Rv5M8JIKoUqWKm8B";
    let place = Place::new().await;
    let body = json!({ "user": "ada", "password_hash": HASH, "dns": ["192.0.2.1", "192.0.2.2"], "os": "debian-13" });
    let receipt = place
        .send("PATCH", DEFAULTS, &body.to_string())
        .await
        .json();
    assert_eq!(receipt["command"], "defaults.set");
    let set = place.get(DEFAULTS).await.json();
    assert_eq!(
        set,
        json!({
            "user": "ada", "ssh_keys": [], "password_set": true, "os": "debian-13",
            "dns": ["192.0.2.1", "192.0.2.2"], "ntp": [],
        })
    );
    let paths = [
        DEFAULTS,
        "/api/v1/settings",
        "/api/v1/settings/defaults.password_hash",
        "/api/v1/events",
    ];
    for path in paths {
        let told: Value = place.get(path).await.json();
        assert!(!told.to_string().contains("QzStZXW"), "{path}: {told}");
    }
    place
        .send("PATCH", DEFAULTS, r#"{"user":null}"#)
        .await
        .json();
    assert_eq!(place.get(DEFAULTS).await.json()["user"], "dragonfly");
    let slip = place
        .send("PATCH", DEFAULTS, r#"{"usre":"ada"}"#)
        .await
        .refused("usre");
    assert!(
        slip["reason"]
            .as_str()
            .unwrap()
            .contains("did you mean 'user'?"),
        "{slip}"
    );
    place
        .send("PATCH", DEFAULTS, r#"{"dns":[1]}"#)
        .await
        .refused("dns");
    place
        .send("PATCH", DEFAULTS, r#"{"dns":["ns1"]}"#)
        .await
        .refused("defaults.dns");
}

#[tokio::test]
async fn the_mode_is_a_setting_with_three_words() {
    let place = Place::new().await;
    let path = "/api/v1/settings/provision.mode";
    let receipt = place
        .send("PUT", path, r#"{"value":"flight"}"#)
        .await
        .json();
    assert!(
        receipt["notes"][0]
            .as_str()
            .unwrap()
            .contains("default system"),
        "{receipt}"
    );
    place
        .send("PUT", path, r#"{"value":"swarm"}"#)
        .await
        .refused("provision.mode");
}
