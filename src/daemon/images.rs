//! The image cache, plugged into the people's plane.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::failure::Failure;
use crate::api::{self, Code};
use crate::boot::cache::change::Verdict;
use crate::boot::cache::{
    Cache, Environment, Image, Import, Keeper, Kept, NoChange, Progress, Settings,
};
use crate::core::SystemClock;
use crate::core::config::Config;
use crate::model::{Checksums, Digest, ImageChange, ImageName};
use crate::web::images::{Arrived, BodyStream, Images, NoImage};

/// The folder of the cache in the data folder.
const FOLDER: &str = "images";
/// As long as a person's side may send nothing while it brings an image.
const QUIET: Duration = Duration::from_mins(1);
/// What is sent after a refusal is read for so long: a few gigabytes from this machine.
const DRAIN: Duration = Duration::from_secs(20);
/// Written at once: so many pieces of the network's are taken together.
const BATCH: usize = 1024 * 1024;

/// Opens the cache of this configuration.
pub(super) async fn open(config: &Config) -> Result<(Cache, Keeper), Failure> {
    let folder = config.data.join(FOLDER);
    let settings = Settings {
        folder: std::path::absolute(&folder).unwrap_or(folder),
        quota: config.images.quota,
        offline: config.images.offline,
        registries: config.images.registries.clone(),
        environment: Environment::of_process(),
    };
    let shown = settings.folder.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Cache::open(&settings, Arc::new(SystemClock)));
    match opened.await {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(Failure::unavailable(format!(
            "folder {shown} of the images cannot be read: {error}"
        ))
        .hint("look at the folder and at its disk")),
        Err(error) => Err(Failure::internal(error.to_string())),
    }
}

/// The cache as the web sees it.
#[derive(Clone, Debug)]
pub(super) struct Shop(pub(super) Cache);

impl Images for Shop {
    fn list(&self) -> Vec<api::Image> {
        self.0.images().into_iter().map(view).collect()
    }

    fn get(&self, name: &ImageName) -> Option<api::Image> {
        self.0.image(name).map(view)
    }

    fn check(&self, name: &ImageName, change: &ImageChange) -> Result<(), NoImage> {
        self.0.check(name, change).map_err(|no| refused(&no))
    }

    fn change<'a>(
        &'a self,
        name: &'a ImageName,
        change: ImageChange,
    ) -> BoxFuture<'a, Result<(), NoImage>> {
        let done = self.0.change(name, change);
        done.map(|done| done.map_err(|no| refused(&no))).boxed()
    }

    fn receive(
        &self,
        bytes: u64,
        checksum: Option<Digest>,
        mut body: BodyStream,
    ) -> BoxFuture<'static, Result<Box<dyn Arrived>, NoImage>> {
        let cache = self.0.clone();
        async move {
            let received = receive(&cache, bytes, checksum, &mut body).await;
            if received.is_err() {
                drain(&mut body).await;
            }
            let kept = received?;
            Ok(Box::new(Brought { cache, kept }) as Box<dyn Arrived>)
        }
        .boxed()
    }

    fn export(&self, names: &[ImageName]) -> Result<(u64, BodyStream), NoImage> {
        let export = self.0.export(names).map_err(|no| refused(&no))?;
        Ok((export.bytes, export.stream().boxed()))
    }

    fn import(
        &self,
        mut body: BodyStream,
    ) -> BoxFuture<'static, Result<Box<dyn Arrived>, NoImage>> {
        let import = self.0.import();
        async move {
            let read = read_bundle(import, &mut body).await;
            if read.is_err() {
                drain(&mut body).await;
            }
            Ok(Box::new(Bundle(read?)) as Box<dyn Arrived>)
        }
        .boxed()
    }

    fn verify<'a>(
        &'a self,
        name: &'a ImageName,
    ) -> BoxFuture<'a, Result<api::ImageVerdict, NoImage>> {
        async move {
            let verdict = self.0.verify(name).await.map_err(|no| refused(&no))?;
            let (sound, digest) = match verdict {
                Verdict::Sound(digest) => (true, digest),
                Verdict::Damaged(digest) => (false, digest),
            };
            Ok(api::ImageVerdict {
                name: name.to_string(),
                sound,
                digest: digest.to_string(),
            })
        }
        .boxed()
    }
}

/// All that a person sends, verified.
async fn receive(
    cache: &Cache,
    bytes: u64,
    checksum: Option<Digest>,
    body: &mut BodyStream,
) -> Result<Kept, NoImage> {
    let upload = cache.receive(bytes, checksum).await;
    let mut upload = upload.map_err(|no| refused(&no))?;
    let (mut batch, mut held) = (Vec::new(), 0);
    loop {
        let piece = next(body).await?;
        let over = piece.is_none();
        held += piece.as_ref().map_or(0, bytes::Bytes::len);
        batch.extend(piece);
        if held >= BATCH || over {
            let batch = std::mem::take(&mut batch);
            upload.write(batch).await.map_err(|no| refused(&no))?;
            held = 0;
        }
        if over {
            return upload.finish().await.map_err(|no| refused(&no));
        }
    }
}

async fn read_bundle(mut import: Import, body: &mut BodyStream) -> Result<Import, NoImage> {
    while let Some(piece) = next(body).await? {
        import.write(&piece).await.map_err(|no| refused(&no))?;
    }
    import.names().map_err(|no| refused(&no))?;
    Ok(import)
}

/// Reads what is still sent after a refusal: whoever is writing would lose the refusal to a broken connection.
async fn drain(body: &mut BodyStream) {
    let all = async { while let Some(Ok(_)) = body.next().await {} };
    let _ = timeout(DRAIN, all).await;
}

/// The next bytes that a person sends.
async fn next(body: &mut BodyStream) -> Result<Option<bytes::Bytes>, NoImage> {
    let piece = match timeout(QUIET, body.next()).await {
        Ok(piece) => piece.transpose(),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    piece.map_err(|error| NoImage {
        code: Code::Invalid,
        detail: format!("the bytes broke off: {error}"),
        hint: "send them again from the beginning",
    })
}

struct Brought {
    cache: Cache,
    kept: Kept,
}

impl Arrived for Brought {
    fn names(&self) -> Vec<ImageName> {
        Vec::new()
    }

    fn keep(
        self: Box<Self>,
        name: Option<ImageName>,
        pin: bool,
    ) -> BoxFuture<'static, Result<(), NoImage>> {
        async move {
            let Some(name) = name else {
                return Ok(());
            };
            let taken = self.cache.take_in(&name, self.kept, pin).await;
            taken.map_err(|no| refused(&no))
        }
        .boxed()
    }
}

struct Bundle(Import);

impl Arrived for Bundle {
    fn names(&self) -> Vec<ImageName> {
        self.0.names().unwrap_or_default()
    }

    fn keep(
        self: Box<Self>,
        _name: Option<ImageName>,
        _pin: bool,
    ) -> BoxFuture<'static, Result<(), NoImage>> {
        let done = self.0.finish();
        async move { done.await.map_err(|no| refused(&no)) }.boxed()
    }
}

fn view(image: Image) -> api::Image {
    let (state, received, why) = match image.progress {
        Progress::Here => ("here", None, None),
        Progress::Arriving(received, why) => ("arriving", Some(received), why),
        Progress::Absent => ("absent", None, None),
        Progress::Failed(why) => ("failed", None, Some(why)),
    };
    api::Image {
        path: image.name.path(),
        name: image.name.to_string(),
        state: state.into(),
        why,
        url: image.url.map(|url| url.to_string()),
        checksum: image.checksum.map(|checksum| checksum.to_string()),
        checksums: image.checksums.map(checksums),
        signer: image.signer,
        digest: image.digest.map(|digest| digest.to_string()),
        bytes: image.bytes,
        received,
        pinned: image.pinned,
        fetched_at: image.fetched_at.map(|at| at.to_string()),
        used_at: image.used_at.map(|at| at.to_string()),
    }
}

fn checksums(told: Checksums) -> api::Checksums {
    let (signature, key) = match told.signed {
        Some(by) => (by.signature, Some(by.key.to_string())),
        None => (None, None),
    };
    api::Checksums {
        url: told.url.to_string(),
        signature: signature.map(|url| url.to_string()),
        key,
    }
}

fn refused(no: &NoChange) -> NoImage {
    let (code, hint) = match no {
        NoChange::Unknown(_) => (Code::NotFound, "list them: dragonfly image list"),
        NoChange::Taken(..) => (
            Code::Conflict,
            "take another name, or remove that one first: dragonfly image rm",
        ),
        NoChange::NoSource(_) => (Code::Conflict, "bring its bytes again under another name"),
        NoChange::Told(..) => (
            Code::Conflict,
            "remove it, and add it with the new checksum",
        ),
        NoChange::NotHere(_) => (Code::Conflict, "it is fetched when somebody asks for it"),
        NoChange::Grounded(_) => (
            Code::Unavailable,
            "dragonfly image list tells what is on its way",
        ),
        NoChange::Key(_) => (Code::Invalid, "export the public key: gpg --export --armor"),
        NoChange::Bundle(_) => (Code::Invalid, "make it anew: dragonfly image export"),
        NoChange::Failed(_) => (
            Code::Conflict,
            "dragonfly image list tells what takes the room",
        ),
    };
    NoImage {
        code,
        detail: no.to_string(),
        hint,
    }
}
