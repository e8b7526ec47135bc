//! `dragonfly settings …`

use hyper::Method;
use serde_json::json;

use super::args::SettingsCommand;
use super::change;
use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::sections::Section;
use super::out::table::{self, Cell, Column};
use super::out::text::clean;
use super::out::{Screen, Tone};
use crate::api::{List, SetSetting, Setting};

const SETTINGS: &str = "/api/v1/settings";

const COLUMNS: [Column; 3] = [
    Column::new("KEY", 0, 12),
    Column::new("VALUE", 0, 8),
    Column::new("MEANING", 1, 20),
];

pub async fn run(
    command: SettingsCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let (ask, key, carried) = match command {
        SettingsCommand::List => return list(client, screen).await,
        SettingsCommand::Get { key } => return get(&key, client, screen).await,
        SettingsCommand::Set { key, value, change } => {
            let ask = Ask::new(Method::PUT, path_of(&key)?).body(json!(SetSetting { value }));
            (ask, key, change)
        }
        SettingsCommand::Reset { key, change } => {
            (Ask::new(Method::DELETE, path_of(&key)?), key, change)
        }
    };
    change::one(ask, &carried, ("key", &key), client, screen)
        .await
        .map(drop)
}

fn path_of(key: &str) -> Result<String, Failure> {
    let all = "`dragonfly settings list` shows all keys";
    change::path_of(SETTINGS, key, "setting's key", all)
}

async fn list(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<Setting> = client.read(Ask::get(SETTINGS)).await?;
    if screen.json {
        return screen.answer("settings.list", &found);
    }
    if screen.quiet {
        return found
            .items
            .iter()
            .try_for_each(|setting| screen.line(&clean(&setting.key)));
    }
    let row = |setting: &Setting| {
        let tone = if setting.set { Tone::Name } else { Tone::Plain };
        vec![
            Cell::toned(Tone::Title, &setting.key),
            Cell::toned(tone, &setting.value),
            Cell::toned(Tone::Faint, &setting.help),
        ]
    };
    let rows: Vec<_> = found.items.iter().map(row).collect();
    let lines = table::lines(&COLUMNS, &rows, screen.width, screen.paint);
    lines.iter().try_for_each(|line| screen.line(line))
}

async fn get(key: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let setting: Setting = client.read(Ask::get(path_of(key)?)).await?;
    if screen.json {
        return screen.answer("settings.get", &setting);
    }
    if screen.quiet {
        return screen.line(&clean(&setting.value));
    }
    let title = screen.paint.on(Tone::Title, &clean(&setting.key));
    screen.line(&title)?;
    let mut section = Section::new("");
    let origin = if setting.set {
        "set by a person"
    } else {
        "the default"
    };
    section
        .add("value", clean(&setting.value))
        .add("origin", origin)
        .add("default", clean(&setting.default))
        .add("meaning", clean(&setting.help))
        .add("example", clean(&setting.example));
    section.draw(screen)
}
