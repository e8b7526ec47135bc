//! As much of tar as a bundle needs: regular files in ustar headers, sizes beyond 8 GiB in base 256 as GNU and BSD do.
//!
//! ```text
//! 0    100   108   116   124   136    148    156   157     257    263   ...   345     500 512
//! |name|mode |uid  |gid  |size |mtime |chksum|type |link   |ustar |00|        |prefix |   |
//! ```

/// Headers are of this size, and bodies are filled up to a multiple of it.
pub const BLOCK: usize = 512;
/// Two empty blocks end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;
const TYPE: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..263;
/// Eleven octal digits.
const MOST_OCTAL: u64 = 0o777_7777_7777;

/// The header of a file. Names are ours, and fit.
pub fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let name = name.as_bytes();
    let len = name.len().min(NAME.end);
    block[..len].copy_from_slice(&name[..len]);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    if size <= MOST_OCTAL {
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..147].copy_from_slice(b"00000000000");
    block[TYPE] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum = sum(&block);
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block[155] = b' ';
    block
}

/// So many bytes follow a body of this size.
pub const fn fill(size: u64) -> usize {
    let over = size % BLOCK as u64;
    // Less than a block, so it fits.
    #[expect(clippy::cast_possible_truncation, reason = "it is less than a block")]
    let over = over as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

/// Name and size of a file; none at the end of the archive.
pub fn read(block: &[u8; BLOCK]) -> Result<Option<(String, u64)>, &'static str> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if &block[MAGIC] != b"ustar\0" || octal(&block[SUM]) != Some(sum(block)) {
        return Err("a header in it is damaged");
    }
    if !matches!(block[TYPE], b'0' | 0) {
        return Err("it holds something else than files");
    }
    let name = block[NAME].split(|byte| *byte == 0).next();
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    let size = if block[124] == 0x80 {
        let high = block[125..128].iter().all(|byte| *byte == 0);
        let low = block[128..136].try_into().map(u64::from_be_bytes);
        low.ok().filter(|_| high)
    } else {
        octal(&block[SIZE])
    };
    match (name, size) {
        (Some(name), Some(size)) => Ok(Some((name.to_owned(), size))),
        _ => Err("a header in it is damaged"),
    }
}

/// The sum of a header's bytes, its own field taken as spaces.
fn sum(block: &[u8; BLOCK]) -> u64 {
    let rows = block.iter().enumerate();
    rows.map(|(at, byte)| u64::from(if SUM.contains(&at) { b' ' } else { *byte }))
        .sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    #[test_case(0)]
    #[test_case(513)]
    #[test_case(MOST_OCTAL)]
    #[test_case(MOST_OCTAL + 1; "beyond 8 GiB")]
    #[test_case(u64::MAX)]
    fn a_header_is_read_back(size: u64) {
        let read = read(&header("blobs/x", size)).unwrap();
        assert_eq!(read, Some(("blobs/x".to_owned(), size)));
    }

    #[test]
    fn tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut bytes = header("a/b", 3).to_vec();
        bytes.extend_from_slice(b"abc");
        bytes.resize(bytes.len() + fill(3), 0);
        bytes.extend_from_slice(&END);
        std::fs::write(&path, bytes).unwrap();
        let mut run = std::process::Command::new("tar");
        let out = run.arg("-xOf").arg(&path).arg("a/b").output().unwrap();
        assert_eq!(out.stdout, b"abc");
    }

    proptest! {
        #[test]
        fn a_turned_bit_is_found(bit in 0_usize..512 * 8) {
            let mut block = header("images/x.json", 77);
            block[bit / 8] ^= 1 << (bit % 8);
            let told = read(&block);
            prop_assert!(told.is_err() || told == Ok(Some(("images/x.json".to_owned(), 77))), "{told:?}");
        }
    }
}
