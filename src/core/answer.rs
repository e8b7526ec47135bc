//! Idempotency: the same key with the same body gets the same receipt, byte for byte.
//!
//! The answer is kept in the same commit as what it answers, so there is never one without the other. The
//! places of the events are only known after that commit; an answer holds their names, and the places are read
//! from the log when it is given again (what a person did stays in the log for ever).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::{ActorKind, Cursor, FieldError, Subject, What};
use crate::store::{Answer, EventQuery, Key, MAX_PAGE, Object};

use super::Core;
use super::command::{Call, IdempotencyKey};
use super::receipt::{Receipt, Refusal};

/// How long an answer is kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// As many answers as a pass of retention leaves, some 200 MB at most; of more, the oldest go before their time.
pub const MAX_ANSWERS: usize = 100_000;

/// What there is of an answer before the command runs.
pub(super) enum Slot {
    /// Without a key, or as a rehearsal.
    None,
    /// It was answered before.
    Answered(Box<Receipt>),
    /// It will be answered now, over what stands there in this version.
    Open { scope: String, found: u64 },
}

/// Whether the key is one.
pub(super) fn check(key: &IdempotencyKey) -> Result<(), FieldError> {
    let reason = if key.key.is_empty() {
        "it is empty".to_owned()
    } else if key.key.len() > IdempotencyKey::MAX {
        format!(
            "{} bytes are too many, {} is the limit",
            key.key.len(),
            IdempotencyKey::MAX
        )
    } else if !key.key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        "it holds something else than printable ASCII".to_owned()
    } else if key.route.len() > IdempotencyKey::MAX_ROUTE {
        format!(
            "it came with an address of {} bytes, {} is the limit: name the machine by its id",
            key.route.len(),
            IdempotencyKey::MAX_ROUTE
        )
    } else {
        return Ok(());
    };
    let example = "7d1f2f0c-5c2c-4f0e-9a64-0c3b9f1f8d57";
    Err(FieldError::new("Idempotency-Key", reason, example))
}

/// Whether an answer may be dropped.
pub(super) fn expired(answer: &Answer, now: Timestamp) -> bool {
    now.duration_since(answer.at) >= KEPT
}

impl Core {
    pub(super) fn slot(&self, call: &Call) -> Result<Slot, Refusal> {
        let Some(key) = call.idempotency.as_ref().filter(|_| !call.dry_run) else {
            return Ok(Slot::None);
        };
        let scope = scope(call, key);
        let stored = self.store().get(&Key::Answer(scope.clone()))?;
        let Some(stored) = stored else {
            return Ok(Slot::Open { scope, found: 0 });
        };
        let found = stored.version;
        match stored.object {
            Object::Answer(answer) if !expired(&answer, self.clock().now()) => {
                if answer.body_hash != key.body_hash {
                    return Err(Refusal::KeyReused {
                        key: key.key.clone(),
                    });
                }
                match self.recall(&answer)? {
                    Some(receipt) => Ok(Slot::Answered(Box::new(receipt))),
                    // Written by another version of Dragonfly in a way that this one cannot read.
                    None => Err(Refusal::KeyReused {
                        key: key.key.clone(),
                    }),
                }
            }
            _ => Ok(Slot::Open { scope, found }),
        }
    }

    /// The receipt as it was given.
    fn recall(&self, answer: &Answer) -> Result<Option<Receipt>, Refusal> {
        let Ok(mut receipt) = serde_json::from_value::<Receipt>(answer.receipt.clone()) else {
            return Ok(None);
        };
        let expected = receipt.events.len();
        if expected == 0 {
            return Ok(Some(receipt));
        }
        let Some((first, version)) = self.first_event(&receipt, answer.at)? else {
            receipt.events.clear();
            return Ok(Some(receipt));
        };
        receipt.version = version;
        receipt.events[0].0 = first;
        if expected > 1 {
            // One commit's events stand together, and the first is about the subject.
            let rest = self.events(&EventQuery {
                from: Some(first),
                limit: expected - 1,
                ..EventQuery::default()
            })?;
            for (kept, event) in receipt.events[1..].iter_mut().zip(rest.events) {
                kept.0 = event.cursor;
            }
        }
        Ok(Some(receipt))
    }

    /// The first event of the commit that the receipt was given for, and its subject's version.
    fn first_event(
        &self,
        receipt: &Receipt,
        at: Timestamp,
    ) -> Result<Option<(Cursor, u64)>, Refusal> {
        let mut query = EventQuery {
            newest_first: true,
            subject: Some(receipt.subject.clone()),
            limit: MAX_PAGE,
            ..EventQuery::default()
        };
        let mut first = None;
        loop {
            let page = self.events(&query)?;
            for event in &page.events {
                if event.at == at && event.request == receipt.request {
                    first = Some((event.cursor, event.subject_version));
                } else if first.is_some() || event.at < at - KEPT {
                    return Ok(first);
                }
            }
            query.from = page.next;
            if !page.more || page.next.is_none() {
                return Ok(first);
            }
        }
    }
}

/// Actor, route and key in one string that cannot be had from any other three.
fn scope(call: &Call, key: &IdempotencyKey) -> String {
    let kind = match call.actor.kind {
        ActorKind::Person => "person",
        ActorKind::Machine => "machine",
        ActorKind::System => "system",
    };
    let parts = [kind, &call.actor.name, &key.route, &key.key];
    serde_json::Value::from(parts.to_vec()).to_string()
}

/// The answer to keep. The places of its events are not known yet.
pub(super) fn make(
    call: &Call,
    scope: String,
    receipt: &Receipt,
    events: &[(Subject, What)],
    now: Timestamp,
) -> Object {
    let names = events.iter().map(|(_, what)| what.name().to_owned());
    let mut receipt = receipt.clone();
    receipt.events = names.map(|name| (Cursor::START, name)).collect();
    let hash = call.idempotency.as_ref().map(|key| key.body_hash.clone());
    Object::Answer(Arc::new(Answer {
        scope,
        body_hash: hash.unwrap_or_default(),
        at: now,
        // A receipt cannot fail to encode: its maps have text for keys.
        receipt: serde_json::to_value(receipt).unwrap_or_default(),
    }))
}
