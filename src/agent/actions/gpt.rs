//! The GUID partition table (UEFI 2.10 §5.3), written and read here: for sectors of 512 bytes and of 4096.
//!
//! ```text
//! sector 0: protective MBR | 1: header | from 2: entries, 128 bytes each | … partitions … | entries again | last: header again
//! ```

use std::io::{self, Read, Seek, SeekFrom, Write};

pub(super) type Guid = [u8; 16];

/// Types, as they stand on the disk: the first three fields of a GUID are little-endian.
pub(super) const EFI_SYSTEM: Guid = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
pub(super) const BIOS_BOOT: Guid = *b"Hah!IdontNeedEFI";
pub(super) const LINUX: Guid = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];
pub(super) const LINUX_SWAP: Guid = [
    0x6d, 0xfd, 0x57, 0x06, 0xab, 0xa4, 0xc4, 0x43, 0x84, 0xe5, 0x09, 0x33, 0xc8, 0x4b, 0x4f, 0x4f,
];
pub(super) const LINUX_RAID: Guid = [
    0x0f, 0x88, 0x9d, 0xa1, 0xfc, 0x05, 0x3b, 0x4d, 0xa0, 0x06, 0x74, 0x3f, 0x0f, 0x84, 0x91, 0x1e,
];
pub(super) const LINUX_LVM: Guid = [
    0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28,
];

const SIGNATURE: &[u8] = b"EFI PART";
const HEADER: usize = 92;
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Partitions begin at whole MiB, which suits every disk.
pub(super) const ALIGN: u64 = 1 << 20;

/// One partition; the sectors are counted as the disk counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) kind: Guid,
    pub(super) guid: Guid,
    pub(super) first: u64,
    /// The last that belongs to it.
    pub(super) last: u64,
    pub(super) attributes: u64,
    pub(super) name: String,
}

/// A whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) disk: Guid,
    /// Bytes of a sector, and how many of them the disk has.
    pub(super) sector: u64,
    pub(super) sectors: u64,
    pub(super) entries: Vec<Entry>,
}

impl Table {
    /// Sectors that the entries take.
    const fn entry_sectors(&self) -> u64 {
        ((ENTRY * ENTRIES) as u64).div_ceil(self.sector)
    }

    pub(super) const fn first_usable(&self) -> u64 {
        2 + self.entry_sectors()
    }

    pub(super) const fn last_usable(&self) -> u64 {
        self.sectors.saturating_sub(2 + self.entry_sectors())
    }

    /// Reads the first copy; none where it is not there or not whole.
    pub(super) fn read(
        disk: &mut (impl Read + Seek),
        sector: u64,
        sectors: u64,
    ) -> io::Result<Option<Self>> {
        let header = read(disk, sector, HEADER)?;
        let word =
            |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
        let half =
            |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap_or_default());
        let mut unsummed = header.clone();
        unsummed[16..20].fill(0);
        if !header.starts_with(SIGNATURE) || half(12) != 92 || crc32(&unsummed) != half(16) {
            return Ok(None);
        }
        let (count, size) = (half(80).min(1024), half(84));
        let size = usize::try_from(size).unwrap_or(0);
        if !(ENTRY..=4096).contains(&size) {
            return Ok(None);
        }
        let bytes = read(
            disk,
            word(72).saturating_mul(sector),
            size * usize::try_from(count).unwrap_or(0),
        )?;
        if crc32(&bytes) != half(88) {
            return Ok(None);
        }
        let entries = (1..)
            .zip(bytes.chunks_exact(size))
            .filter_map(|(number, bytes)| Entry::read(number, bytes));
        Ok(Some(Self {
            disk: header[56..72].try_into().unwrap_or_default(),
            sector,
            sectors,
            entries: entries.collect(),
        }))
    }

    /// Writes the shield, and both copies where they belong on a disk of this size.
    pub(super) fn write(&self, disk: &mut (impl Write + Seek)) -> io::Result<()> {
        let entries = self.entry_bytes()?;
        let last = self.sectors - 1;
        let backup = last - self.entry_sectors();
        let place = |sector: u64| SeekFrom::Start(sector * self.sector);
        disk.seek(place(backup))?;
        disk.write_all(&entries)?;
        disk.seek(place(last))?;
        disk.write_all(&self.header(last, 1, backup, &entries))?;
        disk.seek(place(2))?;
        disk.write_all(&entries)?;
        disk.seek(place(1))?;
        disk.write_all(&self.header(1, last, 2, &entries))?;
        disk.flush()
    }

    /// The MBR that keeps old programs away, but for its boot code, which may be somebody's.
    pub(super) fn write_shield(&self, disk: &mut (impl Write + Seek)) -> io::Result<()> {
        let size = u32::try_from(self.sectors - 1).unwrap_or(u32::MAX);
        let mut shield = vec![0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        shield.extend(size.to_le_bytes());
        shield.resize(64, 0);
        shield.extend([0x55, 0xaa]);
        disk.seek(SeekFrom::Start(446))?;
        disk.write_all(&shield)
    }

    fn header(&self, own: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let mut header = Vec::with_capacity(self.size());
        header.extend(SIGNATURE);
        header.extend([0, 0, 1, 0, 92, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for word in [own, other, self.first_usable(), self.last_usable()] {
            header.extend(word.to_le_bytes());
        }
        header.extend(self.disk);
        header.extend(entries_at.to_le_bytes());
        header.extend([128, 0, 0, 0, 128, 0, 0, 0]);
        header.extend(crc32(&entries[..ENTRY * ENTRIES]).to_le_bytes());
        let sum = crc32(&header).to_le_bytes();
        header[16..20].copy_from_slice(&sum);
        header.resize(self.size(), 0);
        header
    }

    fn entry_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; ENTRY * ENTRIES];
        for entry in &self.entries {
            let slot = usize::try_from(entry.number)
                .ok()
                .and_then(|number| number.checked_sub(1));
            let place = slot.and_then(|slot| bytes.get_mut(slot * ENTRY..(slot + 1) * ENTRY));
            let place = place.ok_or_else(|| {
                io::Error::other(format!("there is no room for partition {}", entry.number))
            })?;
            entry.fill(place);
        }
        bytes.resize(bytes.len().next_multiple_of(self.size()), 0);
        Ok(bytes)
    }

    fn size(&self) -> usize {
        usize::try_from(self.sector).unwrap_or(512)
    }
}

impl Entry {
    fn read(number: u32, bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let kind: Guid = bytes.get(..16)?.try_into().ok()?;
        let name = bytes
            .get(56..ENTRY)?
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let name: Vec<u16> = name.take_while(|unit| *unit != 0).collect();
        let entry = Self {
            number,
            kind,
            guid: bytes.get(16..32)?.try_into().ok()?,
            first: word(32)?,
            last: word(40)?,
            attributes: word(48)?,
            name: String::from_utf16_lossy(&name),
        };
        (kind != [0; 16] && entry.first <= entry.last).then_some(entry)
    }

    fn fill(&self, place: &mut [u8]) {
        place[..16].copy_from_slice(&self.kind);
        place[16..32].copy_from_slice(&self.guid);
        place[32..40].copy_from_slice(&self.first.to_le_bytes());
        place[40..48].copy_from_slice(&self.last.to_le_bytes());
        place[48..56].copy_from_slice(&self.attributes.to_le_bytes());
        let name = self.name.encode_utf16().take(36).flat_map(u16::to_le_bytes);
        place[56..]
            .iter_mut()
            .zip(name)
            .for_each(|(to, from)| *to = from);
    }
}

fn read(disk: &mut (impl Read + Seek), at: u64, length: usize) -> io::Result<Vec<u8>> {
    disk.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; length];
    disk.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The checksum of ISO 3309, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 0 {
                sum >> 1
            } else {
                sum >> 1 ^ 0xedb8_8320
            }
        })
    })
}

/// A GUID that no other partition has (RFC 9562 version 4, in the byte order of a disk).
pub(super) fn new_guid() -> io::Result<Guid> {
    use ring::rand::SecureRandom as _;
    let mut guid = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut guid)
        .map_err(|_| io::Error::other("no randomness"))?;
    guid[7] = guid[7] & 0x0f | 0x40;
    guid[8] = guid[8] & 0x3f | 0x80;
    Ok(guid)
}

#[cfg(test)]
mod tests;
