//! Looks at every byte that matters, and tells all that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::model::{Cursor, Event, Subject};
use crate::store::redb::Snapshot;
use crate::store::{Key, StoreError, key_text};

/// As many findings as are told one by one.
const MAX_FINDINGS: usize = 1000;

/// What a check saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub file_bytes: u64,
    pub schema: u32,
    pub objects: u64,
    /// Deleted objects whose version is remembered.
    pub deleted: u64,
    pub events: u64,
    pub cursor: Cursor,
    pub floor: Cursor,
    /// What is wrong, in a person's words; empty when nothing is.
    pub findings: Vec<String>,
    /// How many findings there were beside those.
    pub more_findings: u64,
}

impl CheckReport {
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, what: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(what);
        } else {
            self.more_findings += 1;
        }
    }
}

/// Checks every checksum, decodes every object and event, and recomputes what is derived from them. The file is
/// not changed. Damage is a finding; an error is what kept the check from looking.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    match look(path, &mut report) {
        Err(StoreError::Damaged { what, .. }) => report.find(what),
        other => other?,
    }
    Ok(report)
}

fn look(path: &Path, report: &mut CheckReport) -> Result<(), StoreError> {
    let store = Snapshot::open_as_it_is(path)?;
    report.file_bytes = store.file_bytes()?;
    report.schema = store.meta.schema;
    report.cursor = Cursor::from_raw(store.meta.cursor);
    report.floor = Cursor::from_raw(store.meta.floor);
    match store.pages_are_sound() {
        Ok(true) => {}
        Ok(false) => report.find("the checksums of its pages do not agree with them".into()),
        Err(StoreError::Damaged { what, .. }) => report.find(what),
        Err(other) => return Err(other),
    }
    let versions = objects(&store, report)?;
    events(&store, report, &versions)
}

/// Counts objects, and remembers the version of each.
fn objects(store: &Snapshot, report: &mut CheckReport) -> Result<BTreeMap<Key, u64>, StoreError> {
    let mut versions = BTreeMap::new();
    store.each_record(|record| {
        let (key, record) = match record {
            Ok(found) => found,
            Err(what) => {
                report.find(what);
                return Ok(());
            }
        };
        if record.version == 0 {
            report.find(format!("{}: it has version 0", key_text(&key)));
        }
        match record.object {
            Some(_) => report.objects += 1,
            None => report.deleted += 1,
        }
        versions.insert(key, record.version);
        Ok(())
    })?;
    Ok(versions)
}

fn events(
    store: &Snapshot,
    report: &mut CheckReport,
    versions: &BTreeMap<Key, u64>,
) -> Result<(), StoreError> {
    let mut last = Cursor::START;
    let mut told: BTreeMap<Subject, u64> = BTreeMap::new();
    let mut rows = 0;
    store.each_event(|event| {
        report.events += 1;
        let event = match event {
            Ok(event) => event,
            Err(what) => {
                report.find(what);
                return Ok(());
            }
        };
        if event.cursor <= last || event.cursor > report.cursor {
            report.find(format!("event {}: it is out of order", event.cursor));
        }
        last = event.cursor;
        if let Some(what) = version_fault(&event, &told, versions) {
            report.find(what);
        }
        told.insert(event.subject.clone(), event.subject_version);
        if !store.is_in_journal(&event) {
            rows += 1 + u64::from(event.audit);
            if !store.has_subject_rows(&event)? {
                report.find(format!(
                    "event {}: the index of subjects lacks it",
                    event.cursor
                ));
            }
        }
        Ok(())
    })?;
    if report.events != store.meta.events {
        let (found, told) = (report.events, store.meta.events);
        report.find(format!("there are {found} events, and {told} were counted"));
    }
    let indexed = store.subject_rows()?;
    if indexed != rows {
        report.find(format!(
            "the index of subjects has {indexed} rows, and {rows} are due"
        ));
    }
    Ok(())
}

/// An event's version may not lie before that of an earlier event of its subject, nor after the subject's own.
/// (The id of a machine, conflict or workflow begins anew when it is deleted, so there only the second is asked.)
fn version_fault(
    event: &Event,
    told: &BTreeMap<Subject, u64>,
    versions: &BTreeMap<Key, u64>,
) -> Option<String> {
    let key = match &event.subject {
        Subject::Machine(id) => Key::Machine(*id),
        Subject::Setting(key) => Key::Setting(key.clone()),
        Subject::Conflict(id) => Key::Conflict(*id),
        Subject::Network(link) => Key::Network(link.clone()),
        Subject::Template(name) => Key::Template(name.clone()),
        Subject::Workflow(id) => Key::Workflow(*id),
        Subject::Appliance => return None,
    };
    let version = event.subject_version;
    let place = event.cursor;
    let kept = matches!(key, Key::Setting(_) | Key::Network(_) | Key::Template(_));
    if kept
        && told
            .get(&event.subject)
            .is_some_and(|before| *before > version)
    {
        return Some(format!(
            "event {place}: version {version} comes after a higher one"
        ));
    }
    let now = *versions.get(&key)?;
    (version > now).then(|| {
        format!(
            "event {place}: it tells of version {version} of {}, which stands at {now}",
            key_text(&key)
        )
    })
}
