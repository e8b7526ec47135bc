//! Every command that talks to a daemon, against the real one, through its socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(clippy::disallowed_methods, reason = "tests poll with a deadline")]

#[path = "common/daemon.rs"]
mod common;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use common::{Daemon, Ended, PATIENCE, Place, await_that, bare, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// One daemon and a person at its socket.
struct Desk {
    place: Place,
    daemon: Daemon,
}

impl Desk {
    fn new() -> Self {
        let place = Place::new();
        let daemon = place.start();
        Self { place, daemon }
    }

    fn ask(&self, line: &str) -> Ended {
        run(&mut self.command(line))
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut words = line.split(' ');
        let mut command = bare(words.next().unwrap());
        // A tilde stands for a space inside a word.
        command.args(words.map(|word| word.replace('~', " ")));
        command
            .env("DRAGONFLY_SOCKET", self.place.socket())
            .env_remove("COLUMNS");
        command
    }

    fn well(&self, line: &str) -> String {
        let ended = self.ask(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.out, ended.err);
        ended.out
    }

    fn json(&self, line: &str) -> Value {
        let out = self.well(&format!("{line} --json"));
        let told: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"));
        assert_eq!(told["version"], 1, "{line}");
        told
    }

    fn code(&self, line: &str) -> Option<i32> {
        let ended = self.ask(line);
        assert!(!ended.err.is_empty(), "{line} says nothing");
        ended.code
    }
}

/// The words of a command as a shell would cut them.
fn shell_words(line: &str) -> Vec<OsString> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.into_iter().map(OsString::from).collect()
}

#[test]
fn a_machine_from_the_first_word_to_the_last() {
    let desk = Desk::new();
    assert!(desk.well("machine list").contains("No machines yet"));
    let added = desk.json("machine add 52:54:00:12:34:56 --hostname web01 --tag rack2,web");
    assert_eq!(
        (&added["kind"], &added["data"]["status"]),
        (&"machine.add".into(), &"accepted".into())
    );
    let id = added["data"]["subject_id"].as_str().unwrap().to_owned();

    // The edit waits, is seen, and becomes the desired state.
    let tried = desk.json("machine set web01 os=debian-13 --dry-run");
    assert_eq!(tried["data"]["status"], "dry_run");
    let set = desk.well(
        "machine set web01 os=debian-13 label.owner=ada static-ip=192.0.2.10/24~via~192.0.2.1",
    );
    assert!(
        set.contains("os")
            && set.contains("→ debian-13")
            && set.contains("dragonfly machine apply"),
        "{set}"
    );
    desk.well("machine set web01 label.room=hall");
    let shown = desk.well("machine show web01");
    assert!(
        shown.contains("Waiting edit") && shown.contains("owner=ada, room=hall"),
        "{shown}"
    );
    assert!(desk.well("machine list --pending").contains("edited"));
    desk.well("machine apply web01");
    let machine = &desk.json("machine show web01")["data"];
    assert_eq!(
        (&machine["os_choice"], &machine["state"]),
        (&"debian-13".into(), &"ready".into())
    );
    assert_eq!(machine["labels"]["room"], "hall");
    desk.well("machine set web01 --clear static-ip,os");
    desk.well("machine discard web01");
    assert_eq!(
        desk.json("machine show web01")["data"]["pending"],
        Value::Null
    );

    // By id, by its beginning, by MAC, by any name.
    desk.well("machine set web01 friendly-name=The~quiet~one");
    for name in [
        &id,
        &id[..13],
        "52:54:00:12:34:56",
        "52-54-00-12-34-56",
        "web01",
        "The~quiet~one",
    ] {
        assert_eq!(
            desk.json(&format!("machine show {name}"))["data"]["id"],
            id.as_str(),
            "{name}"
        );
    }
    assert!(
        desk.well("machine set web01 friendly-name=")
            .contains("→ –")
    );

    // A locked machine stays.
    desk.well("machine lock web01 --reason backups");
    assert_eq!(desk.code("machine delete web01 --yes"), Some(5));
    desk.well("machine unlock web01");
    assert_eq!(desk.code("machine delete web01"), Some(5));
    assert!(
        desk.well("machine delete web01 --yes")
            .contains("was deleted")
    );
    assert_eq!(desk.code("machine show web01"), Some(4));
}

#[test]
fn errors_have_their_exit_codes_and_say_what_to_do() {
    let desk = Desk::new();
    desk.well("machine add 52:54:00:12:34:56 --hostname web01");
    desk.well("machine add 52:54:00:12:34:57 --hostname web02");
    // Both ids begin with the minute of their making.
    let id = desk.well("machine list -q");
    for (line, code) in [
        ("machine add 52:54:00:12", 2),
        ("machine set web01 hostname=web_01", 2),
        ("machine set web01 status=broken", 2),
        ("machine list --tag rack/", 2),
        ("machine show nobody", 4),
        ("settings get no.such", 4),
        ("machine set web01 mac=52:54:00:00:00:99", 5),
        ("machine add 52:54:00:12:34:56", 5),
        ("machine lock web01 --if-version 99", 5),
        (&format!("machine show {}", &id[..8]), 5),
        ("settings set events.max_count x", 2),
    ] {
        let ended = desk.ask(line);
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.err);
        assert!(
            ended.err.starts_with("error: ") && ended.err.lines().count() > 1,
            "{line}: {}",
            ended.err
        );
        let told = desk.ask(&format!("{line} --json"));
        let told: Value = serde_json::from_str(&told.err).unwrap();
        assert_eq!(told["version"], 1);
        assert!(told["error"]["detail"].is_string(), "{told}");
    }
}

#[test]
fn the_same_key_is_done_once_and_an_old_version_is_a_conflict() {
    let desk = Desk::new();
    let line = "machine add 52:54:00:12:34:56 --idempotency-key k1";
    let (first, again) = (desk.json(line), desk.json(line));
    assert_eq!(first["data"]["id"], again["data"]["id"]);
    assert_eq!(desk.json("machine list")["data"]["count"], 1);
    assert_eq!(
        desk.code("machine add 52:54:00:12:34:57 --idempotency-key k1"),
        Some(5)
    );
    assert_eq!(
        desk.code("machine lock 52:54:00:12:34:56 --if-version 7"),
        Some(5)
    );
    desk.well("machine lock 52:54:00:12:34:56 --if-version 1");
}

#[test]
fn lists_are_filtered_sorted_cut_and_paged() {
    let desk = Desk::new();
    for number in 0..450 {
        let (status, _) = desk
            .daemon
            .post("/api/v1/machines", &common::machine(number));
        assert_eq!(status, 201);
    }
    let ids = desk.well("machine list -q");
    assert_eq!(ids.lines().count(), 450);
    assert_eq!(desk.json("machine list --limit 3")["data"]["count"], 3);
    let all: Vec<_> = ids.lines().collect();
    let some = format!("machine tag {} {} rack2,web", all[3], all[440]);
    assert_eq!(desk.well(&some).lines().count(), 4);
    desk.well(&format!("machine untag {} web", all[3]));
    assert_eq!(desk.well("machine list -q --tag rack2").lines().count(), 2);
    assert_eq!(
        desk.well("machine list -q --tag rack2 --tag web").trim(),
        all[440]
    );
    assert!(desk.well("tags").contains("rack2         2"));
    let down = desk.json("machine list --sort=-name --limit 2");
    let up = desk.json("machine list --sort=name");
    assert_eq!(
        down["data"]["items"][0]["name"],
        up["data"]["items"][449]["name"]
    );
    assert!(
        desk.well("machine list --state error")
            .contains("No machine fits")
    );
    let several = desk.ask(&format!("machine lock {} nobody {}", all[0], all[1]));
    assert_eq!(several.code, Some(4));
    assert_eq!(several.out.matches("is locked").count(), 2);
    assert_eq!(desk.well("machine list -q --locked").lines().count(), 2);
    let wide = desk.well("machine list --columns id,mac,version --limit 1");
    assert!(
        wide.starts_with("ID ") && wide.contains("VERSION"),
        "{wide}"
    );
}

#[test]
fn machines_are_merged_and_split() {
    let desk = Desk::new();
    desk.well("machine add 52:54:00:12:34:56 --hostname web01");
    desk.well("machine add 52:54:00:12:34:57 --hostname web02");
    assert_eq!(desk.code("machine merge web01 web02"), Some(5));
    desk.well("machine merge web01 web02 --yes");
    assert_eq!(
        desk.json("machine show web01")["data"]["macs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    desk.well("machine split web01 --mac 52:54:00:12:34:57");
    assert_eq!(desk.json("machine list")["data"]["count"], 2);
    assert!(desk.well("machine conflicts").contains("No conflicts"));
    assert_eq!(desk.json("machine conflicts")["kind"], "machine.conflicts");
}

#[test]
fn what_a_receipt_says_next_is_a_command_that_can_be_typed() {
    let desk = Desk::new();
    let lines = [
        "machine add 52:54:00:12:34:56 --friendly-name The~quiet~one",
        "machine set 52:54:00:12:34:56 os=debian-13",
        "machine apply 52:54:00:12:34:56",
        "machine set 52:54:00:12:34:56 hostname=web01",
        "machine discard 52:54:00:12:34:56",
        "machine lock 52:54:00:12:34:56",
        "machine unlock 52:54:00:12:34:56",
        "settings set site.name Shelf",
        "settings reset site.name",
    ];
    let mut seen = 0;
    for line in lines {
        let receipt = desk.json(line);
        for step in receipt["data"]["next"].as_array().unwrap() {
            let command = step["command"].as_str().unwrap();
            let cut = dragonfly::cli::args::parse(shell_words(command));
            assert!(cut.is_ok(), "{line} → {command}: {}", cut.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn settings_are_seen_set_and_reset() {
    let desk = Desk::new();
    assert!(desk.well("settings list").contains("site.name"));
    desk.well("settings set site.name Shelf~in~the~hall");
    assert_eq!(
        desk.json("settings get site.name")["data"]["value"],
        "Shelf in the hall"
    );
    assert_eq!(
        desk.well("settings get site.name -q"),
        "Shelf in the hall\n"
    );
    assert!(desk.well("status").starts_with("Shelf in the hall"));
    desk.well("settings reset site.name");
    assert_eq!(desk.json("settings get site.name")["data"]["set"], false);
    assert_eq!(desk.json("settings list")["kind"], "settings.list");
}

#[test]
fn status_doctor_and_the_bare_command_know_a_daemon_that_runs_and_one_that_does_not() {
    let mut desk = Desk::new();
    assert_eq!(desk.json("status")["data"]["ready"], true);
    let url = format!("http://{}", desk.daemon.address);
    assert!(
        desk.well(&format!("--server {url} status"))
            .contains("answered by http://")
    );
    let mut bare = desk.command("--no-color");
    let said = run(bare.env("DRAGONFLY_INSTALLED", "true"));
    assert!(
        said.out.starts_with("✓ Dragonfly") && said.out.contains(&url),
        "{}",
        said.out
    );

    let data = desk.place.data().display().to_string();
    let doctor = format!("doctor --data {data}");
    let well = desk.ask(&doctor);
    assert_eq!(well.code, Some(0), "{}", well.out);
    assert!(
        well.out.contains("✓ daemon") && well.out.contains("All is well."),
        "{}",
        well.out
    );
    // It once looked at the usual places, whichever daemon it was told to ask.
    for asked in ["doctor".to_owned(), format!("--server {url} doctor")] {
        let found = desk.ask(&asked).out.replace(['\n', ' '], "");
        let places = [desk.place.socket(), desk.place.data()];
        for place in places.map(|place| place.display().to_string()) {
            assert!(found.contains(&place), "{place}: {found}");
        }
        assert!(!found.contains("/var/lib/dragonfly"), "{found}");
    }
    let hidden = desk.place.folder.path().join("moved-away");
    std::fs::rename(desk.place.store(), &hidden).unwrap();
    let wrong = desk.ask("doctor");
    assert_eq!(wrong.code, Some(1), "{}", wrong.out);
    assert!(wrong.out.contains("✗ store"), "{}", wrong.out);
    std::fs::rename(&hidden, desk.place.store()).unwrap();
    desk.daemon.stop();
    let absent = desk.ask("doctor").out;
    let socket = format!("{} is not there", desk.place.socket().display());
    let plain = |text: &str| text.replace(['\n', ' '], "");
    assert!(plain(&absent).contains(&plain(&socket)), "{absent}");
    let wrong = desk.ask(&doctor);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.out.contains("✗ daemon") && wrong.out.contains("→ start it with"),
        "{}",
        wrong.out
    );
    let told: Value = serde_json::from_str(&desk.ask(&format!("{doctor} --json")).out).unwrap();
    assert_eq!(told["data"]["well"], false);
    let file = desk.place.folder.path().join("wrong.toml");
    std::fs::write(&file, "listn = 1\n").unwrap();
    let wrong = desk.ask(&format!("{doctor} --config {}", file.display()));
    assert!(wrong.out.contains("✗ configuration"), "{}", wrong.out);
}

#[test]
fn a_socket_that_one_may_not_use_says_which_group_to_join() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let desk = Desk::new();
    // Nobody may enter the folder, so it cannot be used without root.
    let mut command = std::process::Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        common::BINARY,
        "tags",
    ]);
    command.env("DRAGONFLY_SOCKET", desk.place.socket());
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("usermod -aG dragonfly"), "{}", ended.err);
}

/// `events tail` as it runs, and what it said so far.
struct Tail {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Tail {
    fn start(desk: &Desk, line: &str) -> Self {
        let mut command = desk.command(line);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let (to, lines) = std::sync::mpsc::sync_channel(1000);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next event of this type; others are passed over.
    fn next(&self, kind: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("another event");
            let event: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(event["version"], 1);
            if event["data"]["type"] == kind {
                return event;
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_live_stream_survives_a_restart_misses_nothing_and_ends_well() {
    let mut desk = Desk::new();
    desk.well("machine add 52:54:00:12:34:56 --hostname web01");
    let mut tail = Tail::start(&desk, "events tail --json");
    assert_eq!(tail.next("machine.registered")["kind"], "event");
    desk.well("machine lock web01");
    tail.next("machine.locked");
    desk.daemon.stop();
    desk.daemon = desk.place.start();
    desk.well("machine unlock web01");
    tail.next("appliance.started");
    tail.next("machine.unlocked");
    kill(
        Pid::from_raw(i32::try_from(tail.child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let status = await_that("the stream ends on Ctrl-C", || {
        tail.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn events_are_listed_by_machine_type_and_audit() {
    let desk = Desk::new();
    desk.well("machine add 52:54:00:12:34:56 --hostname web01");
    desk.well("machine lock web01");
    let all = desk.json("events list --all");
    assert_eq!(all["data"]["items"][0]["type"], "appliance.started");
    let listed = desk.json("events list --machine web01 --type machine.locked");
    assert_eq!(listed["data"]["count"], 1);
    assert!(desk.well("events list --audit").contains("machine.locked"));
    assert_eq!(desk.well("events list -n 1 -q").lines().count(), 1);
    assert!(
        desk.well("events list --type no.such")
            .contains("No events fit")
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let desk = Desk::new();
    for number in 0..300 {
        desk.daemon
            .post("/api/v1/machines", &common::machine(number));
    }
    let script = format!(
        "set -o pipefail; '{}' machine list | head -n 1",
        common::BINARY
    );
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", &script])
        .env("DRAGONFLY_SOCKET", desk.place.socket());
    let ended = run(&mut command);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn the_demo_answers_like_any_other() {
    let daemon =
        Daemon::start(bare("demo").args(["--listen", "127.0.0.1:0", "--log-format", "json"]));
    let mut command = bare("machine");
    command
        .args(["list", "-q"])
        .env("DRAGONFLY_SERVER", format!("http://{}", daemon.address));
    let ended = run(&mut command);
    assert!(ended.out.lines().count() > 10, "{}", ended.err);
    let mut command = bare("doctor");
    command.env("DRAGONFLY_SERVER", format!("http://{}", daemon.address));
    let ended = run(&mut command);
    assert!(ended.out.contains("the demo answers"), "{}", ended.out);
}
