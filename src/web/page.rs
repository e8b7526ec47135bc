//! The page: one look at the place, made on the server, without a script.

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::ask::{Ask, bytes_as};
use super::problem::Fault;
use super::{Web, events, status};
use crate::api::Status;
use crate::core::{MachineFilter, Sort, SortBy};
use crate::model::{Machine, Sighting, StateKind};

/// As many machines as the page shows; the rest are counted.
const MACHINES: usize = 100;
/// As many machines on the wire as the page shows.
const SEEN: usize = 20;
/// As many events as the page shows.
const EVENTS: usize = 20;
const STYLE: &str = include_str!("assets/style.css");
/// Our own style sheet and nothing else: no script, no frame, no form that leads away.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The templates, parsed once.
#[derive(Debug)]
pub struct Page(Environment<'static>);

impl Page {
    pub fn new() -> Self {
        let mut templates = Environment::new();
        // The name ends in .html, so everything that is put in is escaped.
        let added = templates.add_template("index.html", include_str!("templates/index.html"));
        if let Err(error) = added {
            tracing::error!(%error, "page template is broken");
        }
        Self(templates)
    }
}

pub fn style(_: &Ask) -> Response<Body> {
    bytes_as("text/css; charset=utf-8", STYLE)
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let html = render(&ask.web)?;
    let mut response = bytes_as("text/html; charset=utf-8", html);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// What the template is given.
#[derive(Debug, Serialize)]
struct Shown {
    status: Status,
    states: Vec<(&'static str, u64)>,
    rows: Vec<Row>,
    lines: Vec<Line>,
    /// As many machines as are not among the rows.
    more: usize,
    seen: Vec<Asked>,
    /// As many as were seen and are not among `seen`.
    more_seen: usize,
}

/// One that asked to boot and is not registered.
#[derive(Debug, Serialize)]
struct Asked {
    mac: String,
    platform: Option<String>,
    says: String,
    waiting: bool,
    ago: String,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The four words, when a friendly name stands before them.
    words: Option<String>,
    hostname: Option<String>,
    mac: String,
    state: &'static str,
    message: Option<String>,
    tags: Vec<String>,
    locked: bool,
    pending: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    /// For machines.
    at: String,
    /// For people.
    ago: String,
    text: String,
}

fn render(web: &Web) -> Result<String, Fault> {
    let status = status::status(web)?;
    let sort = Sort {
        by: SortBy::Name,
        descending: false,
    };
    let page = web
        .core()
        .machines(&MachineFilter::default(), sort, MACHINES, None)?;
    let rows: Vec<_> = page.items.iter().map(|(machine, _)| row(machine)).collect();
    let by_state: Vec<_> = StateKind::ALL
        .iter()
        .map(|kind| (kind.as_str(), machines_in(&status, *kind)))
        .collect();
    let now = web.core().clock().now();
    let latest = events::latest(web, EVENTS)?;
    let lines: Vec<_> = latest
        .into_iter()
        .map(|(at, text)| line(now, at, text))
        .collect();
    let more = page.total.saturating_sub(rows.len());
    let seen = web.core().seen().list();
    let more_seen = seen.len().saturating_sub(SEEN);
    let seen = seen.into_iter().take(SEEN);
    let template = web
        .0
        .page
        .0
        .get_template("index.html")
        .map_err(|e| Fault::internal(&e))?;
    let shown = template.render(Value::from(Serde(Shown {
        status,
        states: by_state,
        rows,
        lines,
        more,
        seen: seen.map(|sighting| asked(now, sighting)).collect(),
        more_seen,
    })));
    shown.map_err(|error| Fault::internal(&error))
}

fn machines_in(status: &Status, kind: StateKind) -> u64 {
    status
        .machines_by_state
        .get(kind.as_str())
        .copied()
        .unwrap_or_default()
}

fn row(machine: &Machine) -> Row {
    let config = &machine.config;
    let message = match &machine.status.state {
        crate::model::State::Error { message } => Some(message.clone()),
        _ => None,
    };
    Row {
        name: machine.name().to_owned(),
        words: config
            .friendly_name
            .as_ref()
            .map(|_| config.memorable_name.to_string()),
        hostname: config.hostname.as_ref().map(ToString::to_string),
        mac: machine.identity.primary_mac.to_string(),
        state: machine.status.state.kind().as_str(),
        message,
        tags: config.tags.iter().map(ToString::to_string).collect(),
        locked: machine.lock.is_some(),
        pending: machine.pending.is_some(),
    }
}

fn asked(now: Timestamp, seen: Sighting) -> Asked {
    // Of both, the name says more to a person.
    let says = [seen.hostname, seen.vendor];
    Asked {
        mac: seen.mac.to_string(),
        platform: seen.arch.map(|arch| arch.to_string()),
        says: says
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        waiting: seen.waiting,
        ago: ago(now, seen.last),
    }
}

fn line(now: Timestamp, at: Timestamp, text: String) -> Line {
    let ago = ago(now, at);
    let second = Timestamp::from_second(at.as_second());
    let at = second.unwrap_or(at).to_string();
    Line { at, ago, text }
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    match now.as_second().saturating_sub(at.as_second()) {
        ..5 => "just now".into(),
        seconds @ 5..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_sound() {
        assert!(Page::new().0.get_template("index.html").is_ok());
    }
}
