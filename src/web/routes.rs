//! The table of routes: what can be asked, who may, what goes in and what comes out.
//!
//! The router, the check of the policy, the check of the query string and the OpenAPI document are all made
//! from [`ROUTES`], so none of them can forget a route.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{Method, Response};
use futures_util::future::BoxFuture;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::ask::Ask;
use super::param::{Kind, Param};
use super::problem::Fault;
use super::{
    boots, conflicts, events, health, machines, networks, openapi, page, settings, status, tags,
};
use crate::api::{self, List};
use crate::core::policy::Permission;

/// What a handler promises.
pub type Answering = BoxFuture<'static, Result<Response<Body>, Fault>>;

/// One route.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub policy: Policy,
    pub summary: &'static str,
    /// The command that it runs, for routes that change something.
    pub command: Option<&'static str>,
    /// A POST that makes something new answers 201.
    pub creates: bool,
    pub params: &'static [&'static Param],
    pub body: Input,
    pub answer: Output,
    pub handler: fn(Ask) -> Answering,
}

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Everybody who reaches the listener.
    Open,
    Needs(Permission),
}

/// The answer of a handler that waits for nothing.
fn now(answer: Result<Response<Body>, Fault>) -> Answering {
    Box::pin(std::future::ready(answer))
}

/// What a request brings.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    Nothing,
    /// An empty body stands for an empty object.
    Optional(Shape, &'static str),
    Required(Shape, &'static str),
}

/// What a good answer is.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    Json(Shape),
    /// One object with an `ETag`.
    Versioned(Shape),
    /// The proof of a change, with the object's new `ETag`.
    Receipt,
    /// A list in JSON, or the live stream, as `Accept` says.
    Events,
    /// JSON without a type of its own.
    AnyJson,
    Text(&'static str),
}

/// A type of `api`, as the document wants it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub name: fn() -> Cow<'static, str>,
    pub schema: fn() -> RefOr<Schema>,
    pub parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

/// The shape of a type of `api`.
pub const fn shape<T: ToSchema>() -> Shape {
    Shape {
        name: T::name,
        schema: T::schema,
        parts: T::schemas,
    }
}

/// The shape of a list of such a type.
pub const fn list<T: ToSchema>() -> Shape {
    Shape {
        name: List::<T>::name,
        schema: List::<T>::schema,
        parts: whole::<T>,
    }
}

/// A type with its parts: a list names its type without bringing it along.
fn whole<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

const STATE: Param = Param {
    name: "state",
    kind: Kind::Word(&[
        "discovered",
        "ready",
        "provisioning",
        "provisioned",
        "error",
        "offline",
    ]),
    about: "only machines in this state",
    example: "ready",
};
const TAG: Param = Param {
    name: "tag",
    kind: Kind::Texts(63),
    about: "only machines that carry this tag; give it again for one more tag",
    example: "rack2",
};
const OS: Param = Param {
    name: "os",
    kind: Kind::Text(63),
    about: "only machines for which this system is chosen",
    example: "debian-13",
};
const Q: Param = Param {
    name: "q",
    kind: Kind::Text(200),
    about: "only machines with each of these words in a name, address, MAC, tag or id",
    example: "web",
};
const LOCKED: Param = Param {
    name: "locked",
    kind: Kind::Flag,
    about: "only machines that are locked, or that are not",
    example: "true",
};
const PENDING: Param = Param {
    name: "pending",
    kind: Kind::Flag,
    about: "only machines with an edit that waits, or without one",
    example: "true",
};
const SORT: Param = Param {
    name: "sort",
    kind: Kind::Word(machines::SORTS),
    about: "the order; a minus turns it round",
    example: "name",
};
/// As many as stand on a page.
pub const LIMIT: Param = Param {
    name: "limit",
    kind: Kind::Number(1, 1000, 100),
    about: "as many as stand on a page",
    example: "100",
};
const CURSOR: Param = Param {
    name: "cursor",
    kind: Kind::Text(2048),
    about: "where to go on: `next` of the page before",
    example: "e000000000002a",
};
const MACHINE: Param = Param {
    name: "machine",
    kind: Kind::Text(253),
    about: "only events about this machine, by id, MAC address or name",
    example: "web01",
};
const AUDIT: Param = Param {
    name: "audit",
    kind: Kind::Flag,
    about: "only the audit log",
    example: "true",
};
const ORDER: Param = Param {
    name: "order",
    kind: Kind::Word(&["newest", "oldest"]),
    about: "which come first",
    example: "oldest",
};
const DRY_RUN: Param = Param {
    name: "dry_run",
    kind: Kind::Flag,
    about: "answer with the diff alone and change nothing",
    example: "true",
};
const CONFIRM: Param = Param {
    name: "confirm",
    kind: Kind::Flag,
    about: "say that you mean it, where that is asked",
    example: "true",
};

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

const LIST: &[&Param] = &[
    &STATE, &TAG, &OS, &Q, &LOCKED, &PENDING, &SORT, &LIMIT, &CURSOR,
];
const EVENTS: &[&Param] = &[&MACHINE, &AUDIT, &ORDER, &LIMIT, &CURSOR];
const CHANGE: &[&Param] = &[&DRY_RUN];

const ONE: &str = "/api/v1/machines/{machine}";
const KEY: &str = "/api/v1/settings/{key}";
const NETWORK: &str = "/api/v1/networks/{link}";
const FLOATING_IP: &str = "/api/v1/floating-ips/{link}";
const BOOT_ONCE: &str = "/api/v1/machines/{machine}/boot-once";

/// Every route there is.
pub static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/status",
        policy: Policy::Needs(Permission::Read),
        summary: "How Dragonfly is",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Status>()),
        handler: |ask| now(status::show(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/machines",
        policy: Policy::Needs(Permission::Read),
        summary: "List machines",
        command: None,
        creates: false,
        params: LIST,
        body: Input::Nothing,
        answer: Output::Json(list::<api::Machine>()),
        handler: |ask| now(machines::list(&ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines",
        policy: Policy::Needs(Permission::AdoptMachines),
        summary: "Add a machine",
        command: Some("machine.add"),
        creates: true,
        params: CHANGE,
        body: Input::Required(
            shape::<api::AddMachine>(),
            r#"{"mac":"52:54:00:12:34:56","hostname":"web01","tags":["rack2"]}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::add(ask)),
    },
    Route {
        method: Method::GET,
        path: ONE,
        policy: Policy::Needs(Permission::Read),
        summary: "Show a machine",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Versioned(shape::<api::Machine>()),
        handler: |ask| now(machines::show(&ask)),
    },
    Route {
        method: Method::PATCH,
        path: ONE,
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Edit a machine: most fields wait in `pending` until they are applied",
        command: Some("machine.set"),
        creates: false,
        params: &[&DRY_RUN, &CONFIRM],
        body: Input::Required(
            shape::<api::SetMachine>(),
            r#"{"hostname":"web01","os_choice":"debian-13"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::set(ask)),
    },
    Route {
        method: Method::DELETE,
        path: ONE,
        policy: Policy::Needs(Permission::RemoveMachines),
        summary: "Delete a machine",
        command: Some("machine.delete"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::delete(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/apply",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Make the pending edit the desired state",
        command: Some("machine.apply"),
        creates: false,
        params: CHANGE,
        body: Input::Optional(shape::<api::Apply>(), r#"{"now":false}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::apply(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/discard",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Drop the pending edit",
        command: Some("machine.discard"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::discard(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/tags",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Put tags on and take tags off",
        command: Some("machine.tag"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::EditTags>(),
            r#"{"add":["rack2"],"remove":["new"]}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::tag(ask)),
    },
    Route {
        method: Method::PUT,
        path: "/api/v1/machines/{machine}/lock",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Lock a machine: it cannot be reimaged, powered off or deleted",
        command: Some("machine.lock"),
        creates: false,
        params: CHANGE,
        body: Input::Optional(
            shape::<api::LockMachine>(),
            r#"{"reason":"holds the backups"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::lock(ask)),
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/machines/{machine}/lock",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Unlock a machine",
        command: Some("machine.unlock"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::unlock(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/merge",
        policy: Policy::Needs(Permission::RemoveMachines),
        summary: "Merge another machine into this one",
        command: Some("machine.merge"),
        creates: false,
        params: CHANGE,
        body: Input::Required(shape::<api::Merge>(), r#"{"absorb":"52:54:00:12:34:57"}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::merge(ask)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/machines/{machine}/split",
        policy: Policy::Needs(Permission::RemoveMachines),
        summary: "Make some of its cards a machine of their own",
        command: Some("machine.split"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::Split>(),
            r#"{"macs":["52:54:00:12:34:57"],"uuid":false}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(machines::split(ask)),
    },
    Route {
        method: Method::POST,
        path: BOOT_ONCE,
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Say what a machine boots next, once",
        command: Some("machine.boot_once"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::BootOnce>(),
            r#"{"kind":"chain","url":"http://10.0.0.1/boot/custom.ipxe"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(boots::order(ask)),
    },
    Route {
        method: Method::DELETE,
        path: BOOT_ONCE,
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Take back what a machine was to boot once",
        command: Some("machine.boot_once"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(boots::cancel(ask)),
    },
    Route {
        method: Method::PUT,
        path: "/api/v1/machines/{machine}/loader",
        policy: Policy::Needs(Permission::EditMachines),
        summary: "Choose the build of iPXE that a machine gets",
        command: Some("machine.set_loader"),
        creates: false,
        params: CHANGE,
        body: Input::Required(shape::<api::SetLoader>(), r#"{"loader":"firmware"}"#),
        answer: Output::Receipt,
        handler: |ask| Box::pin(boots::loader(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/machines/{machine}/trace",
        policy: Policy::Needs(Permission::Read),
        summary: "Show what was seen of a machine that boots, and why it stopped",
        command: None,
        creates: false,
        params: &[&AFTER],
        body: Input::Nothing,
        answer: Output::Json(shape::<api::Trace>()),
        handler: |ask| now(boots::trace_of_machine(&ask)),
    },
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
    Route {
        method: Method::GET,
        path: "/api/v1/conflicts",
        policy: Policy::Needs(Permission::Read),
        summary: "List anchors that point at different machines",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Conflict>()),
        handler: |ask| now(conflicts::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/tags",
        policy: Policy::Needs(Permission::Read),
        summary: "List tags with how many machines carry them",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::TagCount>()),
        handler: |ask| now(tags::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/settings",
        policy: Policy::Needs(Permission::Read),
        summary: "List settings",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Json(list::<api::Setting>()),
        handler: |ask| now(settings::list(&ask)),
    },
    Route {
        method: Method::GET,
        path: KEY,
        policy: Policy::Needs(Permission::Read),
        summary: "Show a setting",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Versioned(shape::<api::Setting>()),
        handler: |ask| now(settings::show(&ask)),
    },
    Route {
        method: Method::PUT,
        path: KEY,
        policy: Policy::Needs(Permission::ChangeSettings),
        summary: "Give a setting a value",
        command: Some("setting.set"),
        creates: false,
        params: CHANGE,
        body: Input::Required(
            shape::<api::SetSetting>(),
            r#"{"value":"Shelf in the hall"}"#,
        ),
        answer: Output::Receipt,
        handler: |ask| Box::pin(settings::set(ask)),
    },
    Route {
        method: Method::DELETE,
        path: KEY,
        policy: Policy::Needs(Permission::ChangeSettings),
        summary: "Bring the default of a setting back",
        command: Some("setting.reset"),
        creates: false,
        params: CHANGE,
        body: Input::Nothing,
        answer: Output::Receipt,
        handler: |ask| Box::pin(settings::reset(ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/events",
        policy: Policy::Needs(Permission::ReadAudit),
        summary: "List events, or follow them live",
        command: None,
        creates: false,
        params: EVENTS,
        body: Input::Nothing,
        answer: Output::Events,
        handler: |ask| now(events::read(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/openapi.json",
        policy: Policy::Open,
        summary: "This description",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::AnyJson,
        handler: |ask| now(Ok(openapi::show(&ask))),
    },
    Route {
        method: Method::GET,
        path: "/livez",
        policy: Policy::Open,
        summary: "Whether the process is alive",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Text("text/plain; charset=utf-8"),
        handler: |ask| now(Ok(health::live(&ask))),
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        policy: Policy::Open,
        summary: "Whether it can serve",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Text("text/plain; charset=utf-8"),
        handler: |ask| now(Ok(health::ready(&ask))),
    },
    Route {
        method: Method::GET,
        path: "/metrics",
        policy: Policy::Open,
        summary: "Figures for Prometheus",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Text(health::METRICS),
        handler: |ask| now(health::metrics(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/",
        policy: Policy::Needs(Permission::Read),
        summary: "The page",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Text("text/html; charset=utf-8"),
        handler: |ask| now(page::show(&ask)),
    },
    Route {
        method: Method::GET,
        path: "/style.css",
        policy: Policy::Open,
        summary: "How the page looks",
        command: None,
        creates: false,
        params: &[],
        body: Input::Nothing,
        answer: Output::Text("text/css; charset=utf-8"),
        handler: |ask| now(Ok(page::style(&ask))),
    },
];

impl Route {
    /// A body that it would take.
    pub fn body_example(&self) -> String {
        match self.body {
            Input::Nothing => "no body at all".into(),
            Input::Optional(_, example) | Input::Required(_, example) => example.into(),
        }
    }

    /// A value that this field of its body would take, as its type tells.
    pub fn field_example(&self, field: &str) -> Option<String> {
        let (Input::Optional(shape, _) | Input::Required(shape, _)) = self.body else {
            return None;
        };
        let schema = serde_json::to_value((shape.schema)()).ok()?;
        match schema.get("properties")?.get(field)?.get("example")? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Its methods, for `Allow`: HEAD comes with GET, OPTIONS with all.
    pub fn methods_of(path: &str) -> String {
        let mut methods: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.path == path)
            .map(|route| route.method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_once_in_the_table_and_in_the_document() {
        let document = super::openapi::document("0.0.0");
        for route in ROUTES {
            let same = |other: &&Route| other.path == route.path && other.method == route.method;
            assert_eq!(ROUTES.iter().filter(same).count(), 1, "{route:?}");
            let method = route.method.as_str().to_lowercase();
            assert!(
                document["paths"][route.path][method].is_object(),
                "{route:?}"
            );
        }
    }

    #[test]
    fn only_what_tells_nothing_of_machines_is_open() {
        let open = ROUTES.iter().filter(|route| route.policy == Policy::Open);
        let open: Vec<_> = open.map(|route| route.path).collect();
        let known = [
            "/api/v1/openapi.json",
            "/livez",
            "/readyz",
            "/metrics",
            "/style.css",
        ];
        assert_eq!(open, known);
    }

    #[test]
    fn what_changes_something_names_its_command_and_needs_more_than_reading() {
        let looks = |route: &&Route| route.path.ends_with("/scan");
        let changes = ROUTES.iter().filter(|route| route.method != Method::GET);
        for route in changes.filter(|route| !looks(route)) {
            assert!(
                route
                    .command
                    .is_some_and(|name| crate::core::Command::NAMES.contains(&name))
            );
            assert_ne!(route.policy, Policy::Needs(Permission::Read), "{route:?}");
            assert!(
                route.params.iter().any(|param| param.name == "dry_run"),
                "{route:?}"
            );
        }
    }

    #[test]
    fn every_example_of_a_body_is_json() {
        for route in ROUTES {
            if let Input::Optional(_, example) | Input::Required(_, example) = route.body {
                assert!(
                    serde_json::from_str::<serde_json::Value>(example).is_ok(),
                    "{example}"
                );
            }
        }
    }
}
