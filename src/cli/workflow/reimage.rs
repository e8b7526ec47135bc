//! `dragonfly reimage`: install a machine anew, after its name was typed.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::json;

use super::watch;
use crate::api::{self, Machine};
use crate::cli::args::workflow::Reimage;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::machine::inventory::contents;
use crate::cli::machine::{change_one, confirm_by_name, path_of};
use crate::cli::out::Screen;
use crate::cli::out::text::{clean, size};

pub async fn run(args: Reimage, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let path = path_of(&args.machine)?;
    let body = api::Reimage {
        os: args.os.clone(),
        params: params(&args.param)?,
    };
    let ask = Ask::new(Method::POST, format!("{path}/reimage")).body(json!(body));
    if !args.yes && !args.change.dry_run {
        let machine: Machine = client.read(Ask::get(&path)).await?;
        confirm_by_name(screen, &machine, &losses(&machine, args.os.as_deref()))?;
    }
    let ask = ask.query("confirm", "true");
    let receipt = change_one(ask, &args.change, &args.machine, client, screen).await?;
    match receipt.subject_id {
        Some(id) if args.watch && !args.change.dry_run => watch::run(&id, client, screen).await,
        _ => Ok(()),
    }
}

fn params(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = words.iter().map(|word| {
        let pair = word.split_once('=').filter(|(name, _)| !name.is_empty());
        let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| {
            Failure::usage(format!("'{word}' is not of the form NAME=VALUE"))
                .field("param", "url=image:mine")
        })
    });
    pairs.collect()
}

/// What is at stake, in one sentence.
fn losses(machine: &Machine, os: Option<&str>) -> String {
    let becomes = match os.or(machine.os_choice.as_deref()) {
        Some(os) => format!("becomes {}", clean(os)),
        None => "is installed anew".to_owned(),
    };
    let disks = machine.hardware.disks.iter().map(|disk| {
        let model = disk.model.as_deref().map(|model| clean(model).into_owned());
        let size = Some(size(disk.size_bytes));
        let about = [model, size, contents(disk)];
        let about: Vec<_> = about.into_iter().flatten().collect();
        format!("{} ({})", clean(&disk.device), about.join(", "))
    });
    let disks: Vec<_> = disks.collect();
    let runs = match &machine.observed.os {
        Some(os) => format!("; {} runs on it now", clean(os)),
        None => String::new(),
    };
    if disks.is_empty() {
        return format!("{becomes}, and what is on its disks may be lost{runs}");
    }
    format!(
        "{becomes}, and what is on {} may be lost{runs}",
        disks.join(" and ")
    )
}
