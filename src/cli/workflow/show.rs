//! `dragonfly workflow show`: one workflow, step by step.

use super::{bar, path_of, tone_of, words};
use crate::api::{Workflow, WorkflowStep};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::sections::Section;
use crate::cli::out::text::{clean, padding, width};
use crate::cli::out::{Screen, Tone, time};

pub async fn run(word: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let workflow: Workflow = client.read(Ask::get(path_of(word)?)).await?;
    if screen.json {
        return screen.answer("workflow.show", &workflow);
    }
    if screen.quiet {
        return screen.line(&clean(&workflow.state));
    }
    head(&workflow, screen)?;
    facts(&workflow, screen.now()).draw(screen)?;
    screen.line("")?;
    let title = screen.paint.on(Tone::Title, "Steps");
    screen.line(&title)?;
    steps(&workflow, screen)
}

/// `web01  debian-13  running`
pub fn head(workflow: &Workflow, screen: &mut Screen) -> Result<(), Failure> {
    let name = screen.paint.on(Tone::Title, &clean(&workflow.name));
    let state = words(&workflow.state);
    let state = screen.paint.on(tone_of(&workflow.state), &state);
    screen.line(&format!("{name}  {}  {state}", clean(&workflow.template)))
}

fn facts(workflow: &Workflow, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Workflow");
    section.add("id", clean(&workflow.id));
    section.add("asked for", time::both(now, &workflow.created_at));
    section.add("by", clean(&workflow.by));
    match (&workflow.error, workflow.active) {
        (Some(error), _) => section.add_toned("error", Tone::Bad, clean(error)),
        (None, true) => section.add("now", clean(&workflow.now)),
        (None, false) => &mut section,
    };
    if let Some(before) = workflow.before_it {
        section.add("before it", before.to_string());
    }
    if let Some(took) = workflow.took_seconds {
        section.add("took", bar::span(took));
    }
    if let Some(left) = workflow.left_seconds {
        section.add("left", format!("about {}", bar::span(left)));
    }
    for disk in &workflow.disks {
        section.add("disk", clean(disk));
    }
    if workflow.attempt > 1 {
        section.add("agents", workflow.attempt.to_string());
    }
    section
}

fn steps(workflow: &Workflow, screen: &mut Screen) -> Result<(), Failure> {
    let names = workflow.steps.iter().map(|step| width(&clean(&step.name)));
    let names = names.max().unwrap_or(0);
    for step in &workflow.steps {
        let line = step_line(step, names, screen);
        screen.line(&line)?;
        let told = match &workflow.progress {
            Some(progress) if step.status == "running" => Some(bar::line(progress)),
            _ => step.message.as_ref().map(|text| clean(text).into_owned()),
        };
        if let Some(told) = told {
            let told = screen.paint.on(Tone::Faint, &told);
            screen.line(&format!("      {told}"))?;
        }
    }
    Ok(())
}

/// `  ✓ image2disk    done  2 min`
pub fn step_line(step: &WorkflowStep, names: usize, screen: &Screen) -> String {
    let mark = match step.status.as_str() {
        "done" => "✓",
        "running" => "…",
        "failed" => "✗",
        _ => "·",
    };
    let tone = tone_of(&step.status);
    let mark = screen.paint.on(tone, mark);
    let name = clean(&step.name);
    let pad = padding(&name, names);
    let status = screen.paint.on(tone, &words(&step.status));
    let took = step.seconds.map(bar::span);
    let again = (step.attempts > 1).then(|| format!("begun {} times", step.attempts));
    let rest = [Some(status), took, again];
    let rest: Vec<_> = rest.into_iter().flatten().collect();
    format!("  {mark} {name}{pad}  {}", rest.join("  "))
}
