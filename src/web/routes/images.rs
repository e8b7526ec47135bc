//! Images that are kept for machines.

use axum::http::Method;

use super::{CHANGE, Input, Output, Policy, Route, list, now, shape};
use crate::api;
use crate::core::policy::Permission;
use crate::web::images;

const IMAGE: &str = "/api/v1/images/{image}";
const PIN: &str = "/api/v1/images/{image}/pin";
const VERIFY: &str = "/api/v1/images/{image}/verify";

/// Calls that read or write whole images: as long as a disk may take for them, they may take.
pub const PATIENT: &[&str] = &[VERIFY];

pub static ROUTES: &[Route] = &[
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
