//! Images that are kept for machines.

use axum::http::Method;

use super::{CHANGE, DRY_RUN, Input, Output, Policy, Route, list, now, shape};
use crate::api;
use crate::core::policy::Permission;
use crate::web::images;
use crate::web::param::{Kind, Param};

const IMAGE: &str = "/api/v1/images/{image}";
const PIN: &str = "/api/v1/images/{image}/pin";
const VERIFY: &str = "/api/v1/images/{image}/verify";

const BUNDLE: &str = "/api/v1/image-bundle";

const CHECKSUM: Param = Param {
    name: "checksum",
    kind: Kind::Text(160),
    about: "what the bytes have to be: sha256:… or sha512:…",
    example: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
};
const PINNED: Param = Param {
    name: "pin",
    kind: Kind::Flag,
    about: "never remove it to make room",
    example: "true",
};
const NAME: Param = Param {
    name: "name",
    kind: Kind::Texts(100),
    about: "an image that goes into the bundle, as often as wanted; without one all that are here",
    example: "debian-13.raw.zst",
};

/// Calls that read or write whole images: as long as a disk may take for them, they may take.
pub const PATIENT: &[&str] = &[VERIFY];

pub static ROUTES: &[Route] = &[
    Route {
        method: Method::PUT,
        path: IMAGE,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Bring the bytes of an image",
        command: Some("image.upload"),
        creates: false,
        params: &[&CHECKSUM, &PINNED, &DRY_RUN],
        body: Input::Stream("application/octet-stream"),
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::upload(ask)),
    },
    Route {
        method: Method::GET,
        path: BUNDLE,
        policy: Policy::Needs(Permission::Read),
        summary: "Many images in one tar archive",
        command: None,
        creates: false,
        params: &[&NAME],
        body: Input::Nothing,
        answer: Output::Stream("application/x-tar"),
        handler: |ask| now(images::export(&ask)),
    },
    Route {
        method: Method::PUT,
        path: BUNDLE,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Take in what another Dragonfly put into a bundle",
        command: Some("image.import"),
        creates: false,
        params: CHANGE,
        body: Input::Stream("application/x-tar"),
        answer: Output::Json(shape::<api::Imported>()),
        handler: |ask| Box::pin(images::import(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/images",
        policy: Policy::Needs(Permission::Read),
        summary: "List images",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Image>()),
        handler: |ask| now(images::list(&ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/images",
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Add an image from a URL, and begin to fetch it",
        command: Some("image.add"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::AddImage>(),
            r#"{"name":"debian-13.raw.zst","url":"https://images.example.net/debian-13.raw.zst"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::add(ask)),
    },
    Route {
        method: Method::GET,
        path: IMAGE,
        policy: Policy::Needs(Permission::Read),
        summary: "Show an image",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Image>()),
        handler: |ask| now(images::show(&ask)),
    },
    Route {
        method: Method::DELETE,
        path: IMAGE,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Remove an image",
        command: Some("image.remove"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::remove(ask)),
    },
    Route {
        method: Method::PUT,
        path: PIN,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Keep an image whatever room is needed",
        command: Some("image.pin"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::pin(ask)),
    },
    Route {
        method: Method::DELETE,
        path: PIN,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Let an image go when room is needed",
        command: Some("image.unpin"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::unpin(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/images/{image}/refresh",
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Take what lies at the image's URL now in its place",
        command: Some("image.refresh"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(images::refresh(ask)),
    },
    Route {
        method: Method::POST,
        path: VERIFY,
        policy: Policy::Needs(Permission::ChangeImages),
        summary: "Sum a kept image again; one that is damaged is taken away",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::ImageVerdict>()),
        handler: |ask| Box::pin(images::verify(ask)),
    },
];
