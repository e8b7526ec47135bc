//! `dragonfly events …`: the past by pages, the present by a stream that comes back when it breaks.

mod tail;

use serde_json::json;

use super::args::EventsCommand;
use super::args::events::{ListEvents, Which};
use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::text::{clean, count, padding};
use super::out::{JSON_VERSION, Screen, Tone, time};
use crate::api::{Event, List};

pub const EVENTS: &str = "/api/v1/events";
/// As many events as are asked for at a time.
const PAGE: u64 = 200;
/// The room for a type; the longest is `network.address_released`.
const TYPES: usize = 24;

pub async fn run(
    command: EventsCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        EventsCommand::List(args) => list(&args, client, screen).await,
        EventsCommand::Tail(args) => tail::run(&args, client, screen).await,
    }
}

async fn list(args: &ListEvents, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let mut shown = 0;
    if screen.json {
        screen.write(&format!(
            r#"{{"version":{JSON_VERSION},"kind":"events.list","data":{{"items":["#
        ))?;
    }
    if args.all {
        shown = everything(args, client, screen).await?;
    } else {
        for event in latest(&args.which, args.limit, client).await? {
            item(screen, &event, &mut shown)?;
        }
    }
    if screen.json {
        let end = if shown == 0 { "" } else { "\n" };
        return screen.line(&format!(r#"{end}],"count":{shown}}}}}"#));
    }
    if shown == 0 {
        return screen.say("No events fit. `dragonfly events tail` waits for the next.");
    }
    let told = screen.paint.on(Tone::Faint, &count(shown, "event"));
    screen.say(&told)
}

/// Oldest first, page by page.
async fn everything(
    args: &ListEvents,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<u64, Failure> {
    let mut shown = 0;
    let mut cursor = None;
    loop {
        let mut ask = which(Ask::get(EVENTS), &args.which)
            .query("limit", PAGE.to_string())
            .query("order", "oldest");
        if let Some(cursor) = cursor.take() {
            ask = ask.query("cursor", cursor);
        }
        let page: List<Event> = client.read(ask).await?;
        for event in page.items.iter().filter(|event| args.which.fits(event)) {
            item(screen, event, &mut shown)?;
        }
        screen.flush()?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(shown);
        }
    }
}

/// The latest `limit` events, oldest of them first.
async fn latest(filter: &Which, limit: u64, client: &mut Client) -> Result<Vec<Event>, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = if filter.kinds.is_empty() {
        PAGE.min(limit as u64)
    } else {
        PAGE
    };
    let mut found = Vec::new();
    let mut cursor = None;
    while found.len() < limit {
        let mut ask = which(Ask::get(EVENTS), filter).query("limit", page.to_string());
        if let Some(cursor) = cursor.take() {
            ask = ask.query("cursor", cursor);
        }
        let page: List<Event> = client.read(ask).await?;
        found.extend(page.items.into_iter().filter(|event| filter.fits(event)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.truncate(limit);
    found.reverse();
    Ok(found)
}

fn which(mut ask: Ask, which: &Which) -> Ask {
    if let Some(machine) = &which.machine {
        ask = ask.query("machine", machine);
    }
    if which.audit {
        ask.query("audit", "true")
    } else {
        ask
    }
}

impl Which {
    /// The API does not filter by type; it is done here.
    fn fits(&self, event: &Event) -> bool {
        self.kinds.is_empty()
            || self
                .kinds
                .iter()
                .any(|kind| event.kind.starts_with(kind.as_str()))
    }
}

fn item(screen: &mut Screen, event: &Event, shown: &mut u64) -> Result<(), Failure> {
    *shown += 1;
    if screen.json {
        let comma = if *shown > 1 { ",\n" } else { "\n" };
        return screen.write(&format!("{comma}{}", json!(event)));
    }
    if screen.quiet {
        return screen.line(&clean(&event.cursor));
    }
    line(screen, event, "")
}

/// One event on one line.
pub fn line(screen: &mut Screen, event: &Event, indent: &str) -> Result<(), Failure> {
    let at = time::clock(screen.now(), &event.at);
    let kind = clean(&event.kind);
    let pad = padding(&kind, TYPES);
    let who = if event.actor.kind == "person" {
        screen
            .paint
            .on(Tone::Faint, &format!("  by {}", clean(&event.actor.name)))
    } else {
        String::new()
    };
    let at = screen.paint.on(Tone::Faint, &at);
    let kind = screen.paint.on(tone(&event.kind), &kind);
    screen.line(&format!(
        "{indent}{at}  {kind}{pad}  {}{who}",
        clean(&event.text)
    ))
}

fn tone(kind: &str) -> Tone {
    match kind {
        "machine.registered" => Tone::Good,
        "conflict.found" | "machine.deleted" => Tone::Bad,
        "machine.state_changed" | "machine.boot" | "machine.boot_taken" => Tone::Busy,
        _ => Tone::Name,
    }
}
