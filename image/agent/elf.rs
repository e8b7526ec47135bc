//! What a program needs to start, read off its ELF header (System V gABI, 64-bit and little-endian): the loader that
//! it names and the libraries. No program is run for it.

/// Of a program or a library.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The path of the dynamic loader; a library has none.
    pub loader: Option<String>,
    /// Names of libraries, as in `DT_NEEDED`.
    pub libraries: Vec<String>,
}

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const TAG_NEEDED: u64 = 1;
const TAG_STRINGS: u64 = 5;

/// None for what is no 64-bit little-endian ELF file, or a broken one.
pub(crate) fn needs(file: &[u8]) -> Option<Needs> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let segments = segments(file)?;
    let text = |from: u64, len: u64| {
        let bytes = slice(file, from, len)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        String::from_utf8(bytes[..end].to_vec()).ok()
    };
    let mut needs = Needs::default();
    if let Some(segment) = segments.iter().find(|segment| segment.kind == INTERPRETER) {
        needs.loader = Some(text(segment.offset, segment.size)?);
    }
    // A static program has no such segment.
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == DYNAMIC) else {
        return Some(needs);
    };
    let tags: Vec<(u64, u64)> = slice(file, dynamic.offset, dynamic.size)?
        .chunks_exact(16)
        .map(|entry| Some((word(entry, 0)?, word(entry, 8)?)))
        .collect::<Option<_>>()?;
    let address = tags.iter().find(|(tag, _)| *tag == TAG_STRINGS)?.1;
    let holder = segments.iter().find(|segment| segment.holds(address))?;
    let strings = holder.offset + (address - holder.address);
    let left = holder.size - (address - holder.address);
    for (_, at) in tags.iter().filter(|(tag, _)| *tag == TAG_NEEDED) {
        needs
            .libraries
            .push(text(strings.checked_add(*at)?, left.checked_sub(*at)?)?);
    }
    Some(needs)
}

#[derive(Debug)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl Segment {
    fn holds(&self, address: u64) -> bool {
        self.kind == LOAD && address >= self.address && address - self.address < self.size
    }
}

fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    let table = word(file, 32)?;
    let size = u64::from(half(file, 54)?);
    let count = u64::from(half(file, 56)?);
    let read = |number: u64| {
        let entry = slice(file, table.checked_add(number * size)?, size)?;
        Some(Segment {
            kind: u32::from_le_bytes(entry.get(..4)?.try_into().ok()?),
            offset: word(entry, 8)?,
            address: word(entry, 16)?,
            size: word(entry, 32)?,
        })
    };
    (0..count).map(read).collect()
}

fn slice(file: &[u8], from: u64, len: u64) -> Option<&[u8]> {
    let from = usize::try_from(from).ok()?;
    let to = from.checked_add(usize::try_from(len).ok()?)?;
    file.get(from..to)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_very_program_that_this_is() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&own).unwrap();
        assert!(needs.loader.unwrap().contains("ld-linux"));
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"));
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        assert_eq!(needs(b""), None);
    }

    #[test]
    fn a_program_that_was_cut_is_none() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in (0..4096).chain([own.len() / 2]) {
            let _ = needs(&own[..len]);
        }
        assert_eq!(needs(&own[..100]), None);
    }
}
