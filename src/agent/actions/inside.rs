//! Paths inside the system on the disk, as that system would see them.
//!
//! Its links may be absolute, and may lead anywhere: followed by our own kernel they would leave the disk and come out
//! in the boot environment. So each step is taken here, and what climbs out of the root stays in it.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

/// Links that are followed in one path.
const LINKS: usize = 40;

/// Where the path leads to under the root. Its last part need not be there.
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut left: Vec<PathBuf> = parts(path);
    let mut at: Vec<PathBuf> = Vec::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        let here = at
            .iter()
            .fold(root.to_owned(), |place, part| place.join(part))
            .join(&part);
        match fs::read_link(&here) {
            Ok(to) => {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::other(format!(
                        "{} has too many links",
                        path.display()
                    )));
                }
                if to.is_absolute() {
                    at.clear();
                }
                left.extend(parts(&to));
            }
            Err(_) => at.push(part),
        }
    }
    Ok(at
        .iter()
        .fold(root.to_owned(), |place, part| place.join(part)))
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    let mut parts: Vec<PathBuf> = parts.collect();
    parts.reverse();
    parts
}

/// Makes the folder and those above it that are not there.
pub(super) fn make_folder(root: &Path, path: &Path, mode: u32) -> io::Result<PathBuf> {
    let place = resolve(root, path)?;
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(&place)?;
    Ok(place)
}

/// Writes a file whole or not at all: under another name first, on the disk before it gets its own.
pub(super) fn write(
    root: &Path,
    path: &Path,
    bytes: &[u8],
    mode: u32,
    folders: u32,
) -> io::Result<PathBuf> {
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other(format!(
            "{} is no path of a file",
            path.display()
        )));
    };
    make_folder(root, parent, folders)?;
    let place = resolve(root, path)?;
    let name = place
        .file_name()
        .ok_or_else(|| io::Error::other("the root is no file"))?;
    let mut beside = name.to_owned();
    beside.push(".dragonfly");
    let beside = place.with_file_name(beside);
    let _ = fs::remove_file(&beside);
    let flags = OFlag::O_NOFOLLOW.bits();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(flags)
        .open(&beside)?;
    file.write_all(bytes)?;
    // The mode that was asked for, whatever the mask says.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&beside, &place)?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use test_case::test_case;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/etc")).unwrap();
        symlink("/usr/etc", root.path().join("etc")).unwrap();
        symlink("../../../../../../run/x", root.path().join("usr/etc/out")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        root
    }

    #[test_case("/a/b", "a/b"; "plain")]
    #[test_case("etc/hostname", "usr/etc/hostname"; "by an absolute link")]
    #[test_case("/etc/out", "run/x"; "a link that climbs out")]
    #[test_case("../../../../etc/shadow", "usr/etc/shadow"; "a path that climbs out")]
    #[test_case("/", ""; "the root")]
    fn a_path_stays_inside(path: &str, place: &str) {
        let root = root();
        assert_eq!(
            resolve(root.path(), Path::new(path)).unwrap(),
            root.path().join(place)
        );
    }

    #[test]
    fn a_link_to_itself_ends() {
        assert!(resolve(root().path(), Path::new("loop/x")).is_err());
    }

    #[test]
    fn a_file_is_written_whole_with_its_mode_and_again() {
        let root = root();
        for content in ["one", "another"] {
            let place = write(
                root.path(),
                Path::new("/etc/deep/er/file"),
                content.as_bytes(),
                0o666,
                0o750,
            )
            .unwrap();
            assert_eq!(place, root.path().join("usr/etc/deep/er/file"));
            assert_eq!(fs::read_to_string(&place).unwrap(), content);
            assert_eq!(
                fs::metadata(&place).unwrap().permissions().mode() & 0o777,
                0o666
            );
        }
        let left = fs::read_dir(root.path().join("usr/etc/deep/er"))
            .unwrap()
            .count();
        assert_eq!(left, 1);
    }

    #[test_case("/")]
    #[test_case("..")]
    fn what_is_no_file_is_not_written(path: &str) {
        assert!(write(root().path(), Path::new(path), b"", 0o600, 0o700).is_err());
    }
}
