//! What a file is, by its first bytes.

use super::error::ImageError;
use crate::model::action::{Compression, ImageFormat};

const QCOW2: &[u8] = b"QFI\xfb";

/// First bytes, and where they lie, of what is often taken for an image, or was served in its place.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (0, b"<!DOCTYPE", "it is a web page; is the URL right?"),
    (0, b"<!doctype", "it is a web page; is the URL right?"),
    (0, b"<html", "it is a web page; is the URL right?"),
    (
        0,
        b"PK\x03\x04",
        "it is a zip archive; unpack it, and compress what is in it with zstd",
    ),
    (
        0,
        b"7z\xbc\xaf\x27\x1c",
        "it is a 7z archive; unpack it, and compress what is in it with zstd",
    ),
    (
        257,
        b"ustar",
        "it is a tar archive; the action archive2disk unpacks it into a file system",
    ),
    (
        0,
        b"KDMV",
        "it is in VMware's format; convert it with: qemu-img convert -O qcow2 -c",
    ),
    (
        0,
        b"vhdxfile",
        "it is in Hyper-V's format; convert it with: qemu-img convert -O qcow2 -c",
    ),
    (
        64,
        b"\x7f\x10\xda\xbe",
        "it is in VirtualBox's format; convert it with: qemu-img convert -O qcow2 -c",
    ),
];

pub fn compression(first: &[u8]) -> Compression {
    match first {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        // The second is a frame that is to be skipped (RFC 8878, 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

pub fn is_qcow2(first: &[u8]) -> bool {
    first.starts_with(QCOW2)
}

/// Whether what came out of the decoder may be written as it is. Whoever says that it is raw is believed.
pub fn judge(first: &[u8], told: Option<ImageFormat>) -> Result<(), ImageError> {
    match (told, is_qcow2(first)) {
        (Some(ImageFormat::Raw), _) => Ok(()),
        (_, true) => Err(ImageError::NoImage {
            what: "it is qcow2, compressed as a whole, and has to be read in parts; \
                   unpack it, and compress it inside with: qemu-img convert -O qcow2 -c",
        }),
        (Some(ImageFormat::Qcow2), _) => Err(ImageError::NoImage {
            what: "qcow2 was asked for, and it does not begin as one",
        }),
        (None, false) => {
            let other = OTHERS.iter().find(|(at, magic, _)| {
                first.get(*at..).is_some_and(|rest| rest.starts_with(magic))
            });
            other.map_or(Ok(()), |(_, _, what)| Err(ImageError::NoImage { what }))
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(b"\x1f\x8b\x08", Compression::Gzip)]
    #[test_case(b"BZh9", Compression::Bzip2)]
    #[test_case(b"BZhx", Compression::None)]
    #[test_case(b"\xfd7zXZ\0", Compression::Xz)]
    #[test_case(b"\x28\xb5\x2f\xfd", Compression::Zstd)]
    #[test_case(b"\x50\x2a\x4d\x18", Compression::Zstd; "a frame to skip")]
    #[test_case(b"\xeb\x63\x90", Compression::None; "a boot sector")]
    #[test_case(b"", Compression::None; "nothing")]
    fn a_compression_is_told_by_its_first_bytes(first: &[u8], expected: Compression) {
        assert_eq!(compression(first), expected);
    }

    #[test_case(b"\xeb\x63\x90", None, ""; "a boot sector")]
    #[test_case(b"<html>", None, "web page")]
    #[test_case(b"<html>", Some(ImageFormat::Raw), ""; "whoever says raw is believed")]
    #[test_case(b"PK\x03\x04", None, "zip")]
    #[test_case(b"QFI\xfb", None, "compressed as a whole")]
    #[test_case(b"\xeb\x63", Some(ImageFormat::Qcow2), "does not begin as one")]
    fn what_is_no_image_is_named(first: &[u8], told: Option<ImageFormat>, expected: &str) {
        match judge(first, told) {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(error.to_string().contains(expected), "{error}"),
        }
    }
}
