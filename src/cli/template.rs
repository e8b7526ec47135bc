//! `dragonfly template …`: what is done to a machine, step by step.

mod edit;
mod file;
mod show;

use hyper::Method;
use serde_json::json;

use super::args::{Change, TemplateCommand};
use super::change;
use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::table::{self, Cell, Column};
use super::out::text::{clean, count};
use super::out::{Screen, Tone};
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
            change::one(ask, &change, ("template", &name), client, screen)
                .await
                .map(drop)
        }
    }
}

fn path_of(name: &str) -> Result<String, Failure> {
    let all = "`dragonfly template list` shows their names";
    change::path_of(TEMPLATES, name, "template's name", all)
}

async fn keep(
    name: &str,
    source: String,
    change: &Change,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let ask = Ask::new(Method::PUT, path_of(name)?).body(json!(PutTemplate { source }));
    change::one(ask, change, ("template", name), client, screen)
        .await
        .map(drop)
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
