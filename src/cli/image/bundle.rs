//! `dragonfly image export` and `import`: many images in one file.

use std::path::Path;

use hyper::Method;
use serde_json::json;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use http_body_util::BodyExt;

use super::add::{Steps, open};
use crate::api::Imported;
use crate::cli::args::image::{ExportImages, ImportImages};
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::text::{clean, count, size};
use crate::cli::out::{Screen, Tone};

const BUNDLE: &str = "/api/v1/image-bundle";

pub async fn export(
    args: ExportImages,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut ask = Ask::get(BUNDLE);
    for name in &args.names {
        ask = ask.query("name", name);
    }
    let response = client.stream(&ask).await?;
    let beside = args.file.with_extension("part");
    let written = write(response.into_body(), &beside).await;
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = fs::remove_file(&beside).await;
            return Err(cannot("written", &args.file, &error));
        }
    };
    let named = fs::rename(&beside, &args.file).await;
    named.map_err(|error| cannot("written", &args.file, &error))?;
    if screen.json {
        return screen.answer("image.export", &json!({ "bytes": bytes }));
    }
    let mark = screen.paint.on(Tone::Good, "✓");
    let file = args.file.display().to_string();
    screen.say(&format!(
        "{mark} {} holds the images, {}",
        clean(&file),
        size(bytes)
    ))
}

async fn write(mut body: hyper::body::Incoming, path: &Path) -> std::io::Result<u64> {
    let mut file = File::create(path).await?;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(std::io::Error::other)?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).await?;
            bytes += data.len() as u64;
        }
    }
    file.flush().await?;
    file.sync_all().await?;
    Ok(bytes)
}

pub async fn import(
    args: ImportImages,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let (file, bytes) = open(&args.file).await?;
    let mut ask = Ask::new(Method::PUT, BUNDLE);
    if args.dry_run {
        ask = ask.query("dry_run", "true");
    }
    let steps = Steps::new(screen, bytes);
    let came: Imported = client
        .send_file(ask, "application/x-tar", (file, bytes), steps.told())
        .await?;
    if screen.json {
        return screen.answer("image.import", &came);
    }
    let (mark, words) = if args.dry_run {
        ("·", "would be imported; nothing was changed")
    } else {
        ("✓", "imported")
    };
    let mark = screen.paint.on(Tone::Good, mark);
    screen.say(&format!(
        "{mark} {} {words}",
        count(came.images.len() as u64, "image")
    ))?;
    let mut names = came.images.iter();
    names.try_for_each(|name| screen.line(&format!("  {}", clean(name))))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display().to_string();
    Failure::new(
        Sort::Failed,
        format!("{} cannot be {what}: {error}", clean(&path)),
    )
}
