//! A tar archive as the agent unpacks it: sorted by name, all of root's, without times, so that the same files make the same bytes.

use std::fs;
use std::io::Write;
use std::path::Path;

use tar::{Builder, HeaderMode};

use super::Outcome;

/// Everything below `stage`, but for the folders themselves: they come with what is in them.
pub(crate) fn write(stage: &Path, out: impl Write) -> Outcome {
    let mut tar = Builder::new(out);
    tar.mode(HeaderMode::Deterministic);
    tar.follow_symlinks(false);
    add(&mut tar, stage, Path::new(""))?;
    Ok(tar.into_inner()?.flush()?)
}

fn add(tar: &mut Builder<impl Write>, stage: &Path, folder: &Path) -> Outcome {
    let mut names = Vec::new();
    for item in fs::read_dir(stage.join(folder))? {
        names.push(item?.file_name());
    }
    names.sort();
    for name in names {
        let path = folder.join(name);
        let own = stage.join(&path);
        if own.symlink_metadata()?.is_dir() {
            add(tar, stage, &path)?;
        } else {
            tar.append_path_with_name(own, path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn archive(names: [&str; 2]) -> Vec<u8> {
        let stage = tempfile::tempdir().unwrap();
        fs::create_dir(stage.path().join("sbin")).unwrap();
        for name in names {
            fs::write(stage.path().join("sbin").join(name), "x").unwrap();
        }
        symlink("a", stage.path().join("sbin/c")).unwrap();
        let mut out = Vec::new();
        write(stage.path(), &mut out).unwrap();
        out
    }

    #[test]
    fn is_the_same_whenever_its_files_were_made() {
        assert_eq!(archive(["a", "b"]), archive(["b", "a"]));
    }

    #[test]
    fn holds_files_and_links_by_their_whole_names() {
        let bytes = archive(["a", "b"]);
        let mut tar = tar::Archive::new(&*bytes);
        let names: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["sbin/a", "sbin/b", "sbin/c"]);
    }
}
