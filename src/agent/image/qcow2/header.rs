//! The header, and what in it cannot be served.
//!
//! ```text
//!  0 magic    4 version          8 backing file   16 its name's length   20 bits of a cluster
//! 24 size    32 encryption      36 entries of L1  40 where L1 lies
//! 60 snapshots                  version 3: 72 incompatible features  100 length of the header  104 packing
//! ```

use super::super::error::ImageError;

const MAGIC: u32 = 0x5146_49fb;
const LENGTH_V2: usize = 72;
const LENGTH_V3: usize = 104;
/// QEMU's own bounds: clusters of 512 bytes to 2 MiB, an L1 table of 32 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
const MAX_L1: u64 = (32 << 20) / 8;

const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const OTHER_PACKING: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
/// The first is `dirty`, which concerns the counts of references alone.
const KNOWN: u64 = 1 | CORRUPT | EXTERNAL | OTHER_PACKING | EXTENDED_L2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Deflate,
    Zstd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: u32,
    pub cluster_bits: u32,
    /// Of the disk that it is the image of.
    pub size: u64,
    /// As many as the size needs.
    pub l1_entries: u64,
    pub l1_at: u64,
    pub packing: Packing,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let long = |at: usize| {
            bytes
                .get(at..at + 8)?
                .try_into()
                .map(u64::from_be_bytes)
                .ok()
        };
        let word = |at: usize| {
            bytes
                .get(at..at + 4)?
                .try_into()
                .map(u32::from_be_bytes)
                .ok()
        };
        let short = || damaged("its header is cut off");
        if word(0) != Some(MAGIC) {
            return Err(damaged("it does not begin as one"));
        }
        let version = word(4).ok_or_else(short)?;
        if !matches!(version, 2 | 3) {
            return Err(ImageError::Qcow2(format!(
                "its version {version} is not known"
            )));
        }
        if bytes.len() < if version == 2 { LENGTH_V2 } else { LENGTH_V3 } {
            return Err(short());
        }
        let backing = long(8).ok_or_else(short)?;
        let encryption = word(32).ok_or_else(short)?;
        refuse(
            backing != 0,
            "it is a difference to a backing file; make it whole with: qemu-img convert -O qcow2",
        )?;
        refuse(encryption != 0, "it is encrypted")?;
        let packing = if version == 2 {
            Packing::Deflate
        } else {
            let length = word(100).ok_or_else(short)?;
            let packing = bytes.get(104).filter(|_| length > 104).copied();
            features(long(72).ok_or_else(short)?, packing.unwrap_or_default())?
        };
        let cluster_bits = word(20).ok_or_else(short)?;
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(damaged("the size of its clusters is out of bounds"));
        }
        let size = long(24).ok_or_else(short)?;
        let l1_entries = size.div_ceil(1 << (2 * cluster_bits - 3));
        let l1_at = long(40).ok_or_else(short)?;
        refuse(size == 0, "it is empty")?;
        if l1_entries > MAX_L1 || l1_entries > u64::from(word(36).ok_or_else(short)?) {
            return Err(damaged("its L1 table does not fit its size"));
        }
        Ok(Self {
            version,
            cluster_bits,
            size,
            l1_entries,
            l1_at,
            packing,
        })
    }

    pub const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    pub const fn cluster_len(&self) -> usize {
        1 << self.cluster_bits
    }

    /// What is cut off within a cluster is made longer by zeros to a multiple of this: it suits every disk.
    pub fn pad(&self) -> u64 {
        self.cluster().min(4096)
    }

    /// Entries of an L2 table, which fills one cluster.
    pub const fn l2_entries(&self) -> u64 {
        1 << (self.cluster_bits - 3)
    }
}

fn features(incompatible: u64, packing: u8) -> Result<Packing, ImageError> {
    refuse(
        incompatible & CORRUPT != 0,
        "it is marked as corrupt; mend it with: qemu-img check -r all",
    )?;
    refuse(
        incompatible & EXTERNAL != 0,
        "its data is in another file; make it whole with: qemu-img convert -O qcow2",
    )?;
    refuse(
        incompatible & EXTENDED_L2 != 0,
        "it has parts of clusters (extended L2), which cannot be read here; convert it with: qemu-img convert -O qcow2",
    )?;
    refuse(
        incompatible & !KNOWN != 0,
        "it has a feature that is not known here",
    )?;
    match (incompatible & OTHER_PACKING != 0, packing) {
        (_, 0) => Ok(Packing::Deflate),
        (true, 1) => Ok(Packing::Zstd),
        _ => Err(damaged("how its clusters are packed is not known")),
    }
}

fn refuse(when: bool, what: &str) -> Result<(), ImageError> {
    if when { Err(damaged(what)) } else { Ok(()) }
}

pub fn damaged(what: &str) -> ImageError {
    ImageError::Qcow2(what.into())
}
