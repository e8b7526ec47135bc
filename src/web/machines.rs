//! Machines: list, show, add, edit, apply, discard, tag, lock, merge, split, delete.

use std::collections::BTreeSet;
use std::str::FromStr;

use axum::body::Body;
use axum::http::Response;
use uuid::Uuid;

use super::ask::{Ask, json_sized};
use super::patch::patch;
use super::problem::Fault;
use super::routes::LIMIT;
use super::view::{self, MachineView};
use crate::api;
use crate::core::command::AddMachine;
use crate::core::{Command, MachineFilter, MachineRef};
use crate::model::{FieldError, Lock, MacAddr, MachineId, Tag};

/// The orders that a list can have; the first is taken when none is asked for.
pub const SORTS: &[&str] = &[
    "registered",
    "-registered",
    "name",
    "-name",
    "hostname",
    "-hostname",
    "updated",
    "-updated",
];

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let params = &ask.params;
    let sort = params.text("sort").unwrap_or(SORTS[0]).parse()?;
    let limit = params.number(&LIMIT) as usize;
    let page = ask
        .web
        .core()
        .machines(&filter(ask)?, sort, limit, params.text("cursor"))?;
    let machines = page
        .items
        .iter()
        .map(|(machine, version)| MachineView(machine, *version));
    let shown = view::Page {
        items: machines,
        next: page.next.clone(),
        total: Some(page.total as u64),
    };
    json_sized(&shown, 256 + page.items.len() * view::TYPICAL_BYTES)
}

fn filter(ask: &Ask) -> Result<MachineFilter, Fault> {
    let params = &ask.params;
    let tags = params
        .texts("tag")
        .map(|text| text.parse().map_err(|error| named(error, "tag")));
    Ok(MachineFilter {
        state: parsed(params.text("state"), "state")?,
        tags: tags.collect::<Result<_, _>>()?,
        os: parsed(params.text("os"), "os")?,
        text: params.text("q").map(str::to_owned),
        locked: params.flag("locked"),
        pending: params.flag("pending"),
    })
}

/// A parameter that has the rule of a field; the refusal names the parameter.
fn parsed<T: FromStr<Err = FieldError>>(
    text: Option<&str>,
    name: &str,
) -> Result<Option<T>, Fault> {
    let parsed = text.map(str::parse::<T>).transpose();
    parsed.map_err(|error| Fault::field(name, error.reason, error.example))
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (machine, version) = ask.machine()?;
    ask.versioned(&MachineView(&machine, version), version)
}

pub async fn add(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::AddMachine = ask.json()?;
    let uuid = body.smbios_uuid.as_deref().map(|text| {
        Uuid::try_parse(text).map_err(|_| {
            let example = "0f7c2a9e-5f6d-4b3a-9c1e-2d4f6a8b0c1d";
            Fault::field("smbios_uuid", "it is not a UUID", example)
        })
    });
    let command = Command::AddMachine(AddMachine {
        mac: body.mac.parse().map_err(|error| named(error, "mac"))?,
        other_macs: each(&body.other_macs, "other_macs")?,
        smbios_uuid: uuid.transpose()?,
        hostname: body.hostname.as_deref().map(str::parse).transpose()?,
        friendly_name: body.friendly_name.as_deref().map(str::parse).transpose()?,
        os_choice: body.os_choice.as_deref().map(str::parse).transpose()?,
        tags: each::<Tag>(&body.tags, "tags")?,
    });
    ask.run(command).await
}

pub async fn set(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::SetMachine = ask.json()?;
    let confirmed = ask.params.flag("confirm").unwrap_or(false);
    let patch = patch(&body.0)?;
    ask.run(Command::SetMachine {
        machine: id(&ask)?,
        patch,
        confirmed,
    })
    .await
}

pub async fn delete(ask: Ask) -> Result<Response<Body>, Fault> {
    ask.run(Command::DeleteMachine { machine: id(&ask)? }).await
}

pub async fn apply(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::Apply { now } = ask.json()?;
    ask.run(Command::ApplyMachine {
        machine: id(&ask)?,
        now,
    })
    .await
}

pub async fn discard(ask: Ask) -> Result<Response<Body>, Fault> {
    ask.run(Command::DiscardMachine { machine: id(&ask)? })
        .await
}

pub async fn tag(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::EditTags = ask.json()?;
    let (add, remove) = (each(&body.add, "add")?, each(&body.remove, "remove")?);
    ask.run(Command::TagMachine {
        machine: id(&ask)?,
        add,
        remove,
    })
    .await
}

pub async fn lock(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::LockMachine { reason } = ask.json()?;
    ask.run(Command::LockMachine {
        machine: id(&ask)?,
        reason: checked(reason.as_deref())?,
    })
    .await
}

pub async fn unlock(ask: Ask) -> Result<Response<Body>, Fault> {
    ask.run(Command::UnlockMachine { machine: id(&ask)? }).await
}

pub async fn merge(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::Merge = ask.json()?;
    let keep = id(&ask)?;
    let absorb = ask.web.core().machine(&MachineRef(body.absorb))?.0.id;
    ask.run(Command::MergeMachines { keep, absorb }).await
}

pub async fn split(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::Split = ask.json()?;
    let macs = each::<MacAddr>(&body.macs, "macs")?;
    ask.run(Command::SplitMachine {
        machine: id(&ask)?,
        macs,
        uuid: body.uuid,
    })
    .await
}

fn id(ask: &Ask) -> Result<MachineId, Fault> {
    Ok(ask.machine()?.0.id)
}

/// A list of texts with the rule of their type; the refusal names the place in the list.
fn each<T: FromStr<Err = FieldError> + Ord>(
    texts: &[String],
    list: &str,
) -> Result<BTreeSet<T>, Fault> {
    let parsed = texts.iter().enumerate().map(|(place, text)| {
        text.parse::<T>()
            .map_err(|error| named(error, &format!("{list}[{place}]")))
    });
    parsed.collect()
}

fn named(error: FieldError, name: &str) -> Fault {
    Fault::field(name, error.reason, error.example)
}

/// What a person writes about a lock is one printable line.
fn checked(reason: Option<&str>) -> Result<Option<String>, Fault> {
    let wrong = |why: String| Err(Fault::field("reason", why, "holds the backups"));
    match reason.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) if text.chars().count() > Lock::MAX_REASON => wrong(format!(
            "it is over the limit of {} characters",
            Lock::MAX_REASON
        )),
        Some(text) if text.chars().any(char::is_control) => {
            wrong("it holds a control character".into())
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}
