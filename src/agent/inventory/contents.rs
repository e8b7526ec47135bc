//! What is on a disk or a partition, by the marks that partition tables, file systems, RAID and LVM leave at its ends.

use std::io::{self, Read, Seek, SeekFrom};

const KIB: u64 = 1024;
/// As much is read from the start: ZFS has its marks furthest in.
const HEAD: u64 = 272 * KIB;
/// And from the end: RAID of version 0.90 has its mark up to 128 KiB before it.
const TAIL: u64 = 136 * KIB;

/// A mark that stands at one place from the start.
const MARKS: &[(&str, usize, &[u8])] = &[
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x1_0040, b"_BHRfS_M"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("bitlocker", 3, b"-FVE-FS-"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("lvm", 0, b"LABELONE"),
    ("lvm", 512, b"LABELONE"),
    ("lvm", 1024, b"LABELONE"),
    ("lvm", 1536, b"LABELONE"),
    ("mdraid", 0, &RAID),
    ("mdraid", 4096, &RAID),
    ("swap", 4086, b"SWAPSPACE2"),
    ("swap", 4086, b"SWAP-SPACE"),
    ("swap", 65526, b"SWAPSPACE2"),
    ("iso9660", 0x8001, b"CD001"),
    ("udf", 0x8801, b"NSR0"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("f2fs", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    (
        "bcache",
        4096 + 24,
        &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca],
    ),
    ("reiserfs", 0x1_0034, b"ReIsEr"),
    ("jfs", 0x8000, b"JFS1"),
    ("hfsplus", 1024, b"H+\0\x04"),
    ("apfs", 32, b"NXSB"),
    ("stratis", 528, b"!Stra0tis\x86\xff\x02^\x41rh"),
    ("gpt", 512, b"EFI PART"),
    ("gpt", 4096, b"EFI PART"),
];
/// The magic number of Linux's RAID, as it stands on a little-endian disk.
const RAID: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];

/// The kinds of everything that was found, each once; nothing of a blank one. The kind of a file system comes first,
/// what is left of an earlier use behind it.
pub fn of(device: &mut (impl Read + Seek), size: u64) -> io::Result<Vec<String>> {
    let head = read(device, 0, HEAD.min(size))?;
    let start = size.saturating_sub(TAIL);
    let tail = read(device, start, size - start)?;
    let mut kinds: Vec<&str> = Vec::new();
    kinds.extend(ext(&head));
    kinds.extend(
        MARKS
            .iter()
            .filter(|(_, at, mark)| has(&head, *at, mark))
            .map(|(kind, ..)| *kind),
    );
    kinds.extend(fat(&head).then_some("vfat"));
    kinds.extend(mbr(&head).then_some("mbr"));
    kinds.extend(zfs(&head).then_some("zfs"));
    kinds.extend(at_end(&tail, size));
    let mut found: Vec<String> = Vec::new();
    for kind in kinds {
        if !found.iter().any(|known| known == kind) {
            found.push(kind.to_owned());
        }
    }
    Ok(found)
}

fn read(device: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    device.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    device.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn has(bytes: &[u8], at: usize, mark: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(mark))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

/// ext2, ext3 or ext4, by the features that it uses.
fn ext(head: &[u8]) -> Option<&'static str> {
    const JOURNAL: u32 = 0x4;
    const MODERN: u32 = 0x40 | 0x80 | 0x200;
    if !has(head, 0x438, &[0x53, 0xef]) {
        return None;
    }
    let (compatible, incompatible) = (number(head, 0x45c), number(head, 0x460));
    Some(if incompatible & MODERN != 0 {
        "ext4"
    } else if compatible & JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    })
}

fn fat(head: &[u8]) -> bool {
    let named = has(head, 0x36, b"FAT12   ")
        || has(head, 0x36, b"FAT16   ")
        || has(head, 0x52, b"FAT32   ");
    named && has(head, 510, &[0x55, 0xaa])
}

/// A table with something in it: the last two bytes alone stand in every boot sector.
fn mbr(head: &[u8]) -> bool {
    let entry = |number: usize| head.get(446 + 16 * number..446 + 16 * (number + 1));
    let valid = |entry: &[u8]| matches!(entry[0], 0 | 0x80);
    let used = |entry: &[u8]| entry[4] != 0 && number(entry, 12) != 0;
    let entries: Vec<&[u8]> = (0..4).filter_map(entry).collect();
    // A protective one is part of a GPT.
    let protective = |entry: &&[u8]| entry[4] == 0xee;
    has(head, 510, &[0x55, 0xaa])
        && !fat(head)
        && entries.iter().all(|entry| valid(entry))
        && entries.iter().any(|entry| used(entry))
        && !entries.iter().any(protective)
}

/// One uberblock is enough; they stand one behind the other in the second half of the first label.
fn zfs(head: &[u8]) -> bool {
    const LITTLE: [u8; 8] = 0x00ba_b10c_u64.to_le_bytes();
    const BIG: [u8; 8] = 0x00ba_b10c_u64.to_be_bytes();
    (128 * 1024..256 * 1024)
        .step_by(1024)
        .any(|at| has(head, at, &LITTLE) || has(head, at, &BIG))
}

fn at_end(tail: &[u8], size: u64) -> Vec<&'static str> {
    let start = size - tail.len() as u64;
    let place = |at: Option<u64>| at.and_then(|at| usize::try_from(at.checked_sub(start)?).ok());
    let found = |at: Option<u64>, mark: &[u8]| place(at).is_some_and(|at| has(tail, at, mark));
    let mut kinds = Vec::new();
    // Version 0.90 at the last whole 64 KiB before the last, 1.0 at the last whole 4 KiB that is 8 KiB before the end.
    let old = (size & !(64 * KIB - 1)).checked_sub(64 * KIB);
    let new = size.checked_sub(8 * KIB).map(|at| at & !(4 * KIB - 1));
    if found(old, &RAID) || found(old, &[0xa9, 0x2b, 0x4e, 0xfc]) || found(new, &RAID) {
        kinds.push("mdraid");
    }
    if found(size.checked_sub(512), b"EFI PART") || found(size.checked_sub(4096), b"EFI PART") {
        kinds.push("gpt");
    }
    if found(size.checked_sub(1024), b"Intel Raid ISM") {
        kinds.push("imsm");
    }
    if found(size.checked_sub(512), &[0xde, 0x11, 0xde, 0x11]) {
        kinds.push("ddf");
    }
    kinds
}

#[cfg(test)]
mod tests;
