//! `dragonfly machine show`: all that is known of one machine, in sections.

use super::inventory;
use crate::api::boot::{Boot, BootOnce};
use crate::api::machine::{Observed, Pending};
use crate::api::{Event, List, Machine};
use crate::cli::client::{Ask, Client};
use crate::cli::events;
use crate::cli::failure::Failure;
use crate::cli::out::sections::{NAMES, Section};
use crate::cli::out::text::{clean, shell_word};
use crate::cli::out::{Screen, Tone, receipt, time, tone_of_state};

/// As many of the latest events as are shown.
const EVENTS: &str = "5";

pub async fn run(name: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let machine: Machine = client.read(Ask::get(super::path_of(name)?)).await?;
    if screen.json {
        return screen.answer("machine.show", &machine);
    }
    if screen.quiet {
        return screen.line(&clean(&machine.id));
    }
    let ask = Ask::get("/api/v1/events")
        .query("machine", &machine.id)
        .query("limit", EVENTS);
    let mut latest: List<Event> = client.read(ask).await?;
    latest.items.reverse();
    head(&machine, screen)?;
    identity(&machine).draw(screen)?;
    desired(&machine, screen.now()).draw(screen)?;
    if let Some(pending) = &machine.pending {
        waiting(&machine, pending, screen)?;
    }
    observed(&machine.observed, &machine, screen.now()).draw(screen)?;
    boot(&machine.boot, screen.now()).draw(screen)?;
    inventory::hardware(&machine.hardware, screen.now()).draw(screen)?;
    lock(&machine, screen.now()).draw(screen)?;
    if latest.items.is_empty() {
        return Ok(());
    }
    let title = screen.paint.on(Tone::Title, "Latest events");
    screen.line("")?;
    screen.line(&title)?;
    latest
        .items
        .iter()
        .try_for_each(|event| events::line(screen, event, "  "))
}

fn head(machine: &Machine, screen: &mut Screen) -> Result<(), Failure> {
    let name = screen.paint.on(Tone::Title, &clean(&machine.name));
    let state = screen
        .paint
        .on(tone_of_state(&machine.state), &clean(&machine.state));
    let message = machine.state_message.as_deref().map(clean);
    let message = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    let flags = [
        ("locked", machine.lock.is_some()),
        ("edited", machine.pending.is_some()),
    ];
    let flags = flags.into_iter().filter(|(_, yes)| *yes);
    let flags = flags
        .map(|(flag, _)| screen.paint.on(Tone::Notice, flag))
        .collect::<Vec<_>>();
    screen.line(format!("{name}  {state}{message}  {}", flags.join("  ")).trim_end())
}

fn identity(machine: &Machine) -> Section {
    let mut section = Section::new("Identity");
    section
        .add("id", clean(&machine.id))
        .add("MAC", clean(&machine.mac));
    let others: Vec<_> = machine
        .macs
        .iter()
        .filter(|mac| **mac != machine.mac)
        .map(|mac| clean(mac))
        .collect();
    if !others.is_empty() {
        section.add("other MACs", others.join(", "));
    }
    if machine.friendly_name.is_some() {
        section.add("four words", clean(&machine.memorable_name));
    }
    section
        .maybe("SMBIOS UUID", machine.smbios_uuid.as_deref())
        .maybe("machine-id", machine.machine_id.as_deref())
        .add("known by", clean(&machine.source))
        .add("version", machine.version.to_string());
    section
}

fn desired(machine: &Machine, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Desired");
    let none =
        |text: Option<&String>| text.map_or_else(|| "–".into(), |text| clean(text).into_owned());
    section
        .add("hostname", none(machine.hostname.as_ref()))
        .add("os", none(machine.os_choice.as_ref()))
        .add(
            "static-ip",
            machine
                .static_ip
                .as_ref()
                .map_or_else(|| "– (by DHCP)".into(), |ip| clean(ip).into_owned()),
        );
    let vlan = machine.vlan.map(|vlan| vlan.to_string());
    section
        .maybe("vlan", vlan.as_deref())
        .maybe("bond", machine.bond.as_deref());
    let tags = machine.tags.join(", ");
    section.add(
        "tags",
        if tags.is_empty() {
            "–".into()
        } else {
            clean(&tags).into_owned()
        },
    );
    for (key, value) in &machine.labels {
        section.add(format!("label.{}", clean(key)), clean(value));
    }
    let now_too = machine
        .wanted_now
        .map(|wanted| format!(", wanted at once: {wanted}"));
    let generation = format!("{}{}", machine.generation, now_too.unwrap_or_default());
    section
        .add("generation", generation)
        .add("registered", time::both(now, &machine.created_at))
        .add("changed", time::both(now, &machine.updated_at));
    section
}

/// The edit that waits, as a diff, and the two commands that settle it.
fn waiting(machine: &Machine, pending: &Pending, screen: &mut Screen) -> Result<(), Failure> {
    let title = screen.paint.on(Tone::Title, "Waiting edit");
    let who = format!(
        "by {}, {}",
        clean(&pending.author),
        time::ago(screen.now(), &pending.at)
    );
    let who = screen.paint.on(Tone::Faint, &who);
    screen.line("")?;
    screen.line(&format!("{title}  {who}"))?;
    receipt::diff(screen, &pending.diff, NAMES)?;
    if pending.base_generation != machine.generation {
        let word = screen.paint.on(Tone::Notice, "note:");
        screen.line(&format!(
            "  {word} the desired state has changed since this was written"
        ))?;
    }
    let name = shell_word(&machine.name);
    for (label, verb) in [("apply it", "apply"), ("discard it", "discard")] {
        let label = screen.paint.on(Tone::Faint, &format!("{label:NAMES$}"));
        let command = screen
            .paint
            .on(Tone::Name, &format!("dragonfly machine {verb} {name}"));
        screen.line(&format!("  {label}  {command}"))?;
    }
    Ok(())
}

fn observed(observed: &Observed, machine: &Machine, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Observed");
    section
        .maybe("hostname", observed.hostname.as_deref())
        .maybe("os", observed.os.as_deref());
    if !observed.addresses.is_empty() {
        section.add("addresses", clean(&observed.addresses.join(", ")));
    }
    if let Some(generation) = observed.generation {
        let behind = generation < machine.generation;
        let told = if behind {
            format!("{generation}, behind the desired {}", machine.generation)
        } else {
            generation.to_string()
        };
        section.add_toned(
            "generation",
            if behind { Tone::Notice } else { Tone::Plain },
            told,
        );
    }
    if let Some(at) = &observed.called_home_at {
        section.add("called home", time::both(now, at));
    }
    match &machine.last_seen {
        Some(at) => section.add("last seen", time::both(now, at)),
        None => section.add("last seen", "never"),
    };
    section
}

/// How it boots from the network, as far as something is known or wanted.
fn boot(boot: &Boot, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Network boot");
    if let Some(once) = &boot.once {
        let told = match once {
            BootOnce::Shell {} => "the iPXE shell".into(),
            BootOnce::Chain { url } => clean(url).into_owned(),
            BootOnce::Kernel { kernel, .. } => format!("the kernel {}", clean(kernel)),
        };
        section.add_toned("boots once", Tone::Notice, told);
    }
    if !matches!(boot.loader.as_str(), "" | "auto") {
        section.add("loader", clean(&boot.loader));
    }
    section
        .maybe("firmware", boot.platform.as_deref())
        .maybe("came by rung", boot.rung.as_deref());
    if let Some(at) = &boot.at {
        section.add("last script", time::both(now, at));
    }
    section
}

fn lock(machine: &Machine, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Access");
    if let Some(lock) = &machine.lock {
        let reason = lock
            .reason
            .as_ref()
            .map(|text| format!(": {}", clean(text)))
            .unwrap_or_default();
        let told = format!(
            "by {}, {}{reason}",
            clean(&lock.by),
            time::ago(now, &lock.at)
        );
        section.add_toned("locked", Tone::Notice, told);
    }
    if let Some(bmc) = &machine.bmc {
        let told = format!(
            "{} {}, as {}",
            clean(&bmc.kind),
            clean(&bmc.address),
            clean(&bmc.username)
        );
        section.add("BMC", told);
    }
    section
}
