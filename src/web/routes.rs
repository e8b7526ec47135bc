//! The table of routes: what can be asked, who may, what goes in and what comes out.
//!
//! The router, the check of the policy, the check of the query string and the OpenAPI document are all made
//! from [`all`], so none of them can forget a route.

mod appliance;
pub(super) mod images;
mod machines;
mod networks;
mod templates;
mod workflows;

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
use crate::api::List;
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
    /// Bytes of this media type, as many as the handler takes: they are read while they come.
    Stream(&'static str),
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
    /// Bytes of this media type, sent while they are read.
    Stream(&'static str),
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
const CHANGE: &[&Param] = &[&DRY_RUN];

/// Every route there is, family by family; each family is a file of its own.
static FAMILIES: &[&[Route]] = &[
    machines::ROUTES,
    networks::ROUTES,
    images::ROUTES,
    templates::ROUTES,
    appliance::ROUTES,
    workflows::ROUTES,
];

/// Every route there is.
pub fn all() -> impl Iterator<Item = &'static Route> {
    FAMILIES.iter().copied().flatten()
}

/// What the request of this method and template may send as a stream.
pub fn stream_of(method: &Method, template: &str) -> Option<&'static str> {
    let route = all().find(|route| route.method == *method && route.path == template)?;
    match route.body {
        Input::Stream(media) => Some(media),
        _ => None,
    }
}

impl Route {
    /// A body that it would take.
    pub fn body_example(&self) -> String {
        match self.body {
            Input::Nothing => "no body at all".into(),
            Input::Stream(media) => format!("bytes as {media}"),
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
        let mut methods: Vec<_> = all()
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
        let document = crate::web::openapi::document("0.0.0");
        for route in all() {
            let same = |other: &&Route| other.path == route.path && other.method == route.method;
            assert_eq!(all().filter(same).count(), 1, "{route:?}");
            let method = route.method.as_str().to_lowercase();
            assert!(
                document["paths"][route.path][method].is_object(),
                "{route:?}"
            );
        }
    }

    #[test]
    fn only_what_tells_nothing_of_machines_is_open() {
        let open = all().filter(|route| route.policy == Policy::Open);
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
        let looks =
            |route: &&Route| route.path.ends_with("/scan") || route.path.ends_with("/verify");
        let changes = all().filter(|route| route.method != Method::GET);
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
        for route in all() {
            if let Input::Optional(_, example) | Input::Required(_, example) = route.body {
                assert!(
                    serde_json::from_str::<serde_json::Value>(example).is_ok(),
                    "{example}"
                );
            }
        }
    }
}
