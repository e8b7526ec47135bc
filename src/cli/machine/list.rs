//! `dragonfly machine list`: page by page, so that a list of any length takes the memory of one page.

use std::num::NonZeroU64;

use serde_json::json;

use crate::api::{List, Machine};
use crate::cli::args::machine::{Column, List as Args};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::table::{self, Cell, Layout};
use crate::cli::out::text::{clean, count, size};
use crate::cli::out::{JSON_VERSION, Screen, Tone, time, tone_of_state};

/// As many machines as are asked for at a time.
const PAGE: u64 = 200;

/// What is shown when nobody chooses.
const USUAL: [Column; 9] = [
    Column::Name,
    Column::State,
    Column::Hostname,
    Column::Os,
    Column::Ip,
    Column::Mac,
    Column::Tags,
    Column::Flags,
    Column::Seen,
];

pub async fn run(args: &Args, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let mut list = Drawing::new(args);
    let mut left = args.limit;
    let mut cursor = None;
    Drawing::begin(screen)?;
    loop {
        let page: List<Machine> = client.read(ask(args, left, cursor.take())).await?;
        let mut fit: Vec<_> = page
            .items
            .into_iter()
            .filter(|machine| carries_all(args, machine))
            .collect();
        if let Some(left) = &mut left {
            fit.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= fit.len() as u64;
        }
        list.page(screen, &fit, page.next.is_none())?;
        screen.flush()?;
        cursor = page.next;
        if cursor.is_none() || left == Some(0) {
            return list.end(screen, cursor.is_some());
        }
    }
}

fn ask(args: &Args, left: Option<u64>, cursor: Option<String>) -> Ask {
    // One that fits may stand far behind those that do not, when tags are matched here.
    let page = if args.tag.len() > 1 {
        PAGE
    } else {
        left.unwrap_or(PAGE).min(PAGE)
    };
    let mut ask = Ask::get(super::MACHINES).query("limit", page.to_string());
    let words = [
        ("state", args.state.map(|state| state.as_str().to_owned())),
        ("tag", args.tag.first().cloned()),
        ("os", args.os.clone()),
        ("q", args.search.clone()),
        ("locked", args.locked.map(|yes| yes.to_string())),
        ("pending", args.pending.map(|yes| yes.to_string())),
        ("sort", args.sort.clone()),
        ("cursor", cursor),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            ask = ask.query(name, value);
        }
    }
    ask
}

/// The API takes one tag; the others are matched here.
fn carries_all(args: &Args, machine: &Machine) -> bool {
    let wanted = args.tag.iter().skip(1).map(|tag| tag.trim().to_lowercase());
    wanted.into_iter().all(|tag| machine.tags.contains(&tag))
}

/// A list that grows page by page.
struct Drawing<'a> {
    args: &'a Args,
    columns: Vec<Column>,
    layout: Option<Layout>,
    shown: u64,
}

impl<'a> Drawing<'a> {
    fn new(args: &'a Args) -> Self {
        let columns = if args.columns.is_empty() {
            USUAL.to_vec()
        } else {
            args.columns.clone()
        };
        Self {
            args,
            columns,
            layout: None,
            shown: 0,
        }
    }

    fn begin(screen: &mut Screen) -> Result<(), Failure> {
        if !screen.json {
            return Ok(());
        }
        screen.write(&format!(
            r#"{{"version":{JSON_VERSION},"kind":"machine.list","data":{{"items":["#
        ))
    }

    fn page(
        &mut self,
        screen: &mut Screen,
        machines: &[Machine],
        last: bool,
    ) -> Result<(), Failure> {
        let before = self.shown;
        self.shown += machines.len() as u64;
        if screen.json {
            for (place, machine) in machines.iter().enumerate() {
                let comma = if before > 0 || place > 0 { ",\n" } else { "\n" };
                screen.write(&format!("{comma}{}", json!(machine)))?;
            }
            return Ok(());
        }
        if screen.quiet {
            return machines
                .iter()
                .try_for_each(|machine| screen.line(&clean(&machine.id)));
        }
        self.rows(screen, machines, last)
    }

    fn rows(
        &mut self,
        screen: &mut Screen,
        machines: &[Machine],
        last: bool,
    ) -> Result<(), Failure> {
        let now = screen.now();
        let chosen = !self.args.columns.is_empty();
        let flagless = |machine: &Machine| machine.pending.is_none() && machine.lock.is_none();
        if self.layout.is_none() && last && !chosen && machines.iter().all(flagless) {
            self.columns.retain(|column| *column != Column::Flags);
        }
        let rows: Vec<Vec<Cell>> = machines
            .iter()
            .map(|machine| {
                self.columns
                    .iter()
                    .map(|column| cell(*column, machine, now))
                    .collect()
            })
            .collect();
        if self.layout.is_none() && !rows.is_empty() {
            let columns: Vec<_> = self
                .columns
                .iter()
                .map(|column| look(*column, chosen))
                .collect();
            let layout = Layout::new(&columns, &rows, screen.width);
            let head = layout.head(screen.paint);
            screen.line(&head)?;
            self.layout = Some(layout);
        }
        let Some(layout) = &self.layout else {
            return Ok(());
        };
        rows.iter()
            .try_for_each(|row| screen.line(&layout.row(row, screen.paint)))
    }

    fn end(&self, screen: &mut Screen, more: bool) -> Result<(), Failure> {
        if screen.json {
            let count = NonZeroU64::new(self.shown).map_or("", |_| "\n");
            return screen.line(&format!(
                r#"{count}],"count":{},"more":{more}}}}}"#,
                self.shown
            ));
        }
        if self.shown == 0 {
            return self.nothing(screen);
        }
        let rest = if more { "; there are more" } else { "" };
        let told = format!("{}{rest}", count(self.shown, "machine"));
        let told = screen.paint.on(Tone::Faint, &told);
        screen.say(&told)
    }

    fn nothing(&self, screen: &mut Screen) -> Result<(), Failure> {
        let args = self.args;
        let filtered = args.state.is_some()
            || !args.tag.is_empty()
            || args.os.is_some()
            || args.search.is_some()
            || args.locked.is_some()
            || args.pending.is_some();
        if filtered {
            screen.say("No machine fits.")?;
            return screen.say(
                "`dragonfly machine list` without filters shows all, `dragonfly tags` the tags.",
            );
        }
        screen.say("No machines yet.")?;
        screen.say("Tell of one: dragonfly machine add 52:54:00:12:34:56 --hostname web01")
    }
}

/// Title, rank and least width of a column. Columns that a person chose are not dropped.
fn look(column: Column, chosen: bool) -> table::Column {
    let shown = match column {
        Column::Name => table::Column::new("NAME", 0, 20),
        Column::State => table::Column::new("STATE", 1, 12),
        Column::Hostname => table::Column::new("HOSTNAME", 6, 12),
        Column::Os => table::Column::new("OS", 2, 9),
        Column::Ip => table::Column::new("ADDRESS", 7, 11),
        Column::Mac => table::Column::new("MAC", 5, 17),
        Column::Tags => table::Column::new("TAGS", 3, 10),
        Column::Flags => table::Column::new("FLAGS", 4, 6),
        Column::Seen => table::Column::new("SEEN", 8, 8),
        Column::Id => table::Column::new("ID", 9, 13),
        Column::Memory => table::Column::number("MEMORY", 10),
        Column::Cpu => table::Column::new("CPU", 11, 8),
        Column::Source => table::Column::new("SOURCE", 12, 6),
        Column::Created => table::Column::new("CREATED", 13, 10),
        Column::Updated => table::Column::new("UPDATED", 14, 10),
        Column::Version => table::Column::number("VERSION", 15),
    };
    if chosen {
        table::Column { rank: 0, ..shown }
    } else {
        shown
    }
}

fn cell(column: Column, machine: &Machine, now: jiff::Timestamp) -> Cell {
    let ago = |at: &str| Cell::toned(Tone::Faint, time::ago(now, at));
    let list = |items: &[String]| {
        if items.is_empty() {
            Cell::none()
        } else {
            Cell::new(items.join(", "))
        }
    };
    match column {
        Column::Name => Cell::toned(Tone::Title, &machine.name),
        Column::State => Cell::toned(tone_of_state(&machine.state), &machine.state),
        Column::Hostname => Cell::maybe(machine.hostname.as_deref()),
        Column::Os => Cell::maybe(
            machine
                .os_choice
                .as_deref()
                .or(machine.observed.os.as_deref()),
        ),
        Column::Ip => match (machine.observed.addresses.first(), &machine.static_ip) {
            (Some(seen), _) => Cell::new(seen),
            (None, wanted) => Cell::maybe(wanted.as_deref()),
        },
        Column::Mac => Cell::new(&machine.mac),
        Column::Tags => list(&machine.tags),
        Column::Flags => flags(machine),
        Column::Seen => machine.last_seen.as_deref().map_or_else(Cell::none, ago),
        Column::Id => Cell::new(&machine.id),
        Column::Memory => machine
            .hardware
            .memory_bytes
            .map_or_else(Cell::none, |bytes| Cell::new(size(bytes))),
        Column::Cpu => Cell::maybe(machine.hardware.cpu_model.as_deref()),
        Column::Source => Cell::new(&machine.source),
        Column::Created => ago(&machine.created_at),
        Column::Updated => ago(&machine.updated_at),
        Column::Version => Cell::new(machine.version.to_string()),
    }
}

/// What a person should know at a glance.
fn flags(machine: &Machine) -> Cell {
    let mut flags = Vec::new();
    if machine.pending.is_some() {
        flags.push("edited");
    }
    if machine.lock.is_some() {
        flags.push("locked");
    }
    if flags.is_empty() {
        Cell::default()
    } else {
        Cell::toned(Tone::Notice, flags.join(", "))
    }
}
