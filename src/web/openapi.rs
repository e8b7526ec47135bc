//! The OpenAPI 3.1 document, made from the table of routes and the types of `api`.

use axum::body::Body;
use axum::http::{Method, Response};
use serde_json::{Map, Value, json};

use super::ask::{Ask, bytes_as};
use super::param::{Kind, Param};
use super::problem;
use super::routes::{Input, Output, Policy, Route, Shape, all, list, shape};
use crate::api;

pub fn show(ask: &Ask) -> Response<Body> {
    bytes_as("application/json", ask.web.0.document.clone())
}

/// The whole document.
pub fn document(version: &str) -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for route in all() {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    refer(shape::<api::Problem>(), &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dragonfly",
            "version": version,
            "summary": "Machines, networks, settings and events",
            "description": "Every change is answered with a receipt, every error with a problem. Changes take \
                `?dry_run=true`, `Idempotency-Key` and `If-Match`. The API answers on loopback and on a unix \
                socket only; whoever reaches it is the admin.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/", "description": "this Dragonfly" }],
        "security": [],
        "tags": tags(),
        "paths": paths,
        "components": { "schemas": schemas, "parameters": shared(), "responses": responses() }
    })
}

fn tags() -> Value {
    json!([
        { "name": "machines", "description": "Machines and what becomes of them" },
        { "name": "networks", "description": "Links on which machines boot, and what is given out there" },
        { "name": "floating-ips", "description": "The addresses that machines fetch from" },
        { "name": "leases", "description": "Addresses that the DHCP server gave out" },
        { "name": "seen", "description": "Machines on the wire that are not registered" },
        { "name": "conflicts", "description": "Anchors that point at different machines" },
        { "name": "tags", "description": "Tags in use" },
        { "name": "settings", "description": "How this place is set up" },
        { "name": "events", "description": "What happened, and what happens now" },
        { "name": "status", "description": "How Dragonfly is" },
        { "name": "operation", "description": "For operators' tools" },
        { "name": "page", "description": "For people with a browser" }
    ])
}

fn family(route: &Route) -> &str {
    match route.path.strip_prefix("/api/v1/") {
        Some("openapi.json") => "operation",
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None if route.path == "/" || route.path == "/style.css" => "page",
        None => "operation",
    }
}

fn operation(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": policy(route),
        "tags": [family(route)],
        "parameters": parameters(route),
        "responses": answers(route, schemas),
    });
    if let Some(body) = body(route, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

/// Method and path as one word; unique, since the pairs are.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1");
    let words: String = path
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let words = words.trim_matches('_').replace("__", "_");
    let words = if words.is_empty() {
        "page".into()
    } else {
        words
    };
    format!("{}_{words}", route.method.as_str().to_lowercase())
}

fn policy(route: &Route) -> String {
    match route.policy {
        Policy::Open => "Open to everybody who reaches it.".into(),
        Policy::Needs(permission) => {
            format!(
                "For those who may {}.",
                crate::core::policy::action(permission)
            )
        }
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let parts = route.path.split('/').filter_map(|part| {
        part.strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
    });
    let mut all: Vec<Value> = parts.map(part).collect();
    all.extend(route.params.iter().map(|param| query(param)));
    let mut headers = vec!["X-Request-Id", "X-Correlation-Id"];
    if route.command.is_some() {
        headers.extend(["X-Causation-Id", "Idempotency-Key", "If-Match"]);
    }
    if matches!(route.answer, Output::Versioned(_)) {
        headers.push("If-None-Match");
    }
    if matches!(route.answer, Output::Events) {
        headers.push("Last-Event-ID");
    }
    all.extend(
        headers
            .iter()
            .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })),
    );
    all
}

fn part(name: &str) -> Value {
    let (about, example) = match name {
        "machine" => (
            "id, beginning of an id, MAC address or name",
            "52:54:00:12:34:56",
        ),
        "link" => ("name of the link", "eth0"),
        "mac" => ("MAC address of a card", "52:54:00:12:34:56"),
        _ => ("name of the setting", "site.name"),
    };
    json!({
        "name": name, "in": "path", "required": true, "description": about, "example": example,
        "schema": { "type": "string", "minLength": 1, "maxLength": 253 },
    })
}

fn query(param: &Param) -> Value {
    let (schema, example) = match param.kind {
        Kind::Text(max) => (
            json!({ "type": "string", "minLength": 1, "maxLength": max }),
            json!(param.example),
        ),
        Kind::Texts(max) => (
            json!({
                "type": "array",
                "items": { "type": "string", "minLength": 1, "maxLength": max },
            }),
            json!([param.example]),
        ),
        Kind::Flag => (json!({ "type": "boolean" }), json!(param.example == "true")),
        Kind::Number(low, high, default) => (
            json!({ "type": "integer", "minimum": low, "maximum": high, "default": default }),
            json!(default),
        ),
        Kind::Word(words) => (
            json!({ "type": "string", "enum": words }),
            json!(param.example),
        ),
    };
    json!({
        "name": param.name, "in": "query", "required": false, "description": param.about,
        "schema": schema, "example": example,
    })
}

/// Headers that many routes take.
fn shared() -> Value {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let text = |max: u32| json!({ "type": "string", "minLength": 1, "maxLength": max });
    // RFC 9110 13.1.2 lets a client name tags that were never ours: they do not match, that is all.
    let tags = json!({ "type": "string" });
    let tag = json!({ "type": "string", "pattern": "^(\\*|\"v[0-9]+\")$" });
    let place = json!({ "type": "string", "pattern": "^e[0-9a-f]{13}$" });
    let id = "019aa4f0-7c1e-7000-8000-5254001234ab";
    let rows = [
        (
            "X-Request-Id",
            "names this call; made when it is absent, and sent back",
            &uuid,
            id,
        ),
        (
            "X-Correlation-Id",
            "ties together all that follows from one intention",
            &uuid,
            id,
        ),
        (
            "X-Causation-Id",
            "the place of the event that led to this call",
            &place,
            "e000000000002a",
        ),
        (
            "Idempotency-Key",
            "the same key with the same request gets the same answer, without doing it again",
            &text(128),
            "add-web01",
        ),
        (
            "If-Match",
            "the version that the caller saw; another one now is refused with 412",
            &tag,
            "\"v3\"",
        ),
        (
            "If-None-Match",
            "the versions that the caller holds; 304 when it is still one of them",
            &tags,
            "\"v3\"",
        ),
        (
            "Last-Event-ID",
            "where the live stream goes on",
            &place,
            "e000000000002a",
        ),
    ];
    let all = rows.iter().map(|(name, about, schema, example)| {
        let header = json!({
            "name": name, "in": "header", "required": false, "description": about,
            "schema": schema, "example": example,
        });
        ((*name).to_owned(), header)
    });
    Value::Object(all.collect())
}

fn body(route: &Route, schemas: &mut Map<String, Value>) -> Option<Value> {
    let (shape, example, required) = match route.body {
        Input::Nothing => return None,
        Input::Optional(shape, example) => (shape, example, false),
        Input::Required(shape, example) => (shape, example, true),
        Input::Stream(media) => {
            let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
            return Some(json!({ "required": true, "content": { media: bytes } }));
        }
    };
    let example: Value = serde_json::from_str(example).unwrap_or_default();
    Some(json!({
        "required": required,
        "content": { "application/json": { "schema": refer(shape, schemas), "example": example } },
    }))
}

fn answers(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let mut answers = json!({ "default": { "$ref": "#/components/responses/Problem" } });
    for status in refusals(route) {
        answers[status] = json!({ "$ref": "#/components/responses/Problem" });
    }
    let media = |media: &str, schema: Value| {
        let plain = media.split(';').next().unwrap_or(media);
        json!({ plain: { "schema": schema } })
    };
    let content = match route.answer {
        Output::Json(shape) | Output::Versioned(shape) => {
            media("application/json", refer(shape, schemas))
        }
        Output::Receipt => media("application/json", refer(shape::<api::Receipt>(), schemas)),
        Output::Events => {
            refer(shape::<api::event::Reset>(), schemas);
            let mut both = media("application/json", refer(list::<api::Event>(), schemas));
            both["text/event-stream"] = json!({ "schema": {
                "type": "string",
                "description": "`id` is the cursor, `event` the type, `data` an Event; or `event: reset` with a Reset",
            } });
            both
        }
        Output::AnyJson => media("application/json", json!({ "type": "object" })),
        Output::Text(kind) => media(kind, json!({ "type": "string" })),
        Output::Stream(kind) => media(kind, json!({ "type": "string", "format": "binary" })),
    };
    let mut good = json!({ "description": good_words(route), "headers": headers(route) });
    good["content"] = content;
    answers["200"] = good.clone();
    if route.creates {
        good["description"] = json!("It was made; the receipt proves it.");
        good["headers"]["Location"] =
            json!({ "schema": { "type": "string" }, "description": "where it is now" });
        answers["201"] = good;
    }
    if matches!(route.answer, Output::Versioned(_)) {
        answers["304"] =
            json!({ "description": "The client holds this version.", "headers": headers(route) });
    }
    if route.path == "/readyz" {
        answers["503"] = json!({
            "description": "Not ready, and why.",
            "content": { "text/plain": { "schema": { "type": "string" } } },
        });
    }
    answers
}

fn good_words(route: &Route) -> &'static str {
    match route.answer {
        Output::Receipt if route.creates => "Nothing was made: a dry run, or it was there already.",
        Output::Receipt => "It was accepted; the receipt proves it.",
        _ => "Here it is.",
    }
}

fn headers(route: &Route) -> Value {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let mut headers = json!({
        "X-Request-Id": { "description": "the call's name", "schema": uuid },
        "X-Correlation-Id": { "description": "the intention's name", "schema": uuid },
    });
    if matches!(route.answer, Output::Versioned(_) | Output::Receipt) {
        headers["ETag"] = json!({
            "description": "the object's version",
            "schema": { "type": "string", "pattern": "^\"v[0-9]+\"$" },
            "example": "\"v3\"",
        });
    }
    headers
}

/// The refusals that a client of this route has to reckon with, beside what `default` covers.
fn refusals(route: &Route) -> Vec<&'static str> {
    let mut all = vec!["400", "403", "408", "414", "500", "503"];
    if route.path.contains('{') {
        all.extend(["404", "409"]);
    }
    if matches!(route.answer, Output::Events) {
        all.extend(["404", "406", "409", "410"]);
    }
    if route.command.is_some() {
        all.extend(["404", "409", "412", "413", "415", "422", "423", "507"]);
    }
    if route.method == Method::PATCH {
        all.push("428");
    }
    all
}

fn responses() -> Value {
    json!({
        "Problem": {
            "description": "What was wrong, and what to do next.",
            "headers": {
                "X-Request-Id": {
                    "description": "look for it in the log",
                    "schema": { "type": "string", "format": "uuid" },
                },
            },
            "content": { problem::MEDIA: {
                "schema": { "$ref": "#/components/schemas/Problem" },
                "example": {
                    "type": "urn:dragonfly:problem:invalid",
                    "title": "Something in the request is wrong",
                    "status": 400,
                    "detail": "mac: '52:54:00' has 3 parts, not 6",
                    "code": "invalid",
                    "field": "mac",
                    "reason": "'52:54:00' has 3 parts, not 6",
                    "example": "52:54:00:12:34:56",
                    "request_id": "019aa4f0-7c1e-7000-8000-5254001234ab",
                    "retryable": false,
                },
            } },
        },
    })
}

/// A reference to the type, with it and all its parts among the schemas.
fn refer(shape: Shape, schemas: &mut Map<String, Value>) -> Value {
    let mut parts = Vec::new();
    (shape.parts)(&mut parts);
    for (name, schema) in parts {
        let schema = serde_json::to_value(schema).unwrap_or_default();
        schemas.entry(name).or_insert(schema);
    }
    let schema = serde_json::to_value((shape.schema)()).unwrap_or_default();
    let name = component(&shape, &schema);
    schemas.entry(&name).or_insert(schema);
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Lists of different things have one name in the code: here they are called by what they hold.
fn component(shape: &Shape, schema: &Value) -> String {
    let held = schema
        .pointer("/properties/items/items/$ref")
        .and_then(Value::as_str);
    match held.and_then(|held| held.rsplit('/').next()) {
        Some(held) => format!("{held}List"),
        None => (shape.name)().into_owned(),
    }
}
