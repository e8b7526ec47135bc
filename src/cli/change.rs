//! One thing of the API by its name, and the way of every change to one.

use serde_json::json;

use super::args::Change;
use super::client::{Ask, Client, encode};
use super::failure::Failure;
use super::out::{Screen, receipt};
use crate::api::Receipt;

/// Where the API keeps what has this name. `what` it is, and the command that shows `all`, are for those who gave none.
pub fn path_of(folder: &str, name: &str, what: &str, all: &str) -> Result<String, Failure> {
    if name.trim().is_empty() {
        return Err(Failure::usage(format!("the {what} is empty")).hint(all));
    }
    Ok(format!("{folder}/{}", encode(name)))
}

/// What every change carries: whether it is only tried, what it is built on, and a key under which the
/// daemon does it once, so that it may be sent again.
pub fn carry(mut ask: Ask, change: &Change, screen: &Screen) -> Ask {
    if change.dry_run {
        ask = ask.query("dry_run", "true");
    }
    if let Some(version) = change.if_version {
        ask = ask.header("if-match", format!("\"v{version}\""));
    }
    match &change.idempotency_key {
        Some(key) => ask.header("idempotency-key", key),
        None if change.dry_run => ask,
        None => ask.header("idempotency-key", fresh_key(screen)),
    }
}

/// Sends one change and tells of its receipt in full. `kind` is what programs find the name under.
pub async fn one(
    ask: Ask,
    change: &Change,
    (kind, name): (&str, &str),
    client: &mut Client,
    screen: &mut Screen,
) -> Result<Receipt, Failure> {
    let receipt = client.change(carry(ask, change, screen)).await?;
    tell(screen, (kind, name), &receipt)?;
    Ok(receipt)
}

/// A receipt in full, for people or programs.
pub fn tell(
    screen: &mut Screen,
    (kind, name): (&str, &str),
    receipt: &Receipt,
) -> Result<(), Failure> {
    if screen.json {
        let more = [(kind, json!(name)), ("data", json!(receipt))];
        return screen.answer_line(&receipt.command, &more);
    }
    receipt::show(screen, name, receipt)?;
    receipt::next(screen, receipt)
}

fn fresh_key(screen: &Screen) -> String {
    let now = screen.now();
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
    let moment = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
    format!("cli-{}", uuid::Uuid::new_v7(moment))
}
