//! Templates, and the defaults of installations.

use axum::http::Method;

use super::{CHANGE, Input, Output, Policy, Route, list, now, shape};
use crate::api;
use crate::core::policy::Permission;
use crate::web::templates;

const TEMPLATE: &str = "/api/v1/templates/{template}";
const DEFAULTS: &str = "/api/v1/defaults";

pub static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/templates",
        policy: Policy::Needs(Permission::Read),
        summary: "List templates",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Template>()),
        handler: |ask| now(templates::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: TEMPLATE,
        policy: Policy::Needs(Permission::Read),
        summary: "Show a template and its text",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Versioned(shape::<api::Template>()),
        handler: |ask| now(templates::show(&ask)),
    },
    Route {
        method: Method::PUT,
        path: TEMPLATE,
        policy: Policy::Needs(Permission::ChangeTemplates),
        summary: "Keep a template of one's own",
        command: Some("template.put"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::PutTemplate>(),
            r#"{"source":"apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata: {name: off}\nspec:\n  actions:\n    - {action: poweroff}\n"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(templates::put(ask)),
    },
    Route {
        method: Method::DELETE,
        path: TEMPLATE,
        policy: Policy::Needs(Permission::ChangeTemplates),
        summary: "Delete a template of one's own",
        command: Some("template.delete"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(templates::delete(ask)),
    },
    Route {
        method: Method::GET,
        path: DEFAULTS,
        policy: Policy::Needs(Permission::Read),
        summary: "Show what every installation starts from",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Defaults>()),
        handler: |ask| now(templates::defaults(&ask)),
    },
    Route {
        method: Method::PATCH,
        path: DEFAULTS,
        policy: Policy::Needs(Permission::ChangeSettings),
        summary: "Say what every installation starts from",
        command: Some("defaults.set"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::SetDefaults>(),
            r#"{"user":"ada","os":"debian-13","dns":["192.0.2.1"]}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(templates::set_defaults(ask)),
    },
];
