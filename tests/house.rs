//! The rules of the house, read off its source: which room may use which, and what no file may hold.
//!
//! The table below is that of ARCHITECTURE.md. A new arrow is a change of design: it changes the table in both
//! places, and its commit says why.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "house/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use source::{body_lines, paths, tokens};

/// Every room, and the rooms that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("agent", &["model"]),
    ("store", &["model"]),
    ("core", &["model", "store"]),
    ("api", &["model"]),
    ("net", &["model", "core"]),
    ("boot", &["model", "core"]),
    ("provision", &["model", "core"]),
    ("web", &["model", "core", "api"]),
    ("cli", &["api"]),
    ("demo", &["model", "core"]),
    ("lab", &[]),
    (
        "daemon",
        &[
            "model",
            "store",
            "core",
            "api",
            "net",
            "boot",
            "provision",
            "web",
            "cli",
            "demo",
        ],
    ),
    ("main", &["cli", "daemon"]),
];

/// Files that may hold `unsafe`, each for a system call that has no safe wrapper.
const UNSAFE: &[&str] = &[
    "benches/boot/init.rs",
    "src/agent/sys/block.rs",
    "src/agent/sys/kernel.rs",
    "src/agent/sys/link.rs",
    "src/net/link/sys.rs",
    "src/net/tftp/server/sys.rs",
];

const MAX_BODY: usize = 800;
const MAX_MAIN: usize = 50;

/// A file under the root of the project, by its path from there.
struct File {
    path: String,
    text: String,
}

fn files(directory: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting = vec![root.join(directory)];
    while let Some(place) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&place) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(root: &Path, path: &PathBuf) -> File {
    let inside = path.strip_prefix(root).unwrap();
    File {
        path: inside.to_str().unwrap().replace('\\', "/"),
        text: fs::read_to_string(path).unwrap(),
    }
}

/// The module that a file under `src/` is: `src/model/mac.rs` is `model`, `mac`; `src/lib.rs` is the root.
fn module(path: &str) -> Vec<&str> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').filter(|part| *part != "lib").collect()
}

/// What a file does that the table does not allow, each with its line.
fn wrong_arrows(path: &str, text: &str) -> Vec<String> {
    let own = module(path);
    let Some(room) = own.first() else {
        return Vec::new(); // lib.rs is the map of all rooms
    };
    let allowed = ROOMS.iter().find(|(name, _)| name == room);
    let Some((_, allowed)) = allowed else {
        return vec![format!(
            "{path}: room '{room}' is not in the table of tests/house.rs"
        )];
    };
    let mut wrong = Vec::new();
    for found in paths(text, &["crate", "super", "self", "dragonfly"]) {
        let Some(target) = target(&own, found.depth, &found.words) else {
            continue;
        };
        if target != *room && !allowed.contains(&target) {
            let (line, words) = (found.line, found.words.join("::"));
            wrong.push(format!(
                "{path}:{line}: {words}: {room} may not use {target}, only: {}",
                allowed.join(", ")
            ));
        }
    }
    wrong
}

/// The room that a path leads to, or `the whole crate` where it hides which; None when it leads nowhere else.
fn target<'a>(own: &[&'a str], depth: usize, words: &'a [String]) -> Option<&'a str> {
    let climbs = words
        .iter()
        .take_while(|word| *word == "super" || *word == "self");
    let supers = climbs.clone().filter(|word| *word == "super").count();
    let next = match words[0].as_str() {
        "crate" | "dragonfly" => words.get(1),
        // Each `super` leads out of one module; from a room itself it leads to the root.
        _ if supers == own.len() + depth => words.get(climbs.count()),
        _ => return None,
    };
    match next.map(String::as_str) {
        // `pub(crate)` is no path.
        None if words.len() == 1 => None,
        None | Some("self" | "*" | "super") => Some("the whole crate"),
        Some(room) => Some(room),
    }
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn no_room_uses_another_that_the_table_does_not_give_it() {
    let files = files("src");
    assert!(files.len() > 20, "the source was not found");
    let wrong = files
        .iter()
        .flat_map(|file| wrong_arrows(&file.path, &file.text));
    assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn arrows_never_turn_back() {
    let place: BTreeMap<_, _> = ROOMS
        .iter()
        .zip(0..)
        .map(|((room, _), at)| (room, at))
        .collect();
    for (room, uses) in ROOMS {
        for used in *uses {
            assert!(
                place[used] < place[room],
                "{room} uses {used}, which stands below it"
            );
        }
    }
}

#[test]
fn the_table_of_the_architecture_is_this_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for (room, uses) in ROOMS.iter().filter(|(room, _)| is_there(room)) {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{room}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {room}"));
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let expected = match uses {
            [] => "nothing".to_owned(),
            _ if *room == "daemon" => "all".to_owned(),
            _ => uses.join(", "),
        };
        assert_eq!(last, expected, "what {room} may use, in ARCHITECTURE.md");
    }
}

/// A room comes into being with the first thing that lives in it.
fn is_there(room: &str) -> bool {
    let own = format!("src/{room}.rs");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(own).exists()
}

#[test]
fn a_modules_file_stands_beside_its_directory() {
    let wrong = files("src")
        .into_iter()
        .filter(|file| file.path.ends_with("/mod.rs"));
    assert_none(&wrong.map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    let mut wrong = Vec::new();
    for File { path, text } in files("src") {
        let limit = if path.ends_with("/main.rs") {
            MAX_MAIN
        } else {
            MAX_BODY
        };
        let lines = body_lines(&text);
        if lines > limit {
            wrong.push(format!(
                "{path}: {lines} lines before its tests, {limit} is the end"
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_file_says_at_its_head_what_it_owns() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(files);
    let wrong = all.filter(|file| !file.path.ends_with("/tests.rs") && !has_head(&file.text));
    assert_none(
        &wrong
            .map(|file| format!("{}: no //! head", file.path))
            .collect::<Vec<_>>(),
    );
}

fn has_head(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| line.starts_with("//! "))
}

#[test]
fn what_is_unfinished_is_not_there_and_unsafe_is_where_it_is_listed() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(files) {
        wrong.extend(wrong_words(&file.path, &file.text));
    }
    assert_none(&wrong);
}

fn wrong_words(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut wrong = Vec::new();
    for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        let (word, line) = (token.text.as_str(), token.line);
        if matches!(word, "todo" | "unimplemented") && next.text == "!" {
            wrong.push(format!("{path}:{line}: {word}! says that it is unfinished"));
        }
        if word == "unsafe" && !UNSAFE.contains(&path) {
            wrong.push(format!(
                "{path}:{line}: unsafe, but the file is not in the list of tests/house.rs"
            ));
        }
    }
    wrong
}

/// The test of the test: each trick by which a wrong arrow could pass unseen.
mod the_reader {
    use test_case::test_case;

    use super::*;

    #[test_case("src/model/mac.rs", "use crate::store::Key;"; "plain")]
    #[test_case("src/model/mac.rs", "use crate::{model::{State, MacAddr}, store::{Key}};"; "in a group")]
    #[test_case("src/model/mac.rs", "use crate::{\n    self,\n    model,\n};"; "the crate itself in a group")]
    #[test_case("src/model/mac.rs", "use crate::*;"; "a glob of the root")]
    #[test_case("src/model/mac.rs", "fn f() -> crate::store::Key { g() }"; "in an expression")]
    #[test_case("src/model/mac.rs", "macro_rules! m { () => { $crate::store::Key } }"; "in a macro")]
    #[test_case("src/model/mac.rs", "use super::super::store::Key;"; "by climbing")]
    #[test_case("src/model/mac.rs", "use super::super::{store, model};"; "by climbing, in a group")]
    #[test_case("src/model/mac.rs", "use self::super::super::store;"; "by climbing from self")]
    #[test_case("src/model/mac.rs", "mod tests { use super::super::super::store::Key; }"; "by climbing from an inner module")]
    #[test_case("src/model.rs", "use super::store::Key;"; "by climbing from a room")]
    #[test_case("src/model.rs", "use super::*;"; "a glob by climbing")]
    #[test_case("src/model.rs", "pub use crate::store as shop;"; "under another name")]
    #[test_case("src/model.rs", "use crate :: /* here */ store :: Key ;"; "with space and comment between")]
    #[test_case("src/store.rs", "use crate::core::Clock;"; "upwards")]
    #[test_case("src/cli/table.rs", "use crate::model::MacAddr;"; "past the api")]
    #[test_case("src/main.rs", "use dragonfly::store::Key;"; "from main")]
    #[test_case("src/main.rs", "fn main() { dragonfly::web::serve() }"; "from main, in an expression")]
    #[test_case("src/cellar.rs", ""; "a room without a row")]
    #[test_case("src/cellar/wine.rs", "use crate::model::State;"; "a file in a room without a row")]
    fn sees_a_wrong_arrow(path: &str, text: &str) {
        assert_eq!(wrong_arrows(path, text).len(), 1, "{text}");
    }

    #[test_case("src/store.rs", "use crate::model::{Machine, State};"; "an arrow of the table")]
    #[test_case("src/store/redb.rs", "use super::{Key, Store}; use crate::store::Page;"; "the room itself")]
    #[test_case("src/model/mac.rs", "mod tests { use super::super::field::FieldError; }"; "climbing inside the room")]
    #[test_case("src/model/mac.rs", "// use crate::store::Key;\n/* crate::core::x /* y */ crate::store::z */"; "in comments")]
    #[test_case("src/model/mac.rs", "const A: &str = \"crate::store::Key\"; const B: &str = r#\"a\" crate::core::x\"#;"; "in texts")]
    #[test_case("src/model/mac.rs", "const C: char = '\"'; const D: char = '\\''; fn f<'a>(x: &'a str) {}"; "quotes and lifetimes")]
    #[test_case("src/model/mac.rs", "pub(crate) fn f(self) -> u8 { self.0 }"; "visibility and receivers")]
    #[test_case("src/main.rs", "use dragonfly::{cli, daemon};"; "main's two rooms")]
    #[test_case("src/daemon/wire.rs", "use crate::{core::Core, store::Store, web};"; "the daemon")]
    #[test_case("src/lib.rs", "pub mod model;"; "the map")]
    fn lets_pass_what_is_right(path: &str, text: &str) {
        assert_none(&wrong_arrows(path, text));
    }

    #[test]
    fn goes_on_after_a_text_that_holds_a_quote() {
        let text = "const A: &str = \"\\\"\"; const B: char = '\"'; use crate::store::Key;";
        assert_eq!(wrong_arrows("src/model/mac.rs", text).len(), 1);
    }

    #[test]
    fn tells_the_line() {
        let text =
            "//! Head.\n\n/* two\nlines */ const A: &str = \"\n\";\nuse crate::store::Key;\n";
        let wrong = wrong_arrows("src/model/mac.rs", text);
        assert!(
            wrong[0].starts_with("src/model/mac.rs:6: crate::store::Key"),
            "{wrong:?}"
        );
    }

    #[test_case("fn f() { todo!() }", 1; "todo")]
    #[test_case("fn f() { unimplemented!(\"x\") }", 1; "unimplemented")]
    #[test_case("unsafe fn f() {}", 1; "unsafe")]
    #[test_case("// todo!() and unsafe\nconst A: &str = \"todo!() unsafe\";", 0; "only spoken of")]
    #[test_case("#![deny(unsafe_code)] struct Todo;", 0; "other words")]
    fn sees_words_that_have_no_place(text: &str, count: usize) {
        assert_eq!(wrong_words("src/model/mac.rs", text).len(), count);
    }

    #[test]
    fn counts_a_body_without_its_tests() {
        let tests = "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(body_lines(&format!("a\nb\n\n{tests}")), 2);
        assert_eq!(
            body_lines(&format!("a\n\n{tests}b\nc\n")),
            3,
            "a body goes on after its tests"
        );
        assert_eq!(body_lines("a\nb\n\n#[cfg(test)]\nmod tests;\n"), 5);
    }

    #[test_case("//! What this owns.\n", true; "a head")]
    #[test_case("\n//! What this owns.\n", true; "after an empty line")]
    #[test_case("use std::fmt;\n//! What this owns.\n", false; "too late")]
    #[test_case("//!\nuse std::fmt;\n", false; "an empty one")]
    #[test_case("// What this owns.\n", false; "of the wrong sort")]
    fn knows_a_head(text: &str, is: bool) {
        assert_eq!(has_head(text), is);
    }
}
