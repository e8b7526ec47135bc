//! Each fault ends in the error that names it, and with nothing on the disk that boots.

#![allow(
    clippy::disallowed_methods,
    reason = "it measures how soon an error comes"
)]

use std::time::Instant;

use test_case::test_case;

use super::*;

fn fault(room: &Room, source: &Source) -> ImageError {
    let error = room.write(source).unwrap_err();
    if let Ok(disk) = fs::read(room.target().path) {
        assert!(disk.iter().take(512).all(|byte| *byte == 0), "it may boot");
    }
    error
}

#[test]
fn a_wrong_checksum_is_told_with_both_sums() {
    let (room, image) = (Room::new(), image());
    let server = Liar::honest(image.clone());
    let mut source = Source::new(server.url());
    let other = digest(b"another", DigestKind::Sha256);
    source.checksum = Some(other.clone());
    let error = fault(&room, &source).to_string();
    assert!(error.contains(other.hex()), "{error}");
    let got = digest(&image, DigestKind::Sha256);
    assert!(error.contains(got.hex()), "{error}");
}

#[test_case(&["gzip", "-c"]; "gzip")]
#[test_case(&["bzip2", "-c"]; "bzip2")]
#[test_case(&["xz", "-c", "-0"]; "xz")]
#[test_case(&["zstd", "-c"]; "zstd")]
fn a_stream_that_ends_too_early_is_told_as_such(tool: &[&str]) {
    let Some(file) = packed(&image(), tool) else {
        return;
    };
    for len in [file.len() - 1, file.len() / 2, 20] {
        let server = Liar::honest(file[..len].to_vec());
        let error = fault(&Room::new(), &Source::new(server.url()));
        assert!(matches!(error, ImageError::Short { .. }), "{len}: {error}");
    }
}

#[test_case(&["gzip", "-c"]; "gzip")]
#[test_case(&["bzip2", "-c"]; "bzip2")]
#[test_case(&["xz", "-c", "-0"]; "xz")]
#[test_case(&["zstd", "-c", "--check"]; "zstd")]
fn a_damaged_stream_is_told_as_such(tool: &[&str]) {
    let Some(mut file) = packed(&image(), tool) else {
        return;
    };
    let middle = file.len() / 2;
    for byte in &mut file[middle..middle + 64] {
        *byte = !*byte;
    }
    let server = Liar::honest(file);
    let error = fault(&Room::new(), &Source::new(server.url()));
    assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
}

#[test_case(&["gzip", "-c"]; "gzip")]
#[test_case(&["xz", "-c", "-0"]; "xz")]
#[test_case(&["zstd", "-c"]; "zstd")]
fn what_follows_a_stream_and_is_none_is_an_error(tool: &[&str]) {
    let Some(mut file) = packed(&image(), tool) else {
        return;
    };
    file.extend(b"and some more words that are no stream");
    let server = Liar::honest(file);
    let error = fault(&Room::new(), &Source::new(server.url()));
    assert!(
        matches!(error, ImageError::Corrupt { .. } | ImageError::Short { .. }),
        "{error}"
    );
}

#[test_case(&["xz", "-c", "--lzma2=preset=0,dict=64MiB"]; "xz")]
#[test_case(&["zstd", "-c", "--long=27"]; "zstd")]
fn what_would_take_too_much_memory_is_refused_before_it_does(tool: &[&str]) {
    let Some(file) = packed(&image(), tool) else {
        return;
    };
    let mut room = Room::new();
    room.options.memory = Some(32 << 20);
    let server = Liar::honest(file);
    let error = fault(&room, &Source::new(server.url()));
    assert!(
        matches!(error, ImageError::Memory { mebibytes: 32, .. }),
        "{error}"
    );
}

#[test]
fn an_empty_image_and_a_page_are_no_images() {
    let server = Liar::honest(Vec::new());
    let error = fault(&Room::new(), &Source::new(server.url()));
    assert!(matches!(error, ImageError::Empty), "{error}");
    let server = Liar::honest(b"<html>Not here</html>".to_vec());
    let error = fault(&Room::new(), &Source::new(server.url()));
    assert!(error.to_string().contains("web page"), "{error}");
    let server = Liar::honest(packed(b"QFI\xfb", &["gzip", "-c"]).unwrap());
    let error = fault(&Room::new(), &Source::new(server.url()));
    assert!(error.to_string().contains("qemu-img convert"), "{error}");
}

#[test]
fn a_file_that_is_not_there_leaves_the_disk_alone() {
    let server = Liar::start(|_| Answer::status(404));
    let room = Room::new();
    let error = room.write(&Source::new(server.url())).unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");
}

/// A server that was killed while it fetched an image called it by another name afterwards, and the step failed.
#[test]
fn an_image_that_changed_on_the_way_is_begun_again() {
    let room = Room::new();
    let (old, new) = (image(), [image(), vec![7; 100]].concat());
    let now = new.clone();
    let server = Liar::start(move |request| match request.number {
        0 => Answer::file(request, &old, "\"1\"").cut(2 << 20),
        _ => Answer::file(request, &now, "\"2\""),
    });
    room.write(&Source::new(server.url())).unwrap();
    assert!(fs::read(room.target().path).unwrap() == new);
}

#[test]
fn an_image_that_always_changes_is_given_up() {
    let server = Liar::start(|request| {
        let tag = format!("\"{}\"", request.number);
        Answer::file(request, &image(), &tag).cut(2 << 20)
    });
    let error = fault(&Room::new(), &Source::new(server.url())).to_string();
    assert!(error.contains("changed while it was fetched"), "{error}");
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn a_disk_that_is_not_there_is_named() {
    let server = Liar::honest(image());
    let target = Target::new("/dev/dragonfly-no-such-disk");
    let done = write_image(
        &Source::new(server.url()),
        &target,
        &Options::default(),
        &mut |_| ControlFlow::Continue(()),
    );
    let error = done.unwrap_err().to_string();
    assert!(error.contains("/dev/dragonfly-no-such-disk"), "{error}");
}

/// A server that is away is asked for ever: it is the caller who ends it, and who is told what was waited for.
#[test]
fn a_cancelled_write_tells_what_it_waited_for() {
    let room = Room::new();
    let url = {
        let server = Liar::honest(Vec::new());
        server.url()
    };
    let began = Instant::now();
    let mut told = Vec::new();
    let error = write_image(
        &Source::new(url),
        &room.target(),
        &room.options,
        &mut |now| {
            told.push(now.phase);
            match told.len() {
                3.. => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("while it waited: 127.0.0.1"), "{error}");
    assert!(told[1].contains("waiting: 127.0.0.1"), "{told:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_write_that_is_cancelled_in_the_middle_ends_soon() {
    let room = Room::new();
    let image = image();
    // The rest never comes: the connection is held by a server that is asked again and again.
    let server = Liar::start(move |request| match request.range {
        None => Answer::file(request, &image, "\"1\"").cut(2 << 20),
        Some(_) => Answer::status(503),
    });
    let mut calls = 0;
    let error = write_image(
        &Source::new(server.url()),
        &room.target(),
        &room.options,
        &mut |_| {
            calls += 1;
            if calls > 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the server answers 503"), "{error}");
}
