//! What stands beside the nouns: the page, health, figures, status, and the document that describes it all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

#[path = "common/api.rs"]
mod api;

use std::collections::BTreeSet;

use api::Place;
use dragonfly::store::Store;
use dragonfly::web::{Mode, Ready};
use serde_json::{Value, json};

#[tokio::test]
async fn the_page_of_an_empty_place_says_what_to_do() {
    let place = Place::new().await;
    let page = place.get("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.body.contains("dragonfly machine add 52:"));
    assert!(!page.body.contains("class=\"banner\""));
    assert!(page.body.contains("/api/v1/openapi.json"));
    assert_eq!(
        place.get("/style.css").await.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    place.stop().await;
}

#[tokio::test]
async fn the_page_escapes_what_people_and_machines_write() {
    let place = Place::in_mode(Mode::Demo).await;
    let hostile = r#"<script>alert("x")</script>"#;
    let body = json!({ "mac": "52:54:00:00:00:01", "friendly_name": hostile });
    let id = place.add(&body.to_string()).await;
    let lock = json!({ "reason": "<img src=x onerror=alert(1)>" }).to_string();
    assert_eq!(
        place
            .send("PUT", &format!("/api/v1/machines/{id}/lock"), &lock)
            .await
            .status,
        200
    );
    let site = json!({ "value": "</title><b>site" }).to_string();
    assert_eq!(
        place
            .send("PUT", "/api/v1/settings/site.name", &site)
            .await
            .status,
        200
    );
    let page = place.get("/").await.body;
    assert!(page.contains("class=\"banner\""));
    assert!(page.contains("&lt;script&gt;alert("), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>site"));
    place.stop().await;
}

#[tokio::test]
async fn the_page_shows_a_hundred_machines_and_counts_the_rest() {
    let place = Place::new().await;
    for n in 0..103 {
        place
            .add(&json!({ "mac": format!("52:54:00:00:00:{n:02x}") }).to_string())
            .await;
    }
    let page = place.get("/").await.body;
    assert_eq!(page.matches("<td class=\"mac\">").count(), 100);
    assert!(page.contains("and 3 more"));
    place.stop().await;
}

#[tokio::test]
async fn readiness_tells_why_not() {
    let place = Place::new().await;
    assert_eq!(place.get("/livez").await.body, "alive\n");
    assert_eq!(place.get("/readyz").await.body, "ready\n");
    place
        .ready
        .send(Ready::No("the store is being opened".into()))
        .unwrap();
    let waits = place.get("/readyz").await;
    assert_eq!(
        (waits.status, waits.body.as_str()),
        (503, "not ready: the store is being opened\n")
    );
    assert_eq!(place.get("/livez").await.status, 200);
    place.stop().await;
}

#[tokio::test]
async fn a_closed_store_refuses_changes_and_says_so() {
    let place = Place::new().await;
    place.store.close().await.unwrap();
    let body = r#"{"mac":"52:54:00:00:00:01"}"#;
    let refused = place.send("POST", "/api/v1/machines", body).await;
    assert_eq!(refused.problem(503, "unavailable")["retryable"], true);
    place.stop().await;
}

#[tokio::test]
async fn figures_count_requests_commands_and_machines_under_our_own_words() {
    let place = Place::new().await;
    place.add(r#"{"mac":"52:54:00:00:00:01"}"#).await;
    place.get("/no/such/path").await;
    place.call("BREW", "/livez", &[], "").await;
    let figures = place.get("/metrics").await;
    assert!(
        figures
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    for line in [
        r#"dragonfly_machines{state="discovered"} 1"#,
        r#"dragonfly_machines{state="error"} 0"#,
        r#"dragonfly_commands_total{command="machine.add",outcome="accepted"} 1"#,
        r#"dragonfly_http_requests_total{method="POST",route="/api/v1/machines",status="2xx"} 1"#,
        r#"dragonfly_http_requests_total{method="GET",route="other",status="4xx"} 1"#,
        r#"dragonfly_http_requests_total{method="other",route="/livez",status="4xx"} 1"#,
        "dragonfly_event_streams 0",
        "dragonfly_panics_total 0",
        "dragonfly_store_commits_total ",
        "process_resident_memory_bytes ",
        "# EOF",
    ] {
        assert!(
            figures.body.contains(line),
            "{line} is not in\n{}",
            figures.body
        );
    }
    assert!(!figures.body.contains("BREW") && !figures.body.contains("such"));
    place.stop().await;
}

#[tokio::test]
async fn the_status_tells_how_it_is() {
    let place = Place::in_mode(Mode::Demo).await;
    place.add(r#"{"mac":"52:54:00:00:00:01"}"#).await;
    let status = place.get("/api/v1/status").await.json();
    assert_eq!(
        (&status["mode"], &status["ready"]),
        (&json!("demo"), &json!(true))
    );
    assert!(status["banner"].as_str().unwrap().starts_with("Demo"));
    assert_eq!(status["machines"], 1);
    assert_eq!(status["machines_by_state"]["discovered"], 1);
    place.stop().await;
}

/// Follows every reference, so that the document is whole in itself.
fn check_references(at: &Value, document: &Value) {
    match at {
        Value::Object(entries) => {
            if let Some(Value::String(reference)) = entries.get("$ref") {
                let place = reference
                    .strip_prefix('#')
                    .expect("a reference into the document");
                assert!(
                    document.pointer(place).is_some(),
                    "{reference} leads nowhere"
                );
            }
            entries
                .values()
                .for_each(|entry| check_references(entry, document));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(item, document)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_whole_and_every_path_in_it_answers() {
    let place = Place::new().await;
    let document = place.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    check_references(&document, &document);
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(names.insert(id.to_owned()), "{id} stands twice");
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
            let path = path.replace("{machine}", "nobody").replace("{key}", "none");
            let path = path.replace("{link}", "eth9").replace("{mac}", "none");
            let reply = place.send(&method.to_uppercase(), &path, "").await;
            assert!(
                ![0, 405, 500].contains(&reply.status),
                "{method} {path}: {}",
                reply.status
            );
            if reply.status == 404 {
                let detail = reply.json()["detail"].as_str().unwrap().to_owned();
                assert!(
                    !detail.starts_with("there is nothing at"),
                    "{method} {path}: {detail}"
                );
            }
        }
    }
    assert!(names.len() >= 25, "{names:?}");
    place.stop().await;
}

#[tokio::test]
async fn answers_have_the_shape_that_their_types_tell() {
    let place = Place::new().await;
    let body = r#"{"mac":"52:54:00:00:00:01","hostname":"web01","tags":["rack2"]}"#;
    let id = place.add(body).await;
    let path = format!("/api/v1/machines/{id}");
    place
        .send("PATCH", &path, r#"{"hostname":"web02","labels":{"a":"b"}}"#)
        .await;
    place
        .send("PUT", &format!("{path}/lock"), r#"{"reason":"why"}"#)
        .await;
    round_trip::<dragonfly::api::Machine>(&place, &path).await;
    round_trip::<dragonfly::api::List<dragonfly::api::Machine>>(&place, "/api/v1/machines").await;
    round_trip::<dragonfly::api::List<dragonfly::api::Event>>(&place, "/api/v1/events").await;
    round_trip::<dragonfly::api::Status>(&place, "/api/v1/status").await;
    round_trip::<dragonfly::api::List<dragonfly::api::Setting>>(&place, "/api/v1/settings").await;
    place.stop().await;
}

/// Read as the type and written again, nothing is lost and nothing is new.
async fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(place: &Place, path: &str) {
    let sent = place.get(path).await.json();
    let read: T =
        serde_json::from_value(sent.clone()).unwrap_or_else(|e| panic!("{path}: {e}: {sent}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), sent, "{path}");
}
