//! `dragonfly defaults …`: what every installation starts from.

use std::io::{self, Read};
use std::path::PathBuf;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::args::{DefaultsCommand, SetDefaults};
use super::change;
use super::client::{Ask, Client};
use super::failure::{Failure, Sort};
use super::out::sections::Section;
use super::out::text::clean;
use super::out::{Screen, Tone, receipt};
use super::words::{self, Field, list, once};
use crate::api::Defaults;

const DEFAULTS: &str = "/api/v1/defaults";
/// Sixty-four keys of the largest kind.
const MAX_FILE: u64 = 512 * 1024;

const FIELDS: [Field; 8] = [
    ("user", "user", "user=ada"),
    ("ssh_keys", "ssh_keys", "ssh_keys=@~/.ssh/id_ed25519.pub"),
    ("password_hash", "password_hash", "password_hash=@-"),
    ("os", "os", "os=debian-13"),
    ("timezone", "timezone", "timezone=Europe/Vienna"),
    ("locale", "locale", "locale=en_US.UTF-8"),
    ("dns", "dns", "dns=192.0.2.1,192.0.2.2"),
    ("ntp", "ntp", "ntp=ntp.example.net"),
];

pub async fn run(
    command: DefaultsCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        DefaultsCommand::Show => show(client, screen).await,
        DefaultsCommand::Set(args) => set(args, client, screen).await,
    }
}

async fn set(args: SetDefaults, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let mut body = Map::new();
    for word in &args.words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(words::no_pair(word, "KEY=VALUE", &FIELDS));
        };
        let known = FIELDS.iter().find(|(typed, ..)| *typed == name);
        let Some((_, field, _)) = known else {
            return Err(words::unknown("a default", name, &FIELDS));
        };
        let value = meant(field, &told(value)?);
        once(body.insert((*field).into(), value).is_none(), name)?;
    }
    let ask = Ask::new(Method::PATCH, DEFAULTS).body(Value::Object(body));
    let done = client
        .change(change::carry(ask, &args.change, screen))
        .await?;
    if screen.json {
        return screen.answer_line(&done.command, &[("data", json!(done))]);
    }
    receipt::show(screen, "defaults", &done)?;
    receipt::next(screen, &done)
}

/// The value itself, or what is in the file that it names.
fn told(value: &str) -> Result<String, Failure> {
    let Some(path) = value.strip_prefix('@') else {
        return Ok(value.to_owned());
    };
    let fail =
        |error: io::Error| Failure::new(Sort::Failed, format!("file {path} is not read: {error}"));
    let mut text = String::new();
    if path == "-" {
        io::stdin()
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(fail)?;
    } else {
        let file = std::fs::File::open(at_home(path)).map_err(fail)?;
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(fail)?;
    }
    Ok(text)
}

/// A shell leaves the `~` behind `=@` alone.
fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.into(),
    }
}

fn meant(field: &str, value: &str) -> Value {
    let value = value.trim();
    if value.is_empty() {
        return Value::Null;
    }
    match field {
        "ssh_keys" => {
            let lines = value.lines().map(str::trim);
            let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            keys.collect()
        }
        "dns" | "ntp" => {
            let lines = value.lines().flat_map(list);
            lines.collect()
        }
        _ => value.into(),
    }
}

async fn show(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let set: Defaults = client.read(Ask::get(DEFAULTS)).await?;
    if screen.json {
        return screen.answer("defaults.show", &set);
    }
    let none = || "none".to_owned();
    let lines = |items: &[String]| match items {
        [] => none(),
        items => items
            .iter()
            .map(|item| clean(item))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let one = |value: &Option<String>| {
        let value = value.as_deref().map(|value| clean(value).into_owned());
        value.unwrap_or_else(none)
    };
    let mut section = Section::new("");
    let os = if set.os.is_some() {
        Tone::Plain
    } else {
        Tone::Notice
    };
    section
        .add("user", clean(&set.user))
        .add("password", if set.password_set { "set" } else { "none" })
        .add_toned("os", os, one(&set.os))
        .add("timezone", one(&set.timezone))
        .add("locale", one(&set.locale))
        .add("dns", lines(&set.dns))
        .add("ntp", lines(&set.ntp));
    if set.ssh_keys.is_empty() {
        section.add_toned("ssh_keys", Tone::Notice, "none");
    }
    for key in &set.ssh_keys {
        section.add("ssh_keys", short(key));
    }
    section.draw(screen)
}

/// A key by its kind, its end and its comment; the middle tells nobody anything.
fn short(key: &str) -> String {
    let mut words = key.split(' ');
    let (kind, blob) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let from = blob.len().saturating_sub(8);
    let end = blob.get(from..).unwrap_or(blob);
    let comment: Vec<_> = words.collect();
    clean(format!("{kind} …{end} {}", comment.join(" ")).trim()).into_owned()
}
