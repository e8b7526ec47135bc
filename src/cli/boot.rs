//! `dragonfly boot trace`: one boot as a timeline, and why it stopped.

mod stop;
mod timeline;

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use self::timeline::Timeline;
use super::args::boot::{BootCommand, Trace as Args};
use super::client::{Ask, Client, encode};
use super::failure::Failure;
use super::machine::{self, seen};
use super::network::nothing_served;
use super::out::text::clean;
use super::out::{Screen, Tone};
use crate::api::{Code, Trace};

/// How often it is asked for more.
const PULSE: Duration = Duration::from_millis(500);
/// The longest pause while the daemon does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub async fn run(
    command: BootCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let BootCommand::Trace(args) = command;
    let (path, trace) = find(&args.machine, client).await?;
    if args.follow {
        tokio::select! {
            ended = follow(&args, &path, trace, client, screen) => return ended,
            // Ctrl-C is how a person says that it is enough.
            _ = tokio::signal::ctrl_c() => {}
        }
        if screen.has_person() {
            // The terminal has put a ^C there.
            screen.remark("");
        }
        return Ok(());
    }
    if screen.json {
        return screen.answer("boot.trace", &trace);
    }
    if screen.quiet && args.snippet.is_none() {
        return screen.line(&clean(&trace.state));
    }
    if let (true, Some(product)) = (screen.quiet, args.snippet) {
        return stop::paste(&trace, product, screen);
    }
    head(&trace, screen)?;
    if trace.steps.is_empty() {
        return unseen(client, screen).await;
    }
    let mut timeline = Timeline::default();
    timeline.draw(&trace.steps, args.all, screen)?;
    stop::tell(&trace, args.snippet, screen)
}

/// The trace of a machine, or of a card that is no machine's, and where the API keeps it.
async fn find(name: &str, client: &mut Client) -> Result<(String, Trace), Failure> {
    let path = format!("{}/trace", machine::path_of(name)?);
    match client.read(Ask::get(&path)).await {
        Ok(trace) => Ok((path, trace)),
        Err(failure) if failure.code() == Some(Code::NotFound) && is_mac(name) => {
            let path = format!("{}/{}/trace", seen::SEEN, encode(name));
            let trace = client.read(Ask::get(&path)).await?;
            Ok((path, trace))
        }
        Err(failure) => Err(failure),
    }
}

/// Whether a person means a card with it.
fn is_mac(name: &str) -> bool {
    let digits = name
        .trim()
        .bytes()
        .filter(|b| !matches!(b, b':' | b'-' | b'.'));
    let digits: Vec<_> = digits.collect();
    digits.len() == 12 && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Prints what comes, and each time that a boot stops or arrives, what it came to.
async fn follow(
    args: &Args,
    path: &str,
    mut trace: Trace,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut timeline = Timeline::default();
    let mut state = String::new();
    let mut pause = PULSE;
    if !screen.json && !screen.quiet {
        head(&trace, screen)?;
    }
    loop {
        let fresh = !trace.steps.is_empty();
        if screen.json {
            for step in &trace.steps {
                screen.answer_line("boot.step", &[("data", json!(step))])?;
            }
        } else if !screen.quiet {
            // What was before this began is not told twice.
            timeline.draw(&trace.steps, args.all || !state.is_empty(), screen)?;
        }
        if fresh || trace.state != state {
            state.clone_from(&trace.state);
            turn(&trace, screen)?;
        }
        screen.flush()?;
        sleep(pause).await;
        let ask = Ask::get(path).query("after", trace.last.to_string());
        match client.read::<Trace>(ask).await {
            Ok(next) => {
                // A daemon that was restarted counts anew.
                let restarted = next.last < trace.last || next.state == "unseen";
                trace = next;
                if restarted {
                    trace.last = 0;
                    trace.steps.clear();
                }
                pause = PULSE;
            }
            Err(failure) if failure.is_transient() => {
                client.hang_up();
                trace.steps.clear();
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Where the boot stands now.
fn turn(trace: &Trace, screen: &mut Screen) -> Result<(), Failure> {
    if screen.json {
        let data = json!({ "state": trace.state, "diagnosis": trace.diagnosis });
        return screen.answer_line("boot.state", &[("data", data)]);
    }
    if screen.quiet {
        return screen.line(&clean(&trace.state));
    }
    match trace.state.as_str() {
        "unseen" => {
            let told = screen
                .paint
                .on(Tone::Faint, "nothing was seen of it yet; waiting");
            screen.line(&told)
        }
        "going_on" => Ok(()),
        _ => stop::tell(trace, None, screen),
    }
}

fn head(trace: &Trace, screen: &mut Screen) -> Result<(), Failure> {
    let macs = clean(&trace.macs.join(", ")).into_owned();
    let (name, rest) = match &trace.machine {
        Some(name) => (clean(name).into_owned(), macs),
        None => (macs, "not registered".into()),
    };
    let name = screen.paint.on(Tone::Title, &name);
    let rest = screen.paint.on(Tone::Faint, &rest);
    screen.line(&format!("{name}  {rest}"))
}

async fn unseen(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let status = client.status().await?;
    screen.line("")?;
    screen.line("It has not asked to boot since Dragonfly started.")?;
    if status.links.is_empty() {
        return nothing_served(&status, screen);
    }
    let links: Vec<_> = status.links.iter().map(|link| clean(&link.name)).collect();
    screen.line(&format!("What is served: {}.", links.join(", ")))?;
    screen.line("Is network boot on in its firmware, and is it on the same segment?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_known_by_its_look() {
        for mac in ["52:54:00:12:34:56", "52-54-00-12-34-56", "525400123456"] {
            assert!(is_mac(mac), "{mac}");
        }
        for name in ["web01", "52:54:00:12:34", "52:54:00:12:34:5g", ""] {
            assert!(!is_mac(name), "{name}");
        }
    }
}
