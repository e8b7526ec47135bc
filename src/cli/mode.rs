//! `dragonfly mode …`: what happens to machines that are new.

use clap::ValueEnum;
use hyper::Method;
use serde_json::json;

use super::args::ModeCommand;
use super::args::template::Mode;
use super::change;
use super::client::{Ask, Client};
use super::failure::Failure;
use super::out::text::wrap;
use super::out::{Screen, Tone, receipt};
use crate::api::{Defaults, SetSetting, Setting};

const MODE: &str = "/api/v1/settings/provision.mode";
const DEFAULTS: &str = "/api/v1/defaults";

pub async fn run(
    command: ModeCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        ModeCommand::Show => show(client, screen).await,
        ModeCommand::Set { mode, change } => {
            let value = mode.name().to_owned();
            let ask = Ask::new(Method::PUT, MODE).body(json!(SetSetting { value }));
            let done = client.change(change::carry(ask, &change, screen)).await?;
            if screen.json {
                return screen.answer_line("mode.set", &[("data", json!(done))]);
            }
            receipt::show(screen, "mode", &done)?;
            receipt::next(screen, &done)
        }
    }
}

async fn show(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let setting: Setting = client.read(Ask::get(MODE)).await?;
    let defaults: Defaults = client.read(Ask::get(DEFAULTS)).await?;
    if screen.json {
        let data = json!({ "mode": setting.value, "os": defaults.os });
        return screen.answer("mode.show", &data);
    }
    if screen.quiet {
        return screen.line(&super::out::text::clean(&setting.value));
    }
    let modes = Mode::value_variants().iter();
    for mode in modes {
        let chosen = mode.name() == setting.value;
        let (mark, tone) = if chosen {
            ("●", Tone::Good)
        } else {
            ("○", Tone::Faint)
        };
        let name = screen.paint.on(tone, &format!("{mark} {}", mode.name()));
        screen.line(&name)?;
        for line in wrap(mode.meaning(), screen.width.saturating_sub(2)) {
            screen.line(&format!("  {line}"))?;
        }
    }
    if setting.value == Mode::Flight.name() && defaults.os.is_none() {
        let told = "No machine is installed by itself until a default system is chosen: dragonfly defaults set os=debian-13";
        for line in wrap(told, screen.width) {
            let line = screen.paint.on(Tone::Notice, &line);
            screen.line(&line)?;
        }
    }
    Ok(())
}
