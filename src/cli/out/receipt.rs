//! The proof of a change: what became of it, field by field, and what makes sense next.

use serde_json::Value;

use super::text::{clean, padding, width};
use super::{Screen, Tone};
use crate::api::{Change, Receipt};
use crate::cli::failure::Failure;

/// Shows a receipt. `name` is what the person calls the thing that was changed.
pub fn show(screen: &mut Screen, name: &str, receipt: &Receipt) -> Result<(), Failure> {
    if screen.json {
        return Ok(());
    }
    let (mark, tone) = match receipt.status.as_str() {
        "unchanged" | "dry_run" => ("·", Tone::Faint),
        _ => ("✓", Tone::Good),
    };
    let mark = screen.paint.on(tone, mark);
    let name = screen.paint.on(Tone::Title, &clean(name));
    screen.say(&format!("{mark} {name} {}", outcome(receipt)))?;
    diff(screen, &receipt.diff, 0)?;
    for note in &receipt.notes {
        let word = screen.paint.on(Tone::Notice, "note:");
        screen.say(&format!("  {word} {}", clean(note)))?;
    }
    Ok(())
}

/// The commands that make sense now.
pub fn next(screen: &mut Screen, receipt: &Receipt) -> Result<(), Failure> {
    if receipt.next.is_empty() {
        return Ok(());
    }
    screen.say("")?;
    let labels = receipt
        .next
        .iter()
        .map(|step| width(&clean(&step.label)))
        .max()
        .unwrap_or(0);
    for step in &receipt.next {
        let label = clean(&step.label);
        let pad = padding(&label, labels);
        let label = screen.paint.on(Tone::Faint, &label);
        let command = screen.paint.on(Tone::Name, &clean(&step.command));
        screen.say(&format!("  {label}{pad}  {command}"))?;
    }
    Ok(())
}

/// Fields, before and after, under the names by which they are set; those take `least` columns.
pub fn diff(screen: &mut Screen, changes: &[Change], least: usize) -> Result<(), Failure> {
    let widest = changes.iter().map(|change| width(&field(change))).max();
    let fields = widest.unwrap_or(0).max(least);
    for change in changes {
        let field = field(change);
        let pad = padding(&field, fields);
        let (from, to) = (value(&change.from), value(&change.to));
        let from = screen.paint.on(Tone::Faint, &from);
        screen.say(&format!("  {field}{pad}  {from} → {to}"))?;
    }
    Ok(())
}

/// The field's name as a person types it.
fn field(change: &Change) -> String {
    match change.field.as_str() {
        "os_choice" => "os".into(),
        "static_ip" => "static-ip".into(),
        "friendly_name" => "friendly-name".into(),
        "boot.once" => "boot-once".into(),
        "boot.loader" => "loader".into(),
        "lease_seconds" => "lease".into(),
        "scan" => "floating.scan".into(),
        "on_conflict" => "floating.on_conflict".into(),
        other => clean(other).into_owned(),
    }
}

/// A value as people write it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) if text.is_empty() => "–".into(),
        Value::String(text) => clean(text).into_owned(),
        Value::Array(items) if items.is_empty() => "–".into(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        Value::Object(pairs) if pairs.is_empty() => "–".into(),
        Value::Object(pairs) => pairs
            .iter()
            .map(|(key, value)| format!("{}={}", clean(key), self::value(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
    }
}

fn outcome(receipt: &Receipt) -> String {
    let (done, would) = words(&receipt.command);
    match receipt.status.as_str() {
        "accepted" => done.into(),
        "unchanged" => "is so already; nothing was changed".into(),
        "dry_run" => format!("{would}; nothing was changed"),
        other => clean(other).into_owned(),
    }
}

/// What happened, and what would happen.
fn words(command: &str) -> (&'static str, &'static str) {
    match command {
        "machine.add" | "image.add" => ("was added", "would be added"),
        "machine.set" => ("was edited", "would be edited"),
        "machine.apply" => (
            "has the edit as its desired state",
            "would have the edit applied",
        ),
        "machine.discard" => (
            "has no waiting edit any more",
            "would lose its waiting edit",
        ),
        "machine.tag" => ("has its tags", "would have its tags changed"),
        "machine.lock" => ("is locked", "would be locked"),
        "machine.unlock" => ("is unlocked", "would be unlocked"),
        "machine.delete" => ("was deleted", "would be deleted"),
        "machine.merge" => ("is one machine now", "would be one machine"),
        "machine.split" => ("was split", "would be split"),
        "machine.approve" => ("is registered", "would be registered"),
        "machine.boot_once" => (
            "has its next boot settled",
            "would have its next boot settled",
        ),
        "machine.set_loader" => ("has its loader chosen", "would have its loader chosen"),
        "network.set" => ("is set up so", "would be set up so"),
        "image.upload" => ("was taken in", "would be taken in"),
        "image.import" => ("was imported", "would be imported"),
        "image.pin" => ("is pinned", "would be pinned"),
        "image.unpin" => ("is pinned no more", "would be pinned no more"),
        "image.remove" => ("was removed", "would be removed"),
        "image.refresh" => ("is fetched anew", "would be fetched anew"),
        "setting.set" => ("was set", "would be set"),
        "setting.reset" => ("has its default again", "would have its default again"),
        _ => ("was changed", "would be changed"),
    }
}
