//! Conversations about networks, machines on the wire, and boots.

use serde_json::{Value, json};
use test_case::test_case;

use super::{EVIL, poison, run, said, tame};
use crate::cli::canned::{
    Answer, Canned, link, list, network, ok, problem, receipt, status, step, trace,
};
use crate::cli::out::paper::screen;
use crate::cli::out::text::width as columns;

fn networks() -> Vec<Value> {
    let mut down = link("eth1");
    down["up"] = json!(false);
    down["from"] = json!(null);
    down["floating"] = json!({ "state": "waiting", "address": null, "since": "2026-11-21T11:00:00Z",
        "text": "the link is down", "warning": null });
    let mut warned = link("eth0");
    warned["floating"]["warning"] =
        json!("10.0.0.9 lies in what the DHCP server 10.0.0.1 gives out: leave it out there");
    vec![
        network("eth0", json!({ "now": warned })),
        network(
            "eth1",
            json!({ "now": down, "rungs": ["proxy", "binl", "staple"] }),
        ),
        network("enp3s0f1", json!({ "now": null, "admit": "approve" })),
    ]
}

fn floating(link: &str, state: &str, address: Option<&str>) -> Value {
    json!({ "link": link, "want": "auto", "scan": 20, "on_conflict": "move", "state": state,
        "address": address, "since": "2026-11-21T11:00:00Z", "text": null, "warning": null })
}

fn sighting(mac: &str, more: &Value) -> Value {
    let mut seen = json!({
        "mac": mac, "link": "eth0", "first": "2026-11-21T11:50:00Z", "last": "2026-11-21T11:59:30Z",
        "platform": "UEFI x64", "arch": 7, "vendor": "PXEClient:Arch:00007:UNDI:003016",
        "uuid": null, "hostname": null, "address": null, "asked": 4, "waiting": false,
    });
    for (key, value) in more.as_object().unwrap() {
        seen[key] = value.clone();
    }
    seen
}

fn wire() -> Vec<Value> {
    let nas = json!({ "waiting": true, "hostname": "nas", "address": "10.0.0.17", "asked": 120 });
    vec![
        sighting("52:54:00:00:00:01", &nas),
        sighting(
            "52:54:00:00:00:02",
            &json!({ "platform": "UEFI arm64 by HTTP" }),
        ),
        sighting(
            "52:54:00:00:00:03",
            &json!({ "platform": "unknown architecture 99" }),
        ),
    ]
}

fn stopped() -> Value {
    let mut steps = vec![
        step(1, -400_000, "dhcp", "discover", "UEFI x64 asks to boot"),
        step(
            2,
            -399_000,
            "script",
            "script_given",
            "its script was handed out",
        ),
        step(
            3,
            0,
            "dhcp",
            "discover",
            "UEFI x64 asks to boot, for the first time in a while and with a long text",
        ),
        step(4, 12, "dhcp", "offered", "offer of snponly.efi at 10.0.0.9"),
        step(
            5,
            1004,
            "dhcp",
            "foreign_offer",
            "10.0.0.1 offers 10.0.0.17",
        ),
        step(6, 4004, "dhcp", "request", "it takes 10.0.0.17 of 10.0.0.1"),
    ];
    steps[3]["why"] = json!("rung proxy: it is tried first");
    let snippet = |topic: &str, product: &str, title: &str, text: &str| json!({ "topic": topic, "product": product, "title": title, "text": text });
    let diagnosis = json!({
        "kind": "offer_ignored",
        "cause": "it took an address and not our offer: the switch drops offers that are not the DHCP server's (DHCP snooping), or its firmware does not put two offers together",
        "what_to_do": ["make the switch port of this host a trusted one, where DHCP snooping is on",
            "allow stapling: dragonfly network set eth0 rungs=proxy,binl,staple"],
        "snippets": [
            snippet("boot-options", "dnsmasq", "dnsmasq", "# boot from Dragonfly\ndhcp-boot=snponly.efi,,10.0.0.9\n"),
            snippet("boot-options", "kea", "Kea", "{\n  \"next-server\": \"10.0.0.9\"\n}\n"),
            snippet("snooping", "mikrotik", "MikroTik RouterOS", "/interface bridge port\n"),
        ],
    });
    trace("stopped", steps, json!({ "diagnosis": diagnosis }))
}

#[test_case(40)]
#[test_case(80)]
#[test_case(160)]
#[tokio::test]
async fn what_is_on_the_wire_fits_the_terminal(width: usize) {
    let held = floating("eth0", "held", Some("10.0.0.9"));
    let mut none = floating("eth1", "none_free", None);
    none["text"] =
        json!("all 20 addresses after 10.0.1.2 are in use; it is tried again every minute");
    let lease = json!({ "link": "eth0", "address": "10.0.0.100", "mac": "52:54:00:12:34:56", "client_id": null,
        "hostname": "nas", "machine": "CensusAbleQualityParent", "until": "2026-11-21T12:40:00Z" });
    let stranger = json!({ "link": "eth0", "address": "10.0.0.101", "mac": null, "client_id": null,
        "hostname": null, "machine": null, "until": "2026-11-21T11:40:00Z" });
    let found = |address: &str, found: &str, by: Value| json!({ "address": address, "found": found, "by": by });
    let scanned = vec![
        found("10.0.0.3", "taken", json!("52:54:00:00:00:07")),
        found("10.0.0.4", "free", json!(null)),
        found("10.0.0.9", "own", json!(null)),
    ];
    let scan = json!({ "link": "eth0", "addresses": scanned });
    let conversations = [
        ("network list", list(networks(), None)),
        ("network show eth0", ok(networks()[0].clone())),
        ("net floating-ip show", list(vec![held, none], None)),
        ("net floating-ip scan eth0", ok(scan)),
        ("net leases", list(vec![lease, stranger], None)),
        ("machine seen", list(wire(), None)),
        ("boot trace web01", ok(stopped())),
        ("boot trace web01 --snippet kea --all", ok(stopped())),
    ];
    let mut all = String::new();
    for (line, answer) in conversations {
        let daemon = Canned::new([answer]);
        let said = said(line, &daemon, width).await;
        all.push_str(&["$ dragonfly ", line, "\n", &said, "\n"].concat());
    }
    let unbroken = |line: &&str| !line.contains("dragonfly ");
    let wide = all
        .lines()
        .filter(unbroken)
        .find(|line| columns(line) > width);
    assert_eq!(wide, None);
    insta::assert_snapshot!(format!("wire_{width}"), all);
}

#[tokio::test]
async fn no_word_of_the_wire_commands_the_terminal() {
    let evil = EVIL;
    let pairs = json!({ "loaders": { evil: evil }, "reservations": { evil: evil }, "pool": "a", "router": "a",
        "dns": ["a"], "domain": "a" });
    let mut wire = network("eth0", pairs);
    let mut held = floating("eth0", "held", Some("a"));
    let found = json!([{ "address": "a", "found": "a", "by": "a" }]);
    let mut scan = json!({ "link": "a", "addresses": found });
    let mut lease = json!({ "link": "a", "address": "a", "mac": "a", "client_id": "a", "hostname": "a",
        "machine": "a", "until": "a" });
    let mut seen = sighting(
        "a",
        &json!({ "waiting": true, "hostname": "a", "address": "a" }),
    );
    let mut boot = stopped();
    boot["steps"][0]["why"] = json!("a");
    for told in [
        &mut wire, &mut held, &mut scan, &mut lease, &mut seen, &mut boot,
    ] {
        poison(told, evil);
    }
    held["warning"] = json!(evil);
    held["text"] = json!(evil);
    let daemon = Canned::new([
        list(vec![wire.clone()], None),
        ok(wire),
        list(vec![held], None),
        ok(scan),
        list(vec![lease], None),
        list(vec![seen], None),
        ok(boot.clone()),
        ok(boot),
    ]);
    for line in [
        "network list",
        "network show x",
        "net floating-ip show",
        "net floating-ip scan x",
        "net leases",
        "machine seen",
        "boot trace x",
        "boot trace x --snippet all",
    ] {
        tame(line, &said(line, &daemon, 200).await);
    }
    assert_eq!(daemon.asked().len(), 8);
}

#[tokio::test]
async fn a_network_of_our_own_dhcp_server_is_shown_in_full() {
    let server = json!({
        "serve": "server", "pool": "10.0.0.100-10.0.0.200", "router": "10.0.0.1", "dns": ["10.0.0.1", "9.9.9.9"],
        "domain": "lab.example.net", "lease_seconds": 43_200, "loaders": { "b8:27:eb": "firmware" },
        "reservations": { "52:54:00:12:34:56": "10.0.0.50" }, "now": null,
        "held": { "address": "10.0.0.9", "since": "2026-11-21T11:00:00Z" },
    });
    let daemon = Canned::new([ok(network("eth0", server))]);
    insta::assert_snapshot!(said("network show eth0", &daemon, 80).await);
}

#[tokio::test]
async fn where_nothing_is_served_every_page_says_how_to_begin() {
    let mut off = status();
    off["links"] = json!([]);
    off["waiting"] = json!(0);
    off["seen"] = json!(0);
    let mut demo = off.clone();
    demo["mode"] = json!("demo");
    for line in ["machine seen", "network list", "net floating-ip show"] {
        let daemon = Canned::new([
            list(vec![], None),
            ok(off.clone()),
            list(vec![], None),
            ok(demo.clone()),
        ]);
        let text = said(line, &daemon, 80).await;
        assert!(text.contains("net.links = [\"eth0\"]"), "{line}: {text}");
        let text = said(line, &daemon, 80).await;
        assert!(text.contains("This is the demo"), "{line}: {text}");
    }
    let daemon = Canned::new([ok(off.clone())]);
    assert!(
        said("net floating-ip scan", &daemon, 80)
            .await
            .contains("net.links")
    );
    let daemon = Canned::new([ok(trace("unseen", vec![], json!({}))), ok(off.clone())]);
    let text = said("boot trace web01", &daemon, 80).await;
    assert!(
        text.contains("has not asked to boot") && text.contains("net.links"),
        "{text}"
    );
    let daemon = Canned::new([ok(off), ok(demo)]);
    assert!(
        said("status", &daemon, 80)
            .await
            .contains("off; name a link in net.links")
    );
    assert!(said("status", &daemon, 80).await.contains("off: the demo"));
    let daemon = Canned::new([list(vec![], None), ok(status())]);
    let text = said("machine seen", &daemon, 80).await;
    assert!(
        text.starts_with("No machine has asked to boot yet.") && text.contains("on eth0"),
        "{text}"
    );
}

#[test_case("network list --json", "network.list")]
#[test_case("machine seen --json", "machine.seen")]
#[test_case("net leases --json", "net.leases")]
#[test_case("net floating-ip show --json", "net.floating-ip")]
#[tokio::test]
async fn json_has_a_version_a_kind_and_data(line: &str, kind: &str) {
    let daemon = Canned::new([list(vec![], None)]);
    let said: Value = serde_json::from_str(&said(line, &daemon, 80).await).unwrap();
    assert_eq!((&said["version"], &said["kind"]), (&json!(1), &json!(kind)));
    assert_eq!(said["data"]["items"], json!([]));
}

#[test_case("machine boot-once web01 --shell", "POST", json!({ "kind": "shell" }))]
#[test_case("machine boot-once web01 --chain http://a/b", "POST", json!({ "kind": "chain", "url": "http://a/b" }))]
#[test_case("machine boot-once web01 --kernel http://a/k --initrd http://a/i --initrd http://a/j --cmdline quiet", "POST",
    json!({ "kind": "kernel", "kernel": "http://a/k", "initrds": ["http://a/i", "http://a/j"], "cmdline": "quiet" }))]
#[test_case("machine boot-once web01 --cancel", "DELETE", Value::Null)]
#[tokio::test]
async fn an_order_for_one_boot_is_sent(line: &str, method: &str, body: Value) {
    let daemon = Canned::new([ok(receipt("machine.boot_once", "accepted", json!([])))]);
    let said = said(line, &daemon, 80).await;
    assert!(
        said.starts_with("✓ web01 has its next boot settled"),
        "{said}"
    );
    let asked = &daemon.asked()[0];
    assert_eq!(
        asked.line,
        format!("{method} /api/v1/machines/web01/boot-once HTTP/1.1")
    );
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn changes_of_a_network_are_sent_as_what_they_are() {
    let done = |diff| ok(receipt("network.set", "accepted", diff));
    let diff = json!([{ "field": "scan", "from": 20, "to": 7 }, { "field": "pool", "from": null, "to": "10.0.0.100-10.0.0.200" }]);
    let daemon = Canned::new([
        done(diff),
        done(json!([])),
        done(json!([])),
        ok(receipt("machine.set_loader", "accepted", json!([]))),
        ok(receipt("machine.approve", "accepted", json!([]))),
    ]);
    let mut all = said(
        "network set eth0 floating.scan=7 pool=10.0.0.100-10.0.0.200",
        &daemon,
        80,
    )
    .await;
    all += &said("net floating-ip set eth0 10.0.0.7 --dry-run", &daemon, 80).await;
    all += &said("net floating-ip release eth0 --json", &daemon, 80).await;
    all += &said("machine loader web01 full", &daemon, 80).await;
    all += &said("machine approve 52:54:00:00:00:01", &daemon, 80).await;
    insta::assert_snapshot!(all);
    let asked = daemon.asked();
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "PATCH /api/v1/networks/eth0 HTTP/1.1",
            "PUT /api/v1/floating-ips/eth0?dry_run=true HTTP/1.1",
            "DELETE /api/v1/floating-ips/eth0 HTTP/1.1",
            "PUT /api/v1/machines/web01/loader HTTP/1.1",
            "POST /api/v1/seen/52%3A54%3A00%3A00%3A00%3A01/approve HTTP/1.1",
        ]
    );
    assert_eq!(
        asked[0].body,
        json!({ "scan": 7, "pool": "10.0.0.100-10.0.0.200" })
    );
    assert_eq!(
        (&asked[1].body, &asked[3].body),
        (&json!({ "want": "10.0.0.7" }), &json!({ "loader": "full" }))
    );
}

#[tokio::test]
async fn one_reservation_is_made_on_top_of_the_others_and_of_what_was_read() {
    let before = json!({ "reservations": { "52:54:00:00:00:01": "10.0.0.50", "52:54:00:00:00:02": "10.0.0.51" } });
    let done = || ok(receipt("network.set", "accepted", json!([])));
    let daemon = Canned::new([
        ok(network("eth0", before)),
        done(),
        problem("not_found", 404, json!({})),
        done(),
    ]);
    let line = "network set eth0 reserve=52-54-00-00-00-03=10.0.0.52 unreserve=52:54:00:00:00:01 loader=B8-27-EB=full";
    said(line, &daemon, 80).await;
    said(
        "network set eth1 reserve=52:54:00:00:00:03=10.0.0.52",
        &daemon,
        80,
    )
    .await;
    let asked = daemon.asked();
    assert_eq!(
        asked[1].body,
        json!({
            "loaders": { "b8:27:eb": "full" },
            "reservations": { "52:54:00:00:00:02": "10.0.0.51", "52:54:00:00:00:03": "10.0.0.52" },
        })
    );
    assert_eq!(asked[1].header("if-match"), Some("\"v3\""));
    assert_eq!(asked[3].header("if-match"), Some("\"v0\""));
}

#[tokio::test]
async fn leases_are_read_page_by_page() {
    let lease = |last: u8| {
        json!({ "link": "eth0", "address": format!("10.0.0.{last}"), "mac": null,
        "client_id": null, "hostname": null, "machine": null, "until": "2026-11-21T12:40:00Z" })
    };
    let daemon = Canned::new([
        list(vec![lease(1)], Some("10.0.0.1/eth0")),
        list(vec![lease(2)], None),
    ]);
    assert_eq!(
        said("net leases eth0 -q", &daemon, 80).await,
        "10.0.0.1\n10.0.0.2\n"
    );
    assert_eq!(
        daemon.asked()[1].line,
        "GET /api/v1/leases?limit=1000&link=eth0&cursor=10.0.0.1%2Feth0 HTTP/1.1"
    );
}

#[tokio::test]
async fn a_card_that_is_no_machine_is_traced_by_its_mac() {
    let unknown = || problem("not_found", 404, json!({ "detail": "no machine 'x'" }));
    let mut wild = trace(
        "going_on",
        vec![step(1, 0, "dhcp", "discover", "it asks")],
        json!({}),
    );
    wild["machine"] = json!(null);
    let daemon = Canned::new([unknown(), ok(wild), unknown()]);
    let text = said("boot trace 52:54:00:12:34:56", &daemon, 80).await;
    assert!(
        text.starts_with("52:54:00:12:34:56  not registered\n"),
        "{text}"
    );
    assert!(text.contains("… it goes on, last seen 2 min ago"), "{text}");
    let line = &daemon.asked()[1].line;
    assert_eq!(
        line,
        "GET /api/v1/seen/52%3A54%3A00%3A12%3A34%3A56/trace HTTP/1.1"
    );
    assert!(
        said("boot trace web09", &daemon, 80)
            .await
            .ends_with("exit 4\n")
    );
}

#[tokio::test]
async fn a_snippet_goes_into_a_file_as_it_is() {
    let arrived = trace(
        "arrived",
        vec![step(1, 0, "script", "script_given", "its script")],
        json!({}),
    );
    let daemon = Canned::new([ok(stopped()), ok(stopped()), ok(arrived)]);
    let text = said("boot trace web01 --snippet dnsmasq -q", &daemon, 40).await;
    assert_eq!(
        text,
        "# boot from Dragonfly\ndhcp-boot=snponly.efi,,10.0.0.9\n"
    );
    let text = said("boot trace web01 --snippet unifi -q", &daemon, 80).await;
    assert_eq!(
        text,
        "error: for unifi: nothing to paste there; there is for dnsmasq, kea, mikrotik\nexit 4\n"
    );
    let text = said("boot trace web01 --snippet all -q", &daemon, 80).await;
    assert!(
        text.contains("the boot did not stop") && text.ends_with("exit 4\n"),
        "{text}"
    );
}

/// It goes on for ever: it is let run until the canned answers are used up.
#[tokio::test(start_paused = true)]
async fn a_boot_is_followed_to_where_it_stops() {
    let begun = || {
        ok(trace(
            "going_on",
            vec![step(3, 0, "dhcp", "discover", "it asks")],
            json!({}),
        ))
    };
    let more = || {
        ok(trace(
            "going_on",
            vec![step(4, 12, "dhcp", "offered", "an offer")],
            json!({}),
        ))
    };
    let nothing = || ok(trace("going_on", vec![], json!({ "last": 4 })));
    let over = || {
        let mut over = stopped();
        over["steps"] = json!([]);
        over["last"] = json!(4);
        ok(over)
    };
    let end = || problem("forbidden", 403, json!({}));
    let daemon = Canned::new([begun(), more(), nothing(), Answer::Nothing, over(), end()]);
    let (mut screen, out, _) = screen(80);
    let failure = run("boot trace web01 --follow", &daemon, &mut screen)
        .await
        .unwrap_err();
    assert_eq!(failure.exit_code(), 3);
    insta::assert_snapshot!(out.text());
    let asked = daemon.asked();
    assert!(asked[1].line.contains("trace?after=3") && asked[2].line.contains("trace?after=4"));

    let daemon = Canned::new([begun(), more(), over(), end()]);
    let (mut screen, out, _) = crate::cli::out::paper::screen(80);
    run("boot trace web01 --follow --json", &daemon, &mut screen)
        .await
        .unwrap_err();
    let kinds: Vec<Value> = out
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "boot.step",
            "boot.state",
            "boot.step",
            "boot.state",
            "boot.state"
        ]
    );
}
