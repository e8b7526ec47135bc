//! An image is smaller than its disk: the table's second copy goes to the disk's end, the last partition grows up to
//! it, and the file system on that partition follows.

mod mbr;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use nix::mount::MsFlags;

use super::command::{self, program};
use super::gpt::{ALIGN, Table};
use super::target::{self, Mounted};
use super::{ActionError, Context, Control, wipe};
use crate::model::action::{GrowRoot, Place};
use crate::model::machine::Disk;

pub(super) fn grow(
    wanted: &GrowRoot,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let disk = target::disk(context, &wanted.disk)?;
    let number = match wanted.partition {
        Some(number) => number,
        None => root_number(context, control, &disk)?,
    };
    control.phase("growing the partition");
    let path = target::device(&context.places, &disk.device);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(ActionError::at(&path))?;
    let grown = grow_table(&mut file, &disk, number)?;
    file.sync_all().map_err(ActionError::at(&path))?;
    wipe::reread(context, &file);
    drop(file);
    let part = target::await_part(&context.places, &disk.device, number, control)?;
    control.phase("growing the file system");
    let device = target::device(&context.places, &part.name);
    grow_file_system(context, control, &device)?;
    Ok(format!("partition {number} of {} {grown}", disk.device))
}

/// The partition that the root was found on.
fn root_number(context: &Context, control: &Control, disk: &Disk) -> Result<u32, ActionError> {
    let place = Place {
        disk: crate::model::DiskRule::Device(format!("/dev/{}", disk.device)),
        ..Place::default()
    };
    let root = target::find(context, control, &place)?;
    let parts = crate::agent::inventory::disks::partitions(&context.places.sys, &disk.device);
    let part = parts.iter().find(|part| {
        root.file_name()
            .is_some_and(|name| name == part.name.as_str())
    });
    part.map(|part| part.number).ok_or_else(|| {
        ActionError::Other(format!(
            "the root {} is no partition of {}, and only such a one is grown here",
            root.display(),
            disk.device
        ))
    })
}

/// Grows the partition in whichever table the disk has; tells by how much.
fn grow_table(file: &mut File, disk: &Disk, number: u32) -> Result<String, ActionError> {
    let sector = u64::from(disk.sector_bytes.unwrap_or(512));
    let sectors = disk.size_bytes / sector;
    let what = || format!("the partition table of {}", disk.device);
    if let Some(mut table) = Table::read(file, sector, sectors).map_err(ActionError::io(what()))? {
        let before = stretch(&mut table, number)?;
        table
            .write(file)
            .and_then(|()| table.write_shield(file))
            .map_err(ActionError::io(what()))?;
        let entry = table.entries.iter().find(|entry| entry.number == number);
        return Ok(told(
            before * sector,
            entry.map_or(0, |entry| entry.last - entry.first + 1) * sector,
        ));
    }
    let mut first = [0; 512];
    file.rewind()
        .and_then(|()| file.read_exact(&mut first))
        .map_err(ActionError::io(what()))?;
    let (before, after) = mbr::stretch(&mut first, number, sectors).map_err(ActionError::Other)?;
    file.rewind()
        .and_then(|()| file.write_all(&first))
        .map_err(ActionError::io(what()))?;
    Ok(told(before * sector, after * sector))
}

fn told(before: u64, after: u64) -> String {
    if before == after {
        "fills the disk already".into()
    } else {
        format!("grew from {} to {} MiB", before >> 20, after >> 20)
    }
}

/// Lets the last partition reach to the last whole MiB; the sectors that it had.
fn stretch(table: &mut Table, number: u32) -> Result<u64, ActionError> {
    let end = (table.last_usable() + 1) * table.sector / ALIGN * ALIGN / table.sector;
    let last = table
        .entries
        .iter()
        .map(|entry| entry.last)
        .max()
        .unwrap_or(0);
    let entry = table
        .entries
        .iter_mut()
        .find(|entry| entry.number == number);
    let entry =
        entry.ok_or_else(|| ActionError::Other(format!("there is no partition {number}")))?;
    if entry.last != last {
        return Err(ActionError::Other(format!(
            "partition {number} is not the last on the disk, and cannot grow"
        )));
    }
    let before = entry.last - entry.first + 1;
    entry.last = entry.last.max(end.saturating_sub(1));
    Ok(before)
}

/// Every file system that is grown here can be while it is mounted, and xfs and btrfs only then.
fn grow_file_system(
    context: &Context,
    control: &Control,
    device: &Path,
) -> Result<(), ActionError> {
    let kind = target::kind(device).unwrap_or_default();
    let path = device.as_os_str();
    let mounted = Mounted::new(device, &kind, MsFlags::empty())?;
    let root = mounted.root().as_os_str();
    let command = match kind.as_str() {
        "ext4" | "ext3" | "ext2" => program("resize2fs", [path]),
        "xfs" => program("xfs_growfs", ["-d".as_ref(), root]),
        "btrfs" => program(
            "btrfs",
            [
                "filesystem".as_ref(),
                "resize".as_ref(),
                "max".as_ref(),
                root,
            ],
        ),
        other => {
            return Err(ActionError::Other(format!(
                "a file system of kind {other:?} cannot be grown here"
            )));
        }
    };
    command::run(command, &context.log, control)?;
    mounted.close()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::gpt::{Entry, LINUX};
    use super::*;

    fn image(sector: u32, kind: [u8; 16]) -> (tempfile::NamedTempFile, Disk) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let at = |mib: u64| (mib << 20) / u64::from(sector);
        let entry = |number, first, end| Entry {
            number,
            kind,
            guid: [u8::try_from(number).unwrap(); 16],
            first: at(first),
            last: at(end) - 1,
            attributes: 4,
            name: "p".into(),
        };
        let table = Table {
            disk: [9; 16],
            sector: sector.into(),
            sectors: at(16),
            // As on Debian's images: the root is number 1 and the last on the disk.
            entries: vec![entry(1, 8, 15), entry(14, 1, 2), entry(15, 2, 8)],
        };
        table.write(&mut file.as_file()).unwrap();
        table.write_shield(&mut file.as_file()).unwrap();
        let disk = Disk {
            device: "vda".into(),
            size_bytes: 64 << 20,
            sector_bytes: Some(sector),
            ..Disk::default()
        };
        (file, disk)
    }

    #[test_case(512)]
    #[test_case(4096)]
    fn the_last_partition_grows_and_everything_else_stays(sector: u32) {
        let (mut file, disk) = image(sector, LINUX);
        let before = Table::read(&mut file.as_file(), sector.into(), 1)
            .unwrap()
            .unwrap();
        let told = grow_table(file.as_file_mut(), &disk, 1).unwrap();
        assert_eq!(told, "grew from 7 to 55 MiB");
        let after = Table::read(
            &mut file.as_file(),
            sector.into(),
            (64 << 20) / u64::from(sector),
        )
        .unwrap()
        .unwrap();
        assert_eq!(after.entries[1..], before.entries[1..]);
        assert_eq!(
            (after.disk, after.entries[0].guid, after.entries[0].first),
            (before.disk, before.entries[0].guid, before.entries[0].first)
        );
        assert_eq!(
            grow_table(file.as_file_mut(), &disk, 1).unwrap(),
            "fills the disk already"
        );
        let mut end = [0; 8];
        file.as_file()
            .seek(std::io::SeekFrom::Start((64 << 20) - u64::from(sector)))
            .unwrap();
        file.as_file().read_exact(&mut end).unwrap();
        assert_eq!(&end, b"EFI PART", "the second copy stands at the end");
    }

    #[test_case(15, "not the last")]
    #[test_case(2, "no partition 2")]
    fn any_other_does_not(number: u32, why: &str) {
        let (mut file, disk) = image(512, LINUX);
        let error = grow_table(file.as_file_mut(), &disk, number)
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{error}");
    }
}
