//! The image cache, plugged into the people's plane.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::failure::Failure;
use crate::api::{self, Code};
use crate::boot::cache::change::Verdict;
use crate::boot::cache::{Cache, Environment, Image, Keeper, NoChange, Progress, Settings};
use crate::core::SystemClock;
use crate::core::config::Config;
use crate::model::{ImageChange, ImageName};
use crate::web::images::{Images, NoImage};

/// The folder of the cache in the data folder.
const FOLDER: &str = "images";

/// Opens the cache of this configuration.
pub(super) async fn open(config: &Config) -> Result<(Cache, Keeper), Failure> {
    let folder = config.data.join(FOLDER);
    let settings = Settings {
        folder: std::path::absolute(&folder).unwrap_or(folder),
        quota: config.images.quota,
        offline: config.images.offline,
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
        digest: image.digest.map(|digest| digest.to_string()),
        bytes: image.bytes,
        received,
        pinned: image.pinned,
        fetched_at: image.fetched_at.map(|at| at.to_string()),
        used_at: image.used_at.map(|at| at.to_string()),
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
