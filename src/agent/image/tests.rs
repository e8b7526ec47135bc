use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use test_case::test_case;

use super::block::BLOCK;
use super::*;
use crate::agent::http::liar::{Answer, Liar};
use crate::model::digest::DigestKind;

mod devices;
mod faults;

/// Some bytes that differ, long and short runs of zeros, and an end in the middle of a sector.
pub fn image() -> Vec<u8> {
    let mut bytes = vec![0; (3 << 20) + 777];
    let mut state = 1_u32;
    for (at, byte) in bytes.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The second MiB is zeros, and one piece of each that follows.
        if at >> 20 != 1 && at >> 16 & 15 != 5 {
            *byte = (state >> 28) as u8 * 17;
        }
    }
    bytes
}

pub fn digest(bytes: &[u8], kind: DigestKind) -> Digest {
    let algorithm = match kind {
        DigestKind::Sha256 => &ring::digest::SHA256,
        DigestKind::Sha512 => &ring::digest::SHA512,
    };
    Digest::of(kind, ring::digest::digest(algorithm, bytes).as_ref()).unwrap()
}

/// What a tool makes of it; nothing where there is no such tool.
pub fn packed(bytes: &[u8], tool: &[&str]) -> Option<Vec<u8>> {
    let spawned = Command::new(tool[0])
        .args(&tool[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("skipped: there is no {}", tool[0]);
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let done = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(done.status.success(), "{tool:?}");
    Some(done.stdout)
}

#[derive(Debug)]
pub struct Room {
    home: TempDir,
    options: Options,
}

impl Room {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap(),
            options: Options {
                verify: true,
                memory: None,
            },
        }
    }

    pub fn target(&self) -> Target {
        Target::new(self.home.path().join("disk"))
    }

    pub fn write(&self, source: &Source) -> Result<Written, ImageError> {
        write_image(source, &self.target(), &self.options, &mut |_| {
            ControlFlow::Continue(())
        })
    }

    pub fn disk(&self) -> Vec<u8> {
        fs::read(self.target().path).unwrap()
    }
}

#[test_case(&["cat"], Compression::None; "plain")]
#[test_case(&["gzip", "-c"], Compression::Gzip; "gzip")]
#[test_case(&["bzip2", "-c"], Compression::Bzip2; "bzip2")]
#[test_case(&["xz", "-c", "-0"], Compression::Xz; "xz")]
#[test_case(&["xz", "-c", "-0", "-T2", "--block-size=1MiB"], Compression::Xz; "xz in blocks")]
#[test_case(&["xz", "-c", "-0", "--check=sha256"], Compression::Xz; "xz with a strong check")]
#[test_case(&["zstd", "-c", "-1"], Compression::Zstd; "zstd")]
#[test_case(&["zstd", "-c", "--long=27"], Compression::Zstd; "zstd with a long window")]
fn an_image_is_on_the_disk_as_it_was_packed(tool: &[&str], compression: Compression) {
    let image = image();
    let Some(file) = packed(&image, tool) else {
        return;
    };
    for kind in [DigestKind::Sha256, DigestKind::Sha512] {
        let room = Room::new();
        let server = Liar::honest(file.clone());
        let mut source = Source::new(server.url());
        source.checksum = Some(digest(&file, kind));
        let written = room.write(&source).unwrap();
        let expected = Written {
            fetched: file.len() as u64,
            length: image.len() as u64,
            format: ImageFormat::Raw,
            compression,
            checked: true,
            verified: true,
        };
        assert_eq!(written, expected);
        assert!(room.disk() == image, "other bytes are on the disk");
    }
}

#[test_case(&["gzip", "-c"], &[]; "gzip")]
#[test_case(&["gzip", "-c"], &[0; 1000]; "gzip with zeros behind")]
#[test_case(&["bzip2", "-c"], &[]; "bzip2")]
#[test_case(&["xz", "-c", "-0"], &[0; 512]; "xz with zeros behind")]
#[test_case(&["xz", "-c", "-0"], &[]; "xz")]
#[test_case(&["zstd", "-c"], &[]; "zstd")]
#[test_case(&["zstd", "-c"], b"\x50\x2a\x4d\x18\x04\0\0\0abcd"; "zstd with a frame to skip")]
fn streams_that_follow_one_another_are_one_image(tool: &[&str], behind: &[u8]) {
    let image = image();
    let (first, second) = image.split_at((2 << 20) + 11);
    let (Some(mut file), Some(more)) = (packed(first, tool), packed(second, tool)) else {
        return;
    };
    file.extend(more);
    file.extend(behind);
    let room = Room::new();
    let server = Liar::honest(file);
    room.write(&Source::new(server.url())).unwrap();
    assert!(room.disk() == image, "other bytes are on the disk");
}

#[test_case(1; "one byte")]
#[test_case(512; "one sector")]
#[test_case(BLOCK; "one block")]
#[test_case(BLOCK + 1; "one block and a byte")]
#[test_case(BLOCK * 2; "two blocks")]
fn an_image_of_any_length_has_it_on_the_disk(length: usize) {
    let bytes = &image()[..length];
    for tool in [&["cat"][..], &["gzip", "-c"]] {
        let room = Room::new();
        let server = Liar::honest(packed(bytes, tool).unwrap());
        room.write(&Source::new(server.url())).unwrap();
        assert!(room.disk() == bytes);
    }
}

#[test]
fn what_was_on_the_disk_does_not_shine_through_zeros_and_a_second_time_is_a_first() {
    let (room, image) = (Room::new(), image());
    fs::write(room.target().path, vec![0xee; image.len() + 5000]).unwrap();
    let server = Liar::honest(image.clone());
    for _ in 0..2 {
        room.write(&Source::new(server.url())).unwrap();
        assert!(room.disk() == image);
    }
}

#[test]
fn a_fetch_that_is_cut_leaves_a_whole_image() {
    let (room, image) = (Room::new(), image());
    let file = packed(&image, &["gzip", "-c"]).unwrap();
    let checksum = digest(&file, DigestKind::Sha256);
    let server = Liar::start(move |request| Answer::file(request, &file, "\"1\"").cut(1 << 20));
    let mut source = Source::new(server.url());
    source.checksum = Some(checksum);
    room.write(&source).unwrap();
    assert!(room.disk() == image);
    assert!(server.asked().len() > 1);
}
