//! `dragonfly` alone: where one stands, then the help.
//!
//! It looks at the environment, at one directory and at the service, and at nothing else.

use std::path::Path;

use super::client::Client;
use super::failure::Failure;
use super::out::text::clean;
use super::out::{Screen, Tone};
use super::{args, status};

/// The folder that an installation has.
const DATA: &str = "/var/lib/dragonfly";

pub async fn run(mut client: Client, screen: &mut Screen) -> Result<(), Failure> {
    if installed()? {
        service(&mut client, screen).await?;
    } else {
        newcomer(screen)?;
    }
    screen.line("")?;
    let help = args::command().render_help();
    let help = if screen.paint.0 {
        help.ansi().to_string()
    } else {
        help.to_string()
    };
    screen.write(&help)
}

/// The variable decides; without it, the folder does.
fn installed() -> Result<bool, Failure> {
    let said = std::env::var("DRAGONFLY_INSTALLED").unwrap_or_default();
    match said.trim().to_lowercase().as_str() {
        "" => {
            let data = std::env::var_os("DRAGONFLY_DATA").filter(|data| !data.is_empty());
            Ok(Path::new(&data.unwrap_or_else(|| DATA.into())).is_dir())
        }
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Failure::usage(format!(
            "DRAGONFLY_INSTALLED '{said}' says neither yes nor no"
        ))
        .field("DRAGONFLY_INSTALLED", "DRAGONFLY_INSTALLED=true")),
    }
}

async fn service(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    match client.status().await {
        Ok(found) => {
            let place = client.place().map(ToString::to_string).unwrap_or_default();
            let url = status::url(&found).unwrap_or(place);
            let mark = screen.paint.on(Tone::Good, "✓");
            let url = screen.paint.on(Tone::Name, &clean(&url));
            screen.line(&format!(
                "{mark} Dragonfly {} answers at {url}",
                clean(&found.version)
            ))
        }
        Err(failure) => {
            let mark = screen.paint.on(Tone::Bad, "✗");
            let lines = failure.lines();
            let mut lines = lines.iter();
            let first = lines.next().map_or("", String::as_str);
            screen.line(&format!("{mark} Dragonfly is installed, but {first}"))?;
            lines.try_for_each(|line| screen.line(&format!("  {line}")))
        }
    }
}

fn newcomer(screen: &mut Screen) -> Result<(), Failure> {
    let title = screen
        .paint
        .on(Tone::Title, "Dragonfly is not installed here.");
    let demo = screen.paint.on(Tone::Name, "dragonfly demo");
    let server = screen.paint.on(
        Tone::Name,
        "sudo mkdir -p /var/lib/dragonfly && sudo dragonfly server",
    );
    let begin = screen.paint.on(Tone::Title, "Look around:");
    screen.line(&title)?;
    screen.line("")?;
    screen.line(&format!("  {begin} {demo}"))?;
    screen.line("    invented machines, in memory, on this machine only; nothing is written, nothing is sent")?;
    screen.line("")?;
    screen.line(&format!("  Run it here: {server}"))?;
    screen
        .line("    where that folder is, Dragonfly counts as installed, and keeps its store there")
}
