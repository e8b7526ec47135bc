//! Images: listed, added, pinned, removed. The bytes are the image cache's, which is plugged in as [`Images`]; each
//! change is looked at there, then a command of the core writes it down, and then it is carried out.

use std::fmt;

use axum::body::Body;
use axum::http::Response;
use futures_util::future::BoxFuture;

use super::ask::{Ask, json, list as as_list};
use super::problem::Fault;
use super::{Web, nearest};
use crate::api::{self, Code};
use crate::core::{Command, ReceiptStatus};
use crate::model::{ImageChange, ImageName};

/// The image cache, as this room sees it.
pub trait Images: fmt::Debug + Send + Sync {
    fn list(&self) -> Vec<api::Image>;

    fn get(&self, name: &ImageName) -> Option<api::Image>;

    /// Whether this can be done as things stand.
    fn check(&self, name: &ImageName, change: &ImageChange) -> Result<(), NoImage>;

    fn change<'a>(
        &'a self,
        name: &'a ImageName,
        change: ImageChange,
    ) -> BoxFuture<'a, Result<(), NoImage>>;

    /// Sums a kept image again.
    fn verify<'a>(
        &'a self,
        name: &'a ImageName,
    ) -> BoxFuture<'a, Result<api::ImageVerdict, NoImage>>;
}

/// Why something is not done to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoImage {
    pub code: Code,
    pub detail: String,
    pub hint: &'static str,
}

impl From<NoImage> for Fault {
    fn from(no: NoImage) -> Self {
        Self::new(no.code, no.detail).hint(no.hint)
    }
}

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    as_list(images(&ask.web)?.list())
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let (images, name) = (images(&ask.web)?, name(ask)?);
    let found = images.get(&name).ok_or_else(|| {
        let known = images.list();
        let known: Vec<_> = known.iter().map(|image| image.name.as_str()).collect();
        let detail = nearest::unknown("the image", name.as_str(), &known);
        Fault::new(Code::NotFound, detail).hint("list them: dragonfly image list")
    })?;
    json(&found)
}

pub async fn add(ask: Ask) -> Result<Response<Body>, Fault> {
    let asked: api::AddImage = ask.json()?;
    let name = asked.name.parse()?;
    let checksum = asked.checksum.as_deref().map(str::parse).transpose()?;
    let change = ImageChange::Add {
        url: asked.url.parse()?,
        checksum,
        pin: asked.pin,
    };
    change_image(&ask, name, change).await
}

pub async fn remove(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    change_image(&ask, name, ImageChange::Remove).await
}

pub async fn pin(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    change_image(&ask, name, ImageChange::Pin).await
}

pub async fn unpin(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    change_image(&ask, name, ImageChange::Unpin).await
}

pub async fn refresh(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    change_image(&ask, name, ImageChange::Refresh).await
}

pub async fn verify(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    json(&images(&ask.web)?.verify(&name).await?)
}

/// Looked at, written down, carried out.
async fn change_image(
    ask: &Ask,
    name: ImageName,
    change: ImageChange,
) -> Result<Response<Body>, Fault> {
    let images = images(&ask.web)?;
    images.check(&name, &change)?;
    let command = Command::ChangeImage {
        name: name.clone(),
        change: change.clone(),
    };
    let receipt = ask.web.core().run(ask.call(command)?).await?;
    if receipt.status == ReceiptStatus::Accepted {
        images.change(&name, change).await?;
    }
    json(&super::view::receipt(&receipt))
}

/// The image that the path names.
fn name(ask: &Ask) -> Result<ImageName, Fault> {
    Ok(ask.part("image")?.parse()?)
}

fn images(web: &Web) -> Result<&dyn Images, Fault> {
    web.images().ok_or_else(|| {
        Fault::new(Code::Unavailable, "no images are kept here")
            .hint("the demo keeps none; install Dragonfly first")
    })
}
