//! `dragonfly workflow list` and `dragonfly workflow stats`.

use serde_json::json;

use super::{WORKFLOWS, bar, tone_of, words};
use crate::api::{List, Workflow, WorkflowStats, WorkflowTally};
use crate::cli::args::workflow::ListWorkflows;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::table::{self, Cell, Column};
use crate::cli::out::text::{clean, count, size};
use crate::cli::out::{Screen, Tone, time};

const COLUMNS: [Column; 6] = [
    Column::new("MACHINE", 0, 10),
    Column::new("TEMPLATE", 2, 9),
    Column::new("STATE", 1, 9),
    Column::new("NOW", 3, 12),
    Column::new("BEGAN", 4, 9),
    Column::new("ID", 5, 36),
];

pub async fn run(
    args: &ListWorkflows,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut ask = Ask::get(WORKFLOWS).query("limit", args.limit.to_string());
    let words = [
        ("machine", &args.machine),
        ("state", &args.state),
        ("template", &args.template),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            ask = ask.query(name, value);
        }
    }
    if args.active {
        ask = ask.query("active", "true");
    }
    let page: List<Workflow> = client.read(ask).await?;
    if screen.json {
        let data = json!({ "items": page.items, "count": page.items.len() });
        return screen.answer("workflow.list", &data);
    }
    if screen.quiet {
        let ids = page.items.iter().map(|workflow| clean(&workflow.id));
        return ids.into_iter().try_for_each(|id| screen.line(&id));
    }
    if page.items.is_empty() {
        screen.line("No workflows.")?;
        return screen.line("Install a machine: dragonfly reimage MACHINE --os TEMPLATE");
    }
    let now = screen.now();
    let rows: Vec<_> = page.items.iter().map(|one| row(one, now)).collect();
    for line in table::lines(&COLUMNS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let more = if page.next.is_some() {
        ", and there are more"
    } else {
        ""
    };
    let told = format!("{}{more}", count(page.items.len() as u64, "workflow"));
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)
}

fn row(workflow: &Workflow, now: jiff::Timestamp) -> Vec<Cell> {
    let done = workflow.steps.iter().filter(|step| step.status == "done");
    let place = format!("{}/{}", done.count(), workflow.steps.len());
    let mut doing = match workflow.state.as_str() {
        "running" => format!("{} ({place})", workflow.now),
        _ => workflow
            .error
            .clone()
            .unwrap_or_else(|| workflow.now.clone()),
    };
    if let Some(before) = workflow.before_it.filter(|before| *before > 0) {
        doing = format!("{doing}, {before} before it");
    }
    if let Some(left) = workflow.left_seconds {
        doing = format!("{doing}, {}", bar::left(left));
    }
    vec![
        Cell::new(&workflow.name),
        Cell::new(&workflow.template),
        Cell::toned(tone_of(&workflow.state), words(&workflow.state)),
        Cell::new(doing),
        Cell::new(time::ago(now, &workflow.created_at)),
        Cell::toned(Tone::Faint, &workflow.id),
    ]
}

const STATS: [Column; 6] = [
    Column::new("TEMPLATE", 0, 9),
    Column::number("RUNS", 1),
    Column::number("GOOD", 2),
    Column::number("FAILED", 3),
    Column::number("MEDIAN TIME", 4),
    Column::number("MEDIAN RATE", 5),
];

pub async fn stats(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let stats: WorkflowStats = client.read(Ask::get("/api/v1/workflow-stats")).await?;
    if screen.json {
        return screen.answer("workflow.stats", &stats);
    }
    if stats.whole.runs == 0 {
        return screen.line("No workflow has ended yet.");
    }
    let mut rows: Vec<_> = stats
        .by_template
        .iter()
        .map(|(template, tally)| counted(template, tally))
        .collect();
    rows.push(counted("all", &stats.whole));
    for line in table::lines(&STATS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    let told = format!("Of the last {} that ended.", stats.whole.runs);
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)
}

fn counted(template: &str, tally: &WorkflowTally) -> Vec<Cell> {
    let time = tally.median_seconds.map(bar::span);
    let rate = tally
        .bytes_per_second
        .map(|rate| format!("{}/s", size(rate)));
    vec![
        Cell::new(template),
        Cell::new(tally.runs.to_string()),
        Cell::toned(Tone::Good, tally.succeeded.to_string()),
        Cell::toned(
            if tally.failed > 0 {
                Tone::Bad
            } else {
                Tone::Faint
            },
            tally.failed.to_string(),
        ),
        Cell::maybe(time.as_deref()),
        Cell::maybe(rate.as_deref()),
    ]
}
