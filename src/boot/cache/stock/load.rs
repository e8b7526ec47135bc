//! Reads the folder at the start, and believes nothing that is not whole: a record that cannot be read is told of and
//! left alone, a file whose length is not the one in its record is taken away, and so are those that nothing speaks of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::record::{self, Key, Partial, Record};
use super::{Blob, Shown, State};
use crate::model::Digest;

pub const BLOBS: &str = "blobs/sha256";
pub const INDEX: &str = "index";
pub const REGISTRY: &str = "registry";
pub const TAGS: &str = "tags";
pub const PARTIAL: &str = "partial";

pub fn load(folder: &Path) -> io::Result<State> {
    for name in [BLOBS, INDEX, REGISTRY, TAGS, PARTIAL] {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder.join(name))?;
    }
    let mut records = read_records(&folder.join(INDEX), |stem| {
        stem.parse().ok().map(Key::Image)
    })?;
    let of_registry = |stem: &str| stem.parse().ok().map(Key::Registry);
    records.extend(read_records(&folder.join(REGISTRY), of_registry)?);
    let blobs = read_blobs(&folder.join(BLOBS), &records)?;
    clear_partials(&folder.join(PARTIAL))?;
    Ok(State {
        records,
        blobs,
        ..State::default()
    })
}

fn read_records(
    folder: &Path,
    key: impl Fn(&str) -> Option<Key>,
) -> io::Result<BTreeMap<Key, Shown>> {
    let mut records = BTreeMap::new();
    for (path, name) in files(folder)? {
        let Some(stem) = name.strip_suffix(".json") else {
            // The power went while it was written.
            let _ = fs::remove_file(&path);
            continue;
        };
        let read = key(stem)
            .ok_or_else(|| "its name is no name of an image".to_owned())
            .and_then(|key| Ok((key, record::read_record(&path)?)));
        match read {
            Ok((key, record)) => {
                let trouble = None;
                records.insert(key, Shown { record, trouble });
            }
            Err(why) => tracing::warn!(file = %path.display(), why, "record of an image left out"),
        }
    }
    Ok(records)
}

/// The files that some record speaks of, and that have the length that it tells.
fn read_blobs(
    folder: &Path,
    records: &BTreeMap<Key, Shown>,
) -> io::Result<BTreeMap<Digest, Arc<Blob>>> {
    let told: BTreeSet<(&Digest, u64)> = records
        .values()
        .filter_map(|s| content(&s.record))
        .collect();
    let mut blobs = BTreeMap::new();
    for (path, name) in files(folder)? {
        let bytes = fs::symlink_metadata(&path)?.len();
        match name.parse::<Digest>() {
            Ok(digest) if told.contains(&(&digest, bytes)) => {
                let blob = Blob {
                    digest: digest.clone(),
                    bytes,
                    path,
                };
                blobs.insert(digest, Arc::new(blob));
            }
            _ => {
                tracing::info!(file = %path.display(), "image that nothing speaks of removed");
                record::remove(&path)?;
            }
        }
    }
    Ok(blobs)
}

fn content(record: &Record) -> Option<(&Digest, u64)> {
    record.digest.as_ref().zip(record.bytes)
}

/// What goes on later needs its state beside it; the rest is half of something.
fn clear_partials(folder: &Path) -> io::Result<()> {
    let all = files(folder)?;
    let whole = |path: &Path| record::read::<Partial>(&path.with_extension("json")).is_ok();
    for (path, _) in &all {
        if !whole(path) || !path.with_extension("").exists() {
            record::remove(path)?;
        }
    }
    Ok(())
}

/// The files of a folder with their names, sorted; what is no regular file is not ours.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let (true, Ok(name)) = (
            entry.file_type()?.is_file(),
            entry.file_name().into_string(),
        ) {
            found.push((entry.path(), name));
        }
    }
    found.sort();
    Ok(found)
}
