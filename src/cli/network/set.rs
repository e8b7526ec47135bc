//! `dragonfly network set`: the person's words become one change.
//!
//! Words are read here, so that a misspelt key is told of at once; values are judged by the daemon, the only one that
//! knows their rules.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{NETWORKS, alter, path_of};
use crate::api::{Code, Network};
use crate::cli::args::network::SetNetwork;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::machine::nullable;
use crate::cli::out::Screen;
use crate::cli::words::{self, Field, once};

const FIELDS: [Field; 15] = [
    ("serve", "serve", "serve=proxy"),
    ("idle", "idle", "idle=silence"),
    ("admit", "admit", "admit=approve"),
    ("rungs", "rungs", "rungs=proxy,binl,staple"),
    ("floating", "floating", "floating=auto"),
    ("floating.scan", "scan", "floating.scan=20"),
    (
        "floating.on_conflict",
        "on_conflict",
        "floating.on_conflict=release",
    ),
    ("loader", "loaders", "loader=b8:27:eb=firmware"),
    ("pool", "pool", "pool=10.0.0.100-10.0.0.200"),
    ("router", "router", "router=10.0.0.1"),
    ("dns", "dns", "dns=10.0.0.1,9.9.9.9"),
    ("domain", "domain", "domain=lab.example.net"),
    ("lease", "lease_seconds", "lease=12h"),
    (
        "reserve",
        "reservations",
        "reserve=52:54:00:12:34:56=10.0.0.50",
    ),
    ("unreserve", "reservations", "unreserve=52:54:00:12:34:56"),
];

pub async fn run(
    args: SetNetwork,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let edit = Edit::read(&args.words)?;
    let path = path_of(NETWORKS, &args.link)?;
    let mut how = args.change.clone();
    let mut fields = edit.fields;
    if !edit.loaders.is_empty() || !edit.reservations.is_empty() {
        let before = before(&path, client).await?;
        // What was read is what is built on.
        let version = before.as_ref().map_or(0, |network| network.version);
        how.if_version = how.if_version.or(Some(version));
        let (loaders, reservations) = before.map_or_else(Default::default, |network| {
            (network.loaders, network.reservations)
        });
        for (field, old, new) in [
            ("loaders", loaders, edit.loaders),
            ("reservations", reservations, edit.reservations),
        ] {
            if !new.is_empty() {
                fields.insert(field.into(), json!(laid_over(old, new)));
            }
        }
    }
    let ask = Ask::new(Method::PATCH, path).body(Value::Object(fields));
    alter(ask, &how, &args.link, client, screen).await
}

/// As it stands; none where nobody set it up and nothing is served.
async fn before(path: &str, client: &mut Client) -> Result<Option<Network>, Failure> {
    match client.read(Ask::get(path)).await {
        Ok(network) => Ok(Some(network)),
        Err(failure) if failure.code() == Some(Code::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn laid_over(
    mut all: BTreeMap<String, String>,
    changes: BTreeMap<String, Option<String>>,
) -> BTreeMap<String, String> {
    for (key, value) in changes {
        match value {
            Some(value) => all.insert(key, value),
            None => all.remove(&key),
        };
    }
    all
}

/// What was asked for: whole fields, and pairs one by one.
#[derive(Debug, Default, PartialEq)]
struct Edit {
    fields: Map<String, Value>,
    loaders: BTreeMap<String, Option<String>>,
    reservations: BTreeMap<String, Option<String>>,
}

impl Edit {
    fn read(words: &[String]) -> Result<Self, Failure> {
        let mut edit = Self::default();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                return Err(words::no_pair(word, "KEY=VALUE", &FIELDS));
            };
            edit.set(name.trim(), value.trim())?;
        }
        Ok(edit)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let lower = name.to_lowercase().replace('-', "_");
        let known = match lower.as_str() {
            "scan" => "floating.scan",
            "on_conflict" => "floating.on_conflict",
            "lease_seconds" => "lease",
            "loaders" => "loader",
            "rung" => "rungs",
            other => other,
        };
        let Some((_, field, example)) = FIELDS.iter().find(|(typed, ..)| *typed == known) else {
            return Err(words::unknown("a network", name, &FIELDS));
        };
        if matches!(known, "loader" | "reserve" | "unreserve") {
            return self.pair(known, value, example);
        }
        let value = match known {
            "rungs" | "dns" => json!(words::list(value)),
            "pool" | "router" | "domain" => nullable(value),
            _ if value.is_empty() => {
                let told = format!("{known} cannot be cleared");
                return Err(Failure::usage(told).field(known, *example));
            }
            "lease" => json!(seconds(value)?),
            "floating.scan" => value
                .parse()
                .map_or_else(|_| json!(value), |n: u64| json!(n)),
            _ => json!(value),
        };
        let first = self.fields.insert((*field).to_owned(), value).is_none();
        once(first, known)
    }

    /// One loader or one reservation, put there or taken off.
    fn pair(&mut self, known: &str, value: &str, example: &str) -> Result<(), Failure> {
        let (octets, meant) = if known == "unreserve" {
            (value, "")
        } else {
            value.rsplit_once('=').ok_or_else(|| {
                Failure::usage(format!("{known} takes two things with a '=' between"))
                    .field(known, example)
            })?
        };
        let (all, what) = match known {
            "loader" => (&mut self.loaders, "the loader of"),
            _ => (&mut self.reservations, "the reservation of"),
        };
        let meant = (!meant.is_empty()).then(|| meant.to_owned());
        let first = all.insert(canonical(octets), meant).is_none();
        once(first, &format!("{what} {octets}"))
    }
}

/// Octets as the API writes them, so that the same card is the same key.
fn canonical(octets: &str) -> String {
    octets.trim().to_lowercase().replace('-', ":")
}

/// A span of time as people write it.
fn seconds(value: &str) -> Result<u64, Failure> {
    let (digits, unit) = match value.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((place, _)) => value.split_at(place),
        None => (value, ""),
    };
    let factor = match unit.trim() {
        "" | "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    let span = number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor));
    span.ok_or_else(|| {
        let told = format!("'{value}' is no span of time: a number of seconds, or with m, h or d");
        Failure::usage(told).field("lease", "12h")
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn edit(words: &[&str]) -> Result<Edit, Failure> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Edit::read(&words)
    }

    #[test]
    fn every_key_takes_its_own_example() {
        for (typed, field, example) in FIELDS {
            assert!(example.starts_with(&format!("{typed}=")));
            let edit = edit(&[example]).unwrap();
            let pairs = edit.loaders.len() + edit.reservations.len();
            assert!(edit.fields.contains_key(field) || pairs == 1, "{example}");
        }
    }

    #[test]
    fn words_become_fields_of_the_api() {
        let edit = edit(&[
            "SERVE=server",
            "rungs=proxy, staple",
            "floating.on-conflict=release",
            "scan=7",
            "router=",
            "dns=",
            "reserve=52-54-00-12-34-56=10.0.0.50",
            "loader=B8:27:EB=",
        ])
        .unwrap();
        let fields = json!({
            "serve": "server", "rungs": ["proxy", "staple"], "on_conflict": "release", "scan": 7,
            "router": null, "dns": [],
        });
        assert_eq!(Value::Object(edit.fields), fields);
        assert_eq!(
            edit.reservations["52:54:00:12:34:56"].as_deref(),
            Some("10.0.0.50")
        );
        assert_eq!(edit.loaders["b8:27:eb"], None);
    }

    #[test_case("lease=90", 90)]
    #[test_case("lease=90s", 90)]
    #[test_case("lease=10m", 600)]
    #[test_case("lease=12h", 43_200)]
    #[test_case("lease=7d", 604_800)]
    fn a_lease_is_as_long_as_people_say(word: &str, seconds: u64) {
        assert_eq!(edit(&[word]).unwrap().fields["lease_seconds"], seconds);
    }

    #[test_case("serv=proxy", "did you mean serve?")]
    #[test_case("rngs=proxy", "did you mean rungs?")]
    #[test_case("floating.scn=3", "did you mean floating.scan?")]
    #[test_case("reserv=x=y", "did you mean reserve?")]
    #[test_case("colour=red", "fields: serve, idle")]
    #[test_case("serve", "a valid example: serve=proxy")]
    #[test_case("serve=", "cannot be cleared")]
    #[test_case("reserve=52:54:00:12:34:56", "reserve=52:54:00:12:34:56=10.0.0.50")]
    #[test_case("lease=long", "no span of time")]
    #[test_case("lease=99999999999999999999d", "no span of time")]
    fn a_word_that_cannot_be_meant_is_a_wrong_usage(word: &str, told: &str) {
        let failure = edit(&[word]).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        let lines = failure.lines().join("\n");
        assert!(lines.contains(told), "{lines}");
    }

    #[test]
    fn a_key_is_given_once() {
        for words in [
            &["serve=proxy", "serve=off"][..],
            &["reserve=a=b", "unreserve=a"],
            &["loader=a=full", "loader=A=auto"],
        ] {
            assert_eq!(edit(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
