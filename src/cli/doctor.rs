//! `dragonfly doctor`: looks for what is wrong, whether the daemon runs or not, and says what to do about it.
//! It changes nothing.

mod checks;
mod network;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::args::Doctor as Args;
use super::client::Client;
use super::failure::{FAILED, Failure};
use super::out::text::{clean, padding, width, wrap};
use super::out::{Screen, Tone};

/// What the daemon would be configured with here. The daemon's own room knows; the command line does not.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The file that was read, if there is one.
    pub config_file: Option<PathBuf>,
    /// Everything that is wrong with the configuration.
    pub config_errors: Vec<String>,
    pub data: PathBuf,
    /// Whether somebody named the folder; otherwise the daemon is asked for its own.
    pub data_named: bool,
    pub socket: PathBuf,
    pub socket_mode: u32,
    pub socket_group: String,
    /// The links that `net.links` names.
    pub links: Vec<String>,
    pub http_port: u16,
    /// The folder with the boot loaders.
    pub loaders: PathBuf,
    /// Those that should be there and are not.
    pub lacking: Vec<Lacking>,
    /// What machines run the agent from; the common architecture first.
    pub environments: Vec<Environment>,
}

/// What is there for one architecture: the release of its kernel, or why nothing is.
#[derive(Clone, Debug)]
pub struct Environment {
    pub architecture: String,
    pub found: Result<String, String>,
}

/// A boot loader that is not there.
#[derive(Clone, Debug)]
pub struct Lacking {
    pub name: String,
    /// The kind of machine that it is for.
    pub platform: String,
    pub remedy: String,
}

/// How `main` lets this room ask for them.
pub type Gather = fn(&Args) -> Facts;

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Well,
    /// It works, but a person should know.
    Notice,
    Wrong,
    /// It does not apply here.
    Skipped,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Well,
            found: found.into(),
            remedy: None,
        }
    }

    pub fn skipped(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            ..Self::well(check, found)
        }
    }

    pub fn wrong(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Wrong,
            remedy: Some(remedy.into()),
            ..Self::well(check, found)
        }
    }

    pub fn notice(
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Notice,
            ..Self::wrong(check, found, remedy)
        }
    }
}

pub async fn run(facts: &Facts, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let findings = checks::all(facts, client, screen.now()).await;
    let wrong = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Wrong)
        .count();
    if screen.json {
        screen.answer(
            "doctor",
            &json!({ "well": wrong == 0, "findings": findings }),
        )?;
    } else {
        show(&findings, wrong, screen)?;
    }
    if wrong == 0 {
        Ok(())
    } else {
        Err(Failure::Told(FAILED))
    }
}

fn show(findings: &[Finding], wrong: usize, screen: &mut Screen) -> Result<(), Failure> {
    let names = findings
        .iter()
        .map(|finding| width(finding.check))
        .max()
        .unwrap_or(0);
    for finding in findings {
        let (mark, tone) = match finding.verdict {
            Verdict::Well => ("✓", Tone::Good),
            Verdict::Notice => ("!", Tone::Notice),
            Verdict::Wrong => ("✗", Tone::Bad),
            Verdict::Skipped => ("·", Tone::Faint),
        };
        let mark = screen.paint.on(tone, mark);
        let pad = padding(finding.check, names);
        let indent = " ".repeat(names + 4);
        let room = screen.width.saturating_sub(indent.len()).max(30);
        let lines = finding
            .found
            .lines()
            .flat_map(|line| wrap(&clean(line), room));
        for (place, line) in lines.enumerate() {
            match place {
                0 => screen.line(&format!("{mark} {}{pad}  {line}", finding.check))?,
                _ => screen.line(&format!("{indent}{line}"))?,
            }
        }
        if let Some(remedy) = &finding.remedy {
            let remedy = screen.paint.on(Tone::Name, &clean(remedy));
            screen.line(&format!("{indent}→ {remedy}"))?;
        }
    }
    screen.line("")?;
    screen.line(&match wrong {
        0 => "All is well.".to_owned(),
        1 => "One thing is wrong.".to_owned(),
        more => format!("{more} things are wrong."),
    })
}
