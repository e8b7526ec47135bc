//! Events over HTTP: pages of the log, and the live stream with its resumption, reset, bound and end.

#![allow(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

#[path = "common/api.rs"]
mod api;

use api::{PATIENCE, Place, Stream};
use dragonfly::store::{Retention, Store};
use jiff::Timestamp;
use serde_json::json;
use test_case::test_case;

fn machine(n: u32) -> String {
    json!({ "mac": format!("52:54:00:00:{:02x}:{:02x}", n / 256, n % 256) }).to_string()
}

#[tokio::test]
async fn the_log_is_read_from_either_end_in_pages() {
    let place = Place::new().await;
    for n in 0..7 {
        place.add(&machine(n)).await;
    }
    for order in ["newest", "oldest"] {
        let mut cursors = Vec::new();
        let mut path = format!("/api/v1/events?order={order}&limit=3");
        loop {
            let page = place.get(&path).await.json();
            let items = page["items"].as_array().unwrap().clone();
            cursors.extend(
                items
                    .iter()
                    .map(|item| item["cursor"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/api/v1/events?order={order}&limit=3&cursor={next}");
        }
        let mut sorted = cursors.clone();
        sorted.sort();
        if order == "newest" {
            sorted.reverse();
        }
        assert_eq!(cursors, sorted);
        assert_eq!(cursors.len(), 7, "{order}");
    }
    place.stop().await;
}

#[tokio::test]
async fn events_are_told_by_machine_and_by_audit_with_a_line_for_people() {
    let place = Place::new().await;
    let first = place.add(&machine(1)).await;
    place.add(&machine(2)).await;
    let path = format!("/api/v1/machines/{first}");
    place
        .send("PATCH", &path, r#"{"friendly_name":"topaz"}"#)
        .await;
    let of = place
        .get(&format!("/api/v1/events?machine={first}"))
        .await
        .json();
    let items = of["items"].as_array().unwrap();
    assert!(
        items.len() >= 2
            && items
                .iter()
                .all(|item| item["subject_id"] == first.as_str())
    );
    assert!(
        items[0]["text"].as_str().unwrap().starts_with("topaz: "),
        "{}",
        items[0]["text"]
    );
    assert_eq!(items[0]["actor"]["from"], "http 127.0.0.1");
    let audit = place.get("/api/v1/events?audit=true").await.json();
    assert!(
        audit["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["audit"] == true)
    );
    place
        .get("/api/v1/events?machine=nobody")
        .await
        .problem(404, "not_found");
    place.get("/api/v1/events?cursor=7").await.refused("cursor");
    place.stop().await;
}

#[test_case("text/html", 406)]
#[test_case("application/json", 200)]
#[test_case("*/*", 200)]
#[test_case("text/html, application/json;q=0.5", 200)]
#[tokio::test]
async fn a_client_gets_the_media_type_that_it_asks_for(accept: &str, status: u16) {
    let place = Place::new().await;
    let reply = place
        .call("GET", "/api/v1/events", &[("Accept", accept)], "")
        .await;
    assert_eq!(reply.status, status, "{}", reply.body);
    place.stop().await;
}

#[tokio::test]
async fn a_stream_begins_at_now_and_goes_on_where_it_was_left() {
    let place = Place::new().await;
    place.add(&machine(1)).await;
    let mut stream = place.follow("", &[]).await;
    place.add(&machine(2)).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.event, "machine.registered");
    assert_eq!(first.data["data"]["mac"], "52:54:00:00:00:02");
    assert_eq!(first.data["cursor"], first.id.as_str());
    drop(stream);
    place.add(&machine(3)).await;
    place.add(&machine(4)).await;
    let mut again = place.follow("", &[("Last-Event-ID", &first.id)]).await;
    let mut by_query = place.follow(&format!("?cursor={}", first.id), &[]).await;
    for stream in [&mut again, &mut by_query] {
        assert_eq!(mac(stream).await, "52:54:00:00:00:03");
        assert_eq!(mac(stream).await, "52:54:00:00:00:04");
    }
    place.stop().await;
}

async fn mac(stream: &mut Stream) -> String {
    let message = stream.next().await.expect("a message");
    message.data["data"]["mac"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test_case("7"; "a number")]
#[test_case("e"; "no digits")]
#[test_case("e00000000000000000000"; "too many digits")]
#[test_case("exyz"; "no hexadecimal digits")]
#[tokio::test]
async fn a_last_event_id_that_was_never_given_out_is_refused(id: &str) {
    let place = Place::new().await;
    let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", id)];
    place
        .call("GET", "/api/v1/events", &headers, "")
        .await
        .refused("Last-Event-ID");
    place.stop().await;
}

#[tokio::test]
async fn a_stream_that_missed_events_is_told_and_goes_on_from_now() {
    let place = Place::new().await;
    let id = place.add(&machine(1)).await;
    let path = format!("/api/v1/machines/{id}");
    for n in 0..20 {
        let body = json!({ "friendly_name": format!("name {n}") }).to_string();
        assert_eq!(place.send("PATCH", &path, &body).await.status, 200);
    }
    let trimmed = place
        .store
        .trim(Retention {
            before: Timestamp::MAX,
            max_count: 0,
        })
        .await
        .unwrap();
    let stale = "e0000000000001";
    let mut stream = place.follow("", &[("Last-Event-ID", stale)]).await;
    let reset = stream.next().await.unwrap();
    // Should all events be of the audit log, nothing is gone and there is nothing to reset.
    if trimmed.removed > 0 {
        assert_eq!(reset.event, "reset");
        assert_eq!(reset.data["floor"], trimmed.floor.to_string());
        place.add(&machine(2)).await;
        assert_eq!(mac(&mut stream).await, "52:54:00:00:00:02");
    }
    place.stop().await;
}

#[tokio::test]
async fn a_place_beyond_the_end_is_a_reset() {
    let place = Place::new().await;
    let mut stream = place
        .follow("", &[("Last-Event-ID", "e00000000fffff")])
        .await;
    assert_eq!(stream.next().await.unwrap().event, "reset");
    place.add(&machine(1)).await;
    assert_eq!(mac(&mut stream).await, "52:54:00:00:00:01");
    place.stop().await;
}

#[tokio::test]
async fn streams_are_bounded_and_a_closed_one_makes_room() {
    let place = Place::new().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(place.follow("", &[]).await);
    }
    let headers = [("Accept", "text/event-stream")];
    let refused = place.call("GET", "/api/v1/events", &headers, "").await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(place.get("/livez").await.status, 200);
    assert!(
        place
            .get("/metrics")
            .await
            .body
            .contains("dragonfly_event_streams 64")
    );
    streams.pop();
    let room = async {
        while !place
            .get("/metrics")
            .await
            .body
            .contains("dragonfly_event_streams 63")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, room)
        .await
        .expect("the stream to be let go");
    place.follow("", &[]).await;
    place.stop().await;
}

#[tokio::test]
async fn every_stream_ends_within_a_second_of_the_stop() {
    let place = Place::new().await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(place.follow("", &[]).await);
    }
    let took = place.stop().await;
    assert!(took.as_millis() < 1000, "{took:?}");
    for mut stream in streams {
        assert!(stream.next().await.is_none());
    }
}
