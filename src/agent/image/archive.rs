//! Unpacking a tar archive into a folder: fetched, checked and unpacked on the way, as an image is.
//!
//! Nothing of it can come to lie outside the folder: every path is resolved by the kernel with the folder as its root
//! (openat2(2), `RESOLVE_IN_ROOT`), links included, and a `..` in an entry's own name ends the unpacking.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;

use super::block::Pool;
use super::decode::Stream;
use super::error::{ImageError, hint};
use super::line::Line;
use super::{Options, Source, fetch, sniff, watched};
use crate::model::agent::Progress;

mod entry;
mod folder;

use folder::Folder;

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Of the source.
    pub fetched: u64,
    pub entries: u64,
    /// The checksum was asked for, and is right.
    pub checked: bool,
}

/// Unpacks an archive into a folder that is there, with owners, modes, times and extended attributes. What is there
/// under the same name is replaced. `progress` is as that of [`super::write_image`].
pub fn unpack(
    source: &Source,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Unpacked, ImageError> {
    watched(progress, |run| {
        let line = Line::new(run, source, options);
        let folder = Folder::open(folder).map_err(|error| failed("the folder", error))?;
        let pool = Pool::new(fetch::BLOCKS);
        let (fetch, first) = line.open(&pool)?;
        let fetched = fetch.length();
        let compression = source.compression;
        let compression = compression.unwrap_or_else(|| sniff::compression(&first));
        run.enter("unpacking", fetched);
        let (entries, sum) = thread::scope(|scope| {
            let (input, sum) = line.start_fetch(scope, fetch, &pool, first);
            let (input, _) = line.start_decode(scope, compression, input, &pool);
            let entries = all(folder, Stream::new(input));
            let entries = entries.unwrap_or_else(|error| line.fail(error).unwrap_or_default());
            let sum = sum.and_then(|sum| sum.join().ok().flatten());
            (entries, sum)
        });
        if !run.is_stopped() {
            line.check(sum.as_ref())?;
        }
        Ok(Unpacked {
            fetched,
            entries,
            checked: source.checksum.is_some(),
        })
    })
}

/// How many entries there are.
fn all(mut folder: Folder, input: Stream) -> Result<u64, ImageError> {
    let mut archive = tar::Archive::new(input);
    let mut count = 0;
    let entries = archive
        .entries()
        .map_err(|error| failed("its beginning", error))?;
    for entry in entries {
        let after = || format!("what follows entry {count}");
        let mut entry = entry.map_err(|error| failed(&after(), error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes())
            .escape_debug()
            .to_string();
        entry::unpack(&mut folder, &mut entry).map_err(|error| match error {
            entry::EntryError::Escapes => ImageError::Escape {
                entry: name.clone(),
            },
            entry::EntryError::Io(error) => failed(&name, error),
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(ImageError::Empty);
    }
    // What pads its end is under the checksum too.
    let mut input = archive.into_inner();
    io::copy(&mut input.by_ref(), &mut io::sink()).map_err(|error| failed("its end", error))?;
    folder.finish().map_err(|error| failed("its end", error))?;
    Ok(count)
}

fn failed(entry: &str, source: io::Error) -> ImageError {
    ImageError::Archive {
        entry: entry.into(),
        hint: hint(&source),
        source,
    }
}

#[cfg(test)]
mod tests;
