//! Whole commands against canned answers: what was sent, what was shown, and how it ended.

mod image;
mod network;
mod template;
mod workflow;

use serde_json::{Value, json};
use test_case::test_case;

use super::args::{self, Command};
use super::canned::{Answer, Canned, event, list, machine, ok, problem, receipt, status};
use super::failure::Failure;
use super::out::Screen;
use super::out::paper::{Paper, screen, screen_with};
use super::status as status_page;
use super::{
    boot, defaults, events, image as images, machine as machines, mode, network as networks,
    settings, tags, template as templates, workflow as workflows,
};

/// Runs a line against a daemon.
async fn run(line: &str, daemon: &Canned, screen: &mut Screen) -> Result<(), Failure> {
    let words = std::iter::once("dragonfly").chain(line.split(' '));
    let cli = args::parse(words.map(Into::into)).unwrap();
    screen.json = cli.global.json;
    screen.quiet = cli.global.quiet;
    let client = &mut daemon.client();
    match cli.command.unwrap() {
        Command::Machine { command } => machines::run(command, client, screen).await,
        Command::Network { command } => networks::run(command, client, screen).await,
        Command::Net { command } => networks::net(command, client, screen).await,
        Command::Boot { command } => boot::run(command, client, screen).await,
        Command::Events { command } => events::run(command, client, screen).await,
        Command::Settings { command } => {
            settings::run(command.unwrap_or_default(), client, screen).await
        }
        Command::Workflow { command } => workflows::run(command, client, screen).await,
        Command::Reimage(args) => workflows::reimage(args, client, screen).await,
        Command::Image { command } => images::run(command, client, screen).await,
        Command::Template { command } => templates::run(command, client, screen).await,
        Command::Defaults { command } => {
            defaults::run(command.unwrap_or_default(), client, screen).await
        }
        Command::Mode { command } => mode::run(command.unwrap_or_default(), client, screen).await,
        Command::Tags => tags::run(client, screen).await,
        Command::Status => status_page::run(client, screen).await,
        _ => unreachable!(),
    }
}

/// The same, to what both sides of the screen say in the end.
async fn said(line: &str, daemon: &Canned, width: usize) -> String {
    let (mut screen, out, err) = screen(width);
    ended(
        run(line, daemon, &mut screen).await,
        &mut screen,
        &out,
        &err,
    )
}

fn ended(outcome: Result<(), Failure>, screen: &mut Screen, out: &Paper, err: &Paper) -> String {
    if let Err(failure) = outcome {
        screen.fail(&failure, None);
        return format!("{}{}exit {}\n", out.text(), err.text(), failure.exit_code());
    }
    format!("{}{}", out.text(), err.text())
}

fn shelf() -> Vec<Value> {
    vec![
        machine("CensusAbleQualityParent", json!({})),
        machine(
            "topaz-control-master",
            json!({
                "friendly_name": "topaz-control-master", "hostname": "web01.rack2.example.net",
                "state": "provisioned", "os_choice": "debian-13", "tags": ["rack2", "web"],
                "observed": { "generation": 2, "hostname": "web01", "os": "debian-13",
                    "addresses": ["192.0.2.10"], "called_home_at": "2026-11-21T10:00:00Z" },
                "lock": { "by": "ada", "at": "2026-11-21T09:00:00Z", "reason": "holds the backups" },
                "pending": pending(), "labels": { "owner": "ada" }, "generation": 3,
                "hardware": { "cpu_model": "Ryzen 7 7840U", "cpu_cores": 8, "memory_bytes": 34_359_738_368_u64,
                    "disks": [{ "device": "/dev/nvme0n1", "size_bytes": 1_000_204_886_016_u64, "model": "Samsung 990", "serial": "S7" }],
                    "network_interfaces": [{ "name": "enp1s0", "mac": "52:54:00:12:34:56", "speed_mbps": 2500 }],
                    "is_virtual": false, "virt_platform": null },
            }),
        ),
        machine(
            "大阪の機械",
            json!({ "state": "error", "state_message": "disk is gone", "static_ip": "192.0.2.7/24" }),
        ),
    ]
}

fn pending() -> Value {
    json!({ "author": "ada", "at": "2026-11-21T11:50:00Z", "base_generation": 3,
        "diff": [{ "field": "hostname", "from": "web01", "to": "web02" },
                 { "field": "labels", "from": { "owner": "ada" }, "to": { "owner": "ada", "room": "hall" } }] })
}

#[test_case(40)]
#[test_case(80)]
#[test_case(200)]
#[tokio::test]
async fn a_list_of_machines_fits_the_terminal(width: usize) {
    let daemon = Canned::new([list(shelf(), None)]);
    let said = said("machine list", &daemon, width).await;
    assert!(
        said.lines()
            .all(|line| super::out::text::width(line) <= width),
        "{said}"
    );
    insta::assert_snapshot!(format!("machine_list_{width}"), said);
}

#[tokio::test]
async fn a_machine_is_shown_in_sections() {
    let events = vec![
        event("e2", "web01 was locked"),
        event("e1", "web01 was registered"),
    ];
    let daemon = Canned::new([ok(shelf()[1].clone()), list(events, None)]);
    insta::assert_snapshot!(said("machine show web01", &daemon, 80).await);
}

#[tokio::test]
async fn the_status_is_one_screen() {
    let daemon = Canned::new([ok(status())]);
    let said = said("status", &daemon, 80).await;
    assert!(said.lines().count() <= 24);
    insta::assert_snapshot!(
        said.lines()
            .filter(|line| !line.starts_with("answered by"))
            .collect::<Vec<_>>()
            .join("\n")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION")
    );
}

#[tokio::test]
async fn a_receipt_tells_what_changed_and_what_is_next() {
    let mut told = receipt(
        "machine.set",
        "accepted",
        json!([
            { "field": "hostname", "from": null, "to": "web01" },
            { "field": "tags", "from": ["web"], "to": ["rack2", "web"] },
        ]),
    );
    told["notes"] = json!(["the machine has never called home"]);
    let unchanged = receipt("machine.set", "unchanged", json!([]));
    let tried = receipt(
        "machine.set",
        "dry_run",
        json!([{ "field": "os_choice", "from": "debian-12", "to": "debian-13" }]),
    );
    let daemon = Canned::new([ok(told), ok(unchanged), ok(tried)]);
    let mut all = said("machine set web01 hostname=web01", &daemon, 80).await;
    all += &said("machine set web01 hostname=web01", &daemon, 80).await;
    all += &said("machine set web01 os=debian-13 --dry-run", &daemon, 80).await;
    insta::assert_snapshot!(all);
    assert_eq!(
        daemon.asked()[2].line,
        "PATCH /api/v1/machines/web01?dry_run=true HTTP/1.1"
    );
    assert_eq!(daemon.asked()[2].header("idempotency-key"), None);
}

#[tokio::test]
async fn a_refusal_tells_what_is_wrong_and_what_would_be_right() {
    let field = json!({ "detail": "hostname: it has a dot too many", "field": "hostname", "reason": "it has a dot too many", "example": "web01" });
    let many = json!({ "detail": "'web' could be any of 2", "candidates": ["web01 (0199a)", "web02 (0199b)"], "hint": "use the id" });
    let daemon = Canned::new([
        problem("invalid", 400, field.clone()),
        problem("invalid", 400, field),
        problem("ambiguous", 409, many),
        problem("conflict", 412, json!({ "current_version": 7 })),
    ]);
    let mut all = said("machine set web01 hostname=web..01", &daemon, 80).await;
    all += &said("machine set web01 hostname=web..01 --json", &daemon, 80).await;
    all += &said("machine lock web", &daemon, 80).await;
    all += &said("machine lock web01 --if-version 3", &daemon, 80).await;
    insta::assert_snapshot!(all);
    assert_eq!(daemon.asked()[3].header("if-match"), Some("\"v3\""));
}

#[test_case("invalid", 2)]
#[test_case("too_large", 2)]
#[test_case("forbidden", 3)]
#[test_case("not_found", 4)]
#[test_case("ambiguous", 5)]
#[test_case("conflict", 5)]
#[test_case("locked", 5)]
#[test_case("unconfirmed", 5)]
#[test_case("key_reused", 5)]
#[test_case("unavailable", 6)]
#[test_case("internal", 7)]
#[test_case("gone", 1)]
#[test_case("unsupported", 1)]
#[tokio::test]
async fn each_sort_of_problem_has_its_exit_code(code: &str, exit: u8) {
    let daemon = Canned::new([problem(code, 400, json!({}))]);
    let (mut screen, ..) = screen(80);
    let failure = run("tags", &daemon, &mut screen).await.unwrap_err();
    assert_eq!(failure.exit_code(), exit);
}

#[tokio::test]
async fn no_word_of_the_wire_commands_the_terminal() {
    let evil = EVIL;
    let mut vile = shelf()[1].clone();
    poison(&mut vile, evil);
    let mut happened = event("e1", evil);
    poison(&mut happened, evil);
    let mut how = status();
    poison(&mut how, evil);
    let mut told = receipt(
        "machine.lock",
        "accepted",
        json!([{ "field": evil, "from": [evil], "to": { evil: evil } }]),
    );
    poison(&mut told, evil);
    let conflict = json!({ "id": evil, "mac": evil, "first_seen": evil, "last_seen": evil, "claims": [
        { "anchor": evil, "machine": evil, "machine_name": evil }, { "anchor": evil, "machine": "b", "machine_name": evil }] });
    let setting = json!({ "key": evil, "value": evil, "default": evil, "set": true, "version": 1, "help": evil, "example": evil });
    let daemon = Canned::new([
        list(vec![vile.clone()], None),
        list(vec![vile.clone()], None),
        list(vec![vile.clone()], None),
        ok(vile),
        list(vec![happened.clone()], None),
        list(vec![happened], None),
        ok(how),
        ok(told),
        list(vec![conflict], None),
        list(vec![setting.clone()], None),
        ok(setting),
        list(vec![json!({ "tag": evil, "machines": 1 })], None),
        problem(
            "conflict",
            409,
            json!({ "detail": evil, "hint": evil, "example": evil, "candidates": [evil] }),
        ),
    ]);
    let every = "name,state,hostname,os,tags,mac,ip,flags,seen,id,memory,cpu,source,created,updated,version";
    let every = format!("machine list --columns {every}");
    for line in [
        "machine list",
        "machine list -q",
        &every,
        "machine show x",
        "events list",
        "status",
        "machine lock x",
        "machine conflicts",
        "settings list",
        "settings get x",
        "tags",
        "machine unlock x",
    ] {
        let said = said(line, &daemon, 200).await;
        tame(line, &said);
    }
    assert_eq!(daemon.asked().len(), 13);
}

/// A title for the window, a cleared screen, a colour in one byte, a line's end and text that runs backwards.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\n\u{202e}x";

#[track_caller]
fn tame(line: &str, said: &str) {
    let bad = said
        .chars()
        .find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
    assert_eq!(bad, None, "{line}: {said:?}");
    assert!(!said.is_empty());
}

/// Every text in it becomes the evil one, but those that have a meaning here.
fn poison(value: &mut Value, evil: &str) {
    match value {
        Value::String(text) => evil.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, evil)),
        Value::Object(pairs) => pairs.values_mut().for_each(|item| poison(item, evil)),
        _ => {}
    }
}

#[tokio::test]
async fn a_list_follows_its_pages_and_stops_at_the_limit() {
    let many = |from: u64, n: u64| {
        (from..from + n)
            .map(|i| machine(&format!("m{i}"), json!({})))
            .collect()
    };
    let daemon = Canned::new([
        list(many(0, 200), Some("c&1")),
        list(many(200, 50), Some("c2")),
    ]);
    let said = said(
        "machine list -q --limit 250 --sort=-name --tag web --state ready",
        &daemon,
        80,
    )
    .await;
    assert_eq!(said.lines().count(), 250);
    let asked = daemon.asked();
    assert_eq!(
        asked[0].line,
        "GET /api/v1/machines?limit=200&state=ready&tag=web&sort=-name HTTP/1.1"
    );
    assert_eq!(
        asked[1].line,
        "GET /api/v1/machines?limit=50&state=ready&tag=web&sort=-name&cursor=c%261 HTTP/1.1"
    );
}

#[tokio::test]
async fn an_empty_list_says_what_to_do_next() {
    let daemon = Canned::new([list(vec![], None), list(vec![], None), list(vec![], None)]);
    assert!(
        said("machine list", &daemon, 80)
            .await
            .contains("dragonfly machine add")
    );
    assert!(
        said("machine list --locked", &daemon, 80)
            .await
            .contains("No machine fits")
    );
    assert!(
        said("tags", &daemon, 80)
            .await
            .contains("dragonfly machine tag")
    );
}

#[test_case("machine list --json", "machine.list")]
#[test_case("machine conflicts --json", "machine.conflicts")]
#[test_case("events list --json", "events.list")]
#[test_case("settings list --json", "settings.list")]
#[test_case("tags --json", "tags")]
#[tokio::test]
async fn json_has_a_version_a_kind_and_data(line: &str, kind: &str) {
    let daemon = Canned::new([list(vec![], None)]);
    let said: Value = serde_json::from_str(&said(line, &daemon, 80).await).unwrap();
    assert_eq!((&said["version"], &said["kind"]), (&json!(1), &json!(kind)));
    assert_eq!(said["data"]["items"], json!([]));
}

#[tokio::test]
async fn a_list_in_json_is_one_object_over_all_pages() {
    let daemon = Canned::new([list(shelf(), Some("c1")), list(shelf(), None)]);
    let said: Value =
        serde_json::from_str(&said("machine list --json", &daemon, 80).await).unwrap();
    assert_eq!(said["data"]["items"].as_array().unwrap().len(), 6);
    assert_eq!(
        (&said["data"]["count"], &said["data"]["more"]),
        (&json!(6), &json!(false))
    );
}

#[tokio::test]
async fn several_machines_get_a_result_each_and_the_worst_exit_code() {
    let done = receipt("machine.lock", "accepted", json!([]));
    let daemon = Canned::new([
        ok(done.clone()),
        problem("not_found", 404, json!({})),
        problem("locked", 423, json!({})),
        ok(done),
    ]);
    let (mut screen, out, err) = screen(80);
    let failure = run(
        "machine lock a b/c d e --reason backups",
        &daemon,
        &mut screen,
    )
    .await
    .unwrap_err();
    assert_eq!(failure.exit_code(), 5);
    assert_eq!(out.text(), "✓ a is locked\n✓ e is locked\n");
    assert!(
        err.text().starts_with("error: b/c: something is wrong\n"),
        "{}",
        err.text()
    );
    assert_eq!(
        daemon.asked()[1].line,
        "PUT /api/v1/machines/b%2Fc/lock HTTP/1.1"
    );
    assert_eq!(daemon.asked()[1].body, json!({ "reason": "backups" }));
}

#[tokio::test]
async fn a_change_whose_connection_breaks_is_sent_again_under_the_same_key() {
    let daemon = Canned::new([
        Answer::Nothing,
        ok(receipt("machine.tag", "accepted", json!([]))),
    ]);
    let said = said("machine tag web01 rack2,new", &daemon, 80).await;
    assert!(said.contains("✓ web01"), "{said}");
    let asked = daemon.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[0]
            .header("idempotency-key")
            .unwrap()
            .starts_with("cli-")
    );
    assert_eq!(asked[0], asked[1]);
    assert_eq!(
        asked[0].body,
        json!({ "add": ["rack2", "new"], "remove": [] })
    );
}

#[tokio::test]
async fn one_label_is_set_on_top_of_the_others_and_of_the_waiting_edit() {
    let daemon = Canned::new([
        ok(shelf()[1].clone()),
        ok(receipt("machine.set", "accepted", json!([]))),
    ]);
    said("machine set web01 label.rack=2 --label owner=", &daemon, 80).await;
    let asked = &daemon.asked()[1];
    assert_eq!(
        asked.body,
        json!({ "labels": { "rack": "2", "room": "hall" } })
    );
    assert_eq!(asked.header("if-match"), Some("\"v3\""));
}

fn question() -> Answer {
    problem(
        "unconfirmed",
        428,
        json!({ "field": "mac", "reason": "Definitely ready to change it?" }),
    )
}

#[tokio::test]
async fn a_new_mac_asks_the_question_of_the_api() {
    let daemon = Canned::new([
        question(),
        ok(receipt("machine.set", "accepted", json!([]))),
    ]);
    let (mut screen, _, err) = screen_with("yes\n");
    run(
        "machine set web01 mac=52:54:00:00:00:01",
        &daemon,
        &mut screen,
    )
    .await
    .unwrap();
    assert_eq!(err.text(), "Definitely ready to change it? [y/N] ");
    assert!(daemon.asked()[1].line.contains("?confirm=true"));
}

#[test_case(Some("n\n"))]
#[test_case(Some(""); "end of input")]
#[test_case(None; "nobody is there")]
#[tokio::test]
async fn a_new_mac_is_not_sent_without_a_yes(person: Option<&str>) {
    let daemon = Canned::new([question()]);
    let (mut screen, ..) = person.map_or_else(|| screen(80), screen_with);
    let failure = run(
        "machine set web01 mac=52:54:00:00:00:01",
        &daemon,
        &mut screen,
    )
    .await
    .unwrap_err();
    assert_eq!((failure.exit_code(), daemon.asked().len()), (5, 1));
}

#[test_case("topaz-control-master\n", 2, 0; "its name")]
#[test_case("y\n", 1, 5; "not its name")]
#[tokio::test]
async fn a_machine_is_deleted_when_its_name_is_typed(person: &str, requests: usize, exit: u8) {
    let daemon = Canned::new([
        ok(shelf()[1].clone()),
        ok(receipt("machine.delete", "accepted", json!([]))),
    ]);
    let (mut screen, _, err) = screen_with(person);
    let outcome = run("machine delete web01", &daemon, &mut screen).await;
    assert_eq!(
        outcome.map_or_else(|failure| failure.exit_code(), |()| 0),
        exit
    );
    assert_eq!(daemon.asked().len(), requests);
    assert!(err.text().contains("52:54:00:12:34:56"));
}

#[tokio::test]
async fn a_script_deletes_and_merges_with_yes_alone() {
    let done = || ok(receipt("machine.delete", "accepted", json!([])));
    let daemon = Canned::new([
        ok(shelf()[1].clone()),
        done(),
        ok(shelf()[1].clone()),
        done(),
    ]);
    assert!(
        said("machine delete web01", &daemon, 80)
            .await
            .ends_with("add --yes when you mean it\nexit 5\n")
    );
    said("machine delete web01 --yes", &daemon, 80).await;
    assert!(
        said("machine merge a b", &daemon, 80)
            .await
            .ends_with("exit 5\n")
    );
    said("machine merge a b --yes", &daemon, 80).await;
    let lines: Vec<_> = daemon
        .asked()
        .iter()
        .map(|asked| asked.line.clone())
        .collect();
    assert_eq!(lines[1], "DELETE /api/v1/machines/web01 HTTP/1.1");
    assert_eq!(lines[3], "POST /api/v1/machines/a/merge HTTP/1.1");
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn what_is_not_dragonfly_is_called_so() {
    let html = || Answer::Raw(200, "text/html", "<html>Grafana</html>".into());
    let daemon = Canned::new([html(), html(), Answer::Raw(404, "text/plain", "no".into())]);
    for _ in 0..2 {
        let said = said("tags", &daemon, 80).await;
        assert!(
            said.contains("not ") && said.contains("Dragonfly") && said.ends_with("exit 1\n"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn another_version_is_named_when_it_is_not_understood() {
    let mut theirs = status();
    theirs["version"] = json!("9.9.9");
    let daemon = Canned::new([ok(json!({ "things": [] })), ok(theirs)]);
    let said = said("tags", &daemon, 80).await;
    assert!(
        said.contains("Dragonfly 9.9.9") && said.contains(env!("CARGO_PKG_VERSION")),
        "{said}"
    );
}

fn stream(text: String) -> Answer {
    Answer::Raw(200, "text/event-stream", text)
}

fn message(cursor: &str, text: &str) -> String {
    format!(
        "id: {cursor}\nevent: machine.registered\ndata: {}\n\n",
        event(cursor, text)
    )
}

/// `tail` goes on for ever: it is let run until the canned answers are used up.
#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_followed_on_from_the_last_event() {
    let reset = "id: e9\nevent: reset\ndata: {\"floor\":\"e8\"}\n\n";
    let daemon = Canned::new([
        stream(message("e2", "two") + &message("e3", "three")),
        stream(format!(": still here\n\n{reset}{}", message("ea", "ten"))),
        problem("forbidden", 403, json!({})),
    ]);
    let (mut screen, out, err) = screen(80);
    let failure = run("events tail --since e1", &daemon, &mut screen)
        .await
        .unwrap_err();
    assert_eq!(failure.exit_code(), 3);
    let texts: Vec<_> = out
        .text()
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap().to_owned())
        .collect();
    assert_eq!(texts, ["two", "three", "ten"]);
    let from: Vec<_> = daemon
        .asked()
        .iter()
        .map(|asked| asked.header("last-event-id").unwrap().to_owned())
        .collect();
    assert_eq!(from, ["e1", "e3", "ea"]);
    assert!(err.text().contains("events were missed"), "{}", err.text());
    assert!(
        err.text().contains("the connection is lost"),
        "{}",
        err.text()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_json_is_one_object_a_line() {
    let reset = "event: reset\ndata: {\"floor\":\"e8\"}\n\n";
    let daemon = Canned::new([
        stream(message("e2", "two") + reset),
        problem("forbidden", 403, json!({})),
    ]);
    let (mut screen, out, _) = screen(80);
    run("events tail --since e1 --json", &daemon, &mut screen)
        .await
        .unwrap_err();
    let lines: Vec<Value> = out
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["version"] == json!(1)));
    assert_eq!(lines[0]["data"]["cursor"], json!("e2"));
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["data"]["floor"]),
        (&json!("events.reset"), &json!("e8"))
    );
}
