//! `dragonfly network show`: all that is known of one network, in sections.

use super::{NETWORKS, path_of, tone_of_floating, tone_of_serving, words};
use crate::api::{Link, Network};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::sections::Section;
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone, time};

pub async fn run(link: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let network: Network = client.read(Ask::get(path_of(NETWORKS, link)?)).await?;
    if screen.json {
        return screen.answer("network.show", &network);
    }
    if screen.quiet {
        return screen.line(&clean(&network.link));
    }
    head(&network, screen)?;
    if let Some(now) = &network.now {
        wire(now).draw(screen)?;
    }
    wanted(&network).draw(screen)?;
    floating(&network, screen.now()).draw(screen)?;
    server(&network).draw(screen)?;
    let Some(now) = &network.now else {
        return Ok(());
    };
    let mut section = Section::new("Counted since it is served");
    for (name, count) in &now.counters {
        section.add(words(name), count.to_string());
    }
    section.draw(screen)
}

fn head(network: &Network, screen: &mut Screen) -> Result<(), Failure> {
    let name = screen.paint.on(Tone::Title, &clean(&network.link));
    let (tone, state) = match &network.now {
        None => (
            Tone::Notice,
            "not served: it is not in net.links, or not there",
        ),
        Some(link) if !link.up => (Tone::Notice, "the link is down"),
        Some(link) => (tone_of_serving(&link.serve), link.serve.as_str()),
    };
    let state = screen.paint.on(tone, &clean(state));
    screen.line(&format!("{name}  {state}"))
}

fn wire(link: &Link) -> Section {
    let mut section = Section::new("On the wire");
    section.add("MAC", clean(&link.mac));
    if link.addresses.is_empty() {
        section.add_toned("own addresses", Tone::Notice, "none");
    } else {
        section.add("own addresses", clean(&link.addresses.join(", ")));
    }
    section
        .add("MTU", link.mtu.to_string())
        .maybe("machines are told", link.from.as_deref());
    if let Some(why) = &link.why {
        section.add_toned("why", Tone::Notice, clean(why));
    }
    section
}

fn wanted(network: &Network) -> Section {
    let mut section = Section::new("Wanted");
    section
        .add("serve", clean(&network.serve))
        .add("idle", clean(&network.idle))
        .add("admit", clean(&network.admit))
        .add("rungs", list(&network.rungs));
    for (vendor, loader) in &network.loaders {
        section.add(format!("loader {}", clean(vendor)), clean(loader));
    }
    section.add("version", network.version.to_string());
    section
}

fn floating(network: &Network, now: jiff::Timestamp) -> Section {
    let mut section = Section::new("Floating IP");
    section
        .add("floating", clean(&network.floating))
        .add("scan", network.scan.to_string())
        .add("on_conflict", clean(&network.on_conflict));
    if let Some(link) = &network.now {
        let floating = &link.floating;
        let address = floating.address.as_ref();
        let address = address.map(|address| format!("{}, ", clean(address)));
        let since = floating.since.as_ref();
        let since = since.map(|since| format!(", {}", time::ago(now, since)));
        let state = format!(
            "{}{}{}",
            address.unwrap_or_default(),
            words(&floating.state),
            since.unwrap_or_default()
        );
        section.add_toned("now", tone_of_floating(&floating.state), state);
        let text = floating.text.as_deref();
        section.maybe("about it", text.filter(|_| floating.state != "held"));
        if let Some(warning) = &floating.warning {
            section.add_toned("warning", Tone::Notice, clean(warning));
        }
    } else if let Some(held) = &network.held {
        section.add("claimed last", clean(&held.address));
    }
    section
}

/// What the DHCP server gives out, or would.
fn server(network: &Network) -> Section {
    let mut section = Section::new("DHCP server");
    if network.serve != "server" && network.pool.is_none() && network.reservations.is_empty() {
        return section;
    }
    section
        .maybe("pool", network.pool.as_deref())
        .maybe("router", network.router.as_deref());
    if !network.dns.is_empty() {
        section.add("dns", list(&network.dns));
    }
    section
        .maybe("domain", network.domain.as_deref())
        .add("lease", time::span(network.lease_seconds.into()));
    for (mac, address) in &network.reservations {
        section.add(format!("reserve {}", clean(mac)), clean(address));
    }
    section
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        return "–".into();
    }
    clean(&items.join(", ")).into_owned()
}
