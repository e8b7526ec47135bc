//! The old table of four partitions, as it stands in the first sector from byte 446 on.

const TABLE: usize = 446;
const ENTRY: usize = 16;
/// Partitions of no more sectors than this can be written down.
const MOST: u64 = u32::MAX as u64;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// Lets a partition reach to the end of the disk, if it is the last one; its sectors before and after.
pub(super) fn stretch(
    first: &mut [u8; 512],
    number: u32,
    sectors: u64,
) -> Result<(u64, u64), String> {
    if first[510..] != [0x55, 0xaa] {
        return Err("the disk has no partition table".into());
    }
    let entries: Vec<(u8, u64, u64)> = (0..4).map(|slot| read(first, slot)).collect();
    let slot = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1))
        .filter(|slot| *slot < 4);
    let slot =
        slot.ok_or_else(|| format!("partition {number} is none of the four that can grow"))?;
    let (kind, start, size) = entries[slot];
    if kind == 0 || size == 0 {
        return Err(format!("there is no partition {number}"));
    }
    if EXTENDED.contains(&kind)
        || entries
            .iter()
            .any(|(kind, other, size)| *kind != 0 && *size != 0 && *other > start)
    {
        return Err(format!(
            "partition {number} is not the last on the disk, and cannot grow"
        ));
    }
    let room = sectors.saturating_sub(start).min(MOST) / 2048 * 2048;
    let after = room.max(size);
    let bytes = u32::try_from(after)
        .map_err(|_| "the disk is too large for its table".to_owned())?
        .to_le_bytes();
    let at = TABLE + slot * ENTRY + 12;
    first[at..at + 4].copy_from_slice(&bytes);
    Ok((size, after))
}

/// Kind, first sector, and how many.
fn read(first: &[u8; 512], slot: usize) -> (u8, u64, u64) {
    let entry = &first[TABLE + slot * ENTRY..][..ENTRY];
    let number = |at: usize| {
        u64::from(u32::from_le_bytes([
            entry[at],
            entry[at + 1],
            entry[at + 2],
            entry[at + 3],
        ]))
    };
    (entry[4], number(8), number(12))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn sector(parts: &[(u8, u32, u32)]) -> [u8; 512] {
        let mut first = [0; 512];
        first[510..].copy_from_slice(&[0x55, 0xaa]);
        for (slot, (kind, start, size)) in parts.iter().enumerate() {
            let at = TABLE + slot * ENTRY;
            first[at + 4] = *kind;
            first[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
            first[at + 12..at + 16].copy_from_slice(&size.to_le_bytes());
        }
        first
    }

    #[test]
    fn the_last_one_grows() {
        let mut first = sector(&[(0x83, 2048, 2048), (0x83, 4096, 4096)]);
        assert_eq!(stretch(&mut first, 2, 100_000), Ok((4096, 94_208)));
        assert_eq!(read(&first, 1), (0x83, 4096, 94_208));
        assert_eq!(read(&first, 0), (0x83, 2048, 2048));
    }

    #[test_case(1, "not the last"; "one before another")]
    #[test_case(3, "no partition 3"; "one that is not there")]
    #[test_case(5, "none of the four"; "one inside of another")]
    #[test_case(0, "none of the four"; "none")]
    fn any_other_does_not(number: u32, why: &str) {
        let mut first = sector(&[(0x83, 2048, 2048), (0x83, 4096, 4096)]);
        let error = stretch(&mut first, number, 100_000).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_disk_without_a_table_is_left_alone() {
        assert!(stretch(&mut [0; 512], 1, 100_000).is_err());
    }
}
