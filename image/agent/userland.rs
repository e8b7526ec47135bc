//! Programs and the libraries that they need, out of unpacked packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, elf, stage};

/// Copies what the list names, and what that needs to start.
pub(crate) fn stage(root: &Path, list: &[Vec<String>], stage: &Path) -> Outcome {
    let libraries = libraries(root)?;
    let mut places = vec![PathBuf::from("usr/bin"), PathBuf::from("usr/sbin")];
    places.extend(libraries.iter().cloned());
    let mut waiting = BTreeSet::new();
    for line in list {
        let [package, files @ ..] = &line[..] else {
            continue;
        };
        for file in files.iter().filter(|file| *file != "-") {
            let found = find(root, &places, file);
            waiting.insert(found.ok_or_else(|| format!("{package} holds no {file}"))?);
        }
    }
    let mut done = BTreeSet::new();
    while let Some(path) = waiting.pop_first() {
        let end = stage::copy_with_target(root, &path, stage)?;
        done.insert(path);
        let Some(needs) = elf::needs(&fs::read(root.join(&end))?) else {
            continue;
        };
        let loader = needs.loader.map(|loader| merged(&loader));
        let lacks = |name| format!("{} needs {name}, and no package has it", end.display());
        for name in &needs.libraries {
            waiting.insert(find(root, &libraries, name).ok_or_else(|| lacks(name))?);
        }
        waiting.extend(loader);
        waiting.retain(|path| !done.contains(path));
    }
    Ok(())
}

/// Where the packages keep their libraries: `usr/lib`, its folder per architecture, and the loader's own.
fn libraries(root: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from("usr/lib"), PathBuf::from("usr/lib64")];
    for item in fs::read_dir(root.join("usr/lib"))? {
        let name = item?.file_name();
        if name.to_string_lossy().ends_with("-linux-gnu") {
            found.push(Path::new("usr/lib").join(name));
        }
    }
    Ok(found)
}

fn find(root: &Path, places: &[PathBuf], file: &str) -> Option<PathBuf> {
    let there = |path: &PathBuf| root.join(path).symlink_metadata().is_ok();
    if let Some(whole) = file.strip_prefix('/') {
        return Some(PathBuf::from(whole)).filter(there);
    }
    places.iter().map(|place| place.join(file)).find(there)
}

/// `/lib64/ld-linux-x86-64.so.2` lies in `usr/lib64`.
fn merged(path: &str) -> PathBuf {
    let inside = path.trim_start_matches('/');
    if inside.starts_with("usr/") {
        return inside.into();
    }
    Path::new("usr").join(inside)
}
