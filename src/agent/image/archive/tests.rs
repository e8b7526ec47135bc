use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use test_case::test_case;

use super::super::tests::{digest, packed};
use super::*;
use crate::agent::http::liar::Liar;
use crate::model::digest::DigestKind;

fn room() -> (TempDir, PathBuf, PathBuf) {
    // A file system with extended attributes, which /tmp need not have.
    let home = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
    let (from, to) = (home.path().join("from"), home.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    (home, from, to)
}

fn shell(folder: &Path, line: &str) -> Vec<u8> {
    let done = Command::new("sh")
        .current_dir(folder)
        .args(["-ec", line])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{line}: {said}");
    done.stdout
}

fn into(to: &Path, file: Vec<u8>) -> Result<Unpacked, ImageError> {
    let checksum = digest(&file, DigestKind::Sha256);
    let server = Liar::honest(file);
    let mut source = Source::new(server.url());
    source.checksum = Some(checksum);
    unpack(&source, to, &Options::default(), &mut |_| {
        ControlFlow::Continue(())
    })
}

/// All that is under a folder: names, kinds, modes, owners, links, times, sizes, and sums of the bytes.
fn all_of(folder: &Path) -> String {
    let list = "find . -printf '%p %y %m %U %G %n %l %Ts %s\\n' | sort; find . -type f -exec sha256sum {} + | sort";
    String::from_utf8(shell(folder, list)).unwrap()
}

/// What a system's tree is made of, as far as this user may make it.
const TREE: &str = "
    mkdir -p usr/bin etc/deep/er empty && ln -s usr/bin bin
    echo one >etc/one && ln etc/one usr/bin/other && ln -s ../one etc/deep/link && ln -s /etc/one absolute
    head -c 300000 /dev/urandom >usr/bin/program && chmod 4755 usr/bin/program && chmod 2711 etc/deep
    truncate -s 3M sparse && printf end >>sparse && mkfifo pipe
    : >nothing && chmod 000 nothing
    name=$(printf 'n%.0s' $(seq 150)) && mkdir $name && echo long >$name/$name && ln -s $name/$name longlink
    touch -d @1000000000 etc/one etc/deep && touch -h -d @1000000001 bin && touch -d @1000000002 .
    [ $(id -u) != 0 ] || { mknod null c 1 3 && chown 12:34 etc/one && chown 3000000:5 usr/bin/program && chmod 4755 usr/bin/program; }";

#[test_case("--format=gnu"; "gnu")]
#[test_case("--format=gnu --sparse"; "gnu and sparse")]
#[test_case("--format=pax"; "pax")]
fn a_tree_is_what_it_was_packed_from(options: &str) {
    let (_home, from, to) = room();
    shell(&from, TREE);
    let file = shell(&from, &format!("tar {options} --numeric-owner -cf - ."));
    let unpacked = into(&to, file.clone()).unwrap();
    assert!(unpacked.checked && unpacked.entries > 15, "{unpacked:?}");
    assert_eq!(all_of(&to), all_of(&from));
    let sparse = fs::metadata(to.join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "its holes are holes");
    into(&to, file).unwrap();
    assert_eq!(all_of(&to), all_of(&from), "the second time as the first");
}

#[test_case(&["gzip", "-c"]; "gzip")]
#[test_case(&["bzip2", "-c"]; "bzip2")]
#[test_case(&["xz", "-c", "-0"]; "xz")]
#[test_case(&["zstd", "-c"]; "zstd")]
fn an_archive_is_unpacked_twice_over(tool: &[&str]) {
    let (_home, from, to) = room();
    shell(&from, "seq 100000 >file");
    let Some(file) = packed(&shell(&from, "tar -cf - ."), tool) else {
        return;
    };
    into(&to, file).unwrap();
    assert_eq!(all_of(&to), all_of(&from));
}

#[test]
fn extended_attributes_come_along() {
    let (_home, from, to) = room();
    fs::write(from.join("file"), "x").unwrap();
    let value = b"\x01\0\0\x02\0\x20\0\0";
    let set = |path: &Path| {
        rustix::fs::setxattr(path, "user.test", value, rustix::fs::XattrFlags::empty())
    };
    if set(&from.join("file")).is_err() {
        println!("skipped: no extended attributes here");
        return;
    }
    into(&to, shell(&from, "tar --xattrs -cf - .")).unwrap();
    let mut got = [0; 64];
    let len = rustix::fs::getxattr(to.join("file"), "user.test", &mut got[..]).unwrap();
    assert_eq!(&got[..len], value);
}

#[test]
fn what_is_there_under_the_same_name_is_replaced() {
    let (home, from, to) = room();
    shell(
        &from,
        "mkdir a c && echo new >a/file && echo x >b && ln -s /nowhere d",
    );
    shell(
        &to,
        "mkdir a b && echo old >a/file && echo y >c && ln -s a d && echo kept >a/other",
    );
    into(&to, shell(&from, "tar -cf - .")).unwrap();
    assert_eq!(fs::read_to_string(to.join("a/file")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(to.join("a/other")).unwrap(), "kept\n");
    assert!(to.join("b").is_file() && to.join("c").is_dir());
    assert_eq!(fs::read_link(to.join("d")).unwrap(), Path::new("/nowhere"));
    drop(home);
}

/// An archive that no tool would make: entries of these kinds, names and targets.
fn made(entries: &[(tar::EntryType, &str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, name, to) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(nix::unistd::getuid().as_raw().into());
        header.set_gid(nix::unistd::getgid().as_raw().into());
        header.set_mtime(1);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        let body: &[u8] = if *kind == tar::EntryType::Regular {
            b"hostile"
        } else {
            b""
        };
        header.set_size(body.len() as u64);
        header.set_cksum();
        archive.append(&header, body).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test_case(&[(tar::EntryType::Regular, "../outside/file", "")]; "by its name")]
#[test_case(&[(tar::EntryType::Regular, "a/../../outside/file", "")]; "in the middle of its name")]
#[test_case(&[(tar::EntryType::Directory, "..", "")]; "a folder")]
#[test_case(&[(tar::EntryType::Link, "x", "../outside/victim")]; "by a hard link")]
fn an_entry_that_leads_out_ends_the_unpacking(entries: &[(tar::EntryType, &str, &str)]) {
    let (home, _, to) = room();
    shell(home.path(), "mkdir outside && echo kept >outside/victim");
    let error = into(&to, made(entries)).unwrap_err();
    assert!(matches!(error, ImageError::Escape { .. }), "{error}");
    assert_eq!(
        all_of(&home.path().join("outside"))
            .matches("victim")
            .count(),
        2
    );
}

/// A link may point wherever it likes: what is put behind it stays inside.
#[test_case("../outside"; "by a relative link")]
#[test_case("/outside"; "by an absolute link")]
#[test_case("../../../../../../../../outside"; "by many steps")]
fn what_lies_behind_a_link_stays_inside(target: &str) {
    let (home, _, to) = room();
    shell(home.path(), "mkdir outside && echo kept >outside/victim");
    let link = (tar::EntryType::Symlink, "link", target);
    let file = (tar::EntryType::Regular, "link/victim", "");
    let there = (tar::EntryType::Directory, "outside", "");
    into(&to, made(&[there, link, file])).unwrap();
    assert_eq!(
        fs::read_to_string(home.path().join("outside/victim")).unwrap(),
        "kept\n"
    );
    assert_eq!(
        fs::read_to_string(to.join("outside/victim")).unwrap(),
        "hostile"
    );
}

#[test]
fn a_file_is_not_written_through_a_link_of_its_name() {
    let (home, _, to) = room();
    shell(home.path(), "echo kept >victim");
    let victim = home.path().join("victim");
    let link = (tar::EntryType::Symlink, "x", victim.to_str().unwrap());
    into(&to, made(&[link, (tar::EntryType::Regular, "x", "")])).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(to.join("x")).unwrap(), "hostile");
    assert_eq!(
        fs::metadata(&victim).unwrap().permissions().mode() & 0o777,
        0o644
    );
}

#[test]
fn what_is_no_archive_is_named() {
    let (_home, from, to) = room();
    let error = into(&to, vec![7; 10_000]).unwrap_err();
    assert!(matches!(error, ImageError::Archive { .. }), "{error}");
    let error = into(&to, vec![0; 10_240]).unwrap_err();
    assert!(matches!(error, ImageError::Empty), "{error}");
    shell(&from, "seq 100000 >file");
    let mut cut = shell(&from, "tar -cf - .");
    cut.truncate(cut.len() / 2);
    let error = into(&to, cut).unwrap_err();
    assert!(matches!(error, ImageError::Archive { .. }), "{error}");
}

#[test]
fn a_sparse_file_in_an_unknown_form_is_refused() {
    let (_home, from, to) = room();
    shell(&from, "truncate -s 3M sparse && printf end >>sparse");
    let file = shell(&from, "tar --format=pax --sparse -cf - .");
    let error = into(&to, file).unwrap_err().to_string();
    assert!(error.contains("--format=gnu"), "{error}");
}

#[test]
fn a_wrong_checksum_is_told() {
    let (_home, from, to) = room();
    let server = Liar::honest(shell(&from, "tar -cf - ."));
    let mut source = Source::new(server.url());
    source.checksum = Some(digest(b"another", DigestKind::Sha256));
    let error = unpack(&source, &to, &Options::default(), &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(matches!(error.unwrap_err(), ImageError::Checksum { .. }));
}
