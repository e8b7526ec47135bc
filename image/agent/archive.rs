//! A cpio archive as the kernel unpacks it ("newc", Documentation/driver-api/early-userspace/buffer-format.rst):
//! sorted by name, all of root's, without times, so that the same files make the same bytes.
//!
//! ```text
//! "070701" ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check | name 0 pad | data pad
//! ```
//! Thirteen numbers of eight hexadecimal digits each; name and data end at a multiple of four.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Outcome;

/// Without the first, the kernel starts init without its three streams; without the second, Rust's runtime gives up.
const NODES: [(&str, Node); 2] = [
    (
        "dev/console",
        Node {
            mode: 0o20600,
            major: 5,
            minor: 1,
        },
    ),
    (
        "dev/null",
        Node {
            mode: 0o20666,
            major: 1,
            minor: 3,
        },
    ),
];

#[derive(Clone, Copy, Debug)]
struct Node {
    mode: u32,
    major: u32,
    minor: u32,
}

#[derive(Debug)]
enum Entry {
    Folder,
    Link(PathBuf),
    /// Where it lies, and whether it is a program.
    File(PathBuf, bool),
    Node(Node),
}

/// Everything below `stage`. Where it has a folder `dev`, the two devices that a program needs are in it.
pub(crate) fn write(stage: &Path, out: &mut impl Write) -> Outcome {
    let mut entries = BTreeMap::new();
    collect(stage, Path::new(""), &mut entries)?;
    if entries.contains_key(Path::new("dev")) {
        entries.extend(NODES.map(|(name, node)| (PathBuf::from(name), Entry::Node(node))));
    }
    for ((path, entry), number) in entries.iter().zip(1..) {
        put(out, number, path, entry)?;
    }
    head(
        out,
        0,
        0,
        0,
        Node {
            mode: 0,
            major: 0,
            minor: 0,
        },
        b"TRAILER!!!",
    )?;
    Ok(out.flush()?)
}

fn collect(stage: &Path, folder: &Path, entries: &mut BTreeMap<PathBuf, Entry>) -> Outcome {
    for item in fs::read_dir(stage.join(folder))? {
        let item = item?;
        let (path, about) = (folder.join(item.file_name()), item.metadata()?);
        let entry = if about.is_dir() {
            collect(stage, &path, entries)?;
            Entry::Folder
        } else if about.is_symlink() {
            Entry::Link(fs::read_link(item.path())?)
        } else {
            Entry::File(item.path(), about.permissions().mode() & 0o100 != 0)
        };
        entries.insert(path, entry);
    }
    Ok(())
}

fn put(out: &mut impl Write, number: u32, path: &Path, entry: &Entry) -> Outcome {
    let name = path.as_os_str().as_bytes();
    let plain = |mode| Node {
        mode,
        major: 0,
        minor: 0,
    };
    match entry {
        Entry::Folder => head(out, number, 2, 0, plain(0o40755), name),
        Entry::Node(node) => head(out, number, 1, 0, *node, name),
        Entry::Link(target) => {
            let target = target.as_os_str().as_bytes();
            head(out, number, 1, target.len(), plain(0o120_777), name)?;
            data(out, target)
        }
        Entry::File(place, program) => {
            let content = fs::read(place)?;
            let mode = if *program { 0o100_755 } else { 0o100_644 };
            head(out, number, 1, content.len(), plain(mode), name)?;
            data(out, &content)
        }
    }
}

fn head(
    out: &mut impl Write,
    number: u32,
    links: u32,
    size: usize,
    node: Node,
    name: &[u8],
) -> Outcome {
    let size = u32::try_from(size).map_err(|_| "a file of 4 GiB does not fit into the archive")?;
    let name_size = u32::try_from(name.len() + 1)?;
    let numbers = [
        number, node.mode, 0, 0, links, 0, size, 0, 0, node.major, node.minor, name_size, 0,
    ];
    write!(out, "070701")?;
    for number in numbers {
        write!(out, "{number:08x}")?;
    }
    out.write_all(name)?;
    out.write_all(b"\0")?;
    Ok(pad(out, 110 + name.len() + 1)?)
}

fn data(out: &mut impl Write, content: &[u8]) -> Outcome {
    out.write_all(content)?;
    Ok(pad(out, content.len())?)
}

fn pad(out: &mut impl Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn archive(stage: &Path) -> Vec<u8> {
        let mut out = Vec::new();
        write(stage, &mut out).unwrap();
        out
    }

    #[test]
    fn holds_names_modes_and_content_in_order() {
        let stage = tempfile::tempdir().unwrap();
        let at = |name: &str| stage.path().join(name);
        fs::write(at("init"), "hello").unwrap();
        fs::set_permissions(at("init"), PermissionsExt::from_mode(0o700)).unwrap();
        fs::create_dir(at("etc")).unwrap();
        fs::write(at("etc/b"), "").unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        let text = String::from_utf8(archive(stage.path())).unwrap();
        let entries: Vec<_> = text.split("070701").skip(1).collect();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    &entry[8..16],
                    entry[104..].trim_matches('\0').replace('\0', " "),
                )
            })
            .map(|(mode, rest)| {
                format!(
                    "{mode} {}",
                    rest.split_whitespace().collect::<Vec<_>>().join(" ")
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "0000a1ff bin usr/bin",
                "000041ed etc",
                "000081a4 etc/b",
                "000081ed init hello",
                "00000000 TRAILER!!!",
            ]
        );
        assert!(entries.iter().all(|entry| (entry.len() + 6) % 4 == 0));
    }

    #[test]
    fn is_the_same_whoever_owns_the_files_and_whenever_they_were_made() {
        let make = |first: &str, second: &str| {
            let stage = tempfile::tempdir().unwrap();
            for name in [first, second] {
                fs::write(stage.path().join(name), "x").unwrap();
            }
            let old = fs::File::open(stage.path().join(first)).unwrap();
            old.set_modified(std::time::UNIX_EPOCH).unwrap();
            archive(stage.path())
        };
        assert_eq!(make("a", "b"), make("b", "a"));
    }

    #[test]
    fn has_the_devices_that_a_program_needs() {
        let stage = tempfile::tempdir().unwrap();
        fs::create_dir(stage.path().join("dev")).unwrap();
        let text = String::from_utf8(archive(stage.path())).unwrap();
        assert!(text.contains("dev/console\0") && text.contains("dev/null\0"));
    }
}
