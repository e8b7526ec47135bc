//! `dragonfly machine seen` and `dragonfly machine approve`: who asked to boot, and who is let in.

use hyper::Method;

use super::each_at;
use crate::api::{List, Sighting};
use crate::cli::args::machine::{Approve, Several};
use crate::cli::client::{Ask, Client, encode};
use crate::cli::failure::Failure;
use crate::cli::network::nothing_served;
use crate::cli::out::table::{self, Cell, Column};
use crate::cli::out::text::{clean, count, shell_word};
use crate::cli::out::{Screen, Tone, time};

pub const SEEN: &str = "/api/v1/seen";

const COLUMNS: [Column; 8] = [
    Column::new("MAC", 0, 17),
    Column::new("WHAT", 1, 9),
    Column::new("STATE", 2, 5),
    Column::new("SEEN", 3, 8),
    Column::number("ASKED", 5),
    Column::new("ADDRESS", 4, 11),
    Column::new("LINK", 6, 4),
    Column::new("SAYS", 7, 12),
];

pub async fn list(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<Sighting> = client.read(Ask::get(SEEN)).await?;
    if screen.json {
        return screen.answer("machine.seen", &found);
    }
    if screen.quiet {
        return found
            .items
            .iter()
            .try_for_each(|seen| screen.line(&clean(&seen.mac)));
    }
    if found.items.is_empty() {
        return nobody(client, screen).await;
    }
    let now = screen.now();
    let rows: Vec<_> = found.items.iter().map(|seen| row(seen, now)).collect();
    for line in table::lines(&COLUMNS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let told = count(found.items.len() as u64, "machine");
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)?;
    let Some(first) = found.items.iter().find(|seen| seen.waiting) else {
        return Ok(());
    };
    let command = format!("dragonfly machine approve {}", shell_word(&first.mac));
    let command = screen.paint.on(Tone::Name, &command);
    screen.line("")?;
    screen.line(&format!("Let one in: {command}"))
}

fn row(seen: &Sighting, now: jiff::Timestamp) -> Vec<Cell> {
    let state = if seen.waiting {
        Cell::toned(Tone::Notice, "waits")
    } else {
        Cell::toned(Tone::Faint, "asked")
    };
    // Of both, the name says more to a person.
    let says = seen.hostname.as_deref().or(seen.vendor.as_deref());
    vec![
        Cell::toned(Tone::Title, &seen.mac),
        Cell::maybe(seen.platform.as_deref()),
        state,
        Cell::toned(Tone::Faint, time::ago(now, &seen.last)),
        Cell::new(seen.asked.to_string()),
        Cell::maybe(seen.address.as_deref()),
        Cell::new(&seen.link),
        Cell::maybe(says),
    ]
}

async fn nobody(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let status = client.status().await?;
    screen.line("No machine has asked to boot yet.")?;
    if status.links.is_empty() {
        return nothing_served(&status, screen);
    }
    let links: Vec<_> = status.links.iter().map(|link| clean(&link.name)).collect();
    screen.line(&format!(
        "Turn one on that boots from the network, on {}; it is listed as soon as it asks.",
        links.join(" or ")
    ))?;
    screen.line("Those that are registered stand in `dragonfly machine list`.")
}

pub async fn approve(
    args: Approve,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let several = Several {
        machines: args.macs,
        change: args.change,
    };
    each_at(&several, client, screen, |mac| {
        if mac.trim().is_empty() {
            return Err(Failure::usage("the MAC address is empty")
                .hint("`dragonfly machine seen` lists them"));
        }
        let path = format!("{SEEN}/{}/approve", encode(mac));
        Ok(Ask::new(Method::POST, path))
    })
    .await
}
