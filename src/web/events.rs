//! Events: pages of the log, and the live stream.
//!
//! A stream holds a place in the log and one batch that waits to be written. A reader that is slow reads
//! later; one that does not read at all loses its connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Web;
use super::ask::{Ask, bytes_as, header, json_sized};
use super::metrics::Streaming;
use super::problem::Fault;
use super::routes::LIMIT;
use super::server::told_to_stop;
use super::view::{self, EventView};
use crate::api::Code;
use crate::api::event::Reset;
use crate::core::{EventQuery, MachineRef, StoreError, Watch};
use crate::model::{Cursor, Event, MachineId, Subject};

/// As many live streams at once: each costs a connection and a batch of events.
pub const MAX_STREAMS: usize = 64;
/// A comment is sent this often when nothing happens, so that both ends notice a dead line.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes that one event takes in JSON, more or less.
const TYPICAL_BYTES: usize = 640;
const STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub fn read(ask: &Ask) -> Result<Response<Body>, Fault> {
    match wanted(ask)? {
        Wanted::List => list(ask),
        Wanted::Stream => follow(ask),
    }
}

enum Wanted {
    List,
    Stream,
}

/// The stream for those who name it; JSON for those who name JSON or nothing in particular.
fn wanted(ask: &Ask) -> Result<Wanted, Fault> {
    let accepted: Vec<&str> = ask
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let named = accepted.iter().flat_map(|value| value.split(','));
    let mut media = named
        .map(|entry| entry.split(';').next().unwrap_or_default().trim())
        .peekable();
    if media.peek().is_none() {
        return Ok(Wanted::List);
    }
    for name in media {
        match name.to_ascii_lowercase().as_str() {
            STREAM => return Ok(Wanted::Stream),
            "application/json" | "application/*" | "*/*" => return Ok(Wanted::List),
            _ => {}
        }
    }
    Err(Fault::new(
        Code::Unsupported,
        "events come as application/json or text/event-stream",
    )
    .status(StatusCode::NOT_ACCEPTABLE)
    .hint("ask for one of the two in Accept"))
}

fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let params = &ask.params;
    let query = EventQuery {
        from: params.text("cursor").map(cursor("cursor")).transpose()?,
        newest_first: params.text("order") != Some("oldest"),
        subject: subject(ask)?,
        audit_only: params.flag("audit").unwrap_or(false),
        limit: params.number(&LIMIT) as usize,
        ..EventQuery::default()
    };
    let page = ask.web.core().events(&query)?;
    let mut names = Names::new(&ask.web);
    let pairs: Vec<_> = page
        .events
        .iter()
        .map(|event| (event, names.of(event)))
        .collect();
    let shown = view::Page {
        items: pairs
            .iter()
            .map(|(event, name)| EventView::new(event, name.as_deref())),
        next: page.next.filter(|_| page.more).map(|next| next.to_string()),
        total: None,
    };
    json_sized(&shown, 256 + page.events.len() * TYPICAL_BYTES)
}

fn cursor(field: &'static str) -> impl Fn(&str) -> Result<Cursor, Fault> {
    move |text| {
        let parsed = text.parse::<Cursor>();
        parsed.map_err(|error| Fault::field(field, error.reason, error.example))
    }
}

/// The machine that was asked for. One that is gone is still known by its id.
fn subject(ask: &Ask) -> Result<Option<Subject>, Fault> {
    let Some(name) = ask.params.text("machine") else {
        return Ok(None);
    };
    if let Ok(id) = name.parse::<MachineId>() {
        return Ok(Some(Subject::Machine(id)));
    }
    let (machine, _) = ask.web.core().machine(&MachineRef(name.to_owned()))?;
    Ok(Some(Subject::Machine(machine.id)))
}

/// What machines are called, each looked up once.
struct Names<'a> {
    web: &'a Web,
    known: std::collections::BTreeMap<MachineId, Option<String>>,
}

impl<'a> Names<'a> {
    fn new(web: &'a Web) -> Self {
        Self {
            web,
            known: std::collections::BTreeMap::new(),
        }
    }

    fn of(&mut self, event: &Event) -> Option<String> {
        let Subject::Machine(id) = &event.subject else {
            return None;
        };
        let name = self
            .known
            .entry(*id)
            .or_insert_with(|| name_of(self.web, *id));
        name.clone()
    }
}

fn name_of(web: &Web, id: MachineId) -> Option<String> {
    let found = web.core().machine_by_id(id).ok();
    found.map(|(machine, _)| machine.name().to_owned())
}

/// What is shown of the latest events on the page: when, and the line.
pub fn latest(web: &Web, limit: usize) -> Result<Vec<(jiff::Timestamp, String)>, Fault> {
    let query = EventQuery {
        newest_first: true,
        limit,
        ..EventQuery::default()
    };
    let page = web.core().events(&query)?;
    let mut names = Names::new(web);
    let lines = page.events.iter().map(|event| {
        let name = names.of(event);
        (event.at, view::line(event, name.as_deref()))
    });
    Ok(lines.collect())
}

fn follow(ask: &Ask) -> Result<Response<Body>, Fault> {
    let seat = Arc::clone(&ask.web.0.streams)
        .try_acquire_owned()
        .map_err(|_| {
            Fault::new(
                Code::Unavailable,
                format!("all {MAX_STREAMS} event streams are taken"),
            )
            .hint("close one, or read pages of events instead")
        })?;
    let from = match header(&ask.headers, &LAST_EVENT_ID)? {
        Some(text) => Some(cursor("Last-Event-ID")(text)?),
        None => ask
            .params
            .text("cursor")
            .map(cursor("cursor"))
            .transpose()?,
    };
    for param in ["order", "limit"] {
        if let Some(given) = ask.params.text(param) {
            let reason = format!("'{given}' means nothing to the live stream: leave it out");
            return Err(Fault::field(param, reason, "no such parameter"));
        }
    }
    let mut watch = ask.web.core().watch(from);
    if let Some(subject) = subject(ask)? {
        watch = watch.about(subject);
    }
    if ask.params.flag("audit") == Some(true) {
        watch = watch.audit_only();
    }
    let live = Live {
        web: ask.web.clone(),
        watch,
        waiting: VecDeque::new(),
        stop: ask.stop.clone(),
        begun: false,
        _seat: seat,
        _counted: ask.web.metrics().streaming(),
    };
    let mut response = bytes_as(STREAM, Body::from_stream(stream::unfold(live, Live::step)));
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One live stream.
struct Live {
    web: Web,
    watch: Watch,
    /// The rest of one batch: bounded by what a watch hands out at once.
    waiting: VecDeque<Event>,
    stop: watch::Receiver<bool>,
    begun: bool,
    _seat: OwnedSemaphorePermit,
    _counted: Streaming,
}

impl Live {
    /// The next bytes, when there is something to say; none when the stream ends.
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.begun {
            self.begun = true;
            // The head leaves with the first bytes, so the client knows at once that it is connected.
            let hello = format!(": from {}\nretry: 1000\n\n", self.watch.cursor());
            return Some((Ok(hello.into()), self));
        }
        if let Some(event) = self.waiting.pop_front() {
            let message = self.message(&event);
            return Some((Ok(message), self));
        }
        let next = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return None,
            next = tokio::time::timeout(HEARTBEAT, self.watch.next()) => next,
        };
        let bytes = match next {
            Err(_) => Bytes::from_static(b":\n\n"),
            Ok(Ok(events)) => {
                self.waiting = events.into();
                let event = self.waiting.pop_front()?;
                self.message(&event)
            }
            Ok(Err(StoreError::Reset { floor })) => reset(floor, self.watch.cursor()),
            Ok(Err(StoreError::Closed)) => return None,
            Ok(Err(error)) => {
                tracing::error!(%error, "event stream ended");
                return None;
            }
        };
        Some((Ok(bytes), self))
    }

    fn message(&self, event: &Event) -> Bytes {
        let name = match &event.subject {
            Subject::Machine(id) => name_of(&self.web, *id),
            _ => None,
        };
        let data = serde_json::to_string(&EventView::new(event, name.as_deref()));
        let data = data.unwrap_or_else(|_| "null".into());
        format!(
            "id: {}\nevent: {}\ndata: {data}\n\n",
            event.cursor,
            event.what.name()
        )
        .into()
    }
}

/// Its id is where the stream goes on, so that a reconnect does not hear of it again.
fn reset(floor: Cursor, now: Cursor) -> Bytes {
    let data = serde_json::to_string(&Reset {
        floor: floor.to_string(),
    });
    let data = data.unwrap_or_else(|_| "null".into());
    format!("id: {now}\nevent: reset\ndata: {data}\n\n").into()
}
