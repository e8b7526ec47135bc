#![allow(
    clippy::cast_possible_truncation,
    clippy::single_range_in_vec_init,
    clippy::decimal_bitwise_operands,
    reason = "a test's numbers are small"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_case::test_case;

use super::super::tests::{Room, digest, image};
use super::super::{ImageError, Source};
use super::header::{Header, Packing};
use super::map::Map;
use crate::agent::http::liar::{Answer, Liar};
use crate::model::action::{Compression, ImageFormat};
use crate::model::digest::DigestKind;

/// QEMU's own tool, out of the lab or the machine; nothing where there is none.
fn qemu(program: &str) -> Option<Command> {
    let lab = std::env::var_os("DRAGONFLY_LAB_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("build/lab/root"),
        PathBuf::from,
    );
    let own = lab.join("usr/bin").join(program);
    let mut command = Command::new(if own.exists() {
        &own
    } else {
        Path::new(program)
    });
    let libraries = ["usr/lib", "lib"].map(|folder| lab.join(folder).join("x86_64-linux-gnu"));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
    if command.arg("--version").output().is_err() {
        println!("skipped: there is no {program}");
        return None;
    }
    let (program, variables) = (command.get_program().to_owned(), command.get_envs());
    let variables: Vec<_> = variables
        .map(|(name, value)| (name.to_owned(), value.unwrap().to_owned()))
        .collect();
    let mut command = Command::new(program);
    command.envs(variables);
    Some(command)
}

/// The image as `qemu-img convert` makes it of these bytes.
fn converted(bytes: &[u8], options: &str) -> Option<Vec<u8>> {
    let home = tempfile::tempdir().unwrap();
    let (raw, file) = (home.path().join("raw"), home.path().join("qcow2"));
    fs::write(&raw, bytes).unwrap();
    let mut command = qemu("qemu-img")?;
    command.args("convert -f raw -O qcow2".split(' '));
    let done = command
        .args(options.split_whitespace())
        .arg(&raw)
        .arg(&file);
    let done = done.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    Some(fs::read(file).unwrap())
}

/// A disk has whole sectors, and so has what is made of one.
fn disk() -> Vec<u8> {
    let mut bytes = image();
    bytes.truncate(bytes.len() / 512 * 512);
    bytes
}

#[test_case(""; "plain")]
#[test_case("-c"; "deflate")]
#[test_case("-c -o compression_type=zstd"; "zstd")]
#[test_case("-o compat=0.10"; "version 2")]
#[test_case("-c -o compat=0.10"; "version 2 with deflate")]
#[test_case("-o cluster_size=4096"; "small clusters")]
#[test_case("-c -o cluster_size=4096"; "small clusters with deflate")]
#[test_case("-o cluster_size=2M"; "large clusters")]
#[test_case("-c -o cluster_size=2M"; "large clusters with deflate")]
#[test_case("-c -o cluster_size=2M,compression_type=zstd"; "large clusters with zstd")]
#[test_case("-o preallocation=full"; "all of it in place")]
#[test_case("-o preallocation=metadata"; "all tables in place")]
#[test_case("-o lazy_refcounts=on,refcount_bits=64"; "other counts")]
#[test_case("-W -m 16"; "out of order")]
fn an_image_is_on_the_disk_as_it_was_before_it_was_one(options: &str) {
    let disk = disk();
    let Some(file) = converted(&disk, options) else {
        return;
    };
    let room = Room::new();
    let server = Liar::honest(file.clone());
    let mut source = Source::new(server.url());
    source.checksum = Some(digest(&file, DigestKind::Sha256));
    let written = room.write(&source).unwrap();
    assert_eq!(written.length, disk.len() as u64);
    assert_eq!(written.format, ImageFormat::Qcow2);
    assert_eq!(written.compression, Compression::None);
    assert!(written.checked && written.verified);
    assert!(room.disk() == disk, "other bytes are on the disk");
}

#[test]
fn an_image_that_is_zeros_alone_is_written_as_such() {
    let disk = vec![0; 3 << 20];
    let Some(file) = converted(&disk, "") else {
        return;
    };
    let room = Room::new();
    fs::write(room.target().path, vec![0xee; 4 << 20]).unwrap();
    let server = Liar::honest(file);
    room.write(&Source::new(server.url())).unwrap();
    assert!(room.disk() == disk);
}

#[test]
fn a_fetch_that_is_cut_leaves_a_whole_image() {
    let disk = disk();
    let Some(file) = converted(&disk, "-c") else {
        return;
    };
    let room = Room::new();
    let server = Liar::start(move |request| Answer::file(request, &file, "\"1\"").cut(700_000));
    room.write(&Source::new(server.url())).unwrap();
    assert!(room.disk() == disk);
}

/// Of an internal snapshot only the disk as it is now matters.
#[test]
fn the_active_layer_is_written_and_no_snapshot() {
    let Some(file) = converted(&disk(), "") else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("qcow2");
    fs::write(&path, file).unwrap();
    let Some(mut snapshot) = qemu("qemu-img") else {
        return;
    };
    let done = snapshot
        .args(["snapshot", "-c", "before"])
        .arg(&path)
        .status();
    assert!(done.unwrap().success());
    let Some(mut io) = qemu("qemu-io") else {
        return;
    };
    let done = io
        .args(["-c", "write -P 7 1M 128k", "-c", "write -P 8 0 512"])
        .arg(&path);
    assert!(done.output().unwrap().status.success());
    let room = Room::new();
    let server = Liar::honest(fs::read(&path).unwrap());
    room.write(&Source::new(server.url())).unwrap();
    let mut expected = disk();
    expected[1 << 20..(1 << 20) + (128 << 10)].fill(7);
    expected[..512].fill(8);
    assert!(room.disk() == expected);
}

/// What cannot be read is refused before the disk is touched.
fn refused(file: Vec<u8>) -> String {
    let room = Room::new();
    let server = Liar::honest(file);
    let error = room.write(&Source::new(server.url())).unwrap_err();
    assert!(matches!(error, ImageError::Qcow2(_)), "{error}");
    error.to_string()
}

fn created(options: &[&str]) -> Option<Vec<u8>> {
    let home = tempfile::tempdir().unwrap();
    let raw = home.path().join("base");
    fs::write(&raw, vec![1; 1 << 20]).unwrap();
    let file = home.path().join("qcow2");
    let mut command = qemu("qemu-img")?;
    let done = command
        .current_dir(home.path())
        .args(["create", "-f", "qcow2"])
        .args(options)
        .arg(&file)
        .arg("1M")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    Some(fs::read(file).unwrap())
}

#[test_case(&["-b", "base", "-F", "raw"], "backing file")]
#[test_case(&["-o", "data_file=other"], "another file")]
#[test_case(&["-o", "extended_l2=on"], "extended L2")]
#[test_case(&["--object", "secret,id=s,data=abc", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"], "encrypted")]
fn what_cannot_be_read_is_named(options: &[&str], why: &str) {
    if let Some(file) = created(options) {
        let said = refused(file);
        assert!(said.contains(why), "{said}");
    }
}

#[test_case(4, 9, "version"; "an unknown version")]
#[test_case(79, 1 << 1, "corrupt"; "a corrupt image")]
#[test_case(75, 1, "feature"; "an unknown feature")]
#[test_case(23, 40, "clusters"; "clusters out of bounds")]
#[test_case(24, 0xff, "L1"; "a size without tables")]
#[test_case(47, 1, "over one another"; "tables over the header")]
#[test_case(40, 1, "behind its end"; "tables behind the end")]
fn a_damaged_header_is_named(at: usize, byte: u8, why: &str) {
    let Some(mut file) = converted(&disk(), "-c") else {
        return;
    };
    file[at] = byte;
    let said = refused(file);
    assert!(said.contains(why) || at == 47, "{said}");
}

#[test]
fn a_file_that_is_cut_off_is_named() {
    let Some(mut file) = converted(&disk(), "-c") else {
        return;
    };
    file.truncate(file.len() / 2);
    assert!(refused(file).contains("cut off"));
}

/// The tables are fetched apart from the rest: one that gives others the second time gets nowhere.
#[test]
fn tables_that_change_meanwhile_are_an_error() {
    let Some(file) = converted(&disk(), "-c") else {
        return;
    };
    let header = Header::parse(&file).unwrap();
    let room = Room::new();
    let mut other = file.clone();
    let at = header.l1_at as usize + 8 * header.l1_entries as usize - 1;
    other[at] ^= 0x80;
    let server = Liar::start(move |request| {
        let lies = request.range.is_none();
        Answer::file(request, if lies { &other } else { &file }, "\"1\"")
    });
    let error = room
        .write(&Source::new(server.url()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("changed"), "{error}");
}

#[test]
fn a_damaged_cluster_is_told_with_its_place() {
    let Some(mut file) = converted(&disk(), "-c") else {
        return;
    };
    let map = map(&file).unwrap();
    let piece = map
        .pieces
        .iter()
        .find(|piece| piece.disk > 2 << 20)
        .unwrap();
    let from = piece.file.start as usize;
    file[from..from + 300].fill(0xff);
    let room = Room::new();
    let server = Liar::honest(file);
    let error = room
        .write(&Source::new(server.url()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("is damaged"), "{error}");
    assert!(room.disk().iter().take(512).all(|byte| *byte == 0));
}

fn map(file: &[u8]) -> Result<Map, ImageError> {
    let header = Header::parse(file)?;
    Map::read(&header, file.len() as u64, |at, into| {
        let at = usize::try_from(at).unwrap();
        into.copy_from_slice(&file[at..at + into.len()]);
        Ok(())
    })
}

/// Every map that is made can be worked off: all of it lies within the file and the disk, and in order.
fn reads_or_refuses(file: &[u8]) {
    let Ok(header) = Header::parse(file) else {
        return;
    };
    // More than a test can hold; a disk would refuse it.
    if header.size > 1 << 30 {
        return;
    }
    let Ok(map) = map(file) else {
        return;
    };
    let end = header.size.next_multiple_of(header.cluster());
    let mut last = 0;
    for piece in &map.pieces {
        let len = piece.file.end - piece.file.start;
        assert!(piece.file.start >= last && len > 0 && piece.file.end <= file.len() as u64);
        assert!(piece.disk < header.size && piece.disk % header.cluster() == 0);
        assert!(piece.packed || piece.disk + len <= end);
        assert!(!piece.packed || len <= 2 * header.cluster() + 512);
        last = piece.file.start;
    }
    for range in &map.zeros {
        assert!(range.start < range.end && range.end <= header.size);
    }
}

/// A small image: header, one L1 entry, one L2 table with a plain, a packed and a zero cluster.
fn small() -> Vec<u8> {
    let mut file = vec![0; 512 * 6];
    file[..4].copy_from_slice(b"QFI\xfb");
    file[7] = 3;
    file[23] = 9;
    file[24..32].copy_from_slice(&(512_u64 * 60).to_be_bytes());
    file[39] = 1;
    file[40..48].copy_from_slice(&512_u64.to_be_bytes());
    file[103] = 112;
    file[512..520].copy_from_slice(&(1024_u64 | 1 << 63).to_be_bytes());
    file[1024..1032].copy_from_slice(&(1536_u64 | 1 << 63).to_be_bytes());
    file[1032..1040].copy_from_slice(&(2048_u64 | 1 << 62).to_be_bytes());
    file[1040..1048].copy_from_slice(&1_u64.to_be_bytes());
    file
}

#[test]
fn a_small_image_is_read_as_it_was_written() {
    let header = Header::parse(&small()).unwrap();
    assert_eq!((header.version, header.packing), (3, Packing::Deflate));
    let map = map(&small()).unwrap();
    assert_eq!(map.tables.len(), 2);
    let pieces: Vec<_> = map
        .pieces
        .iter()
        .map(|piece| (piece.file.clone(), piece.disk, piece.packed))
        .collect();
    assert_eq!(pieces, [(1536..2048, 0, false), (2048..2560, 512, true)]);
    assert_eq!(map.zeros, [1024..512 * 60]);
}

#[test]
fn fuzz_qcow2_tables_neither_panic_nor_grow() {
    let cases = std::env::var("FUZZ_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(20_000);
    bolero::check!()
        .with_iterations(cases)
        .for_each(|turns: &[u8]| {
            let mut file = small();
            for turn in turns.chunks_exact(3) {
                let at = usize::from(u16::from_be_bytes([turn[0], turn[1]]));
                // The tables are most of it; the header is worth as much.
                let at = if at % 2 == 0 {
                    at % 112
                } else {
                    at % file.len()
                };
                file[at] = turn[2];
            }
            reads_or_refuses(&file);
        });
}

/// Each byte of a real image's header and tables, turned.
#[test]
fn a_real_image_with_any_byte_turned_does_no_harm() {
    let Some(whole) = converted(&disk()[..300_000 / 512 * 512], "-c -o cluster_size=512") else {
        return;
    };
    let real = map(&whole).unwrap();
    let mut damaged = whole.clone();
    let tables = real
        .tables
        .iter()
        .map(|table| table.file.start as usize..table.file.end as usize);
    for at in std::iter::once(0..112).chain(tables).flatten() {
        for turned in [!whole[at], whole[at] ^ 1, 0, 0xff] {
            damaged[at] = turned;
            reads_or_refuses(&damaged);
        }
        damaged[at] = whole[at];
    }
}
