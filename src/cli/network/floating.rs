//! `dragonfly net floating-ip …`: the address that machines fetch from.

use hyper::Method;
use serde_json::json;

use super::{alter, note, nothing_served, path_of, tone_of_floating, words};
use crate::api::network::Scanned;
use crate::api::{FloatingIp, List, Scan, WantFloatingIp};
use crate::cli::args::FloatingIpCommand;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::table::{self, Cell, Column};
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone, time};

const FLOATING_IPS: &str = "/api/v1/floating-ips";

const SHOWN: [Column; 5] = [
    Column::new("LINK", 0, 5),
    Column::new("STATE", 0, 8),
    Column::new("ADDRESS", 0, 11),
    Column::new("WANTED", 1, 6),
    Column::new("SINCE", 2, 8),
];
const SCANNED: [Column; 3] = [
    Column::new("ADDRESS", 0, 11),
    Column::new("FOUND", 0, 5),
    Column::new("BY", 1, 17),
];

pub async fn run(
    command: FloatingIpCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        FloatingIpCommand::Show { link } => show(link.as_deref(), client, screen).await,
        FloatingIpCommand::Scan { link } => scan(link.as_deref(), client, screen).await,
        FloatingIpCommand::Set {
            link,
            want,
            change: how,
        } => {
            let ask = Ask::new(Method::PUT, path_of(FLOATING_IPS, &link)?)
                .body(json!(WantFloatingIp { want }));
            alter(ask, &how, &link, client, screen).await
        }
        FloatingIpCommand::Release { link, change: how } => {
            let ask = Ask::new(Method::DELETE, path_of(FLOATING_IPS, &link)?);
            alter(ask, &how, &link, client, screen).await
        }
    }
}

/// Those of all links, or of one.
async fn floating_ips(link: Option<&str>, client: &mut Client) -> Result<Vec<FloatingIp>, Failure> {
    let found: List<FloatingIp> = client.read(Ask::get(FLOATING_IPS)).await?;
    let mut items = found.items;
    let Some(link) = link else {
        return Ok(items);
    };
    let names: Vec<_> = items.iter().map(|floating| floating.link.clone()).collect();
    items.retain(|floating| floating.link == link);
    if items.is_empty() {
        let failure = Failure::new(Sort::Missing, format!("there is no network '{link}'"));
        return Err(failure.hint(if names.is_empty() {
            "none is served; see `dragonfly status`".into()
        } else {
            format!("there are {}", names.join(", "))
        }));
    }
    Ok(items)
}

async fn show(link: Option<&str>, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found = floating_ips(link, client).await?;
    if screen.json {
        return screen.answer("net.floating-ip", &json!({ "items": found }));
    }
    if screen.quiet {
        let addresses = found
            .iter()
            .filter_map(|floating| floating.now.address.as_ref());
        return addresses
            .into_iter()
            .try_for_each(|address| screen.line(&clean(address)));
    }
    if found.is_empty() {
        let status = client.status().await?;
        screen.line("No network is served, so there is no floating IP.")?;
        return nothing_served(&status, screen);
    }
    let now = screen.now();
    let row = |floating: &FloatingIp| {
        let state = &floating.now.state;
        let since = floating.now.since.as_ref();
        vec![
            Cell::toned(Tone::Title, &floating.link),
            Cell::toned(tone_of_floating(state), words(state)),
            Cell::maybe(floating.now.address.as_deref()),
            Cell::new(&floating.want),
            since.map_or_else(Cell::none, |since| {
                Cell::toned(Tone::Faint, time::ago(now, since))
            }),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    for line in table::lines(&SHOWN, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    for floating in &found {
        let now = &floating.now;
        let text = now.text.as_ref().filter(|_| now.state != "held");
        for text in text.into_iter().chain(&now.warning) {
            note(screen, &floating.link, text)?;
        }
    }
    Ok(())
}

async fn scan(link: Option<&str>, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let links = if let Some(link) = link {
        vec![link.to_owned()]
    } else {
        let status = client.status().await?;
        if status.links.is_empty() && !screen.json {
            screen.line("No network is served, so there is nothing to look at.")?;
            return nothing_served(&status, screen);
        }
        status.links.into_iter().map(|link| link.name).collect()
    };
    let mut scans: Vec<Scan> = Vec::new();
    for link in &links {
        let path = format!("{}/scan", path_of(FLOATING_IPS, link)?);
        let scan = client.read(Ask::new(Method::POST, path)).await?;
        if !screen.json {
            draw(&scan, links.len() > 1, screen)?;
        }
        scans.push(scan);
    }
    if screen.json {
        return screen.answer("net.floating-ip.scan", &json!({ "items": scans }));
    }
    Ok(())
}

fn draw(scan: &Scan, titled: bool, screen: &mut Screen) -> Result<(), Failure> {
    if screen.quiet {
        let free = scan.addresses.iter().filter(|found| found.found == "free");
        return free
            .into_iter()
            .try_for_each(|found| screen.line(&clean(&found.address)));
    }
    if titled {
        let title = screen.paint.on(Tone::Title, &clean(&scan.link));
        screen.line(&title)?;
    }
    let row = |found: &Scanned| {
        let (tone, word) = match found.found.as_str() {
            "free" => (Tone::Good, "free"),
            "own" => (Tone::Name, "our own"),
            other => (Tone::Notice, other),
        };
        vec![
            Cell::new(&found.address),
            Cell::toned(tone, word),
            Cell::maybe(found.by.as_deref()),
        ]
    };
    let rows: Vec<_> = scan.addresses.iter().map(row).collect();
    for line in table::lines(&SCANNED, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let free = scan.addresses.iter().filter(|found| found.found == "free");
    let told = format!("{} of {} free", free.count(), scan.addresses.len());
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)
}
