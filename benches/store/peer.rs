//! SQLite as somebody would use it who knows it: the same answers, the same durability.

use std::path::{Path, PathBuf};

use dragonfly::model::{Machine, MachineId, Subject};
use dragonfly::store::contract::samples::{event, mac, machine_id, server};
use rusqlite::{Connection, Row, params};

use super::Result;

/// As much page cache as the store under test has for bodies.
const CACHE_KIB: u32 = 256 * 1024;

const SCHEMA: &str = "
    CREATE TABLE machines(id BLOB PRIMARY KEY, version INTEGER, identity BLOB, body BLOB);
    CREATE INDEX by_identity ON machines(identity);
    CREATE TABLE macs(mac BLOB PRIMARY KEY, id BLOB) WITHOUT ROWID;
    CREATE TABLE tags(tag TEXT, id BLOB, PRIMARY KEY(tag, id)) WITHOUT ROWID;
    CREATE TABLE events(cursor INTEGER PRIMARY KEY, subject BLOB, body BLOB);
    CREATE INDEX by_subject ON events(subject, cursor);
";

pub struct PeerFile {
    path: PathBuf,
    identities: Vec<[u8; 32]>,
}

pub struct Peer {
    connection: Connection,
    identities: Vec<[u8; 32]>,
}

impl PeerFile {
    pub fn seed(path: &Path, machines: u32) -> Result<Self> {
        let identity = |number| {
            server(number, 0)
                .identity
                .identity_hash
                .map(|hash| *hash.bytes())
        };
        let file = Self {
            path: path.into(),
            identities: (0..machines).filter_map(identity).collect(),
        };
        let mut connection = open(path)?;
        connection.execute_batch(SCHEMA)?;
        for first in (0..machines).step_by(5000) {
            let some = connection.transaction()?;
            for number in first..(first + 5000).min(machines) {
                insert(&some, &server(number, 0))?;
            }
            some.commit()?;
        }
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(file)
    }

    pub fn connect(&self) -> Result<Peer> {
        Ok(Peer {
            connection: open(&self.path)?,
            identities: self.identities.clone(),
        })
    }

    /// With its write-ahead log.
    pub fn bytes(&self) -> Result<u64> {
        let log = self.path.with_extension("sqlite-wal");
        Ok(
            std::fs::metadata(&self.path)?.len()
                + std::fs::metadata(log).map_or(0, |log| log.len()),
        )
    }
}

fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE_KIB}; PRAGMA busy_timeout=30000;"
    ))?;
    Ok(connection)
}

fn insert(connection: &Connection, machine: &Machine) -> Result<()> {
    let id = machine.id.0.as_bytes();
    let identity = machine.identity.identity_hash.map(|hash| *hash.bytes());
    let body = serde_json::to_vec(machine)?;
    connection
        .prepare_cached("INSERT INTO machines VALUES(?, 1, ?, ?)")?
        .execute(params![id, identity, body])?;
    for mac in &machine.identity.all_macs {
        connection
            .prepare_cached("INSERT INTO macs VALUES(?, ?)")?
            .execute(params![mac.octets(), id])?;
    }
    for tag in &machine.config.tags {
        connection
            .prepare_cached("INSERT INTO tags VALUES(?, ?)")?
            .execute(params![tag.as_str(), id])?;
    }
    Ok(())
}

/// A machine from the first two columns, decoded.
fn decode(row: &Row<'_>) -> Result<(i64, Machine)> {
    let body = row.get_ref(1)?.as_blob()?;
    Ok((row.get(0)?, serde_json::from_slice(body)?))
}

impl Peer {
    pub fn by_id(&self, number: u32) -> Result<usize> {
        let id = machine_id(number);
        self.one(
            "SELECT version, body FROM machines WHERE id = ?",
            id.0.as_bytes(),
        )
    }

    pub fn by_mac(&self, number: u32) -> Result<usize> {
        let query = "SELECT version, body FROM macs JOIN machines USING (id) WHERE mac = ?";
        self.one(query, &mac(number).octets())
    }

    pub fn by_identity(&self, number: u32) -> Result<usize> {
        let query = "SELECT version, body FROM machines WHERE identity = ?";
        self.one(query, &self.identities[number as usize])
    }

    fn one(&self, query: &str, key: &[u8]) -> Result<usize> {
        let mut query = self.connection.prepare_cached(query)?;
        let mut rows = query.query([key])?;
        let Some(row) = rows.next()? else {
            return Ok(0);
        };
        let (_, machine) = std::hint::black_box(decode(row)?);
        Ok(machine.identity.all_macs.len())
    }

    pub fn tagged(&self, rack: u32, limit: usize) -> Result<usize> {
        let mut query = self.connection.prepare_cached(
            "SELECT version, body FROM tags JOIN machines USING (id) WHERE tag = ? ORDER BY tags.id LIMIT ?",
        )?;
        let mut rows = query.query(params![format!("rack{rack}"), i64::try_from(limit)?])?;
        list(&mut rows)
    }

    pub fn page(&self, after: Option<MachineId>, limit: usize) -> Result<usize> {
        let after = after.map_or([0; 16], |id| *id.0.as_bytes());
        let mut query = self.connection.prepare_cached(
            "SELECT version, body FROM machines WHERE id > ? ORDER BY id LIMIT ?",
        )?;
        let mut rows = query.query(params![after, i64::try_from(limit)?])?;
        list(&mut rows)
    }

    pub fn put(&self, number: u32, revision: u64, told: bool) -> Result<usize> {
        let machine = server(number, revision);
        let body = serde_json::to_vec(&machine)?;
        let id = machine.id.0.as_bytes();
        let run = |text: &str| self.connection.prepare_cached(text)?.execute([]);
        if told {
            run("BEGIN IMMEDIATE")?;
        }
        let done = self
            .connection
            .prepare_cached("UPDATE machines SET version = version + 1, body = ? WHERE id = ?")?
            .execute(params![body, id])?;
        if told {
            let event = event(Subject::Machine(machine.id), revision.cast_signed(), false);
            self.connection
                .prepare_cached("INSERT INTO events(subject, body) VALUES(?, ?)")?
                .execute(params![id, event_json(event)?])?;
            run("COMMIT")?;
        }
        Ok(done)
    }
}

fn list(rows: &mut rusqlite::Rows<'_>) -> Result<usize> {
    let mut machines = Vec::new();
    while let Some(row) = rows.next()? {
        machines.push(decode(row)?);
    }
    Ok(std::hint::black_box(machines).len())
}

/// The same event as the store under test writes, but for the place that SQLite gives it.
fn event_json(new: dragonfly::store::NewEvent) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&dragonfly::model::Event {
        cursor: dragonfly::model::Cursor::START,
        format: dragonfly::model::event::EVENT_FORMAT,
        at: new.at,
        subject: new.subject,
        subject_version: 1,
        what: new.what,
        audit: new.audit,
        actor: new.actor,
        request: new.request,
        correlation: new.correlation,
        causation: new.causation,
    })?)
}
