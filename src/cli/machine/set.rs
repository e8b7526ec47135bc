//! `dragonfly machine set`: the person's words become one edit.
//!
//! Words are read here, so that a misspelt field is told of at once; values are judged by the daemon, the
//! only one that knows their rules.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{change_one, nullable, path_of};
use crate::api::{Code, Machine};
use crate::cli::args::machine::Set;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::Screen;
use crate::cli::out::text::clean;
use crate::cli::words::{self, Field, once};

const FIELDS: [Field; 10] = [
    ("hostname", "hostname", "hostname=web01"),
    (
        "friendly-name",
        "friendly_name",
        "friendly-name=\"The quiet one\"",
    ),
    ("tags", "tags", "tags=web,rack2"),
    ("label", "labels", "label.owner=ada"),
    (
        "static-ip",
        "static_ip",
        "static-ip=\"192.0.2.10/24 via 192.0.2.1\"",
    ),
    ("vlan", "vlan", "vlan=20"),
    (
        "bond",
        "bond",
        "bond=802.3ad:52:54:00:12:34:56,52:54:00:12:34:57",
    ),
    ("os", "os_choice", "os=debian-13"),
    ("status", "status", "status=offline"),
    ("mac", "mac", "mac=52:54:00:12:34:56"),
];

pub async fn run(args: Set, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let edit = Edit::read(&args)?;
    let path = path_of(&args.machine)?;
    let mut change = args.change.clone();
    let mut fields = edit.fields;
    if !edit.labels.is_empty() {
        let machine: Machine = client.read(Ask::get(&path)).await?;
        fields.insert("labels".into(), json!(with_labels(&machine, &edit.labels)));
        // What was read is what is built on.
        change.if_version = change.if_version.or(Some(machine.version));
    }
    let ask = Ask::new(Method::PATCH, path).body(Value::Object(fields));
    let confirmed = |ask: Ask| ask.query("confirm", "true");
    if args.confirm {
        return change_one(confirmed(ask), &change, &args.machine, client, screen)
            .await
            .map(drop);
    }
    match change_one(ask.clone(), &change, &args.machine, client, screen).await {
        Err(failure) if failure.code() == Some(Code::Unconfirmed) && screen.has_person() => {
            ask_person(&failure, screen)?;
            change_one(confirmed(ask), &change, &args.machine, client, screen)
                .await
                .map(drop)
        }
        done => done.map(drop),
    }
}

/// The question stands in the problem itself.
fn ask_person(failure: &Failure, screen: &mut Screen) -> Result<(), Failure> {
    let question = match failure {
        Failure::Refused(problem) => problem.reason.as_deref().unwrap_or(&problem.detail),
        _ => "Definitely ready to change it?",
    };
    let answer = screen
        .ask(&format!("{} [y/N]", clean(question)))
        .unwrap_or_default();
    if matches!(answer.to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(untouched())
    }
}

fn untouched() -> Failure {
    Failure::new(
        crate::cli::failure::Sort::Unconfirmed,
        "nothing was changed",
    )
}

/// What was asked for: whole fields, and labels one by one.
#[derive(Debug, Default, PartialEq)]
struct Edit {
    fields: Map<String, Value>,
    labels: BTreeMap<String, Option<String>>,
}

impl Edit {
    fn read(args: &Set) -> Result<Self, Failure> {
        let mut edit = Self::default();
        for word in &args.fields {
            let Some((name, value)) = word.split_once('=') else {
                return Err(words::no_pair(word, "FIELD=VALUE", &FIELDS));
            };
            edit.set(name, value)?;
        }
        let flags = [
            ("hostname", &args.hostname),
            ("friendly-name", &args.friendly_name),
            ("tags", &args.tags),
            ("static-ip", &args.static_ip),
            ("vlan", &args.vlan),
            ("bond", &args.bond),
            ("os", &args.os),
            ("status", &args.status),
            ("mac", &args.mac),
        ];
        for (name, value) in flags {
            if let Some(value) = value {
                edit.set(name, value)?;
            }
        }
        for pair in &args.label {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::usage(format!("label '{pair}' is not of the form KEY=VALUE"))
                    .field("label", "owner=ada")
            })?;
            edit.set(&format!("label.{key}"), value)?;
        }
        args.clear.iter().try_for_each(|name| edit.set(name, ""))?;
        if edit == Self::default() {
            return Err(
                Failure::usage("there is nothing to set").field("FIELD=VALUE", "hostname=web01")
            );
        }
        Ok(edit)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let lower = name.trim().to_lowercase().replace('_', "-");
        if let Some(key) = lower
            .strip_prefix("label.")
            .or_else(|| lower.strip_prefix("labels."))
        {
            // A key keeps its case; only the field's own name does not matter.
            let key = name
                .trim()
                .get(name.trim().len() - key.len()..)
                .unwrap_or(key);
            if key.is_empty() {
                return Err(
                    Failure::usage("the label has no key").field("label", "label.owner=ada")
                );
            }
            let value = (!value.is_empty()).then(|| value.to_owned());
            return once(self.labels.insert(key.to_owned(), value).is_none(), name);
        }
        let known = match lower.as_str() {
            "os-choice" => "os",
            "tag" => "tags",
            "state" => "status",
            "labels" => "label",
            other => other,
        };
        let Some((_, field, example)) = FIELDS.iter().find(|(typed, ..)| *typed == known) else {
            return Err(words::unknown("a machine", name, &FIELDS));
        };
        let value = match *field {
            "tags" => json!(words::list(value)),
            "labels" if value.is_empty() => json!({}),
            "labels" => {
                return Err(
                    Failure::usage("labels are set one by one").field("label", "label.owner=ada")
                );
            }
            "mac" | "status" if value.is_empty() => {
                return Err(
                    Failure::usage(format!("{known} cannot be cleared")).field(known, *example)
                );
            }
            _ => nullable(value),
        };
        once(
            self.fields.insert((*field).to_owned(), value).is_none(),
            name,
        )
    }
}

/// All labels as they will be: those of the waiting edit, else of the machine, with `changes` laid over.
fn with_labels(
    machine: &Machine,
    changes: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, String> {
    let waiting = machine.pending.iter().flat_map(|pending| &pending.diff);
    let waiting = waiting.filter(|change| change.field == "labels");
    let waiting = waiting
        .filter_map(|change| serde_json::from_value(change.to.clone()).ok())
        .next_back();
    let mut labels: BTreeMap<String, String> = waiting.unwrap_or_else(|| machine.labels.clone());
    for (key, value) in changes {
        match value {
            Some(value) => labels.insert(key.clone(), value.clone()),
            None => labels.remove(key),
        };
    }
    labels
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        set: Set,
    }

    fn edit(words: &[&str]) -> Result<Edit, Failure> {
        let line = ["set", "web01"].iter().chain(words);
        Edit::read(&Line::try_parse_from(line).unwrap().set)
    }

    #[test]
    fn words_and_flags_say_the_same() {
        let words = edit(&[
            "hostname=web01",
            "tags=web, rack2",
            "os=debian-13",
            "label.Owner=ada",
            "static_ip=",
        ]);
        let flags = edit(&[
            "--hostname",
            "web01",
            "--tags",
            "web,rack2",
            "--os",
            "debian-13",
            "--label",
            "Owner=ada",
            "--clear",
            "static-ip",
        ]);
        let words = words.unwrap();
        assert_eq!(words, flags.unwrap());
        assert_eq!(words.fields["tags"], json!(["web", "rack2"]));
        assert_eq!(words.fields["static_ip"], Value::Null);
        assert_eq!(words.labels["Owner"].as_deref(), Some("ada"));
    }

    #[test]
    fn a_misspelt_field_names_the_nearest_and_is_a_wrong_usage() {
        for (word, meant) in [
            ("hostnme=x", "hostname"),
            ("sttus=ready", "status"),
            ("frendly=x", "friendly-name"),
        ] {
            let failure = edit(&[word]).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(
                failure.lines().iter().any(|line| line.contains(meant)),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for words in [
            &["hostname"][..],
            &["mac="],
            &["status="],
            &[],
            &["hostname=a", "hostname=b"],
            &["label.=x"],
            &["labels=x"],
            &["colour=red"],
        ] {
            assert_eq!(edit(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
