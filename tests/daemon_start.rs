//! What keeps the daemon from starting, and that it says so: configuration, folder, store; and how it finds
//! out whether it is installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure, and poll with a deadline"
)]

#[path = "common/daemon.rs"]
mod common;

use std::path::Path;

use common::{Daemon, Place, bare, run};
use serde_json::Value;

#[test]
fn every_mistake_of_a_file_is_told_at_once_and_nothing_is_made() {
    let place = Place::new();
    let file = place.folder.path().join("config.toml");
    std::fs::write(&file, "listn = '127.0.0.1:1'\n[log]\nlevel = 'loud'\n").unwrap();
    let mut command = place.server();
    command.env("DRAGONFLY_CONFIG", &file);
    let (code, log) = Daemon::try_start(&mut command).err().expect("a refusal");
    assert_eq!(code, Some(1));
    assert!(
        log.contains(
            "config.toml:1: listn is not a key that is known; the nearest that is: listen"
        ),
        "{log}"
    );
    assert!(
        log.contains("config.toml:3: log.level 'loud' is none of"),
        "{log}"
    );
    assert!(!place.data().exists());
}

#[test]
fn a_wrong_flag_is_an_error_of_usage() {
    let place = Place::new();
    let mut command = place.server();
    command.args(["--listen", "0.0.0.0:3000"]);
    let (code, log) = Daemon::try_start(&mut command).err().expect("a refusal");
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("there are no users yet"), "{log}");
}

#[test]
fn config_show_tells_values_with_their_origins() {
    let place = Place::new();
    let file = place.folder.path().join("config.toml");
    std::fs::write(&file, "log.format = 'json'\n").unwrap();
    let mut command = bare("config");
    command
        .args(["show", "--json"])
        .arg("--config")
        .arg(&file)
        .env("DRAGONFLY_LOG", "debug");
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (shown["version"].as_u64(), shown["kind"].as_str()),
        (Some(1), Some("config.show"))
    );
    let origin = |key: &str| {
        let all = shown["data"]["values"].as_array().unwrap();
        all.iter().find(|row| row["key"] == key).unwrap()["origin"].clone()
    };
    assert_eq!(origin("log.level")["name"], "DRAGONFLY_LOG");
    assert_eq!(origin("log.format")["line"], 1);
    assert_eq!(origin("data")["kind"], "default");
    let people = run(bare("config").args(["show"]).env("DRAGONFLY_LOG", "debug"));
    let line = people
        .out
        .lines()
        .find(|line| line.starts_with("log.level"))
        .unwrap();
    assert!(line.ends_with("environment DRAGONFLY_LOG"), "{line}");
}

#[test]
fn config_check_ends_with_one_when_something_is_wrong() {
    assert_eq!(run(bare("config").arg("check")).code, Some(0));
    let wrong = run(bare("config")
        .args(["check", "--json"])
        .env("DRAGONFLY_LISTEN", "here"));
    assert_eq!(wrong.code, Some(1));
    let error: Value = serde_json::from_str(&wrong.err).unwrap();
    assert!(
        error["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("environment DRAGONFLY_LISTEN"),
        "{error}"
    );
    let named = run(bare("config").args(["check", "--config", "/nonexistent.toml"]));
    assert_eq!(named.code, Some(1));
}

/// Root may write everywhere but into a file.
#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("file"), "").unwrap();
    let mut command = bare("server");
    command.env("DRAGONFLY_INSTALLED", "1");
    command.args(["--listen", "127.0.0.1:0", "--data"]);
    command.arg(place.folder.path().join("file/data"));
    let (code, log) = Daemon::try_start(&mut command).err().expect("a refusal");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("file/data cannot be made"), "{log}");
    assert!(log.contains("--data"), "{log}");
}

fn assert_untouched(place: &Place, bytes: &[u8], words: &str) {
    std::fs::create_dir_all(place.data()).unwrap();
    std::fs::write(place.store(), bytes).unwrap();
    let (code, log) = Daemon::try_start(&mut place.server())
        .err()
        .expect("a refusal");
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains(words) && log.contains("store.dragonfly"),
        "{log}"
    );
    assert_eq!(std::fs::read(place.store()).unwrap(), bytes);
}

#[test]
fn a_foreign_file_is_named_and_left_as_it_is() {
    assert_untouched(
        &Place::new(),
        &b"SQLite format 3\0".repeat(1000),
        "is not a Dragonfly store",
    );
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    let place = Place::new();
    place.start().stop();
    let mut bytes = std::fs::read(place.store()).unwrap();
    let half = bytes.len() / 2;
    bytes[..half]
        .chunks_mut(512)
        .skip(2)
        .for_each(|chunk| chunk[7] ^= 0x55);
    bytes[half..].iter_mut().for_each(|byte| *byte ^= 0x55);
    assert_untouched(&place, &bytes, "is damaged");
}

#[test]
fn a_folder_that_is_there_means_installed() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    let mut command = place.server();
    command.env_remove("DRAGONFLY_INSTALLED");
    let daemon = Daemon::start(&mut command);
    let status = daemon.get("/api/v1/status").1;
    let by = status["installed_by"].as_str().unwrap();
    assert!(
        by.starts_with("the folder ") && Path::new(&by["the folder ".len()..]) == place.data(),
        "{by}"
    );
}

#[test]
fn a_variable_that_says_no_makes_it_the_demo_and_touches_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    let mut command = place.server();
    command.env("DRAGONFLY_INSTALLED", "no");
    let daemon = Daemon::start(&mut command);
    assert_eq!(daemon.get("/api/v1/status").1["mode"], "demo");
    assert!(
        daemon
            .said("Demo Mode: Dragonfly is not installed.")
            .is_some(),
        "{}",
        daemon.log()
    );
    assert_eq!(std::fs::read_dir(place.data()).unwrap().count(), 0);
    assert!(!place.socket().exists());
}

#[test]
fn a_variable_that_says_neither_is_an_error() {
    let place = Place::new();
    let mut command = place.server();
    command.env("DRAGONFLY_INSTALLED", "maybe");
    let (code, log) = Daemon::try_start(&mut command).err().expect("a refusal");
    assert_eq!(code, Some(1));
    assert!(log.contains("DRAGONFLY_INSTALLED is 'maybe'"), "{log}");
}

#[test]
fn the_store_tools_keep_away_from_a_store_in_use_and_work_on_one_that_is_not() {
    let place = Place::new();
    let mut daemon = place.start();
    daemon.post("/api/v1/machines", &common::machine(7));
    let export = place.folder.path().join("export.jsonl");
    let to = export.to_str().unwrap();
    for words in [vec!["check"], vec!["export", to], vec!["compact"]] {
        let busy = place.store_tool(&words);
        assert_eq!(busy.code, Some(6), "{words:?}: {}", busy.err);
        assert!(
            busy.err.contains("is in use by another process"),
            "{}",
            busy.err
        );
    }
    assert!(!export.exists());
    daemon.stop();
    let checked = place.store_tool(&["check", "--json"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let report: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(
        (report["kind"].as_str(), report["data"]["sound"].as_bool()),
        (Some("store.check"), Some(true))
    );
    assert_eq!(place.store_tool(&["export", to]).code, Some(0));
    let again = place.store_tool(&["export", to]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is there already"), "{}", again.err);
    assert_eq!(place.store_tool(&["compact"]).code, Some(0));

    let other = Place::new();
    let imported = other.store_tool(&["import", to]);
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    let stdout = other.store_tool(&["export", "-"]);
    assert_eq!(stdout.out, std::fs::read_to_string(&export).unwrap());
    let daemon = other.start();
    assert_eq!(daemon.get("/api/v1/machines/52:54:00:00:00:07").0, 200);
}

#[test]
fn a_store_tool_without_a_store_says_where_it_looked() {
    let place = Place::new();
    let ended = place.store_tool(&["check"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("there is no store at") && ended.err.contains("--data"),
        "{}",
        ended.err
    );
    assert!(!place.data().exists());
}
