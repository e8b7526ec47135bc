//! `dragonfly status`: how it is, on one screen.

use std::net::SocketAddr;

use super::client::Client;
use super::failure::Failure;
use super::network::{tone_of_serving, words};
use super::out::sections::{NAMES, Section};
use super::out::text::{clean, count, size, width, wrap};
use super::out::{Screen, Tone, time, tone_of_state};
use crate::api::{Link, Status};

pub async fn run(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let status = client.status().await?;
    if screen.json {
        return screen.answer("status", &status);
    }
    head(&status, screen)?;
    machines(&status, screen)?;
    network_boot(&status).draw(screen)?;
    inside(&status).draw(screen)?;
    doors(&status, screen.width).draw(screen)?;
    screen.line("")?;
    let answered = client.place().map(ToString::to_string).unwrap_or_default();
    let told = screen
        .paint
        .on(Tone::Faint, &format!("answered by {}", clean(&answered)));
    screen.line(&told)?;
    if status.version != env!("CARGO_PKG_VERSION") {
        let word = screen.paint.on(Tone::Notice, "note:");
        let told = format!(
            "{word} this command line is of version {}",
            env!("CARGO_PKG_VERSION")
        );
        screen.line(&told)?;
    }
    Ok(())
}

/// The page for people, if there is a door for it.
pub fn url(status: &Status) -> Option<String> {
    let doors = status
        .ports
        .iter()
        .map(|port| port.at.trim_start_matches("http://"));
    let mut addresses = doors.filter_map(|at| at.parse::<SocketAddr>().ok());
    addresses.next().map(|address| format!("http://{address}"))
}

fn head(status: &Status, screen: &mut Screen) -> Result<(), Failure> {
    let name = screen.paint.on(Tone::Title, &clean(&status.site_name));
    let (tone, word) = if status.ready {
        (Tone::Good, "ready")
    } else {
        (Tone::Notice, "not ready yet")
    };
    let ready = screen.paint.on(tone, word);
    let started = status.started_at.parse::<jiff::Timestamp>();
    let up = started.map(|at| time::span(screen.now().as_second() - at.as_second()));
    let up = up.map_or_else(
        |_| clean(&status.started_at).into_owned(),
        |span| format!("up {span}"),
    );
    let told = format!("Dragonfly {}, {up}", clean(&status.version));
    let first = width(&clean(&status.site_name)) + width(word) + width(&told) + 4;
    if first <= screen.width {
        screen.line(&format!("{name}  {ready}  {told}"))?;
    } else {
        screen.line(&format!("{name}  {ready}"))?;
        screen.line(&told)?;
    }
    let banner = status.banner.as_deref().map(clean).unwrap_or_default();
    for line in wrap(&banner, screen.width)
        .iter()
        .filter(|line| !line.is_empty())
    {
        let line = screen.paint.on(Tone::Notice, line);
        screen.line(&line)?;
    }
    Ok(())
}

fn machines(status: &Status, screen: &mut Screen) -> Result<(), Failure> {
    let title = screen
        .paint
        .on(Tone::Title, &count(status.machines, "machine"));
    screen.line("")?;
    screen.line(&title)?;
    if status.machines == 0 {
        screen.line("  tell of one: dragonfly machine add 52:54:00:12:34:56")?;
    }
    let most = status
        .machines_by_state
        .values()
        .max()
        .copied()
        .unwrap_or(0)
        .max(1);
    let digits = most.to_string().len();
    let room = screen.width.saturating_sub(20 + digits).min(40) as u64;
    for (state, number) in status
        .machines_by_state
        .iter()
        .filter(|(_, number)| **number > 0)
    {
        let bar = "█".repeat(usize::try_from((number * room).div_ceil(most)).unwrap_or(0));
        let bar = screen.paint.on(tone_of_state(state), &bar);
        screen.line(&format!("  {:<13}  {number:>digits$}  {bar}", clean(state)))?;
    }
    if status.conflicts > 0 {
        let told = count(status.conflicts, "conflict");
        let told = screen.paint.on(Tone::Bad, &told);
        let command = screen.paint.on(Tone::Name, "dragonfly machine conflicts");
        screen.line(&format!("  {told}: {command}"))?;
    }
    Ok(())
}

/// What goes out on which wire, or how it would.
fn network_boot(status: &Status) -> Section {
    let mut section = Section::new("Network boot");
    if status.links.is_empty() {
        let told = if status.mode == "demo" {
            "off: the demo gives nothing out on any wire"
        } else {
            "off; name a link in net.links of the configuration to switch it on"
        };
        section.add_toned("links", Tone::Faint, told);
    }
    for link in &status.links {
        let (tone, told) = serving(link);
        section.add_toned(clean(&link.name), tone, told);
        for text in [&link.why, &link.floating.warning].into_iter().flatten() {
            section.add_toned("", Tone::Notice, clean(text));
        }
    }
    if status.waiting > 0 {
        let told = format!(
            "{} for approval: dragonfly machine seen",
            match status.waiting {
                1 => "one machine waits".into(),
                more => format!("{more} machines wait"),
            }
        );
        section.add_toned("on the wire", Tone::Notice, told);
    } else if status.seen > 0 {
        let seen = count(status.seen, "machine");
        let told = format!("{seen} not registered: dragonfly machine seen");
        section.add("on the wire", told);
    }
    section
}

fn serving(link: &Link) -> (Tone, String) {
    if !link.up {
        return (Tone::Notice, "the link is down".into());
    }
    let Some(from) = &link.from else {
        return (
            Tone::Notice,
            format!("{}, no address yet", clean(&link.serve)),
        );
    };
    let floating = match &link.floating {
        floating if floating.address.as_ref() == Some(from) => ", the floating IP".to_owned(),
        floating if floating.state == "off" => String::new(),
        floating => format!("; floating IP: {}", words(&floating.state)),
    };
    let tone = tone_of_serving(&link.serve);
    (
        tone,
        format!("{} at {}{floating}", clean(&link.serve), clean(from)),
    )
}

fn inside(status: &Status) -> Section {
    let mut section = Section::new("Inside");
    let mode = status
        .installed_by
        .as_ref()
        .map(|by| format!(", by {}", clean(by)))
        .unwrap_or_default();
    section
        .add("mode", format!("{}{mode}", clean(&status.mode)))
        .add("store", clean(&status.store))
        .add("on disk", size(status.store_bytes))
        .add("in memory", size(status.store_memory_bytes))
        .add(
            "events",
            format!("{}, the latest is {}", status.events, clean(&status.cursor)),
        );
    section
}

/// One line each; what a door is for is left out where the line is too short for it.
fn doors(status: &Status, room: usize) -> Section {
    let mut section = Section::new("Doors");
    let mut told: Vec<&str> = Vec::new();
    for name in status.ports.iter().map(|port| &*port.name) {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let own = status.ports.iter().filter(|port| port.name == name);
        let places: Vec<_> = own.clone().map(|port| clean(&port.at)).collect();
        let places = places.join(", ");
        let purpose = own.map(|port| clean(&port.purpose)).next();
        let whole = format!("{places}, {}", purpose.unwrap_or_default());
        let fits = width(&whole) <= room.saturating_sub(NAMES + 4);
        section.add(clean(name), if fits { whole } else { places });
    }
    section
}
