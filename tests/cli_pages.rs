//! What the command line says of itself: help, manual pages, completion, and that every command which other
//! pages name is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails its test"
)]
#![allow(clippy::disallowed_methods, reason = "tests poll with a deadline")]

#[path = "common/daemon.rs"]
mod common;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use clap::error::ErrorKind;
use common::{Ended, bare, run};
use dragonfly::cli::args;

fn dragonfly(words: &[&str]) -> Ended {
    let (first, rest) = words.split_first().unwrap();
    run(bare(first).args(rest).env_remove("COLUMNS"))
}

/// Every command there is, as the words that lead to it.
fn every_command() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let mut path = path.to_vec();
            path.push(sub.get_name().to_owned());
            found.push(path.clone());
            below(sub, &path, found);
        }
    }
    let mut found = Vec::new();
    below(&args::command(), &[], &mut found);
    found
}

#[test]
fn the_help_of_every_command() {
    let mut all = dragonfly(&["--help"]).out;
    for command in every_command() {
        let mut words: Vec<_> = command.iter().map(String::as_str).collect();
        words.push("--help");
        let help = dragonfly(&words);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{command:?}");
        let title = format!("\n######## dragonfly {}\n\n", command.join(" "));
        all.push_str(&title);
        all.push_str(&help.out);
    }
    assert!(all.lines().all(|line| line.chars().count() <= 100));
    insta::assert_snapshot!(all);
}

#[test]
fn a_manual_page_for_every_command_with_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let ended = dragonfly(&["man", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let page = |name: String| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for command in every_command() {
        let text = page(format!("dragonfly-{}.1", command.join("-")));
        assert!(
            text.contains(".SH \"EXIT STATUS\"") && text.contains(".SH SYNOPSIS"),
            "{command:?}"
        );
    }
    let version = |text: String| text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("man_dragonfly", version(page("dragonfly.1".into())));
    insta::assert_snapshot!(
        "man_dragonfly_machine_set",
        version(page("dragonfly-machine-set.1".into()))
    );
}

#[test]
fn all_pages_go_to_standard_output_and_a_reader_may_leave_early() {
    let whole = dragonfly(&["man"]).out;
    assert_eq!(whole.matches("\n.TH ").count(), every_command().len() + 1);
    let script = format!("set -o pipefail; '{}' man | head -n 1", common::BINARY);
    let ended = run(Command::new("bash").args(["-c", &script]));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn completion_is_made_for_three_shells_and_bash_reads_it() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef dragonfly"),
        ("fish", "complete -c dragonfly"),
    ] {
        let ended = dragonfly(&["completion", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.out.contains(mark) && ended.out.contains("conflicts"),
            "{shell}"
        );
        if shell == "bash" {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("completion");
            std::fs::write(&file, &ended.out).unwrap();
            let read = run(Command::new("bash").arg("-n").arg(&file));
            assert_eq!((read.code, read.err.as_str()), (Some(0), ""));
        }
    }
    assert_eq!(dragonfly(&["completion", "tcsh"]).code, Some(2));
}

#[test]
fn the_version_is_told() {
    let told = dragonfly(&["--version"]);
    assert_eq!(
        told.out,
        format!("dragonfly {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// A page that names a command which is not there sends people into a wall.
#[test]
fn every_command_that_the_documents_and_the_page_name_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for page in ["README.md", "src/web/templates/index.html"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for part in text.split(['\n', '`', '<', '>']).map(str::trim) {
            let line = part.split('#').next().unwrap_or_default().trim();
            if !line.starts_with("dragonfly ") {
                continue;
            }
            let words = line.split_whitespace().map(OsString::from);
            if let Err(error) = args::parse(words) {
                let help = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
                let asks_for_help = !error.use_stderr() || error.kind() == help;
                assert!(asks_for_help, "{page}: {line}: {error}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} commands were found");
}

/// What a person is told to do about a boot that stopped can be typed.
#[test]
fn every_command_of_a_remedy_is_understood() {
    let page = "src/model/trace/diagnosis/words.rs";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let lines = text
        .split('"')
        .filter_map(|part| part.find("dragonfly ").map(|at| &part[at..]));
    let mut seen = 0;
    for line in lines {
        let words = line.split_whitespace().map(OsString::from);
        if let Err(error) = args::parse(words) {
            panic!("{page}: {line}: {error}");
        }
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} commands were found");
}

#[test]
fn alone_it_says_where_one_stands_and_then_helps() {
    let mut command = bare("--no-color");
    let newcomer = run(command.env("DRAGONFLY_INSTALLED", "no"));
    assert_eq!(newcomer.code, Some(0));
    assert!(
        newcomer.out.starts_with("Dragonfly is not installed here."),
        "{}",
        newcomer.out
    );
    assert!(
        newcomer.out.contains("Look around: dragonfly demo")
            && newcomer.out.contains("Usage: dragonfly")
    );
    let mut command = bare("--no-color");
    command
        .env("DRAGONFLY_INSTALLED", "yes")
        .env("DRAGONFLY_SOCKET", "/nowhere/d.sock");
    let installed = run(&mut command);
    assert_eq!(installed.code, Some(0));
    assert!(
        installed
            .out
            .starts_with("✗ Dragonfly is installed, but no Dragonfly answers at /nowhere/d.sock")
    );
    let unclear = run(bare("--no-color").env("DRAGONFLY_INSTALLED", "perhaps"));
    assert_eq!(unclear.code, Some(2));
}

#[test]
fn a_wrong_line_is_a_wrong_usage_also_in_json() {
    for words in [
        &["machine"][..],
        &["machine", "lst"],
        &["machine", "set", "web01", "hostnme=x"],
        &["machine", "list", "--state", "broken"],
        &["machine", "lock", "a", "b", "--if-version", "3"],
        &["--server", "https://127.0.0.1", "status"],
        &["status", "--timeout", "0"],
        &["server", "--json"],
    ] {
        let ended = dragonfly(words);
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(2), ""),
            "{words:?}: {}",
            ended.err
        );
        let words: Vec<_> = std::iter::once("--json")
            .chain(words.iter().copied())
            .collect();
        let ended = dragonfly(&words);
        let told: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
        assert_eq!((ended.code, &told["version"]), (Some(2), &1.into()));
        assert_eq!(told["error"]["code"], "invalid", "{told}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_told_of_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("unix:{}", folder.path().join("none.sock").display());
    let ended = dragonfly(&["--server", &nowhere, "tags"]);
    assert_eq!(ended.code, Some(6));
    assert!(
        ended.err.contains("it is not there") && ended.err.contains("dragonfly server"),
        "{}",
        ended.err
    );
    // A socket that nobody listens on any more.
    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let ended = dragonfly(&["--server", dead.to_str().unwrap(), "tags", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(
        (ended.code, &told["error"]["code"]),
        (Some(6), &"unavailable".into())
    );
}
