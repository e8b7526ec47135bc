//! `dragonfly image add`: from a URL, watched until it is here.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use super::{IMAGES, path_of, percent};
use crate::api;
use crate::cli::args::image::AddImage;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::text::{clean, size};
use crate::cli::out::{Screen, receipt};
use crate::cli::set_change;

/// How often it is asked how far the image is.
const LOOK: Duration = Duration::from_millis(500);
/// A line is written this often at least, where there is something new.
const STEPS: u64 = 5;

pub async fn run(args: AddImage, client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let body = api::AddImage {
        name: args.name.clone(),
        url: args.source,
        checksum: args.checksum,
        pin: args.pin,
    };
    let ask = Ask::new(Method::POST, IMAGES).body(json!(body));
    let done = client.change(set_change(ask, &args.change, screen)).await?;
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
