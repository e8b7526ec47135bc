//! `dragonfly image add`: from a URL, watched until it is here, or from a file.

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::fs::File;

use super::{IMAGES, path_of, percent};
use crate::api;
use crate::cli::args::image::AddImage;
use crate::cli::change;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::text::{clean, size};
use crate::cli::out::{self, Screen, receipt};

/// How often it is asked how far the image is.
const LOOK: Duration = Duration::from_millis(500);
/// A line is written this often at least, where there is something new.
const STEPS: u64 = 5;

pub async fn run(args: AddImage, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    if args.source.contains("://") {
        from_url(args, client, screen).await
    } else {
        from_file(args, client, screen).await
    }
}

async fn from_file(
    args: AddImage,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    if args.checksums.is_some() {
        return Err(Failure::usage("--checksums is for an image from a URL")
            .hint("for a file of this side write --checksum"));
    }
    let (file, bytes) = open(Path::new(&args.source)).await?;
    let mut ask = Ask::new(Method::PUT, path_of(&args.name)?);
    if let Some(checksum) = &args.checksum {
        ask = ask.query("checksum", checksum);
    }
    if args.pin {
        ask = ask.query("pin", "true");
    }
    let ask = change::carry(ask, &args.change, screen);
    // A refusal comes before the bytes are sent in vain.
    let tried = if args.change.dry_run {
        ask.clone()
    } else {
        ask.clone().query("dry_run", "true")
    };
    let tried = client.change(tried).await?;
    if args.change.dry_run {
        return change::tell(screen, ("image", &args.name), &tried);
    }
    let steps = Steps::new(screen, bytes);
    let done: api::Receipt = client
        .send_file(ask, "application/octet-stream", (file, bytes), steps.told())
        .await?;
    change::tell(screen, ("image", &args.name), &done)
}

/// A file of this side, and its length.
pub async fn open(path: &Path) -> Result<(File, u64), Failure> {
    let wrong = |why: String| {
        let path = path.display().to_string();
        Failure::usage(format!("file {} cannot be read: {why}", clean(&path)))
            .hint("name a file, or a URL with http:// or https://")
    };
    let opened = File::open(path).await;
    let file = opened.map_err(|error| wrong(error.to_string()))?;
    let about = file
        .metadata()
        .await
        .map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("it is no regular file".into()));
    }
    Ok((file, about.len()))
}

/// Tells how much of a file has left, in steps.
pub struct Steps {
    bytes: u64,
    silent: bool,
}

impl Steps {
    pub const fn new(screen: &Screen, bytes: u64) -> Self {
        Self {
            bytes,
            silent: screen.json || screen.quiet,
        }
    }

    /// Hears how many bytes have left.
    pub fn told(self) -> impl FnMut(u64) + Send + 'static {
        let mut last = 0;
        move |at| {
            let step = percent(at, self.bytes) / STEPS;
            if step > last && !self.silent {
                last = step;
                out::note(&format!("  {} % of {}", step * STEPS, size(self.bytes)));
            }
        }
    }
}

async fn from_url(args: AddImage, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let checksums = match args.checksums {
        Some(url) => Some(api::Checksums {
            url,
            signature: args.signature,
            key: key(args.key).await?,
        }),
        None => None,
    };
    let body = api::AddImage {
        name: args.name.clone(),
        url: args.source,
        checksum: args.checksum,
        checksums,
        pin: args.pin,
    };
    let ask = Ask::new(Method::POST, IMAGES).body(json!(body));
    let done = client
        .change(change::carry(ask, &args.change, screen))
        .await?;
    let waits = done.status == "accepted" && !args.background;
    let image = if waits {
        Some(watch(&args.name, client, screen).await?)
    } else {
        None
    };
    if screen.json {
        let mut more = vec![("image", json!(args.name)), ("data", json!(done))];
        more.extend(image.map(|image| ("now", json!(image))));
        return screen.answer_line(&done.command, &more);
    }
    receipt::show(screen, &args.name, &done)?;
    receipt::next(screen, &done)
}

/// The name of a key, or what is in a file; names of keys have neither dots nor slashes.
async fn key(told: Option<String>) -> Result<Option<String>, Failure> {
    let told = match told {
        Some(told) if told.contains(['/', '.']) => told,
        name => return Ok(name),
    };
    let read = tokio::fs::read_to_string(&told).await;
    read.map(Some).map_err(|error| {
        Failure::usage(format!("key {} cannot be read: {error}", clean(&told)))
            .hint("it has to be armored: gpg --export --armor KEY > key.asc")
    })
}

/// Looks until it is here, or will not come.
async fn watch(
    name: &str,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<api::Image, Failure> {
    let path = path_of(name)?;
    let mut told = None;
    loop {
        let image: api::Image = client.read(Ask::get(path.clone())).await?;
        match image.state.as_str() {
            "here" => return Ok(image),
            "arriving" => {
                let line = progress(&image);
                if told.as_ref() != Some(&line) && !screen.json && !screen.quiet {
                    screen.remark(&line);
                    told = Some(line);
                }
            }
            _ => {
                let why = image.why.unwrap_or_else(|| "it does not arrive".into());
                return Err(Failure::new(Sort::Failed, format!("{}: {why}", clean(name)))
                    .hint("it is known now, and fetched when a machine asks; or remove it: dragonfly image rm"));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn progress(image: &api::Image) -> String {
    let received = image.received.unwrap_or_default();
    let so_far = match (image.bytes, received) {
        (_, 0) => "waiting for the source".to_owned(),
        (Some(bytes), _) => {
            let steps = percent(received, bytes) / STEPS * STEPS;
            format!("{steps} % of {}", size(bytes))
        }
        (None, _) => size(received),
    };
    match &image.why {
        Some(why) => format!("  {so_far}; tried again: {}", clean(why)),
        None => format!("  {so_far}"),
    }
}
