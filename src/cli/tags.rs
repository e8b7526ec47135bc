//! `dragonfly tags`

use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::table::{self, Cell, Column};
use super::out::text::clean;
use super::out::{Screen, Tone};
use crate::api::{List, TagCount};

const COLUMNS: [Column; 2] = [Column::new("TAG", 0, 8), Column::number("MACHINES", 0)];

pub async fn run(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<TagCount> = client.read(Ask::get("/api/v1/tags")).await?;
    if screen.json {
        return screen.answer("tags", &found);
    }
    if screen.quiet {
        return found
            .items
            .iter()
            .try_for_each(|row| screen.line(&clean(&row.tag)));
    }
    if found.items.is_empty() {
        screen.line("No machine carries a tag.")?;
        return screen.line("Put one on: dragonfly machine tag MACHINE rack2");
    }
    let row = |row: &TagCount| {
        vec![
            Cell::toned(Tone::Name, &row.tag),
            Cell::new(row.machines.to_string()),
        ]
    };
    let rows: Vec<_> = found.items.iter().map(row).collect();
    let lines = table::lines(&COLUMNS, &rows, screen.width, screen.paint);
    lines.iter().try_for_each(|line| screen.line(line))
}
