//! What a boot came to: the last thing seen, the likely cause, what to do, and what to paste.

use crate::api::Trace;
use crate::api::boot::{Diagnosis, Snippet};
use crate::cli::args::boot::Product;
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::text::{clean, wrap};
use crate::cli::out::{Screen, Tone, time};

/// Where the boot stands, in full.
pub fn tell(trace: &Trace, product: Option<Product>, screen: &mut Screen) -> Result<(), Failure> {
    screen.line("")?;
    let ago = trace.steps.last();
    let ago = ago.map(|step| time::ago(screen.now(), &step.at));
    let ago = ago
        .map(|ago| format!(", last seen {ago}"))
        .unwrap_or_default();
    let (mark, tone, word) = match trace.state.as_str() {
        "arrived" => ("✓", Tone::Good, "it was told what to boot"),
        "waiting" => ("!", Tone::Notice, "it waits"),
        "stopped" => ("✗", Tone::Bad, "it stopped"),
        "going_on" => ("…", Tone::Busy, "it goes on"),
        other => ("·", Tone::Faint, other),
    };
    let mark = screen.paint.on(tone, mark);
    screen.line(&format!("{mark} {}{ago}", clean(word)))?;
    let Some(found) = &trace.diagnosis else {
        return match product {
            Some(_) => screen.line("  there is nothing to paste"),
            None => Ok(()),
        };
    };
    cause(found, screen)?;
    match product {
        Some(product) => draw(found, product, screen),
        None => offer(found, trace, screen),
    }
}

fn cause(found: &Diagnosis, screen: &mut Screen) -> Result<(), Failure> {
    let room = screen.width.saturating_sub(4).max(20);
    for line in wrap(&clean(&found.cause), room) {
        let line = screen.paint.on(Tone::Title, &line);
        screen.line(&format!("  {line}"))?;
    }
    for remedy in &found.what_to_do {
        for (place, line) in wrap(&clean(remedy), room).iter().enumerate() {
            let line = screen.paint.on(Tone::Name, line);
            let arrow = if place == 0 { "→" } else { " " };
            screen.line(&format!("  {arrow} {line}"))?;
        }
    }
    Ok(())
}

/// What there is to paste, and how to see it.
fn offer(found: &Diagnosis, trace: &Trace, screen: &mut Screen) -> Result<(), Failure> {
    let products = products(&found.snippets);
    let Some(first) = products.first() else {
        return Ok(());
    };
    let name = trace.machine.as_ref().or(trace.macs.first());
    let name = name.map(|name| crate::cli::out::text::shell_word(name));
    let command = format!(
        "dragonfly boot trace {} --snippet {first}",
        name.unwrap_or_default()
    );
    let command = screen.paint.on(Tone::Name, &command);
    let more = match products.len() {
        1 => String::new(),
        _ => format!(" (or {}, all)", products[1..].join(", ")),
    };
    screen.line("")?;
    screen.line("What to paste where the cause is:")?;
    screen.line(&format!("  {command}"))?;
    if more.is_empty() {
        return Ok(());
    }
    let more = screen.paint.on(Tone::Faint, more.trim());
    screen.line(&format!("  {more}"))
}

/// In their order, each once.
fn products(snippets: &[Snippet]) -> Vec<String> {
    let mut products: Vec<String> = Vec::new();
    for snippet in snippets {
        let product = clean(&snippet.product).into_owned();
        if !products.contains(&product) {
            products.push(product);
        }
    }
    products
}

fn wanted(found: &Diagnosis, product: Product) -> Vec<&Snippet> {
    let fits = |snippet: &&Snippet| product == Product::All || snippet.product == product.as_str();
    found.snippets.iter().filter(fits).collect()
}

fn draw(found: &Diagnosis, product: Product, screen: &mut Screen) -> Result<(), Failure> {
    let snippets = wanted(found, product);
    if snippets.is_empty() {
        screen.line("")?;
        return screen.line(&nothing(found, product));
    }
    for snippet in snippets {
        let title = format!("{}: {}", clean(&snippet.title), clean(&snippet.topic));
        let title = screen.paint.on(Tone::Title, &title);
        screen.line("")?;
        screen.line(&title)?;
        text(snippet, "  ", screen)?;
    }
    Ok(())
}

/// What goes into a file: the text as it is, and nothing beside it.
pub fn paste(trace: &Trace, product: Product, screen: &mut Screen) -> Result<(), Failure> {
    let snippets = trace
        .diagnosis
        .as_ref()
        .map(|found| wanted(found, product))
        .unwrap_or_default();
    if snippets.is_empty() {
        let told = trace.diagnosis.as_ref().map_or_else(
            || "there is nothing to paste: the boot did not stop".into(),
            |found| nothing(found, product),
        );
        return Err(Failure::new(Sort::Missing, told));
    }
    snippets
        .into_iter()
        .try_for_each(|snippet| text(snippet, "", screen))
}

fn text(snippet: &Snippet, indent: &str, screen: &mut Screen) -> Result<(), Failure> {
    snippet.text.lines().try_for_each(|line| {
        let line = format!("{indent}{}", clean(line));
        screen.line(line.trim_end())
    })
}

fn nothing(found: &Diagnosis, product: Product) -> String {
    let products = products(&found.snippets);
    let rest = if products.is_empty() {
        "at all".into()
    } else {
        format!("there; there is for {}", products.join(", "))
    };
    match product {
        Product::All => "there is nothing to paste".into(),
        product => format!("for {}: nothing to paste {rest}", product.as_str()),
    }
}
