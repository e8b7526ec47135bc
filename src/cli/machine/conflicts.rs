//! `dragonfly machine conflicts`: anchors that point at different machines, and how to settle each.

use std::collections::BTreeMap;

use crate::api::machine::Claim;
use crate::api::{Conflict, List};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::text::{clean, count, shell_word};
use crate::cli::out::{Screen, Tone, time};

pub async fn run(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found: List<Conflict> = client.read(Ask::get("/api/v1/conflicts")).await?;
    if screen.json {
        return screen.answer("machine.conflicts", &found);
    }
    if screen.quiet {
        return found
            .items
            .iter()
            .try_for_each(|conflict| screen.line(&clean(&conflict.id)));
    }
    if found.items.is_empty() {
        return screen.line("No conflicts: every machine can be told from every other.");
    }
    for (place, conflict) in found.items.iter().enumerate() {
        if place > 0 {
            screen.line("")?;
        }
        show(conflict, screen)?;
    }
    let told = count(found.items.len() as u64, "conflict");
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line("")?;
    screen.line(&told)
}

fn show(conflict: &Conflict, screen: &mut Screen) -> Result<(), Failure> {
    let seen = time::ago(screen.now(), &conflict.last_seen);
    let head = format!("What spoke with {}", clean(&conflict.mac));
    let head = screen.paint.on(Tone::Title, &head);
    screen.line(&format!(
        "{head} is known as more than one machine; last seen {seen}"
    ))?;
    let machines = by_machine(conflict);
    for (machine, claims) in &machines {
        let name = claims
            .first()
            .map_or("", |claim| claim.machine_name.as_str());
        let name = screen.paint.on(Tone::Name, &clean(name));
        screen.line(&format!("  {name}  {}", clean(machine)))?;
        for claim in claims {
            screen.line(&format!("    {}", clean(&claim.anchor)))?;
        }
    }
    if let [one, other, ..] = machines.keys().collect::<Vec<_>>()[..] {
        let (one, other) = (shell_word(one), shell_word(other));
        let mac = shell_word(&conflict.mac);
        let merge = format!("dragonfly machine merge {one} {other}");
        let merge = screen.paint.on(Tone::Name, &merge);
        let from = holder(conflict).unwrap_or(one);
        let split = format!("dragonfly machine split {from} --mac {mac}");
        let split = screen.paint.on(Tone::Name, &split);
        screen.line("  if they are one and the same:")?;
        screen.line(&format!("    {merge}"))?;
        screen.line("  if the card was moved from one to the other:")?;
        screen.line(&format!("    {split}"))?;
    }
    Ok(())
}

/// What speaks for each machine.
fn by_machine(conflict: &Conflict) -> BTreeMap<&str, Vec<&Claim>> {
    let mut machines = BTreeMap::<&str, Vec<&Claim>>::new();
    for claim in &conflict.claims {
        machines.entry(&claim.machine).or_default().push(claim);
    }
    machines
}

/// The machine that holds the card that spoke.
fn holder(conflict: &Conflict) -> Option<String> {
    let of_card = conflict
        .claims
        .iter()
        .find(|claim| claim.anchor.contains(&conflict.mac));
    of_card.map(|claim| shell_word(&claim.machine))
}
