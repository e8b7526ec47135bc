//! `dragonfly template …`: what is done to a machine, step by step.

mod edit;
mod file;
mod show;

use hyper::Method;
use serde_json::json;

use super::args::{Change, TemplateCommand};
use super::client::{Ask, Client, encode};
use super::failure::Failure;
use super::out::table::{self, Cell, Column};
use super::out::text::{clean, count};
use super::out::{Screen, Tone, receipt};
use super::set_change;
use crate::api::{List, PutTemplate, Template};

const TEMPLATES: &str = "/api/v1/templates";

const COLUMNS: [Column; 4] = [
    Column::new("NAME", 0, 12),
    Column::new("FROM", 1, 9),
    Column::new("VERSION", 3, 8),
    Column::new("WHAT", 2, 20),
];

pub async fn run(
    command: TemplateCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        TemplateCommand::List => list(client, screen).await,
        TemplateCommand::Show { name, source } => show::run(&name, source, client, screen).await,
        TemplateCommand::Check { files } => file::check(&files, screen),
        TemplateCommand::Add { name, file, change } => {
            let source = file::read(&file)?;
            file::refuse_wrong(&file, &source, screen)?;
            keep(&name, source, &change, client, screen).await
        }
        TemplateCommand::Edit { name, change } => edit::run(&name, change, client, screen).await,
        TemplateCommand::Rm { name, change } => {
            let ask = Ask::new(Method::DELETE, path_of(&name)?);
            alter(ask, &change, &name, client, screen).await
        }
    }
}

fn path_of(name: &str) -> Result<String, Failure> {
    if name.trim().is_empty() {
        return Err(Failure::usage("the template's name is empty")
            .hint("`dragonfly template list` shows their names"));
    }
    Ok(format!("{TEMPLATES}/{}", encode(name)))
}

async fn keep(
    name: &str,
    source: String,
    change: &Change,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let ask = Ask::new(Method::PUT, path_of(name)?).body(json!(PutTemplate { source }));
    alter(ask, change, name, client, screen).await
}

async fn alter(
    ask: Ask,
    change: &Change,
    name: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let done = client.change(set_change(ask, change, screen)).await?;
    if screen.json {
        let more = [("template", json!(name)), ("data", json!(done))];
        return screen.answer_line(&done.command, &more);
    }
    receipt::show(screen, name, &done)?;
    receipt::next(screen, &done)
}

async fn list(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<Template> = client.read(Ask::get(TEMPLATES)).await?;
    if screen.json {
        return screen.answer("template.list", &found);
    }
    if screen.quiet {
        let mut names = found.items.iter();
        return names.try_for_each(|template| screen.line(&clean(&template.name)));
    }
    let rows: Vec<_> = found.items.iter().map(row).collect();
    let lines = table::lines(&COLUMNS, &rows, screen.width, screen.paint);
    lines.iter().try_for_each(|line| screen.line(line))
}

fn row(template: &Template) -> Vec<Cell> {
    let (tone, what) = match template.errors.as_slice() {
        [] => (
            Tone::Plain,
            template.description.clone().unwrap_or_default(),
        ),
        errors => (
            Tone::Bad,
            format!("wrong in {}", count(errors.len() as u64, "place")),
        ),
    };
    vec![
        Cell::toned(Tone::Title, &template.name),
        Cell::toned(Tone::Faint, &template.origin),
        Cell::maybe(template.template_version.as_deref()),
        Cell::toned(tone, what),
    ]
}
