//! `dragonfly events tail`: follows the live stream for as long as a person wants.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{EVENTS, latest, line, which};
use crate::api::Event;
use crate::api::event::Reset;
use crate::cli::args::events::TailEvents;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{Failure, Sort};
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone};
use crate::cli::sse::{Message, Reader};

/// The server says something at least every 15 s; a line that is silent for so long is dead.
const SILENCE: Duration = Duration::from_mins(1);
/// How long to wait before the connection is tried again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub async fn run(
    args: &TailEvents,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    tokio::select! {
        ended = follow(args, client, screen) => return ended,
        // Ctrl-C is how a person says that it is enough.
        _ = tokio::signal::ctrl_c() => {}
    }
    if screen.has_person() {
        // The terminal has put a ^C there.
        screen.remark("");
    }
    Ok(())
}

async fn follow(
    args: &TailEvents,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut place = args.since.clone();
    if place.is_none() {
        place = Some(client.status().await?.cursor);
        if args.lines > 0 {
            for event in latest(&args.which, args.lines, client).await? {
                place = place.max(Some(event.cursor.clone()));
                show(screen, &event)?;
            }
            screen.flush()?;
        }
    }
    let mut pause = FIRST_PAUSE;
    let mut connected_before = false;
    let mut lost = false;
    loop {
        match open(args, place.as_deref(), client).await {
            Ok(body) => {
                connected_before = true;
                if std::mem::take(&mut lost) {
                    remark(screen, "connected again");
                }
                if read(args, body, &mut place, screen).await? > 0 {
                    pause = FIRST_PAUSE;
                }
            }
            Err(failure) if connected_before && failure.is_transient() => {}
            Err(failure) => return Err(failure),
        }
        client.hang_up();
        if !std::mem::replace(&mut lost, true) {
            remark(screen, "the connection is lost; trying again until Ctrl-C");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn open(
    args: &TailEvents,
    place: Option<&str>,
    client: &mut Client,
) -> Result<Incoming, Failure> {
    let mut ask = which(Ask::get(EVENTS), &args.which).header("accept", "text/event-stream");
    if let Some(place) = place {
        ask = ask.header("last-event-id", place);
    }
    let response = client.stream(&ask).await?;
    let media = response
        .headers()
        .get("content-type")
        .and_then(|media| media.to_str().ok());
    if !media.is_some_and(|media| media.starts_with("text/event-stream")) {
        return Err(
            Failure::new(Sort::Foreign, "what answers there does not stream events")
                .hint("is that Dragonfly's address? --server names another"),
        );
    }
    Ok(response.into_body())
}

/// Reads until the stream ends, and says how many messages there were.
async fn read(
    args: &TailEvents,
    mut body: Incoming,
    place: &mut Option<String>,
    screen: &mut Screen,
) -> Result<usize, Failure> {
    let mut reader = Reader::default();
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        let Ok(messages) = reader.push(bytes) else {
            break;
        };
        for message in messages {
            seen += 1;
            take(args, message, place, screen)?;
        }
        screen.flush()?;
    }
    Ok(seen)
}

fn take(
    args: &TailEvents,
    message: Message,
    place: &mut Option<String>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    if message.event == "reset" {
        let floor = serde_json::from_str::<Reset>(&message.data)
            .map(|reset| reset.floor)
            .ok();
        *place = message.id;
        return reset(screen, floor.as_deref());
    }
    if let Some(id) = message.id {
        *place = Some(id);
    }
    match serde_json::from_str::<Event>(&message.data) {
        Ok(event) if args.which.fits(&event) => show(screen, &event),
        Ok(_) => Ok(()),
        Err(error) => {
            remark(
                screen,
                &format!("an event is not understood and left out: {error}"),
            );
            Ok(())
        }
    }
}

/// Events were missed for good.
fn reset(screen: &mut Screen, floor: Option<&str>) -> Result<(), Failure> {
    if screen.json {
        return screen.answer_line("events.reset", &[("data", json!({ "floor": floor }))]);
    }
    remark(
        screen,
        "events were missed: they are gone from the log; this goes on from now",
    );
    Ok(())
}

fn show(screen: &mut Screen, event: &Event) -> Result<(), Failure> {
    if screen.json {
        return screen.answer_line("event", &[("data", json!(event))]);
    }
    if screen.quiet {
        return screen.line(&clean(&event.cursor));
    }
    line(screen, event, "")
}

fn remark(screen: &mut Screen, text: &str) {
    if !screen.quiet {
        let text = screen.paint.on(Tone::Faint, &format!("– {text} –"));
        screen.remark(&text);
    }
}
