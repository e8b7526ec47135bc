//! `dragonfly workflow watch`: one workflow as it goes, until its end.
//!
//! A terminal has one line that is drawn again and again; a pipe gets a line for each thing that changed. A daemon
//! that restarts meanwhile is waited for: the workflow goes on behind it.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{bar, path_of, show, verdict, words};
use crate::api::Workflow;
use crate::cli::client::{Ask, Client, encode};
use crate::cli::failure::Failure;
use crate::cli::out::text::{clean, shorten};
use crate::cli::out::{Screen, Tone};

/// How often it is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// The longest pause while the daemon does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Drops what stands on the line.
const ANEW: &str = "\r\u{1b}[K";

pub async fn run(word: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let first: Workflow = client.read(Ask::get(path_of(word)?)).await?;
    // The machine may get another one later; this one is meant.
    let path = format!("{}/{}", super::WORKFLOWS, encode(&first.id));
    tokio::select! {
        ended = follow(first, &path, client, screen) => ended,
        // Ctrl-C is how a person says that it is enough; the work goes on.
        _ = tokio::signal::ctrl_c() => {
            screen.remark("");
            Ok(())
        }
    }
}

async fn follow(
    first: Workflow,
    path: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut sight = Sight::new(screen);
    let mut pause = PULSE;
    let mut workflow = first;
    loop {
        sight.draw(&workflow, screen)?;
        screen.flush()?;
        if !workflow.active {
            return verdict(&workflow);
        }
        loop {
            sleep(pause).await;
            match client.read::<Workflow>(Ask::get(path)).await {
                Ok(next) => {
                    workflow = next;
                    pause = PULSE;
                    break;
                }
                Err(failure) if failure.is_transient() => {
                    client.hang_up();
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// What was drawn so far.
struct Sight {
    live: bool,
    state: String,
    /// The status of each step that was told of.
    told: Vec<String>,
    /// Whether the last line is to be drawn over.
    open: bool,
}

impl Sight {
    fn new(screen: &Screen) -> Self {
        Self {
            live: screen.paint.0 && !screen.json && !screen.quiet,
            state: String::new(),
            told: Vec::new(),
            open: false,
        }
    }

    fn draw(&mut self, workflow: &Workflow, screen: &mut Screen) -> Result<(), Failure> {
        if screen.json {
            return screen.answer_line("workflow.watch", &[("data", json!(workflow))]);
        }
        let moved = self.state != workflow.state;
        if screen.quiet {
            let word = moved.then(|| clean(&workflow.state).into_owned());
            self.state.clone_from(&workflow.state);
            return word.map_or(Ok(()), |word| screen.line(&word));
        }
        self.steps(workflow, screen)?;
        if moved {
            self.clear(screen)?;
            show::head(workflow, screen)?;
            self.state.clone_from(&workflow.state);
            if !self.live && workflow.active && workflow.state != "running" {
                screen.line(&format!("  {}", clean(&workflow.now)))?;
            }
        }
        if self.live && workflow.active {
            self.clear(screen)?;
            let line = now(workflow);
            let line = shorten(&line, screen.width.saturating_sub(1)).into_owned();
            let line = screen.paint.on(Tone::Busy, &line);
            screen.write(&line)?;
            self.open = true;
        }
        Ok(())
    }

    /// Tells of each step that began or ended since.
    fn steps(&mut self, workflow: &Workflow, screen: &mut Screen) -> Result<(), Failure> {
        let names = workflow.steps.iter().map(|step| step.name.len());
        let names = names.max().unwrap_or(0);
        self.told.resize(workflow.steps.len(), "pending".into());
        for (step, told) in workflow.steps.iter().zip(&mut self.told) {
            let news = *told != step.status && step.status != "pending";
            let worth = !self.live || step.status != "running";
            told.clone_from(&step.status);
            if news && worth {
                if std::mem::take(&mut self.open) {
                    screen.write(ANEW)?;
                }
                let line = show::step_line(step, names, screen);
                screen.line(&line)?;
                if let Some(message) = step.message.as_ref().filter(|_| step.status == "failed") {
                    screen.line(&format!("      {}", clean(message)))?;
                }
            }
        }
        Ok(())
    }

    fn clear(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        if std::mem::take(&mut self.open) {
            screen.write(ANEW)?;
        }
        Ok(())
    }
}

/// What goes on, in one line.
fn now(workflow: &Workflow) -> String {
    let mut parts = Vec::new();
    let done = workflow.steps.iter().filter(|step| step.status == "done");
    let done = done.count();
    match &workflow.progress {
        Some(progress) => parts.push(format!("{}  {}", clean(&workflow.now), bar::line(progress))),
        None => parts.push(clean(&workflow.now).into_owned()),
    }
    if workflow.state == "running" {
        let place = (done + 1).min(workflow.steps.len());
        parts.insert(0, format!("step {place} of {}", workflow.steps.len()));
    } else {
        parts.insert(0, words(&workflow.state));
    }
    if let Some(before) = workflow.before_it {
        parts.push(format!("{before} before it"));
    }
    if let Some(left) = workflow.left_seconds {
        parts.push(bar::left(left));
    }
    format!("  {}", parts.join("  "))
}
