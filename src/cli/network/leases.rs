//! `dragonfly net leases`: page by page.

use serde_json::json;

use crate::api::{Lease, List};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::table::{self, Cell, Column};
use crate::cli::out::text::{clean, count};
use crate::cli::out::{Screen, Tone, time};

/// As many leases as are asked for at a time.
const PAGE: &str = "1000";

const COLUMNS: [Column; 6] = [
    Column::new("ADDRESS", 0, 11),
    Column::new("MAC", 1, 17),
    Column::new("MACHINE", 2, 12),
    Column::new("SAYS", 4, 8),
    Column::new("UNTIL", 3, 9),
    Column::new("LINK", 5, 4),
];

pub async fn run(
    link: Option<&str>,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let leases = all(link, client).await?;
    if screen.json {
        let data = json!({ "items": leases, "count": leases.len() });
        return screen.answer("net.leases", &data);
    }
    if screen.quiet {
        return leases
            .iter()
            .try_for_each(|lease| screen.line(&clean(&lease.address)));
    }
    if leases.is_empty() {
        screen.line("No leases.")?;
        return screen.line(
            "Dragonfly gives out addresses where a network says so: dragonfly network set --help",
        );
    }
    let now = screen.now();
    let rows: Vec<_> = leases.iter().map(|lease| row(lease, now)).collect();
    for line in table::lines(&COLUMNS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let told = count(leases.len() as u64, "lease");
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)
}

async fn all(link: Option<&str>, client: &mut Client) -> Result<Vec<Lease>, Failure> {
    let mut leases = Vec::new();
    let mut cursor = None;
    loop {
        let mut ask = Ask::get("/api/v1/leases").query("limit", PAGE);
        if let Some(link) = link {
            ask = ask.query("link", link);
        }
        if let Some(cursor) = cursor {
            ask = ask.query("cursor", cursor);
        }
        let page: List<Lease> = client.read(ask).await?;
        leases.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(leases);
        }
    }
}

fn row(lease: &Lease, now: jiff::Timestamp) -> Vec<Cell> {
    let over = lease.until.parse::<jiff::Timestamp>();
    let over = over.is_ok_and(|until| until <= now);
    let until = time::ago(now, &lease.until);
    let until = if over {
        format!("over, {until}")
    } else {
        until
    };
    let mac = lease
        .mac
        .as_ref()
        .map_or_else(|| Cell::toned(Tone::Notice, "somebody unknown"), Cell::new);
    vec![
        Cell::toned(Tone::Title, &lease.address),
        mac,
        Cell::maybe(lease.machine.as_deref()),
        Cell::maybe(lease.hostname.as_deref()),
        Cell::toned(Tone::Faint, until),
        Cell::new(&lease.link),
    ]
}
