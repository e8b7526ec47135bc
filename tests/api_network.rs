//! Networks, floating IPs, leases, machines on the wire and their boots over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

#[path = "common/api.rs"]
mod api;

use std::net::Ipv4Addr;

use api::Place;
use dragonfly::core::wire::{Found, LinkStatus, Scanned, Serving};
use dragonfly::model::network::{FloatingState, FloatingStatus, Holder, Lease, Serve};
use dragonfly::model::trace::{Mark, Stage, Step};
use dragonfly::model::{Arch, LinkName, MacAddr, Sighting};
use serde_json::{Value, json};
use test_case::test_case;

const NETWORK: &str = "/api/v1/networks/eth0";
const MAC: &str = "52:54:00:00:00:01";

fn eth0() -> LinkName {
    "eth0".parse().unwrap()
}

fn mac() -> MacAddr {
    MAC.parse().unwrap()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A link that is served at 10.0.0.9.
fn served(place: &Place) -> LinkStatus {
    LinkStatus {
        name: eth0(),
        mac: "52:54:00:ff:ff:01".parse().unwrap(),
        up: true,
        mtu: 1500,
        addresses: vec![(ip("10.0.0.2"), 24)],
        floating: FloatingStatus {
            state: FloatingState::Held,
            address: Some(ip("10.0.0.9")),
            since: place.core.clock().now(),
            text: "10.0.0.9 is held".into(),
            warning: Some("it lies in the pool of 10.0.0.1".into()),
        },
        serving: Serving {
            serve: Serve::Proxy,
            from: Some(ip("10.0.0.9")),
            why: String::new(),
        },
        counters: vec![("offers", 3)],
    }
}

fn step(place: &Place, stage: Stage, mark: Mark, text: &str) -> Step {
    Step {
        at: place.core.clock().now(),
        stage,
        mark,
        link: Some(eth0()),
        text: text.into(),
        why: String::new(),
    }
}

fn seen(place: &Place) -> Sighting {
    Sighting {
        arch: Some(Arch(7)),
        vendor: "PXEClient:Arch:00007".into(),
        waiting: true,
        ..Sighting::new(mac(), eth0(), place.core.clock().now())
    }
}

/// Read as the type and written again, nothing is lost and nothing is new.
async fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(place: &Place, path: &str) {
    let sent = place.get(path).await.json();
    let read: T =
        serde_json::from_value(sent.clone()).unwrap_or_else(|e| panic!("{path}: {e}: {sent}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), sent, "{path}");
}

#[tokio::test]
async fn a_network_is_set_up_and_shows_what_it_was_told() {
    let place = Place::new().await;
    let none = place.get(NETWORK).await.problem(404, "not_found");
    assert!(none["hint"].as_str().unwrap().contains("network list"));
    let body = json!({
        "serve": "server", "idle": "silence", "admit": "approve", "rungs": ["staple", "proxy"],
        "floating": "10.0.0.9", "scan": 7, "on_conflict": "release",
        "loaders": { "B8-27-EB": "firmware" }, "pool": "10.0.0.100-10.0.0.200", "router": "10.0.0.1",
        "dns": ["10.0.0.1", "9.9.9.9"], "domain": "lab.example.net", "lease_seconds": 7200,
        "reservations": { "52-54-00-00-00-01": "10.0.0.50" },
    });
    let body_text = body.to_string();
    let tried = format!("{NETWORK}?dry_run=true");
    let tried = place.send("PATCH", &tried, &body_text).await;
    assert_eq!(tried.json()["status"], "dry_run");
    let set = place.send("PATCH", NETWORK, &body_text).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(set.json()["diff"].as_array().unwrap().len(), 14);
    let shown = place.get(NETWORK).await.json();
    for (field, value) in body.as_object().unwrap() {
        let value = match field.as_str() {
            "rungs" => json!(["proxy", "staple"]),
            "loaders" => json!({ "b8:27:eb": "firmware" }),
            "reservations" => json!({ MAC: "10.0.0.50" }),
            _ => value.clone(),
        };
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(
        (&shown["version"], &shown["now"]),
        (&json!(1), &Value::Null)
    );
    let cleared = place.send(
        "PATCH",
        NETWORK,
        r#"{"serve":"proxy","pool":null,"dns":null}"#,
    );
    assert_eq!(cleared.await.status, 200);
    let shown = place.get(NETWORK).await.json();
    assert_eq!((&shown["pool"], &shown["dns"]), (&Value::Null, &json!([])));
    let stale = place.call(
        "PATCH",
        NETWORK,
        &[("If-Match", "\"v1\"")],
        r#"{"serve":"off"}"#,
    );
    stale.await.problem(412, "conflict");
    round_trip::<dragonfly::api::Network>(&place, NETWORK).await;
    place.stop().await;
}

#[test_case(r#"{"srve":"proxy"}"#, "srve", "did you mean 'serve'"; "a misspelt field")]
#[test_case(r#"{"serve":"prxy"}"#, "serve", "did you mean 'proxy'"; "a misspelt word")]
#[test_case(r#"{"serve":true}"#, "serve", "has to be text"; "no word at all")]
#[test_case(r#"{"serve":null}"#, "serve", "cannot be cleared"; "what has to have a value")]
#[test_case(r#"{"rungs":["proxy","stable"]}"#, "rungs[1]", "did you mean 'staple'"; "a rung that is none")]
#[test_case(r#"{"rungs":[]}"#, "rungs", "no machine would be told"; "no rung")]
#[test_case(r#"{"scan":-1}"#, "scan", "whole number"; "a number below zero")]
#[test_case(r#"{"scan":256}"#, "scan", "whole number"; "a number too large")]
#[test_case(r#"{"floating":"sometimes"}"#, "floating", "neither auto, off"; "no address")]
#[test_case(r#"{"pool":"10.0.0.9"}"#, "pool", "first and a last"; "half a pool")]
#[test_case(r#"{"dns":["10.0.0.1","x"]}"#, "dns[1]", "not an IPv4 address"; "a name server that is none")]
#[test_case(r#"{"domain":"no spaces"}"#, "domain", ""; "a domain that is none")]
#[test_case(r#"{"loaders":{"b8:27":"full"}}"#, "loaders.b8:27", "three octets"; "no vendor")]
#[test_case(r#"{"loaders":{"b8:27:eb":"fool"}}"#, "loaders.b8:27:eb", "did you mean 'full'"; "no loader")]
#[test_case(r#"{"reservations":{"52:54:00:00:00:01":"10.0.0.300"}}"#, "reservations.52:54:00:00:00:01", "not an IPv4"; "no address to reserve")]
#[test_case("{}", "body", "no field"; "nothing")]
#[tokio::test]
async fn what_cannot_be_meant_names_the_field_and_a_value_that_can(
    body: &str,
    field: &str,
    why: &str,
) {
    let place = Place::new().await;
    let problem = place.send("PATCH", NETWORK, body).await.refused(field);
    assert!(
        problem["reason"].as_str().unwrap().contains(why),
        "{problem}"
    );
    place.stop().await;
}

#[tokio::test]
async fn a_path_that_names_no_link_is_refused_by_that_name() {
    let place = Place::new().await;
    let long = "/api/v1/networks/a-name-that-is-too-long";
    place.get(long).await.refused("link");
    place.get("/api/v1/leases?link=a%2Fb").await.refused("link");
    place.core.wire().publish(served(&place));
    let near = place.get("/api/v1/networks/etho").await;
    let told = near.problem(404, "not_found")["detail"].to_string();
    assert!(told.contains("did you mean 'eth0'"), "{told}");
    place.stop().await;
}

#[tokio::test]
async fn what_is_served_stands_in_networks_floating_ips_and_the_status() {
    let place = Place::new().await;
    assert_eq!(place.get("/api/v1/status").await.json()["links"], json!([]));
    place.core.wire().publish(served(&place));
    place.core.seen().note(seen(&place));
    let networks = place.get("/api/v1/networks").await.json();
    let now = &networks["items"][0]["now"];
    assert_eq!(now["addresses"], json!(["10.0.0.2/24"]));
    assert_eq!(
        (&now["from"], &now["why"]),
        (&json!("10.0.0.9"), &Value::Null)
    );
    assert_eq!(now["counters"], json!({ "offers": 3 }));
    let floating = &place.get("/api/v1/floating-ips").await.json()["items"][0];
    assert_eq!(
        (&floating["want"], &floating["state"], &floating["address"]),
        (&json!("auto"), &json!("held"), &json!("10.0.0.9"))
    );
    let status = place.get("/api/v1/status").await.json();
    assert_eq!(status["links"][0], *now);
    assert_eq!(
        (&status["seen"], &status["waiting"]),
        (&json!(1), &json!(1))
    );
    round_trip::<dragonfly::api::List<dragonfly::api::Network>>(&place, "/api/v1/networks").await;
    let floating = "/api/v1/floating-ips";
    round_trip::<dragonfly::api::List<dragonfly::api::FloatingIp>>(&place, floating).await;
    round_trip::<dragonfly::api::Status>(&place, "/api/v1/status").await;
    place.stop().await;
}

#[tokio::test]
async fn a_floating_ip_is_wanted_and_let_go() {
    let place = Place::new().await;
    place.core.wire().publish(served(&place));
    let path = "/api/v1/floating-ips/eth0";
    let set = place.send("PUT", path, r#"{"want":"10.0.0.7"}"#).await;
    assert_eq!(
        set.json()["diff"],
        json!([{ "field": "floating", "from": "auto", "to": "10.0.0.7" }])
    );
    place
        .send("PUT", path, r#"{"want":"perhaps"}"#)
        .await
        .refused("want");
    let outside = place.send("PUT", path, r#"{"want":"10.0.1.7"}"#).await;
    assert!(
        outside.refused("floating")["reason"]
            .to_string()
            .contains("10.0.0.0/24")
    );
    assert_eq!(place.send("DELETE", path, "").await.status, 200);
    let floating = place.get("/api/v1/floating-ips").await.json();
    assert_eq!(floating["items"][0]["want"], "off");
    place.stop().await;
}

#[tokio::test]
async fn a_scan_is_answered_by_the_one_who_serves_the_link() {
    let place = Place::new().await;
    let path = "/api/v1/floating-ips/eth0/scan";
    let unserved = place.send("POST", path, "").await.problem(409, "conflict");
    assert!(unserved["hint"].as_str().unwrap().contains("net.links"));
    place.core.wire().publish(served(&place));
    let mut scans = place.core.wire().scans().unwrap();
    let answers = tokio::spawn(async move {
        let request = scans.recv().await.unwrap();
        let by = "52:54:00:00:00:07".parse().unwrap();
        let found = [
            ("10.0.0.3", Found::Taken { by }),
            ("10.0.0.4", Found::Free),
            ("10.0.0.9", Found::Own),
        ];
        let found = found.map(|(address, found)| Scanned {
            address: ip(address),
            found,
        });
        request.answer.send(Ok(found.into())).unwrap();
    });
    let scan = place.send("POST", path, "").await.json();
    let addresses = json!([
        { "address": "10.0.0.3", "found": "taken", "by": "52:54:00:00:00:07" },
        { "address": "10.0.0.4", "found": "free", "by": null },
        { "address": "10.0.0.9", "found": "own", "by": null },
    ]);
    assert_eq!(scan, json!({ "link": "eth0", "addresses": addresses }));
    answers.await.unwrap();
    place.stop().await;
}

#[tokio::test]
async fn leases_come_by_pages_and_name_their_machines() {
    let place = Place::new().await;
    place.core.wire().publish(served(&place));
    place
        .add(&json!({ "mac": MAC, "hostname": "web01" }).to_string())
        .await;
    let until = place.core.clock().now();
    let lease = |last: u8, holder| Lease {
        link: eth0(),
        address: Ipv4Addr::new(10, 0, 0, last),
        holder,
        until,
    };
    let client = |mac: &str| Holder::Client {
        mac: mac.parse().unwrap(),
        client_id: None,
        hostname: Some("nas".into()),
    };
    let all = vec![
        lease(100, client(MAC)),
        lease(101, client("52:54:00:00:00:02")),
        lease(102, Holder::Stranger),
    ];
    place.core.record_leases(all, Vec::new()).await.unwrap();
    let page = place.get("/api/v1/leases?limit=2").await.json();
    assert_eq!(
        (&page["total"], &page["items"][1]["hostname"]),
        (&json!(3), &json!("nas"))
    );
    assert!(page["items"][0]["machine"].is_string() && page["items"][1]["machine"].is_null());
    let next = page["next"].as_str().unwrap();
    let rest = place
        .get(&format!("/api/v1/leases?limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["items"][0]["mac"], &rest["next"]),
        (&Value::Null, &Value::Null)
    );
    let other = place.get("/api/v1/leases?link=eth1").await.json();
    assert_eq!(other["items"], json!([]));
    place.get("/api/v1/leases?cursor=x").await.refused("cursor");
    round_trip::<dragonfly::api::List<dragonfly::api::Lease>>(&place, "/api/v1/leases").await;
    place.stop().await;
}

#[tokio::test]
async fn who_was_seen_is_let_in_and_listed_no_more() {
    let place = Place::new().await;
    place.core.seen().note(seen(&place));
    let list = place.get("/api/v1/seen").await.json();
    let shown = &list["items"][0];
    assert_eq!(
        (&shown["mac"], &shown["platform"], &shown["waiting"]),
        (&json!(MAC), &json!("UEFI x64"), &json!(true))
    );
    round_trip::<dragonfly::api::List<dragonfly::api::Sighting>>(&place, "/api/v1/seen").await;
    let approve = |mac: &str| format!("/api/v1/seen/{mac}/approve");
    place
        .send("POST", &approve("nobody"), "")
        .await
        .refused("mac");
    let stranger = place.send("POST", &approve("52:54:00:00:00:02"), "").await;
    let hint = stranger.problem(409, "conflict")["hint"].to_string();
    assert!(hint.contains(MAC), "{hint}");
    let let_in = place.send("POST", &approve(MAC), "").await;
    assert_eq!(let_in.json()["status"], "accepted", "{}", let_in.body);
    assert_eq!(place.get("/api/v1/seen").await.json()["items"], json!([]));
    let machine = place.get(&format!("/api/v1/machines/{MAC}")).await.json();
    assert_eq!(machine["state"], "discovered");
    place.stop().await;
}

#[tokio::test]
async fn a_boot_is_ordered_once_shown_with_the_machine_and_taken_back() {
    let place = Place::new().await;
    let id = place.add(&json!({ "mac": MAC }).to_string()).await;
    let (machine, path) = (
        format!("/api/v1/machines/{id}"),
        format!("/api/v1/machines/{id}/boot-once"),
    );
    for body in [
        json!({ "kind": "shell" }),
        json!({ "kind": "chain", "url": "http://10.0.0.1/x.ipxe" }),
        json!({ "kind": "kernel", "kernel": "http://10.0.0.1/k", "initrds": ["http://10.0.0.1/i"], "cmdline": "quiet" }),
    ] {
        let ordered = place.send("POST", &path, &body.to_string()).await;
        assert_eq!(ordered.json()["status"], "accepted", "{}", ordered.body);
        assert_eq!(place.get(&machine).await.json()["boot"]["once"], body);
        round_trip::<dragonfly::api::Machine>(&place, &machine).await;
    }
    let wrong = r#"{"kind":"chain","url":"ftp://10.0.0.1/x"}"#;
    place.send("POST", &path, wrong).await.refused("url");
    place
        .send("POST", &path, r#"{"kind":"shel"}"#)
        .await
        .problem(400, "invalid");
    assert_eq!(
        place.send("DELETE", &path, "").await.json()["status"],
        "accepted"
    );
    assert_eq!(
        place.get(&machine).await.json()["boot"]["once"],
        Value::Null
    );
    assert_eq!(
        place.send("DELETE", &path, "").await.json()["status"],
        "unchanged"
    );
    let loader = format!("{machine}/loader");
    assert_eq!(
        place
            .send("PUT", &loader, r#"{"loader":"full"}"#)
            .await
            .status,
        200
    );
    assert_eq!(place.get(&machine).await.json()["boot"]["loader"], "full");
    let near = place
        .send("PUT", &loader, r#"{"loader":"fimware"}"#)
        .await
        .refused("loader");
    assert!(
        near["reason"]
            .as_str()
            .unwrap()
            .contains("did you mean 'firmware'")
    );
    place.stop().await;
}

#[tokio::test]
async fn a_trace_is_read_by_mac_before_the_machine_is_known_and_by_name_after() {
    let place = Place::new().await;
    place.core.wire().publish(served(&place));
    let path = format!("/api/v1/seen/{MAC}/trace");
    let none = place.get(&path).await.json();
    assert_eq!(
        (&none["state"], &none["steps"], &none["last"]),
        (&json!("unseen"), &json!([]), &json!(0))
    );
    place
        .core
        .traces()
        .note(mac(), step(&place, Stage::Dhcp, Mark::Discover, "it asked"));
    place.core.traces().note(
        mac(),
        step(&place, Stage::Dhcp, Mark::Offered, "we offered"),
    );
    let trace = place.get(&path).await.json();
    assert_eq!(
        (&trace["state"], &trace["machine"]),
        (&json!("going_on"), &Value::Null)
    );
    assert_eq!(trace["steps"][0]["mark"], "discover");
    round_trip::<dragonfly::api::Trace>(&place, &path).await;
    let last = trace["last"].as_u64().unwrap();
    let rest = place.get(&format!("{path}?after={last}")).await.json();
    assert_eq!((&rest["steps"], &rest["last"]), (&json!([]), &json!(last)));
    place.get(&format!("{path}?after=x")).await.refused("after");
    let id = place.add(&json!({ "mac": MAC }).to_string()).await;
    place.core.traces().note(
        mac(),
        step(&place, Stage::Script, Mark::ScriptGiven, "its script"),
    );
    let trace = place
        .get(&format!("/api/v1/machines/{id}/trace?after={last}"))
        .await
        .json();
    assert_eq!(
        (&trace["state"], trace["steps"].as_array().unwrap().len()),
        (&json!("arrived"), 1)
    );
    assert_eq!(trace["machine_id"], id.as_str());
    place.stop().await;
}

#[tokio::test]
async fn a_boot_that_stopped_tells_why_and_what_to_paste() {
    let place = Place::new().await;
    place.core.wire().publish(served(&place));
    let note = |stage, mark, text: &str, ago: i64| {
        let step = step(&place, stage, mark, text);
        let at = step.at - jiff::SignedDuration::from_secs(ago);
        place.core.traces().note(mac(), Step { at, ..step });
    };
    note(Stage::Dhcp, Mark::Discover, "it asked", 100);
    note(Stage::Dhcp, Mark::Offered, "we offered", 99);
    note(Stage::Dhcp, Mark::Request, "it took an address", 98);
    let trace = place.get(&format!("/api/v1/seen/{MAC}/trace")).await.json();
    assert_eq!(trace["state"], "stopped");
    let found = &trace["diagnosis"];
    assert_eq!(found["kind"], "offer_ignored", "{found}");
    let products: Vec<_> = found["snippets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["product"])
        .collect();
    for product in ["dnsmasq", "kea", "isc-dhcp", "mikrotik", "unifi"] {
        assert!(products.contains(&&json!(product)), "{products:?}");
    }
    assert!(found["snippets"].to_string().contains("10.0.0.9"));
    round_trip::<dragonfly::api::Trace>(&place, &format!("/api/v1/seen/{MAC}/trace")).await;
    place.stop().await;
}

#[tokio::test]
async fn who_waits_for_approval_is_told_with_its_own_mac() {
    let place = Place::new().await;
    place.core.wire().publish(served(&place));
    let given = step(&place, Stage::Script, Mark::ScriptGiven, "its script");
    let why = dragonfly::model::boot::WAITS.into();
    place.core.traces().note(mac(), Step { why, ..given });
    let trace = place.get(&format!("/api/v1/seen/{MAC}/trace")).await.json();
    assert_eq!(trace["state"], "waiting");
    let told = trace["diagnosis"]["what_to_do"][0].as_str().unwrap();
    assert!(
        told.ends_with(&format!("dragonfly machine approve {MAC}")),
        "{told}"
    );
    place.stop().await;
}

#[tokio::test]
async fn the_page_shows_links_and_who_asked_and_escapes_what_they_say() {
    let place = Place::new().await;
    assert!(place.get("/").await.body.contains("net.links = "));
    let mut link = served(&place);
    link.floating.warning = Some("<b>it lies in a pool".into());
    place.core.wire().publish(link);
    place.core.seen().note(Sighting {
        vendor: "<script>alert(1)".into(),
        ..seen(&place)
    });
    let page = place.get("/").await.body;
    assert!(page.contains("proxy at <code>10.0.0.9</code>"), "{page}");
    assert!(page.contains("UEFI x64") && page.contains("dragonfly machine approve 52:54:"));
    assert!(page.contains("&lt;b&gt;it lies") && page.contains("&lt;script&gt;alert("));
    assert!(!page.contains("<script") && !page.contains("<b>it"));
    place.stop().await;
}
