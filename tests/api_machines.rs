//! Machines, tags, conflicts and settings over HTTP: what is taken, what is refused and how, and that a
//! repeated or a stale call changes nothing.

#[path = "common/api.rs"]
mod api;

use api::Place;
use dragonfly::model::setting::SETTINGS;
use serde_json::{Value, json};
use test_case::test_case;

const WEB01: &str = r#"{"mac":"52:54:00:00:00:01","hostname":"web01","tags":["rack2"]}"#;

#[tokio::test]
async fn a_machine_is_added_shown_edited_applied_locked_and_deleted() {
    let place = Place::new().await;
    let added = place.send("POST", "/api/v1/machines", WEB01).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let id = added.json()["subject_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/machines/{id}");
    assert_eq!(added.header("location"), Some(path.as_str()));
    assert_eq!(added.header("etag"), Some("\"v1\""));

    for name in [
        id.as_str(),
        "52:54:00:00:00:01",
        "52-54-00-00-00-01",
        "web01",
    ] {
        let shown = place.get(&format!("/api/v1/machines/{name}")).await;
        assert_eq!(shown.json()["id"], id.as_str(), "{name}");
    }

    let set = place
        .send(
            "PATCH",
            &path,
            r#"{"hostname":"web02","labels":{"owner":"ada"}}"#,
        )
        .await;
    assert_eq!(set.status, 200, "{}", set.body);
    let shown = place.get(&path).await.json();
    assert_eq!(
        (&shown["hostname"], &shown["version"]),
        (&json!("web01"), &json!(2))
    );
    assert_eq!(shown["pending"]["diff"].as_array().unwrap().len(), 2);

    assert_eq!(
        place
            .send("POST", &format!("{path}/apply"), "")
            .await
            .status,
        200
    );
    let shown = place.get(&path).await.json();
    assert_eq!(
        (&shown["hostname"], &shown["pending"]),
        (&json!("web02"), &Value::Null)
    );
    assert_eq!(shown["labels"], json!({"owner": "ada"}));

    let lock = place
        .send(
            "PUT",
            &format!("{path}/lock"),
            r#"{"reason":"holds the backups"}"#,
        )
        .await;
    assert_eq!(lock.status, 200, "{}", lock.body);
    let refused = place.send("DELETE", &path, "").await.problem(423, "locked");
    assert!(refused["hint"].as_str().unwrap().contains("unlock"));
    assert_eq!(
        place
            .send("DELETE", &format!("{path}/lock"), "")
            .await
            .status,
        200
    );
    assert_eq!(place.send("DELETE", &path, "").await.status, 200);
    place.get(&path).await.problem(404, "not_found");
    place.stop().await;
}

#[tokio::test]
async fn tags_are_put_on_and_taken_off_and_counted() {
    let place = Place::new().await;
    let id = place.add(WEB01).await;
    let path = format!("/api/v1/machines/{id}/tags");
    let tagged = place
        .send("POST", &path, r#"{"add":["web","db"],"remove":["rack2"]}"#)
        .await;
    assert_eq!(tagged.status, 200, "{}", tagged.body);
    let tags = place.get("/api/v1/tags").await.json();
    assert_eq!(
        tags["items"],
        json!([{"tag": "db", "machines": 1}, {"tag": "web", "machines": 1}])
    );
    place
        .send("POST", &path, r#"{"add":["ok","no spaces"]}"#)
        .await
        .refused("add[1]");
    place.stop().await;
}

#[tokio::test]
async fn two_machines_are_merged_and_split_again() {
    let place = Place::new().await;
    let keep = place.add(r#"{"mac":"52:54:00:00:00:01"}"#).await;
    let absorb = place.add(r#"{"mac":"52:54:00:00:00:02"}"#).await;
    let path = format!("/api/v1/machines/{keep}");
    let body = json!({ "absorb": absorb }).to_string();
    let merged = place.send("POST", &format!("{path}/merge"), &body).await;
    assert_eq!(merged.status, 200, "{}", merged.body);
    assert_eq!(
        place.get(&path).await.json()["macs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let body = r#"{"macs":["52:54:00:00:00:02"]}"#;
    let split = place.send("POST", &format!("{path}/split"), body).await;
    assert_eq!(split.status, 200, "{}", split.body);
    assert_eq!(place.get("/api/v1/machines").await.json()["total"], 2);
    assert_eq!(place.get("/api/v1/conflicts").await.json()["total"], 0);
    place.stop().await;
}

#[test_case("{}", "mac"; "no mac")]
#[test_case(r#"{"mac":"52:54:00"}"#, "mac"; "a mac that is short")]
#[test_case(r#"{"mac":"zz:54:00:00:00:01"}"#, "mac"; "a mac with letters")]
#[test_case(r#"{"mac":"ff:ff:ff:ff:ff:ff"}"#, "mac"; "broadcast")]
#[test_case(r#"{"mac":5}"#, "mac"; "a number for a mac")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","hostname":"web_01"}"#, "hostname"; "an underscore in a host name")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","hostname":"-web"}"#, "hostname"; "a host name with a hyphen first")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","friendly_name":"a\u0000b"}"#, "friendly_name"; "a control character in a name")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","os_choice":"de bian"}"#, "os_choice"; "a system with a space")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","tags":["ok","a b"]}"#, "tags[1]"; "a tag with a space")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","tags":["ok",7]}"#, "tags[1]"; "a number for a tag")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","tags":"rack2"}"#, "tags"; "text for tags")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","other_macs":["52:54"]}"#, "other_macs[0]"; "another mac that is short")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","smbios_uuid":"7"}"#, "smbios_uuid"; "no uuid")]
#[test_case(r#"{"mac":"52:54:00:00:00:01","hostnmae":"web01"}"#, "hostnmae"; "an unknown key")]
#[test_case(r#"{"mac":"52:54:00:00:00:01""#, "body"; "a body that breaks off")]
#[test_case(r#"{"mac":"52:54:00:00:00:01"} {}"#, "body"; "two bodies")]
#[test_case("[]", "body"; "a list for a body")]
#[test_case("null", "body"; "null for a body")]
#[test_case("\u{feff}{}", "body"; "a byte order mark")]
#[test_case("", "body"; "no body")]
#[tokio::test]
async fn a_wrong_new_machine_is_refused_by_field_and_nothing_is_kept(body: &str, field: &str) {
    let place = Place::new().await;
    place
        .send("POST", "/api/v1/machines", body)
        .await
        .refused(field);
    assert_eq!(place.get("/api/v1/machines").await.json()["total"], 0);
    place.stop().await;
}

#[test_case(r#"{"mac":"52:54"}"#, "mac")]
#[test_case(r#"{"mac":null}"#, "mac"; "a mac cannot be cleared")]
#[test_case(r#"{"hostname":"web..net"}"#, "hostname")]
#[test_case(r#"{"hostname":"10.0.0.1"}"#, "hostname"; "an address for a host name")]
#[test_case(r#"{"hostname":7}"#, "hostname"; "a number for a host name")]
#[test_case(r#"{"friendly_name":" "}"#, "friendly_name")]
#[test_case(r#"{"friendly_name":"a\u202eb"}"#, "friendly_name"; "a name that turns round")]
#[test_case(r#"{"tags":{"a":1}}"#, "tags"; "an object for tags")]
#[test_case(r#"{"tags":["-a"]}"#, "tags[0]")]
#[test_case(r#"{"labels":["a"]}"#, "labels"; "a list for labels")]
#[test_case(r#"{"labels":{"a":1}}"#, "labels.a"; "a number in labels")]
#[test_case(r#"{"static_ip":"192.0.2.1"}"#, "static_ip"; "no prefix")]
#[test_case(r#"{"static_ip":"192.0.2.0/24"}"#, "static_ip"; "the network's own address")]
#[test_case(r#"{"static_ip":"192.0.2.9/24 via 198.51.100.1"}"#, "static_ip"; "a gateway elsewhere")]
#[test_case(r#"{"status":"asleep"}"#, "status")]
#[test_case(r#"{"status":"provisioned"}"#, "status"; "a status that nobody may set")]
#[test_case(r#"{"status":null}"#, "status"; "a status cannot be cleared")]
#[test_case(r#"{"os_choice":""}"#, "os_choice")]
#[test_case(r#"{"hostnam":"a"}"#, "hostnam"; "an unknown field")]
#[test_case("{}", "body"; "nothing to change")]
#[tokio::test]
async fn a_wrong_edit_is_refused_by_field_and_nothing_changes(body: &str, field: &str) {
    let place = Place::new().await;
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    place.send("PATCH", &path, body).await.refused(field);
    assert_eq!(place.get(&path).await.json()["version"], 1);
    place.stop().await;
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_the_nearest_one() {
    let place = Place::new().await;
    let body = r#"{"mac":"52:54:00:00:00:01","hostnmae":"web01"}"#;
    let refused = place
        .send("POST", "/api/v1/machines", body)
        .await
        .refused("hostnmae");
    assert!(
        refused["reason"]
            .as_str()
            .unwrap()
            .contains("did you mean 'hostname'?"),
        "{refused}"
    );
    let refused = place
        .get("/api/v1/machines?stat=ready")
        .await
        .refused("stat");
    assert!(
        refused["reason"]
            .as_str()
            .unwrap()
            .contains("did you mean 'state'?"),
        "{refused}"
    );
    place.stop().await;
}

#[test_case("limit=0", "limit")]
#[test_case("limit=1001", "limit")]
#[test_case("limit=+5", "limit"; "a sign")]
#[test_case("limit=99999999999999999999", "limit"; "a number beyond all")]
#[test_case("limit=1&limit=2", "limit"; "twice")]
#[test_case("state=asleep", "state")]
#[test_case("locked=yes", "locked")]
#[test_case("q=", "q"; "an empty word")]
#[test_case("tag=a%20b", "tag")]
#[test_case("sort=size", "sort")]
#[test_case("cursor=nonsense", "cursor")]
#[tokio::test]
async fn a_wrong_parameter_of_a_list_is_refused_by_name(query: &str, field: &str) {
    let place = Place::new().await;
    place
        .get(&format!("/api/v1/machines?{query}"))
        .await
        .refused(field);
    place.stop().await;
}

#[tokio::test]
async fn a_list_is_walked_in_pages_to_its_end_and_filtered() {
    let place = Place::new().await;
    for n in 0..25 {
        let tags = if n % 5 == 0 {
            json!(["five", "web"])
        } else {
            json!(["web"])
        };
        let body = json!({ "mac": format!("52:54:00:00:01:{n:02x}"), "tags": tags,
            "hostname": format!("web{n:02}") });
        place.add(&body.to_string()).await;
    }
    for sort in [
        "registered",
        "-registered",
        "name",
        "-name",
        "hostname",
        "-hostname",
        "updated",
    ] {
        let mut seen = Vec::new();
        let mut path = format!("/api/v1/machines?limit=7&sort={sort}");
        loop {
            let page = place.get(&path).await.json();
            assert_eq!(page["total"], 25);
            let items = page["items"].as_array().unwrap();
            seen.extend(
                items
                    .iter()
                    .map(|item| item["hostname"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/api/v1/machines?limit=7&sort={sort}&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), sorted.len()), (25, 25), "{sort}");
        if sort == "-hostname" {
            sorted.reverse();
            assert_eq!(seen, sorted);
        }
    }
    let count = |page: Value| page["items"].as_array().unwrap().len();
    assert_eq!(
        count(place.get("/api/v1/machines?tag=five").await.json()),
        5
    );
    assert_eq!(
        count(place.get("/api/v1/machines?tag=five&tag=web").await.json()),
        5
    );
    assert_eq!(count(place.get("/api/v1/machines?q=WEB1").await.json()), 10);
    assert_eq!(
        count(place.get("/api/v1/machines?state=ready").await.json()),
        0
    );
    assert_eq!(
        count(
            place
                .get("/api/v1/machines?locked=false&pending=false")
                .await
                .json()
        ),
        25
    );
    place.stop().await;
}

#[tokio::test]
async fn a_stale_version_is_refused_with_the_current_one() {
    let place = Place::new().await;
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    let edit = r#"{"friendly_name":"topaz"}"#;
    let first = place
        .call("PATCH", &path, &[("If-Match", "\"v1\"")], edit)
        .await;
    assert_eq!(
        (first.status, first.header("etag")),
        (200, Some("\"v2\"")),
        "{}",
        first.body
    );
    let edit = r#"{"friendly_name":"opal"}"#;
    let second = place
        .call("PATCH", &path, &[("If-Match", "\"v1\"")], edit)
        .await;
    assert_eq!(second.problem(412, "conflict")["current_version"], 2);
    assert_eq!(second.header("etag"), Some("\"v2\""));
    assert_eq!(place.get(&path).await.json()["friendly_name"], "topaz");
    let any = place.call("PATCH", &path, &[("If-Match", "*")], edit).await;
    assert_eq!(any.status, 200);
    for wrong in ["v1", "\"1\"", "W/\"v1\"", "\"v-1\""] {
        place
            .call("PATCH", &path, &[("If-Match", wrong)], edit)
            .await
            .refused("If-Match");
    }
    place.stop().await;
}

#[tokio::test]
async fn a_client_that_holds_the_version_is_sent_nothing() {
    let place = Place::new().await;
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    for tag in ["\"v1\"", "W/\"v1\"", "\"v9\", \"v1\"", "*"] {
        let reply = place
            .call("GET", &path, &[("If-None-Match", tag)], "")
            .await;
        assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{tag}");
        assert_eq!(reply.header("etag"), Some("\"v1\""));
    }
    let reply = place
        .call("GET", &path, &[("If-None-Match", "\"v2\"")], "")
        .await;
    assert_eq!(reply.status, 200);
    place.stop().await;
}

#[tokio::test]
async fn a_key_makes_a_repeated_call_harmless_and_another_body_a_refusal() {
    let place = Place::new().await;
    let key = [("Idempotency-Key", "add-web01")];
    let first = place.call("POST", "/api/v1/machines", &key, WEB01).await;
    let again = place.call("POST", "/api/v1/machines", &key, WEB01).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.body);
    assert_eq!(first.json(), again.json());
    let other = r#"{"mac":"52:54:00:00:00:02"}"#;
    place
        .call("POST", "/api/v1/machines", &key, other)
        .await
        .problem(422, "key_reused");
    assert_eq!(place.get("/api/v1/machines").await.json()["total"], 1);
    let long = "x".repeat(129);
    let key = [("Idempotency-Key", long.as_str())];
    place
        .call("POST", "/api/v1/machines", &key, WEB01)
        .await
        .refused("Idempotency-Key");
    place.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_the_diff_and_changes_nothing() {
    let place = Place::new().await;
    let reply = place
        .send("POST", "/api/v1/machines?dry_run=true", WEB01)
        .await;
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &json!("dry_run")),
        "{}",
        reply.body
    );
    assert_eq!(place.get("/api/v1/machines").await.json()["total"], 0);
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    let reply = place
        .send(
            "PATCH",
            &format!("{path}?dry_run=true"),
            r#"{"hostname":"x1"}"#,
        )
        .await;
    assert_eq!(reply.json()["diff"][0]["to"], "x1", "{}", reply.body);
    assert_eq!(place.get(&path).await.json()["version"], 1);
    place.stop().await;
}

#[tokio::test]
async fn a_mac_is_changed_only_when_it_is_confirmed() {
    let place = Place::new().await;
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    let edit = r#"{"mac":"52:54:00:00:00:99"}"#;
    let asked = place
        .send("PATCH", &path, edit)
        .await
        .problem(428, "unconfirmed");
    assert_eq!(asked["field"], "mac");
    assert!(
        asked["reason"]
            .as_str()
            .unwrap()
            .contains("Definitely ready"),
        "{asked}"
    );
    assert_eq!(
        place
            .send("PATCH", &format!("{path}?confirm=true"), edit)
            .await
            .status,
        200
    );
    assert_eq!(place.get(&path).await.json()["mac"], "52:54:00:00:00:99");
    place.stop().await;
}

#[tokio::test]
async fn a_machine_that_exists_already_is_a_conflict() {
    let place = Place::new().await;
    place.add(WEB01).await;
    let again = place.send("POST", "/api/v1/machines", WEB01).await;
    again.problem(409, "conflict");
    place.stop().await;
}

#[tokio::test]
async fn names_in_paths_may_be_anything_and_find_nothing() {
    let place = Place::new().await;
    for name in [
        "nobody",
        "%00",
        "..%2f..%2fetc",
        "%F0%9F%90%89",
        "a%20b",
        "0000",
    ] {
        place
            .get(&format!("/api/v1/machines/{name}"))
            .await
            .problem(404, "not_found");
    }
    place
        .get("/api/v1/machines/%ff")
        .await
        .problem(400, "invalid");
    place
        .get(&format!("/api/v1/machines/{}", "x".repeat(254)))
        .await
        .refused("machine");
    place.stop().await;
}

#[tokio::test]
async fn a_setting_is_shown_set_checked_and_reset() {
    let place = Place::new().await;
    let path = "/api/v1/settings/site.name";
    assert_eq!(place.get(path).await.json()["value"], "Dragonfly");
    let set = place
        .send("PUT", path, r#"{"value":"Shelf in the hall"}"#)
        .await;
    assert_eq!(set.status, 200, "{}", set.body);
    let shown = place.get(path).await;
    assert_eq!(shown.json()["value"], "Shelf in the hall");
    assert_eq!(shown.header("etag"), Some("\"v1\""));
    assert_eq!(
        place.get("/api/v1/status").await.json()["site_name"],
        "Shelf in the hall"
    );
    place
        .send("PUT", path, r#"{"value":""}"#)
        .await
        .refused("site.name");
    place
        .send("PUT", path, r#"{"value":5}"#)
        .await
        .refused("value");
    place
        .send(
            "PUT",
            "/api/v1/settings/events.max_count",
            r#"{"value":"many"}"#,
        )
        .await
        .refused("events.max_count");
    assert_eq!(place.send("DELETE", path, "").await.status, 200);
    assert_eq!(place.get(path).await.json()["set"], false);
    let unknown = place
        .get("/api/v1/settings/site.nmae")
        .await
        .problem(404, "not_found");
    assert!(
        unknown["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean 'site.name'?")
    );
    assert_eq!(
        place.get("/api/v1/settings").await.json()["total"],
        SETTINGS.len()
    );
    place.stop().await;
}

#[tokio::test]
async fn a_call_that_takes_no_body_and_no_key_says_so() {
    let place = Place::new().await;
    let path = format!("/api/v1/machines/{}", place.add(WEB01).await);
    place
        .send("POST", &format!("{path}/discard"), "{}")
        .await
        .refused("body");
    let key = [("Idempotency-Key", "k")];
    place
        .call("GET", "/api/v1/machines", &key, "")
        .await
        .refused("Idempotency-Key");
    place.stop().await;
}
