//! `dragonfly machine …`: what each command asks, and how its answer is told.

mod boot;
mod conflicts;
pub mod inventory;
mod list;
mod log;
pub mod seen;
mod set;
mod show;

use hyper::Method;
use serde_json::{Value, json};

use super::args::machine::{Add, Apply, Delete, Lock, Merge, Several, Split, Tagging};
use super::args::{Change, MachineCommand};
use super::change;
use super::client::{Ask, Client};
use super::failure::{Failure, Sort};
use super::out::text::clean;
use super::out::{Screen, receipt};
use crate::api::{Machine, Receipt};

pub const MACHINES: &str = "/api/v1/machines";

pub async fn run(
    command: MachineCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        MachineCommand::List(args) => list::run(&args, client, screen).await,
        MachineCommand::Show { machine } => show::run(&machine, client, screen).await,
        MachineCommand::Add(args) => add(args, client, screen).await,
        MachineCommand::Set(args) => set::run(*args, client, screen).await,
        MachineCommand::Apply(args) => apply(args, client, screen).await,
        MachineCommand::Discard(args) => {
            each(&args, client, screen, |path| {
                Ask::new(Method::POST, format!("{path}/discard"))
            })
            .await
        }
        MachineCommand::Tag(args) => tag(args, true, client, screen).await,
        MachineCommand::Untag(args) => tag(args, false, client, screen).await,
        MachineCommand::Lock(args) => lock(args, client, screen).await,
        MachineCommand::Unlock(args) => {
            each(&args, client, screen, |path| {
                Ask::new(Method::DELETE, format!("{path}/lock"))
            })
            .await
        }
        MachineCommand::Delete(args) => delete(args, client, screen).await,
        MachineCommand::Seen => seen::list(client, screen).await,
        MachineCommand::Approve(args) => seen::approve(args, client, screen).await,
        MachineCommand::BootOnce(args) => boot::once(args, client, screen).await,
        MachineCommand::Loader(args) => boot::loader(args, client, screen).await,
        MachineCommand::Inspect(args) => {
            each(&args, client, screen, |path| {
                Ask::new(Method::POST, format!("{path}/inspect"))
            })
            .await
        }
        MachineCommand::Log { machine, follow } => log::run(&machine, follow, client, screen).await,
        MachineCommand::Conflicts => conflicts::run(client, screen).await,
        MachineCommand::Merge(args) => merge(args, client, screen).await,
        MachineCommand::Split(args) => split(args, client, screen).await,
    }
}

/// Where the API keeps this machine.
pub fn path_of(machine: &str) -> Result<String, Failure> {
    let all = "`dragonfly machine list` shows their names";
    change::path_of(MACHINES, machine, "machine's name", all)
}

/// Sends one change and tells of its receipt in full.
pub async fn change_one(
    ask: Ask,
    change: &Change,
    name: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<Receipt, Failure> {
    change::one(ask, change, ("machine", name), client, screen).await
}

/// The same change to several machines: a result each, and the worst exit code at the end.
async fn each(
    several: &Several,
    client: &mut Client,
    screen: &mut Screen,
    ask: impl Fn(&str) -> Ask,
) -> Result<(), Failure> {
    each_at(several, client, screen, |name| Ok(ask(&path_of(name)?))).await
}

/// The same where the API does not keep them under their names.
async fn each_at(
    several: &Several,
    client: &mut Client,
    screen: &mut Screen,
    ask: impl Fn(&str) -> Result<Ask, Failure>,
) -> Result<(), Failure> {
    check_several(several)?;
    let alone = several.machines.len() == 1;
    let mut worst = 0;
    for name in &several.machines {
        let sent = async {
            let ask = change::carry(ask(name)?, &several.change, screen);
            client.change(ask).await
        };
        match sent.await {
            Ok(receipt) if alone || screen.json => {
                change::tell(screen, ("machine", name), &receipt)?;
            }
            Ok(receipt) => receipt::show(screen, name, &receipt)?,
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) if alone => return Err(failure),
            Err(failure) => {
                screen.fail(&failure, Some(name));
                worst = worst.max(failure.exit_code());
            }
        }
    }
    if worst == 0 {
        Ok(())
    } else {
        Err(Failure::Told(worst))
    }
}

fn check_several(several: &Several) -> Result<(), Failure> {
    if several.change.if_version.is_some() && several.machines.len() > 1 {
        return Err(Failure::usage(
            "--if-version is the version of one machine, and several are named",
        ));
    }
    Ok(())
}

async fn add(args: Add, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let body = crate::api::AddMachine {
        mac: args.mac.clone(),
        other_macs: args.other_mac,
        smbios_uuid: args.uuid,
        hostname: args.hostname.clone(),
        friendly_name: args.friendly_name.clone(),
        os_choice: args.os,
        tags: args.tag,
    };
    let ask = Ask::new(Method::POST, MACHINES).body(json!(body));
    let name = args.friendly_name.or(args.hostname).unwrap_or(args.mac);
    change_one(ask, &args.change, &name, client, screen)
        .await
        .map(drop)
}

async fn apply(args: Apply, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let body = json!(crate::api::Apply { now: args.now });
    each(&args.several, client, screen, |path| {
        Ask::new(Method::POST, format!("{path}/apply")).body(body.clone())
    })
    .await
}

async fn tag(
    args: Tagging,
    on: bool,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut machines = args.words;
    let tags = machines.pop().unwrap_or_default();
    let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let mut edit = crate::api::EditTags::default();
    *(if on { &mut edit.add } else { &mut edit.remove }) = tags.map(str::to_owned).collect();
    let body = json!(edit);
    let several = Several {
        machines,
        change: args.change,
    };
    each(&several, client, screen, |path| {
        Ask::new(Method::POST, format!("{path}/tags")).body(body.clone())
    })
    .await
}

async fn lock(args: Lock, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let body = json!(crate::api::LockMachine {
        reason: args.reason
    });
    each(&args.several, client, screen, |path| {
        Ask::new(Method::PUT, format!("{path}/lock")).body(body.clone())
    })
    .await
}

async fn delete(args: Delete, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    check_several(&args.several)?;
    if !args.yes && !args.several.change.dry_run {
        for name in &args.several.machines {
            let machine: Machine = client.read(Ask::get(path_of(name)?)).await?;
            confirm_by_name(
                screen,
                &machine,
                "is forgotten, with its tags, labels and settings",
            )?;
        }
    }
    each(&args.several, client, screen, |path| {
        Ask::new(Method::DELETE, path)
    })
    .await
}

async fn merge(args: Merge, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    if !args.yes && !args.change.dry_run {
        let machine: Machine = client.read(Ask::get(path_of(&args.absorb)?)).await?;
        let what = format!(
            "ends in {}, and what was set for it is lost",
            clean(&args.keep)
        );
        confirm_by_name(screen, &machine, &what)?;
    }
    let ask = Ask::new(Method::POST, format!("{}/merge", path_of(&args.keep)?)).body(json!(
        crate::api::Merge {
            absorb: args.absorb
        }
    ));
    change_one(ask, &args.change, &args.keep, client, screen)
        .await
        .map(drop)
}

async fn split(args: Split, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let ask = Ask::new(Method::POST, format!("{}/split", path_of(&args.machine)?)).body(json!(
        crate::api::Split {
            macs: args.mac,
            uuid: args.uuid
        }
    ));
    change_one(ask, &args.change, &args.machine, client, screen)
        .await
        .map(drop)
}

/// Data is lost here: the person types the machine's name, or has said `--yes`.
pub fn confirm_by_name(screen: &mut Screen, machine: &Machine, what: &str) -> Result<(), Failure> {
    let name = clean(&machine.name).into_owned();
    if !screen.has_person() {
        return Err(
            Failure::new(Sort::Unconfirmed, format!("machine {name} {what}"))
                .hint("add --yes when you mean it"),
        );
    }
    let mut told = format!("Machine {name} ({}) {what}.", clean(&machine.mac));
    if let Some(hostname) = machine
        .hostname
        .as_ref()
        .filter(|hostname| **hostname != machine.name)
    {
        told = told.replacen(&name, &format!("{name}, {}", clean(hostname)), 1);
    }
    screen.remark(&told);
    let typed = screen.ask("Type its name to go on:").unwrap_or_default();
    if typed == machine.name || typed == name {
        return Ok(());
    }
    Err(Failure::new(
        Sort::Unconfirmed,
        format!("that is not its name; machine {name} is untouched"),
    ))
}

/// A value that may be absent, in JSON.
pub fn nullable(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    }
}
