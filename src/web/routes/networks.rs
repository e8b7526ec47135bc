//! Networks, floating IPs, leases, and who was seen on them.

use axum::http::Method;

use super::{CHANGE, CURSOR, Input, LIMIT, Output, Policy, Route, list, now, shape};
use crate::api;
use crate::core::policy::Permission;
use crate::web::param::{Kind, Param};
use crate::web::{boots, networks};

const LINK: Param = Param {
    name: "link",
    kind: Kind::Text(15),
    about: "only leases of this link",
    example: "eth0",
};
const AFTER: Param = Param {
    name: "after",
    kind: Kind::Text(20),
    about: "only steps that came after the one with this number: `last` of the answer before",
    example: "42",
};

const NETWORK: &str = "/api/v1/networks/{link}";
const FLOATING_IP: &str = "/api/v1/floating-ips/{link}";

pub static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/networks",
        policy: Policy::Needs(Permission::Read),
        summary: "List networks",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Network>()),
        handler: |ask| now(networks::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: NETWORK,
        policy: Policy::Needs(Permission::Read),
        summary: "Show a network",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Network>()),
        handler: |ask| now(networks::show(&ask)),
    },
    Route {
        method: Method::PATCH,
        path: NETWORK,
        policy: Policy::Needs(Permission::ChangeNetworks),
        summary: "Say what is given out on a network",
        command: Some("network.set"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::SetNetwork>(),
            r#"{"serve":"proxy","rungs":["proxy","binl","staple"]}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(networks::set(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/floating-ips",
        policy: Policy::Needs(Permission::Read),
        summary: "List floating IPs",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::FloatingIp>()),
        handler: |ask| now(networks::floating_ips(&ask)),
    },
    Route {
        method: Method::PUT,
        path: FLOATING_IP,
        policy: Policy::Needs(Permission::ChangeNetworks),
        summary: "Say which floating IP is wanted",
        command: Some("network.set"),
        creates: false,
        params: CHANGE,
        body: Input::Required(shape::<api::WantFloatingIp>(), r#"{"want":"auto"}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(networks::want(ask)),
    },
    Route {
        method: Method::DELETE,
        path: FLOATING_IP,
        policy: Policy::Needs(Permission::ChangeNetworks),
        summary: "Let a floating IP go, and want none",
        command: Some("network.set"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(networks::release(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/floating-ips/{link}/scan",
        policy: Policy::Needs(Permission::ChangeNetworks),
        summary: "Look at the addresses that a floating IP may be; sends ARP probes and changes nothing",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Scan>()),
        handler: |ask| Box::pin(networks::scan(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/leases",
        policy: Policy::Needs(Permission::Read),
        summary: "List leases",
        command: None,
        creates: false,
        params: &[&LINK, &LIMIT, &CURSOR],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Lease>()),
        handler: |ask| now(networks::leases(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/seen",
        policy: Policy::Needs(Permission::Read),
        summary: "List machines that were seen on the wire and are not registered",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Sighting>()),
        handler: |ask| now(boots::seen(&ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/seen/{mac}/approve",
        policy: Policy::Needs(Permission::AdoptMachines),
        summary: "Register a machine that was seen on the wire",
        command: Some("machine.approve"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(boots::approve(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/seen/{mac}/trace",
        policy: Policy::Needs(Permission::Read),
        summary: "The same by MAC address, also of a machine that is not registered",
        command: None,
        creates: false,
        params: &[&AFTER],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Trace>()),
        handler: |ask| now(boots::trace_of_mac(&ask)),
    },
];
