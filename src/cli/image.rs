//! `dragonfly image …`: the images that are kept for machines.

mod add;
mod bundle;

use hyper::Method;
use serde_json::json;

use super::args::{Change, ImageCommand};
use super::change;
use super::client::{Ask, Client};
use super::failure::{Failure, Sort};
use super::out::sections::Section;
use super::out::table::{self, Cell, Column};
use super::out::text::{clean, count, size};
use super::out::{Screen, Tone, time};
use crate::api::{Checksums, Image, ImageVerdict, List};

const IMAGES: &str = "/api/v1/images";

const COLUMNS: [Column; 7] = [
    Column::new("NAME", 0, 12),
    Column::new("STATE", 0, 8),
    Column::new("SIZE", 1, 8),
    Column::new("PIN", 3, 3),
    Column::new("USED", 2, 8),
    Column::new("SIGNED BY", 4, 9),
    Column::new("FROM", 5, 16),
];

pub async fn run(
    command: ImageCommand,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        ImageCommand::List => list(client, screen).await,
        ImageCommand::Show { name } => show(&name, client, screen).await,
        ImageCommand::Add(args) => add::run(args, client, screen).await,
        ImageCommand::Pin { name, off, change } => {
            let method = if off { Method::DELETE } else { Method::PUT };
            let ask = Ask::new(method, format!("{}/pin", path_of(&name)?));
            alter(ask, &change, &name, client, screen).await
        }
        ImageCommand::Rm { name, change } => {
            let ask = Ask::new(Method::DELETE, path_of(&name)?);
            alter(ask, &change, &name, client, screen).await
        }
        ImageCommand::Refresh { name, change } => {
            let ask = Ask::new(Method::POST, format!("{}/refresh", path_of(&name)?));
            alter(ask, &change, &name, client, screen).await
        }
        ImageCommand::Export(args) => bundle::export(args, client, screen).await,
        ImageCommand::Import(args) => bundle::import(args, client, screen).await,
        ImageCommand::Verify { names } => verify(names, client, screen).await,
    }
}

fn path_of(name: &str) -> Result<String, Failure> {
    let all = "`dragonfly image list` shows their names";
    change::path_of(IMAGES, name, "image's name", all)
}

async fn alter(
    ask: Ask,
    change: &Change,
    name: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    change::one(ask, change, ("image", name), client, screen)
        .await
        .map(drop)
}

async fn all(client: &mut Client) -> Result<List<Image>, Failure> {
    client.read(Ask::get(IMAGES)).await
}

async fn list(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let found = all(client).await?;
    if screen.json {
        return screen.answer("image.list", &found);
    }
    if screen.quiet {
        let mut names = found.items.iter();
        return names.try_for_each(|image| screen.line(&clean(&image.name)));
    }
    if found.items.is_empty() {
        screen.line("No images.")?;
        return screen.line("Add one from a URL or a file: dragonfly image add --help");
    }
    let now = screen.now();
    let rows: Vec<_> = found.items.iter().map(|image| row(image, now)).collect();
    for line in table::lines(&COLUMNS, &rows, screen.width, screen.paint) {
        screen.line(&line)?;
    }
    for image in &found.items {
        if let Some(why) = &image.why {
            let name = screen.paint.on(Tone::Title, &clean(&image.name));
            screen.line(&format!("{name}: {}", clean(why)))?;
        }
    }
    let here = found.items.iter().filter(|image| image.state == "here");
    let bytes = here.filter_map(|image| image.bytes).sum();
    let told = format!(
        "{}, {}",
        count(found.items.len() as u64, "image"),
        size(bytes)
    );
    let told = screen.paint.on(Tone::Faint, &told);
    screen.line(&told)
}

fn row(image: &Image, now: jiff::Timestamp) -> Vec<Cell> {
    let used = image.used_at.as_ref().map(|at| time::ago(now, at));
    vec![
        Cell::toned(Tone::Title, &image.name),
        Cell::toned(tone(&image.state), state(image)),
        Cell::maybe(image.bytes.map(size).as_deref()),
        Cell::new(if image.pinned { "yes" } else { "" }),
        Cell::maybe(used.as_deref()),
        Cell::maybe(image.checksums.as_ref().map(signer)),
        Cell::toned(Tone::Faint, image.url.as_deref().unwrap_or("uploaded")),
    ]
}

/// Whose signature its checksum has, or is to have.
fn signer(checksums: &Checksums) -> &str {
    match checksums.key.as_deref() {
        Some(key) if key.starts_with('-') => "a key of your own",
        Some(name) => name,
        None => "nobody",
    }
}

/// How it is believed what it has to be.
fn believed(image: &Image) -> Option<String> {
    let told = image.checksums.as_ref()?;
    let (url, key) = (&told.url, signer(told));
    Some(match (&told.key, &image.signer, &image.checksum) {
        (None, _, Some(_)) => format!("told by {url}, not signed"),
        (None, _, None) => format!("to be told by {url}, not signed"),
        (Some(_), Some(signer), _) => format!("signed by {key} ({signer})"),
        (Some(_), None, Some(_)) => format!("brought in a bundle; said to be signed by {key}"),
        (Some(_), None, None) => format!("to be signed by {key}"),
    })
}

fn tone(state: &str) -> Tone {
    match state {
        "here" => Tone::Good,
        "arriving" => Tone::Busy,
        "failed" => Tone::Bad,
        _ => Tone::Faint,
    }
}

/// With how far it is.
fn state(image: &Image) -> String {
    match (image.state.as_str(), image.received, image.bytes) {
        ("arriving", Some(received), Some(bytes)) if bytes > 0 => {
            format!("arriving {} %", percent(received, bytes))
        }
        ("arriving", Some(received), _) => format!("arriving {}", size(received)),
        (state, ..) => state.to_owned(),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100)
}

async fn show(name: &str, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let image: Image = client.read(Ask::get(path_of(name)?)).await?;
    if screen.json {
        return screen.answer("image.show", &image);
    }
    if screen.quiet {
        return screen.line(&clean(&image.path));
    }
    let title = screen.paint.on(Tone::Title, &clean(&image.name));
    screen.line(&title)?;
    let now = screen.now();
    let mut section = Section::new("");
    section.add("state", clean(&state(&image)));
    let ago = |at: &Option<String>| at.as_ref().map(|at| time::ago(now, at));
    let rows = [
        ("why", image.why.clone()),
        (
            "from",
            Some(image.url.clone().unwrap_or_else(|| "uploaded".into())),
        ),
        (
            "size",
            image
                .bytes
                .map(|bytes| format!("{} ({bytes} bytes)", size(bytes))),
        ),
        ("has to be", image.checksum.clone()),
        ("which is", believed(&image)),
        ("is", image.digest.clone()),
        ("pinned", image.pinned.then(|| "yes".to_owned())),
        ("fetched", ago(&image.fetched_at)),
        ("used", ago(&image.used_at)),
        ("in templates", Some(format!("image:{}", image.name))),
        ("for machines", Some(image.path.clone())),
    ];
    for (label, value) in rows {
        if let Some(value) = value {
            section.add(label, clean(&value));
        }
    }
    section.draw(screen)
}

async fn verify(
    names: Vec<String>,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let names = if names.is_empty() {
        let here = all(client).await?.items.into_iter();
        here.filter(|image| image.state == "here")
            .map(|image| image.name)
            .collect()
    } else {
        names
    };
    let mut damaged = 0;
    for name in &names {
        let ask = Ask::new(Method::POST, format!("{}/verify", path_of(name)?));
        let verdict: ImageVerdict = client.read_patiently(ask).await?;
        damaged += usize::from(!verdict.sound);
        if screen.json {
            screen.answer_line("image.verify", &[("data", json!(verdict))])?;
            continue;
        }
        let (mark, tone, words) = if verdict.sound {
            ("✓", Tone::Good, "is what it was")
        } else {
            ("✗", Tone::Bad, "was damaged, and is removed")
        };
        let mark = screen.paint.on(tone, mark);
        let name = screen.paint.on(Tone::Title, &clean(&verdict.name));
        screen.say(&format!(
            "{mark} {name} {words} ({})",
            clean(&verdict.digest)
        ))?;
    }
    if damaged == 0 {
        return Ok(());
    }
    let told = format!("{} damaged", count(damaged as u64, "image"));
    Err(Failure::new(Sort::Failed, told)
        .hint("those with a URL are fetched again when somebody asks; look at the disk"))
}
