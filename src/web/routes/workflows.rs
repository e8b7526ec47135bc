//! Workflows.

use axum::http::Method;

use super::{
    CHANGE, CONFIRM, CURSOR, DRY_RUN, Input, LIMIT, Output, Policy, Route, list, now, shape,
};
use crate::api;
use crate::core::policy::Permission;
use crate::web::param::{Kind, Param};
use crate::web::workflows;

const MACHINE: Param = Param {
    name: "machine",
    kind: Kind::Text(253),
    about: "only those of this machine, by id, MAC address or name",
    example: "web01",
};
const ACTIVE: Param = Param {
    name: "active",
    kind: Kind::Flag,
    about: "only those that something may still come of",
    example: "true",
};
const STATE: Param = Param {
    name: "state",
    kind: Kind::Word(workflows::STATES),
    about: "only those in this state",
    example: "running",
};
const TEMPLATE: Param = Param {
    name: "template",
    kind: Kind::Text(63),
    about: "only those by this template",
    example: "debian-13",
};

const ONE: &str = "/api/v1/workflows/{workflow}";

pub static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/workflows",
        policy: Policy::Needs(Permission::Read),
        summary: "List workflows, newest first",
        command: None,
        creates: false,
        params: &[&MACHINE, &ACTIVE, &STATE, &TEMPLATE, &LIMIT, &CURSOR],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Workflow>()),
        handler: |ask| now(workflows::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: ONE,
        policy: Policy::Needs(Permission::Read),
        summary: "Show a workflow, by its id or by its machine",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Workflow>()),
        handler: |ask| now(workflows::show(&ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/workflows/{workflow}/cancel",
        policy: Policy::Needs(Permission::InstallMachines),
        summary: "End a workflow",
        command: Some("workflow.cancel"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(workflows::cancel(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/workflows/{workflow}/retry",
        policy: Policy::Needs(Permission::InstallMachines),
        summary: "Try a workflow again",
        command: Some("workflow.retry"),
        creates: false,
        params: &[&DRY_RUN, &CONFIRM],
        body: Input::Optional(shape::<api::Retry>(), r#"{"from":"image2disk"}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(workflows::retry(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/reimage",
        policy: Policy::Needs(Permission::InstallMachines),
        summary: "Install a machine anew",
        command: Some("workflow.start"),
        creates: false,
        params: &[&DRY_RUN, &CONFIRM],
        body: Input::Optional(shape::<api::Reimage>(), r#"{"os":"debian-13"}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(workflows::reimage(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/workflow-stats",
        policy: Policy::Needs(Permission::Read),
        summary: "What the last hundred workflows came to",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::WorkflowStats>()),
        handler: |ask| now(workflows::stats(&ask)),
    },
];
