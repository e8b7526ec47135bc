//! `dragonfly network …` and `dragonfly net …`: what is given out on which link.

mod floating;
mod leases;
mod set;
mod show;

use super::args::{Change, NetCommand, NetworkCommand};
use super::change;
use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::table::{self, Cell, Column};
use super::out::text::{clean, wrap};
use super::out::{Screen, Tone};
use crate::api::network::FloatingState;
use crate::api::{List, Network, Status};

const NETWORKS: &str = "/api/v1/networks";

const COLUMNS: [Column; 7] = [
    Column::new("LINK", 0, 8),
    Column::new("SERVES", 0, 10),
    Column::new("AT", 2, 11),
    Column::new("FLOATING IP", 3, 11),
    Column::new("RUNGS", 4, 11),
    Column::new("ADMITS", 5, 7),
    Column::new("IDLE", 6, 7),
];

pub async fn run(
    command: NetworkCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        NetworkCommand::List => list(client, screen).await,
        NetworkCommand::Show { link } => show::run(&link, client, screen).await,
        NetworkCommand::Set(args) => set::run(args, client, screen).await,
    }
}

pub async fn net(
    command: NetCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        NetCommand::FloatingIp { command } => floating::run(command, client, screen).await,
        NetCommand::Leases { link } => leases::run(link.as_deref(), client, screen).await,
    }
}

/// Where the API keeps what belongs to this link.
fn path_of(family: &str, link: &str) -> Result<String, Failure> {
    let all = "`dragonfly network list` shows their names";
    change::path_of(family, link, "link's name", all)
}

/// Sends one change of a network and tells of its receipt.
async fn alter(
    ask: Ask,
    change: &Change,
    link: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    change::one(ask, change, ("network", link), client, screen)
        .await
        .map(drop)
}

async fn list(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<Network> = client.read(Ask::get(NETWORKS)).await?;
    if screen.json {
        return screen.answer("network.list", &found);
    }
    if screen.quiet {
        return found
            .items
            .iter()
            .try_for_each(|network| screen.line(&clean(&network.link)));
    }
    if found.items.is_empty() {
        let status = client.status().await?;
        screen.line("No network is served.")?;
        return nothing_served(&status, screen);
    }
    let rows: Vec<_> = found.items.iter().map(row).collect();
    for line in table::lines(&COLUMNS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let notes = found.items.iter().flat_map(notes);
    for (link, text) in notes {
        note(screen, &link, &text)?;
    }
    Ok(())
}

fn row(network: &Network) -> Vec<Cell> {
    let now = network.now.as_ref();
    let (tone, serves) = match now {
        None => (Tone::Faint, "not served"),
        Some(link) if !link.up => (Tone::Notice, "link down"),
        Some(link) => (tone_of_serving(&link.serve), link.serve.as_str()),
    };
    let floating = now.map_or_else(
        || Cell::toned(Tone::Faint, format!("{} wanted", network.floating)),
        |link| floating_cell(&link.floating),
    );
    vec![
        Cell::toned(Tone::Title, &network.link),
        Cell::toned(tone, serves),
        Cell::maybe(now.and_then(|link| link.from.as_deref())),
        floating,
        Cell::new(network.rungs.join(", ")),
        Cell::new(&network.admit),
        Cell::new(&network.idle),
    ]
}

pub fn tone_of_serving(serve: &str) -> Tone {
    match serve {
        "proxy" | "server" => Tone::Good,
        _ => Tone::Faint,
    }
}

/// The address that is held, or why there is none.
fn floating_cell(floating: &FloatingState) -> Cell {
    match &floating.address {
        Some(address) if floating.state == "held" => Cell::toned(Tone::Good, address),
        _ => Cell::toned(tone_of_floating(&floating.state), words(&floating.state)),
    }
}

pub fn tone_of_floating(state: &str) -> Tone {
    match state {
        "held" => Tone::Good,
        "waiting" | "probing" => Tone::Busy,
        "conflict" | "none_free" => Tone::Bad,
        "released" => Tone::Notice,
        _ => Tone::Faint,
    }
}

/// A word of the API as people read it.
pub fn words(word: &str) -> String {
    clean(word).replace('_', " ")
}

/// What a person should know of a link, with its name.
fn notes(network: &Network) -> Vec<(String, String)> {
    let Some(link) = &network.now else {
        return Vec::new();
    };
    let floating = &link.floating;
    let troubled = matches!(
        floating.state.as_str(),
        "waiting" | "conflict" | "released" | "none_free"
    );
    let text = floating.text.as_ref().filter(|_| troubled);
    let told = [&link.why, &floating.warning].into_iter().flatten();
    told.chain(text)
        .map(|text| (network.link.clone(), text.clone()))
        .collect()
}

fn note(screen: &mut Screen, link: &str, text: &str) -> Result<(), Failure> {
    let word = screen.paint.on(Tone::Notice, "note:");
    let text = format!("{}: {}", clean(link), clean(text));
    let room = screen.width.saturating_sub(6).max(16);
    for (place, line) in wrap(&text, room).iter().enumerate() {
        if place == 0 {
            screen.line(&format!("{word} {line}"))?;
        } else {
            screen.line(&format!("      {line}"))?;
        }
    }
    Ok(())
}

/// How to switch network boot on.
pub fn nothing_served(status: &Status, screen: &mut Screen) -> Result<(), Failure> {
    if status.mode == "demo" {
        return screen.line("This is the demo: it gives nothing out on any wire.");
    }
    let key = screen.paint.on(Tone::Name, "net.links = [\"eth0\"]");
    screen.line("Nothing goes out on any wire until a link is named in the configuration;")?;
    screen.line(&format!("then restart the daemon: {key}"))
}
