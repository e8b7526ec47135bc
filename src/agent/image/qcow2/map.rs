//! The map: which bytes of the file belong where on the disk.

use std::collections::BTreeSet;
use std::ops::Range;

use ring::digest;

use super::super::error::ImageError;
use super::header::{Header, damaged};

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const ZERO: u64 = 1;
const PACKED: u64 = 1 << 62;
const SECTOR: u64 = 512;
/// Pieces of a map, of 32 bytes each: 64 MiB, for 128 GiB of packed clusters of the usual size. Clusters that are not
/// packed are one piece where they follow one another.
const MAX_PIECES: usize = 2 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the file.
    pub file: Range<u64>,
    /// Where it goes to on the disk. What is packed is one cluster there.
    pub disk: u64,
    pub packed: bool,
}

/// Bytes of the file that were read for the map, and have to be the same when they come by again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub file: Range<u64>,
    pub sum: [u8; 32],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// By their places in the file.
    pub pieces: Vec<Piece>,
    /// Of the disk, in order.
    pub zeros: Vec<Range<u64>>,
    pub tables: Vec<Table>,
}

impl Map {
    /// Reads all tables by `read`, which fills a slice from a place of the file on. `length` is the file's.
    pub fn read(
        header: &Header,
        length: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let mut map = Self::default();
        let mut table = |map: &mut Self, at: u64, len: u64, what: &str| {
            let end = at.checked_add(len).filter(|end| *end <= length);
            let end = end.ok_or_else(|| damaged(&format!("{what} lies behind its end")))?;
            let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
            read(at, &mut bytes)?;
            map.tables.push(Table {
                file: at..end,
                sum: sum(&bytes),
            });
            Ok::<_, ImageError>(bytes)
        };
        let l1 = table(
            &mut map,
            header.l1_at,
            header.l1_entries * 8,
            "its L1 table",
        )?;
        let mut seen = BTreeSet::new();
        for (number, entry) in entries(&l1).enumerate() {
            let disk = number as u64 * header.l2_entries() * header.cluster();
            let at = entry & OFFSET;
            if at == 0 {
                let all = header.l2_entries() * header.cluster();
                map.zero(disk..disk.saturating_add(all).min(header.size));
                continue;
            }
            if !is_aligned(at, header) || !seen.insert(at) {
                return Err(damaged("an L2 table lies where none can"));
            }
            let l2 = table(&mut map, at, header.cluster(), "an L2 table")?;
            map.take(header, length, disk, &l2)?;
        }
        map.sort()?;
        Ok(map)
    }

    fn take(
        &mut self,
        header: &Header,
        length: u64,
        disk: u64,
        l2: &[u8],
    ) -> Result<(), ImageError> {
        let places = (disk..header.size).step_by(header.cluster_len());
        for (entry, disk) in entries(l2).zip(places) {
            let end = (disk + header.cluster()).min(header.size);
            let at = entry & OFFSET;
            if entry & PACKED != 0 {
                self.packed(header, length, disk, entry)?;
            } else if at == 0 || (header.version > 2 && entry & ZERO != 0) {
                self.zero(disk..end);
            } else if !is_aligned(at, header) {
                return Err(damaged("a cluster lies where none can"));
            } else {
                self.plain(header, length, at..at + (end - disk), disk)?;
            }
            if self.pieces.len() > MAX_PIECES {
                return Err(damaged(
                    "it has more clusters than can be kept in mind here; convert it with: qemu-img convert -O raw, and compress that with zstd",
                ));
            }
        }
        Ok(())
    }

    /// Bits of an entry: where it begins, and behind that how many further sectors it touches.
    fn packed(
        &mut self,
        header: &Header,
        length: u64,
        disk: u64,
        entry: u64,
    ) -> Result<(), ImageError> {
        let bits = 62 - (header.cluster_bits - 8);
        let at = entry & ((1 << bits) - 1);
        let sectors = (entry & (PACKED - 1)) >> bits;
        let end = (at / SECTOR + sectors + 1) * SECTOR;
        let end = end.min(length);
        if at >= end {
            return Err(behind());
        }
        self.pieces.push(Piece {
            file: at..end,
            disk,
            packed: true,
        });
        Ok(())
    }

    fn plain(
        &mut self,
        header: &Header,
        length: u64,
        file: Range<u64>,
        disk: u64,
    ) -> Result<(), ImageError> {
        if file.start >= length {
            return Err(behind());
        }
        // The file may end within its last cluster, of which the rest is zeros.
        let held = file.start..file.end.min(length);
        let rest = disk + (held.end - held.start).next_multiple_of(header.pad());
        let end = disk + (file.end - file.start);
        if rest < end {
            self.zero(rest..end);
        }
        match self.pieces.last_mut() {
            Some(last)
                if !last.packed
                    && last.file.end == held.start
                    && last.disk + (last.file.end - last.file.start) == disk =>
            {
                last.file.end = held.end;
            }
            _ => self.pieces.push(Piece {
                file: held,
                disk,
                packed: false,
            }),
        }
        Ok(())
    }

    fn zero(&mut self, range: Range<u64>) {
        match self.zeros.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.zeros.push(range),
        }
    }

    /// By the file. Packed clusters share sectors; nothing else may lie over another thing.
    fn sort(&mut self) -> Result<(), ImageError> {
        self.pieces.sort_by_key(|piece| piece.file.start);
        self.tables.sort_by_key(|table| table.file.start);
        let over = self.pieces.windows(2).any(|pair| {
            pair[0].file.end > pair[1].file.start && !(pair[0].packed && pair[1].packed)
        });
        let tables = self.tables.windows(2);
        if over
            || tables
                .into_iter()
                .any(|pair| pair[0].file.end > pair[1].file.start)
        {
            return Err(damaged("two of its clusters lie over one another"));
        }
        Ok(())
    }
}

fn behind() -> ImageError {
    damaged("a cluster lies behind its end; it is cut off")
}

fn is_aligned(at: u64, header: &Header) -> bool {
    at & (header.cluster() - 1) == 0
}

fn entries(table: &[u8]) -> impl Iterator<Item = u64> {
    let long = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or_default();
    table.chunks_exact(8).map(long)
}

pub fn sum(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap_or_default()
}
