//! The folder that an archive is made of, and the lists that say what goes into it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Outcome;

/// Folders that the agent mounts something on, or writes into.
const FOLDERS: [&str; 9] = [
    "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr",
];
/// As in Debian, everything lives below `usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// An empty root.
pub(crate) fn skeleton(stage: &Path) -> Outcome {
    for folder in FOLDERS {
        fs::create_dir_all(stage.join(folder))?;
    }
    for name in MERGED {
        let own = Path::new("usr").join(name);
        fs::create_dir_all(stage.join(&own))?;
        symlink(own, stage.join(name))?;
    }
    Ok(())
}

/// A list's lines: words before a `#`, without empty lines.
pub(crate) fn list(path: &Path) -> Outcome<Vec<Vec<String>>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(lines(&text))
}

fn lines(text: &str) -> Vec<Vec<String>> {
    let words = |line: &str| {
        let before = line.split('#').next().unwrap_or_default();
        before.split_whitespace().map(str::to_owned).collect()
    };
    let mut lines: Vec<Vec<String>> = text.lines().map(words).collect();
    lines.retain(|words| !words.is_empty());
    lines
}

/// Copies `path`, which is relative, from one root into the other: a link as a link. Says whether it was not there yet.
pub(crate) fn copy(root: &Path, path: &Path, stage: &Path) -> Outcome<bool> {
    let (from, to) = (root.join(path), stage.join(path));
    if to.symlink_metadata().is_ok() {
        return Ok(false);
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let told = |error| format!("{}: {error}", from.display());
    match fs::read_link(&from) {
        Ok(target) => symlink(target, &to)?,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            fs::copy(&from, &to).map_err(told)?;
        }
        Err(error) => return Err(told(error).into()),
    }
    Ok(true)
}

/// Copies what `path` is, and what it points to, link by link. Gives the file at the end, relative to the root.
pub(crate) fn copy_with_target(
    root: &Path,
    path: &Path,
    stage: &Path,
) -> Outcome<std::path::PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        copy(root, &path, stage)?;
        let Ok(target) = fs::read_link(root.join(&path)) else {
            return Ok(path);
        };
        path = beside(&path, &target);
    }
    Err(format!("{}: links that lead nowhere", path.display()).into())
}

/// Where a link at `path` leads inside its root, with `..` resolved as text: no folder on the way is a link.
fn beside(path: &Path, target: &Path) -> std::path::PathBuf {
    use std::path::{Component, PathBuf};
    let mut found: PathBuf = match target.strip_prefix("/") {
        Ok(_) => PathBuf::new(),
        Err(_) => path.parent().unwrap_or(Path::new("")).to_owned(),
    };
    for part in target.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            Component::Normal(name) => found.push(name),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_words_before_a_reason() {
        let text = "# head\n\nkmod  modprobe lsmod  # loads modules\nlibc6 - # all\n";
        assert_eq!(
            lines(text),
            [vec!["kmod", "modprobe", "lsmod"], vec!["libc6", "-"]]
        );
    }

    #[test]
    fn a_link_is_followed_inside_its_root() {
        let path = Path::new("usr/sbin/mkfs.ext4");
        for (target, found) in [
            ("mke2fs", "usr/sbin/mke2fs"),
            ("../lib/x", "usr/lib/x"),
            ("/usr/lib/x", "usr/lib/x"),
            ("./a/../b", "usr/sbin/b"),
        ] {
            assert_eq!(beside(path, Path::new(target)), Path::new(found));
        }
    }

    #[test]
    fn a_link_comes_with_what_it_points_to() {
        let (root, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        fs::write(root.path().join("usr/lib/libx.so.1.2"), "x").unwrap();
        symlink("libx.so.1.2", root.path().join("usr/lib/libx.so.1")).unwrap();
        let end = copy_with_target(root.path(), Path::new("usr/lib/libx.so.1"), stage.path());
        assert_eq!(end.unwrap(), Path::new("usr/lib/libx.so.1.2"));
        let copied = fs::read(stage.path().join("usr/lib/libx.so.1")).unwrap();
        assert_eq!(copied, b"x");
    }
}
