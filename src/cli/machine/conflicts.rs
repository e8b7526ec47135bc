//! `dragonfly machine conflicts`: anchors that point at different machines, and how to settle each.

use crate::api::{Conflict, List};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::Failure;
use crate::cli::out::text::{clean, count, padding, shell_word, width};
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
    let head = screen
        .paint
        .on(Tone::Title, &format!("The card {}", clean(&conflict.mac)));
    screen.line(&format!("{head} could be any of these; last seen {seen}"))?;
    let anchors = conflict
        .claims
        .iter()
        .map(|claim| width(&clean(&claim.anchor)))
        .max()
        .unwrap_or(0);
    for claim in &conflict.claims {
        let anchor = clean(&claim.anchor);
        let pad = padding(&anchor, anchors);
        screen.line(&format!(
            "  {anchor}{pad}  is of {} ({})",
            clean(&claim.machine_name),
            clean(&claim.machine)
        ))?;
    }
    let mut machines: Vec<&str> = conflict
        .claims
        .iter()
        .map(|claim| claim.machine.as_str())
        .collect();
    machines.sort_unstable();
    machines.dedup();
    if let [one, other, ..] = machines[..] {
        let (one, other) = (shell_word(one), shell_word(other));
        let mac = shell_word(&conflict.mac);
        let merge = screen.paint.on(
            Tone::Name,
            &format!("dragonfly machine merge {one} {other}"),
        );
        let from = holder(conflict).unwrap_or(one);
        let split = format!("dragonfly machine split {from} --mac {mac}");
        let split = screen.paint.on(Tone::Name, &split);
        screen.line(&format!("  if they are the same machine  {merge}"))?;
        screen.line(&format!("  if the card was moved         {split}"))?;
    }
    Ok(())
}

/// The machine that holds the card that spoke.
fn holder(conflict: &Conflict) -> Option<String> {
    let of_card = conflict
        .claims
        .iter()
        .find(|claim| claim.anchor.contains(&conflict.mac));
    of_card.map(|claim| shell_word(&claim.machine))
}
