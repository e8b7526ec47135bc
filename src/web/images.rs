//! Images: listed, added, pinned, removed. The bytes are the image cache's, which is plugged in as [`Images`]; each
//! change is looked at there, then a command of the core writes it down, and then it is carried out.

use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CONTENT_LENGTH, HeaderValue};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};

use super::ask::{Ask, bytes_as, header, json, list as as_list};
use super::problem::Fault;
use super::{Web, nearest};
use crate::api::{self, Code};
use crate::core::{Call, Command, ReceiptStatus};
use crate::model::{Checksums, Digest, FieldError, ImageChange, ImageName, Proof, SourceUrl};

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

    /// Reads bytes that a person brings, until their end; they are no image before [`Arrived::keep`].
    fn receive(
        &self,
        bytes: u64,
        checksum: Option<Digest>,
        body: BodyStream,
    ) -> BoxFuture<'static, Result<Box<dyn Arrived>, NoImage>>;

    /// These images in one archive, with its length; all that are here when none is named.
    fn export(&self, names: &[ImageName]) -> Result<(u64, BodyStream), NoImage>;

    /// Reads such an archive until its end; nothing of it is an image before [`Arrived::keep`].
    fn import(&self, body: BodyStream) -> BoxFuture<'static, Result<Box<dyn Arrived>, NoImage>>;

    /// Sums a kept image again.
    fn verify<'a>(
        &'a self,
        name: &'a ImageName,
    ) -> BoxFuture<'a, Result<api::ImageVerdict, NoImage>>;
}

/// Bytes on their way.
pub type BodyStream = BoxStream<'static, std::io::Result<Bytes>>;

/// What was read and verified, and is no image yet; gone again when it is dropped.
pub trait Arrived: Send {
    /// The images in a bundle.
    fn names(&self) -> Vec<ImageName>;

    /// Makes images of it; one that was brought by itself gets this name.
    fn keep(
        self: Box<Self>,
        name: Option<ImageName>,
        pin: bool,
    ) -> BoxFuture<'static, Result<(), NoImage>>;
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
    let change = ImageChange::Add {
        url: asked.url.parse()?,
        proof: proof(asked.checksum.as_deref(), asked.checksums)?,
        pin: asked.pin,
    };
    change_image(&ask, name, change).await
}

fn proof(
    checksum: Option<&str>,
    checksums: Option<api::Checksums>,
) -> Result<Option<Proof>, FieldError> {
    match (checksum, checksums) {
        (None, None) => Ok(None),
        (Some(checksum), None) => Ok(Some(Proof::Checksum(checksum.parse()?))),
        (None, Some(told)) => {
            let of = |field: &'static str, text: Option<String>| {
                let parsed = text.map(|text| text.parse::<SourceUrl>()).transpose();
                parsed.map_err(|error| FieldError::new(field, error.reason, error.example))
            };
            let key = told.key.map(|key| key.parse()).transpose()?;
            let url = of("checksums.url", Some(told.url))?;
            let signature = of("checksums.signature", told.signature)?;
            let told = url
                .map(|url| Checksums::new(url, signature, key))
                .transpose()?;
            Ok(told.map(Proof::Checksums))
        }
        (Some(_), Some(_)) => {
            let why = "it stands beside checksums: what the image has to be is told by one of them";
            Err(FieldError::new("checksum", why, "sha256:…"))
        }
    }
}

/// Read to its end and verified, then written down, then an image.
pub async fn upload(ask: Ask) -> Result<Response<Body>, Fault> {
    let (images, name) = (images(&ask.web)?, name(&ask)?);
    let checksum = ask.params.text("checksum").map(str::parse).transpose()?;
    let told = header(&ask.headers, &CONTENT_LENGTH)?.and_then(|length| length.parse().ok());
    let tried = ask.params.flag("dry_run").unwrap_or(false);
    let told = told.or(tried.then_some(0));
    let bytes: u64 = told.ok_or_else(|| {
        let reason = "it is missing, and room cannot be made without it";
        Fault::field("Content-Length", reason, "1048576")
    })?;
    let change = ImageChange::Upload { bytes };
    images.check(&name, &change)?;
    let call = ask.call(Command::ChangeImage {
        name: name.clone(),
        change,
    })?;
    if call.dry_run {
        let receipt = ask.web.core().run(call).await?;
        return json(&super::view::receipt(&receipt));
    }
    let arrived = images.receive(bytes, checksum, stream(&ask)).await?;
    let receipt = ask.web.core().run(call).await?;
    let pin = ask.params.flag("pin").unwrap_or(false);
    arrived.keep(Some(name), pin).await?;
    json(&super::view::receipt(&receipt))
}

pub fn export(ask: &Ask) -> Result<Response<Body>, Fault> {
    let names = ask.params.texts("name").map(str::parse);
    let names = names.collect::<Result<Vec<ImageName>, _>>()?;
    let (bytes, stream) = images(&ask.web)?.export(&names)?;
    let mut response = bytes_as("application/x-tar", Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(response)
}

/// As an upload; each image in the bundle is written down by itself.
pub async fn import(ask: Ask) -> Result<Response<Body>, Fault> {
    let arrived = images(&ask.web)?.import(stream(&ask)).await?;
    let names = arrived.names();
    for name in &names {
        let command = Command::ChangeImage {
            name: name.clone(),
            change: ImageChange::Import,
        };
        // One key stands for one command, and these are many.
        let call = Call {
            idempotency: None,
            ..ask.call(command)?
        };
        ask.web.core().run(call).await?;
    }
    if !ask.params.flag("dry_run").unwrap_or(false) {
        arrived.keep(None, false).await?;
    }
    json(&api::Imported {
        images: names.iter().map(ToString::to_string).collect(),
    })
}

fn stream(ask: &Ask) -> BodyStream {
    let body = ask.take_stream().into_data_stream();
    body.map_err(std::io::Error::other).boxed()
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
