//! What stands in the journal and in the tables: keys, values with their checksums, and operations.
//!
//! A value is its checksum and JSON: `{"version":7,"object":{…}}`, `{"version":8,"gone":3}` for a deleted
//! object whose version is remembered, or an event as the API shows it. The checksum covers the key, so that a
//! value cannot pass for another's.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::crc::crc;
use crate::model::{ConflictId, Event, LinkName, MachineId, WorkflowId};
use crate::store::plan::{Outcome, Planned, Write};
use crate::store::read_model::SubjectKey;
use crate::store::{Key, Object};

/// The key of an object: a letter for its kind, then its id. A lease's is the name of its link and four octets.
pub(super) fn key_bytes(key: &Key) -> Vec<u8> {
    let (kind, id) = match key {
        Key::Machine(id) => (b'm', &id.0.as_bytes()[..]),
        Key::Conflict(id) => (b'c', &id.0.as_bytes()[..]),
        Key::Workflow(id) => (b'w', &id.0.as_bytes()[..]),
        Key::Setting(key) => (b's', key.as_str().as_bytes()),
        Key::Answer(scope) => (b'a', scope.as_bytes()),
        Key::Network(link) => (b'n', link.as_str().as_bytes()),
        Key::Template(name) => (b't', name.as_str().as_bytes()),
        Key::Lease(link, address) => {
            return [&b"l"[..], link.as_str().as_bytes(), &address.octets()].concat();
        }
    };
    let mut bytes = Vec::with_capacity(1 + id.len());
    bytes.push(kind);
    bytes.extend_from_slice(id);
    bytes
}

pub(super) fn parse_key(bytes: &[u8]) -> Result<Key, String> {
    let (kind, id) = bytes.split_first().ok_or("it has no kind")?;
    let uuid = || Uuid::from_slice(id).map_err(|error| error.to_string());
    let text = || std::str::from_utf8(id).map_err(|error| error.to_string());
    Ok(match kind {
        b'm' => Key::Machine(MachineId(uuid()?)),
        b'c' => Key::Conflict(ConflictId(uuid()?)),
        b'w' => Key::Workflow(WorkflowId(uuid()?)),
        b's' => Key::Setting(
            text()?
                .parse()
                .map_err(|e: crate::model::FieldError| e.reason)?,
        ),
        b'a' => Key::Answer(text()?.into()),
        b'n' => Key::Network(link(id)?),
        b't' => Key::Template(
            text()?
                .parse()
                .map_err(|e: crate::model::FieldError| e.reason)?,
        ),
        b'l' => {
            let (name, address) = id.split_last_chunk::<4>().ok_or("it has no address")?;
            Key::Lease(link(name)?, Ipv4Addr::from(*address))
        }
        other => return Err(format!("kind {other} is unknown")),
    })
}

fn link(name: &[u8]) -> Result<LinkName, String> {
    let text = std::str::from_utf8(name).map_err(|error| error.to_string())?;
    text.parse()
        .map_err(|error: crate::model::FieldError| error.reason)
}

/// An object as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Record {
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// The number of the deletion, when there is no object any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u64>,
}

pub(super) fn seal(key: &[u8], json: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + json.len());
    value.extend_from_slice(&crc(&[key, json]).to_le_bytes());
    value.extend_from_slice(json);
    value
}

/// The JSON of a value, when its checksum is right.
pub(super) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], String> {
    match value.split_first_chunk::<4>() {
        Some((sum, json)) if u32::from_le_bytes(*sum) == crc(&[key, json]) => Ok(json),
        _ => Err("its checksum is wrong".into()),
    }
}

pub(super) fn parse_record(key: &[u8], value: &[u8]) -> Result<(Key, Record), String> {
    let json = unseal(key, value)?;
    let name = parse_key(key)?;
    let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match (&record.object, record.gone) {
        (Some(object), None) if object.key() == name => Ok((name, record)),
        (None, Some(_)) => Ok((name, record)),
        (Some(_), None) => Err("it holds another object than its key says".into()),
        _ => Err("it is neither an object nor a deletion".into()),
    }
}

pub(super) fn parse_event(cursor: u64, value: &[u8]) -> Result<Event, String> {
    let json = unseal(&cursor.to_be_bytes(), value)?;
    let event: Event = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if event.cursor.raw() == cursor {
        Ok(event)
    } else {
        Err("it is another event than its key says".into())
    }
}

/// One row of the table of subjects: subject, then the event's place.
pub(super) fn subject_row(subject: SubjectKey, cursor: u64) -> [u8; 25] {
    let mut row = [0; 25];
    row[..17].copy_from_slice(&subject.0);
    row[17..].copy_from_slice(&cursor.to_be_bytes());
    row
}

/// The subject under which all events of the audit log are found.
pub(super) const AUDIT: SubjectKey = SubjectKey([0; 17]);

/// One step of a journal record. All values are sealed already, so a checkpoint copies bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Remove {
        key: &'a [u8],
    },
    Tell {
        cursor: u64,
        subject: SubjectKey,
        audit: bool,
        value: &'a [u8],
    },
}

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const TELL: u8 = 3;

impl Op<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        fn block(out: &mut Vec<u8>, bytes: &[u8]) {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(bytes);
        }
        match self {
            Self::Put { key, value } => {
                out.push(PUT);
                block(out, key);
                block(out, value);
            }
            Self::Remove { key } => {
                out.push(REMOVE);
                block(out, key);
            }
            Self::Tell {
                cursor,
                subject,
                audit,
                value,
            } => {
                out.push(TELL);
                out.extend_from_slice(&cursor.to_le_bytes());
                out.extend_from_slice(&subject.0);
                out.push(u8::from(*audit));
                block(out, value);
            }
        }
    }
}

/// Appends a planned commit to a journal record.
pub(super) fn encode_commit(planned: &Planned, out: &mut Vec<u8>) {
    for Write {
        key,
        version,
        outcome,
    } in &planned.writes
    {
        let key = key_bytes(key);
        let json = match outcome {
            Outcome::Put { json, .. } => {
                let mut record = format!("{{\"version\":{version},\"object\":").into_bytes();
                record.extend_from_slice(json);
                record.push(b'}');
                record
            }
            Outcome::Gone { order } => format!("{{\"version\":{version},\"gone\":{order}}}").into(),
            Outcome::Forgotten => {
                Op::Remove { key: &key }.encode(out);
                continue;
            }
        };
        let value = &seal(&key, &json);
        Op::Put { key: &key, value }.encode(out);
    }
    for (event, json) in &planned.events {
        let cursor = event.cursor.raw();
        let op = Op::Tell {
            cursor,
            subject: SubjectKey::from(&event.subject),
            audit: event.audit,
            value: &seal(&cursor.to_be_bytes(), json),
        };
        op.encode(out);
    }
}

/// The steps of a journal record.
pub(super) fn ops(mut bytes: &[u8]) -> Result<Vec<Op<'_>>, String> {
    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
        let (head, tail) = bytes.split_at_checked(len).ok_or("it ends inside a step")?;
        *bytes = tail;
        Ok(head)
    }
    fn block<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
        let mut len = [0; 4];
        len.copy_from_slice(take(bytes, 4)?);
        take(bytes, u32::from_le_bytes(len) as usize)
    }
    let mut ops = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        ops.push(match *tag {
            PUT => Op::Put {
                key: block(&mut bytes)?,
                value: block(&mut bytes)?,
            },
            REMOVE => Op::Remove {
                key: block(&mut bytes)?,
            },
            TELL => {
                let (mut cursor, mut subject) = ([0; 8], [0; 17]);
                cursor.copy_from_slice(take(&mut bytes, 8)?);
                subject.copy_from_slice(take(&mut bytes, 17)?);
                let audit = take(&mut bytes, 1)? == [1];
                let value = block(&mut bytes)?;
                Op::Tell {
                    cursor: u64::from_le_bytes(cursor),
                    subject: SubjectKey(subject),
                    audit,
                    value,
                }
            }
            other => return Err(format!("step {other} is unknown")),
        });
    }
    Ok(ops)
}

/// What a journal record means to the read model.
pub(super) fn decode_commit(bytes: &[u8]) -> Result<Planned, String> {
    let mut planned = Planned::default();
    for op in ops(bytes)? {
        match op {
            Op::Put { key, value } => {
                let (name, record) = parse_record(key, value)?;
                let outcome = match (record.object, record.gone) {
                    (Some(object), _) => Outcome::Put {
                        object,
                        json: value[4..].to_vec(),
                    },
                    (None, order) => Outcome::Gone {
                        order: order.unwrap_or_default(),
                    },
                };
                planned.writes.push(Write {
                    key: name,
                    version: record.version,
                    outcome,
                });
            }
            Op::Remove { key } => planned.writes.push(Write {
                key: parse_key(key)?,
                version: 0,
                outcome: Outcome::Forgotten,
            }),
            Op::Tell { cursor, value, .. } => {
                let event = parse_event(cursor, value)?;
                planned.events.push((event.into(), Vec::new()));
            }
        }
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Subject;
    use crate::store::plan::{Batch, Draft};
    use crate::store::read_model::ReadModel;
    use crate::store::read_model::tests::{event, machine, put};

    fn encoded() -> Vec<u8> {
        let model = ReadModel::whole();
        let mut commit = put(&machine(1));
        commit
            .events
            .push(event(Subject::Machine(machine(1).id), 5, true));
        let state = model.read();
        let planned = Batch::new(&state)
            .plan(&state, Draft::new(commit).unwrap(), usize::MAX)
            .unwrap();
        let mut bytes = Vec::new();
        encode_commit(&planned, &mut bytes);
        bytes
    }

    #[test]
    fn a_commit_is_read_as_it_was_written() {
        let planned = decode_commit(&encoded()).unwrap();
        let Outcome::Put { object, .. } = &planned.writes[0].outcome else {
            panic!("no object");
        };
        assert_eq!(object, &Object::Machine(machine(1).into()));
        assert_eq!(planned.events[0].0.subject_version, 1);
    }

    #[test]
    fn a_record_cut_anywhere_inside_a_step_is_no_record() {
        let bytes = encoded();
        let whole = ops(&bytes).unwrap().len();
        for end in 1..bytes.len() {
            let steps = ops(&bytes[..end]).map(|steps| steps.len());
            assert!(steps.is_err() || steps.unwrap() < whole, "cut at {end}");
        }
    }

    #[test]
    fn a_value_under_another_key_is_refused() {
        let value = seal(b"s1", b"{}");
        assert_eq!(unseal(b"s1", &value), Ok(&b"{}"[..]));
        assert!(unseal(b"s2", &value).is_err());
        assert!(unseal(b"s1", &value[..5]).is_err());
    }
}
