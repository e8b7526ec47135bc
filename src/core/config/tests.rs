use std::os::unix::ffi::OsStringExt;

use test_case::test_case;

use super::*;

fn env(pairs: &[(&str, &str)]) -> Environment {
    let own = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Environment(own.collect())
}

fn with_file(text: impl AsRef<[u8]>) -> Result<Config, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let flags = Flags {
        config: Some(path),
        ..Flags::default()
    };
    Config::load(&flags, &Environment::default())
}

fn complaint(text: impl AsRef<[u8]>) -> String {
    let errors = with_file(text).expect_err("a complaint");
    let words = errors.to_string();
    let at = words.find("/config.toml").expect("the file is named");
    words[at + 1..].to_owned()
}

#[test]
fn every_default_and_every_example_is_valid() {
    let config = with_file("").unwrap();
    assert_eq!(config.entries().len(), KEYS.len());
    assert!(config.entries().iter().all(|e| e.origin == Origin::Default));
    let all: Vec<_> = KEYS
        .iter()
        .map(|k| format!("{} = {}", k.name, k.example))
        .collect();
    with_file(all.join("\n")).unwrap();
}

#[test]
fn a_shown_value_is_read_back_as_the_same() {
    let config = with_file("store.cache = 1_500_001\nlisten = '[::1]:0'\n").unwrap();
    let again: Vec<_> = config
        .entries()
        .iter()
        .map(|e| format!("{} = {}", e.key.name, e.shown))
        .collect();
    let again = with_file(again.join("\n")).unwrap();
    for (one, other) in config.entries().iter().zip(again.entries()) {
        assert_eq!(one.shown, other.shown);
    }
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(
        &path,
        "data = '/file'\nlog.level = 'warn'\n[socket]\npath = '/file.sock'\n",
    )
    .unwrap();
    let flags = Flags {
        config: Some(path.clone()),
        data: Some("/flag".into()),
        ..Flags::default()
    };
    let env = env(&[("DRAGONFLY_DATA", "/env"), ("DRAGONFLY_LOG", "debug")]);
    let config = Config::load(&flags, &env).unwrap();
    let origin = |name: &str| {
        let entry = config
            .entries()
            .iter()
            .find(|e| e.key.name == name)
            .unwrap();
        (entry.shown.clone(), entry.origin.to_string())
    };
    assert_eq!(origin("data"), ("\"/flag\"".into(), "flag --data".into()));
    assert_eq!(
        origin("log.level"),
        ("\"debug\"".into(), "environment DRAGONFLY_LOG".into())
    );
    assert_eq!(
        origin("socket.path"),
        ("\"/file.sock\"".into(), format!("{}:4", path.display()))
    );
    assert_eq!(origin("log.format").1, "default");
}

#[test_case(
    "lissten = '127.0.0.1:1'",
    "config.toml:1: lissten is not a key that is known; the nearest that is: listen"
)]
#[test_case(
    "\n[socket]\npaht = '/x'",
    "config.toml:3: socket.paht is not a key that is known; the nearest that is: socket.path"
)]
#[test_case(
    "[sokcet]\npath = '/x'",
    "config.toml:1: sokcet is not a key that is known; the nearest that is: socket"
)]
#[test_case(
    "socket = 5",
    "config.toml:1: socket is a section, not a value; write [socket], and below it path, mode, group"
)]
#[test_case(
    "data = 5",
    "config.toml:1: data is a number, and text is wanted; for example data = \"/var/lib/dragonfly\""
)]
#[test_case(
    "data = ''",
    "config.toml:1: data is empty; for example data = \"/var/lib/dragonfly\""
)]
#[test_case(
    "data = 'x/y'",
    "config.toml:1: data 'x/y' is a relative path, and the file does not know from where: write it in full; for example data = \"/var/lib/dragonfly\""
)]
#[test_case(
    "log.level = 'inof'",
    "config.toml:1: log.level 'inof' is none of error, warn, info, debug, trace, off (did you mean 'info'?); for example level = \"info,dragonfly::store=debug\""
)]
#[test_case(
    "log.format = 3",
    "config.toml:1: log.format '3' is none of text, json; for example format = \"json\""
)]
#[test_case(
    "store.cache = true",
    "config.toml:1: store.cache is true or false, which it cannot be; for example cache = \"256 MiB\""
)]
#[test_case(
    "store.cache = 0",
    "config.toml:1: store.cache '0' is out of range: from 1 MiB to 65536 MiB; for example cache = \"256 MiB\""
)]
#[test_case(
    "store.cache = '1 TiB'",
    "config.toml:1: store.cache '1 TiB' is not a size; for example cache = \"256 MiB\""
)]
#[test_case(
    "store.cache = '99999999999 GiB'",
    "config.toml:1: store.cache '99999999999 GiB' is not a size; for example cache = \"256 MiB\""
)]
#[test_case(
    "socket.mode = '0666'",
    "config.toml:1: socket.mode '0666' lets everybody in, and there are no users yet: the last digit is 0; for example mode = \"0660\""
)]
#[test_case(
    "socket.mode = 660",
    "config.toml:1: socket.mode is the number 660; write it as text, in octal; for example mode = \"0660\""
)]
#[test_case(
    "socket.group = 'a b'",
    "config.toml:1: socket.group 'a b' cannot be the name of a group; for example group = \"dragonfly\""
)]
#[test_case(
    "listen = []",
    "config.toml:1: listen names no address; for example listen = [\"127.0.0.1:3000\", \"[::1]:3000\"]"
)]
#[test_case(
    "listen = '127.0.0.1'",
    "config.toml:1: listen '127.0.0.1' is not an address with a port; for example listen = [\"127.0.0.1:3000\", \"[::1]:3000\"]"
)]
#[test_case(
    "listen = ['127.0.0.1:1', '127.0.0.1:1']",
    "config.toml:1: listen names 127.0.0.1:1 twice; for example listen = [\"127.0.0.1:3000\", \"[::1]:3000\"]"
)]
fn a_wrong_line_is_named_with_its_reason_and_a_valid_example(text: &str, words: &str) {
    assert_eq!(complaint(text), words);
}

#[test_case("0.0.0.0:3000"; "everywhere")]
#[test_case("192.168.1.5:3000"; "an address of the network")]
#[test_case("[::]:3000"; "everywhere in IPv6")]
#[test_case("[::ffff:10.0.0.1]:3000"; "a mapped address")]
fn what_the_network_can_reach_is_refused_and_told_why(address: &str) {
    let words = complaint(format!("listen = '{address}'"));
    assert!(words.contains("there are no users yet"), "{words}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let flags = Flags {
        log_format: Some("xml".into()),
        ..Flags::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(
        &path,
        "zzz = 1\ndata = 4\n[log]\nlevel = 'x'\nformat = = 3\n",
    )
    .unwrap();
    let env = env(&[
        ("DRAGONFLY_CONFIG", path.to_str().unwrap()),
        ("DRAGONFLY_LISTEN", "nowhere"),
    ]);
    let errors = Config::load(&flags, &env).expect_err("mistakes");
    let places: Vec<_> = errors.0.iter().map(|e| e.origin.to_string()).collect();
    let file = path.display();
    let expected = [1, 2, 4, 5]
        .map(|line| format!("{file}:{line}"))
        .into_iter();
    let expected: Vec<_> = expected
        .chain([
            "environment DRAGONFLY_LISTEN".into(),
            "flag --log-format".into(),
        ])
        .collect();
    assert_eq!(places, expected, "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_fine_unless_it_was_named() {
    let flags = Flags {
        config: Some("/nonexistent/config.toml".into()),
        ..Flags::default()
    };
    let errors = Config::load(&flags, &Environment::default()).expect_err("a complaint");
    assert_eq!(
        errors.to_string(),
        "configuration is wrong: /nonexistent/config.toml: file does not exist; create it, or leave it out to use the defaults"
    );
}

#[test]
fn files_that_are_no_text_are_told_apart() {
    let load = |path: &Path| {
        let flags = Flags {
            config: Some(path.into()),
            ..Flags::default()
        };
        Config::load(&flags, &Environment::default())
            .expect_err("a complaint")
            .to_string()
    };
    let dir = tempfile::tempdir().unwrap();
    assert!(load(dir.path()).contains("is a folder, not a file"));
    assert!(load(Path::new("/dev/zero")).contains("is not an ordinary file"));
    assert!(complaint(vec![b'#'; 1024 * 1024 + 1]).contains("is larger than 1 MiB"));
    assert!(complaint(b"# fine\n# \xff\n").contains("is not UTF-8: see line 2"));
}

#[test]
fn a_variable_that_is_nearly_ours_is_told_of_and_stops_nothing() {
    let env = env(&[
        ("DRAGONFLY_LISTN", "x"),
        ("DRAGONFLY_SERVICE_HOST", "10.0.0.1"),
    ]);
    let config = Config::load(&Flags::default(), &env).unwrap();
    assert_eq!(
        config.notes,
        ["variable DRAGONFLY_LISTN is not known; DRAGONFLY_LISTEN is"]
    );
}

#[test]
fn a_path_need_not_be_utf8_and_anything_else_must() {
    let odd = || OsString::from_vec(vec![b'/', 0xff]);
    let mut env = Environment::default();
    env.0.insert("DRAGONFLY_DATA".into(), odd());
    assert_eq!(
        Config::load(&Flags::default(), &env).unwrap().data,
        Path::new(&odd())
    );
    env.0.insert("DRAGONFLY_LOG".into(), odd());
    let errors = Config::load(&Flags::default(), &env).expect_err("a complaint");
    assert!(
        errors
            .to_string()
            .contains("environment DRAGONFLY_LOG: log.level is not UTF-8")
    );
}

proptest::proptest! {
    #[test]
    fn no_text_brings_the_parser_down(text in "(?s).{0,200}") {
        drop(file::parse(Path::new("x"), &text));
    }
}

#[test_case("net.links = ['eth0', 'lan0.10']", "[\"eth0\", \"lan0.10\"]"; "a list")]
#[test_case("net.links = 'auto'", "[\"auto\"]"; "one word")]
#[test_case("net.links = []", "[]"; "none")]
fn links_are_a_list_that_may_be_empty(text: &str, shown: &str) {
    let config = with_file(text).unwrap();
    let entry = config.entries().iter().find(|e| e.key.name == "net.links");
    assert_eq!(entry.unwrap().shown, shown);
}

#[test]
fn nothing_goes_out_on_any_link_that_nobody_named() {
    assert!(with_file("").unwrap().net.links.is_empty());
}

#[test_case("net.links = ['eth 0']", "no name of a network link"; "a space")]
#[test_case("net.links = ['eth0', 'eth0']", "names eth0 twice"; "twice")]
#[test_case("net.http_port = 0", "'0' is not a port"; "port zero")]
#[test_case("net.http_port = 70000", "'70000' is not a port"; "a port too high")]
fn a_wrong_wire_is_told_where_it_stands(text: &str, why: &str) {
    let words = complaint(text);
    assert!(words.contains(why), "{words}");
}
