//! A disk's new layout, and the file systems in it; a mirror of two disks or more, and volumes, where that was asked.
//!
//! Everything that was on the disks is forgotten first, so that a try that was cut off leaves nothing behind that the
//! next one would trip over.

use std::fs::OpenOptions;
use std::path::PathBuf;

use super::command::{self, program};
use super::gpt::{self, ALIGN, Entry, Guid, Table};
use super::{ActionError, Context, Control, target, wipe};
use crate::model::action::{Layout, Partition};
use crate::model::machine::Disk;

const EFI_BYTES: u64 = 512 << 20;
const BIOS_BYTES: u64 = ALIGN;
/// A root that is smaller holds no system.
const LEAST_ROOT: u64 = 64 << 20;
const MIRROR: &str = "/dev/md0";
const VOLUME: &str = "root";

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Efi,
    Bios,
    Root,
    Swap,
}

pub(super) fn partition(
    wanted: &Partition,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let disks = all_disks(wanted, context)?;
    check_names(wanted)?;
    let mut roots = Vec::new();
    if wanted.lvm.is_some() || !wanted.mirror.is_empty() {
        target::load_drivers(context, control);
    }
    for disk in &disks {
        wipe::forget(context, control, disk)?;
    }
    for disk in &disks {
        let table = layout(wanted, disk)?;
        write(context, disk, &table)?;
        roots.push(fill(wanted, context, control, disk, &table)?);
    }
    let root = root_device(wanted, context, control, &roots)?;
    make_root(wanted, context, control, &root)?;
    nix::unistd::sync();
    Ok(format!("root on {}", root.display()))
}

/// The disk, and those that mirror it: each once.
fn all_disks(wanted: &Partition, context: &Context) -> Result<Vec<Disk>, ActionError> {
    let mut disks = vec![target::disk(context, &wanted.disk)?];
    for rule in &wanted.mirror {
        let disk = target::disk(context, rule)?;
        if disks.iter().any(|known| known.device == disk.device) {
            return Err(ActionError::Other(format!("{disk} cannot mirror itself")));
        }
        disks.push(disk);
    }
    Ok(disks)
}

fn check_names(wanted: &Partition) -> Result<(), ActionError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '.');
    match &wanted.lvm {
        Some(name)
            if name.is_empty()
                || name.len() > 100
                || !name.chars().all(good)
                || name.starts_with('.') =>
        {
            Err(ActionError::Other(format!(
                "{name:?} is no name of a volume group; vg0 is one"
            )))
        }
        _ => Ok(()),
    }
}

/// The table that the disk gets.
fn layout(wanted: &Partition, disk: &Disk) -> Result<Table, ActionError> {
    let sector = u64::from(disk.sector_bytes.unwrap_or(512));
    let io = ActionError::io("a GUID");
    let mut table = Table {
        disk: gpt::new_guid().map_err(io)?,
        sector,
        sectors: disk.size_bytes / sector,
        entries: Vec::new(),
    };
    let end = (table.last_usable() + 1) * sector / ALIGN * ALIGN;
    let swap = wanted.swap_bytes.unwrap_or(0).next_multiple_of(ALIGN);
    let first = match wanted.layout {
        Layout::GptEfi => Some((
            Use::Efi,
            wanted
                .efi_bytes
                .unwrap_or(EFI_BYTES)
                .next_multiple_of(ALIGN),
        )),
        Layout::GptBios => Some((Use::Bios, BIOS_BYTES)),
        Layout::Single => None,
    };
    let taken = ALIGN + first.map_or(0, |(_, size)| size) + swap;
    let root = end
        .checked_sub(taken)
        .filter(|root| *root >= LEAST_ROOT)
        .ok_or_else(|| {
            let least = (taken + LEAST_ROOT) >> 20;
            ActionError::Other(format!(
                "{disk} is too small for this layout, which needs {least} MiB"
            ))
        })?;
    let parts = first
        .into_iter()
        .chain([(Use::Root, root)])
        .chain((swap > 0).then_some((Use::Swap, swap)));
    let mut at = ALIGN;
    for (number, (what, size)) in (1..).zip(parts) {
        let (kind, name) = kind(what, wanted);
        table.entries.push(Entry {
            number,
            kind,
            guid: gpt::new_guid().map_err(ActionError::io("a GUID"))?,
            first: at / sector,
            last: (at + size) / sector - 1,
            attributes: 0,
            name: name.into(),
        });
        at += size;
    }
    Ok(table)
}

fn kind(what: Use, wanted: &Partition) -> (Guid, &'static str) {
    match what {
        Use::Efi => (gpt::EFI_SYSTEM, "EFI system"),
        Use::Bios => (gpt::BIOS_BOOT, "BIOS boot"),
        Use::Swap => (gpt::LINUX_SWAP, "swap"),
        Use::Root if !wanted.mirror.is_empty() => (gpt::LINUX_RAID, "mirror"),
        Use::Root if wanted.lvm.is_some() => (gpt::LINUX_LVM, "volumes"),
        Use::Root => (gpt::LINUX, "root"),
    }
}

fn write(context: &Context, disk: &Disk, table: &Table) -> Result<(), ActionError> {
    let path = target::device(&context.places, &disk.device);
    let mut file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(ActionError::at(&path))?;
    let written = table
        .write(&mut file)
        .and_then(|()| table.write_shield(&mut file))
        .and_then(|()| file.sync_all());
    written.map_err(ActionError::io(format!(
        "writing the partition table of {}",
        disk.device
    )))?;
    wipe::reread(context, &file);
    Ok(())
}

/// Makes the file systems beside the root; the device of the root's partition.
fn fill(
    wanted: &Partition,
    context: &Context,
    control: &Control,
    disk: &Disk,
    table: &Table,
) -> Result<PathBuf, ActionError> {
    let mut root = None;
    for entry in &table.entries {
        let part = target::await_part(&context.places, &disk.device, entry.number, control)?;
        let device = target::device(&context.places, &part.name);
        let run = |command| command::run(command, &context.log, control);
        match entry.kind {
            gpt::EFI_SYSTEM => {
                control.phase("making the EFI system partition");
                run(program(
                    "mkfs.vfat",
                    ["-F", "32", "-n", "EFI"]
                        .map(Into::into)
                        .into_iter()
                        .chain([device.into_os_string()]),
                ))?;
            }
            gpt::LINUX_SWAP => run(program(
                "mkswap",
                ["-L".into(), "swap".into(), device.into_os_string()],
            ))?,
            gpt::BIOS_BOOT => {}
            _ => root = Some(device),
        }
    }
    root.ok_or_else(|| ActionError::Other(format!("the layout {:?} has no root", wanted.layout)))
}

/// The device that the root's file system is made on.
fn root_device(
    wanted: &Partition,
    context: &Context,
    control: &Control,
    roots: &[PathBuf],
) -> Result<PathBuf, ActionError> {
    let run = |command| command::run(command, &context.log, control);
    let mut device = match roots {
        [one] => one.clone(),
        several => {
            control.phase("making the mirror");
            let count = format!("--raid-devices={}", several.len());
            // GRUB reads 1.2; "any" lets the installed system have its own name.
            let words = [
                "--create",
                MIRROR,
                "--run",
                "--level=1",
                "--metadata=1.2",
                "--homehost=any",
                &count,
            ];
            run(program(
                "mdadm",
                words
                    .iter()
                    .map(Into::into)
                    .chain(several.iter().map(|path| path.as_os_str().to_owned())),
            ))?;
            MIRROR.into()
        }
    };
    if let Some(group) = &wanted.lvm {
        control.phase("making the volumes");
        let lvm = |words: &[&str]| run(program("lvm", words));
        let path = device.to_string_lossy().into_owned();
        lvm(&["pvcreate", "-ff", "-y", &path])?;
        lvm(&["vgcreate", "-y", group, &path])?;
        lvm(&[
            "lvcreate", "-y", "-W", "n", "-Z", "n", "-l", "100%FREE", "-n", VOLUME, group,
        ])?;
        lvm(&["vgmknodes", group])?;
        device = PathBuf::from(format!("/dev/{group}/{VOLUME}"));
    }
    Ok(device)
}

fn make_root(
    wanted: &Partition,
    context: &Context,
    control: &Control,
    root: &std::path::Path,
) -> Result<(), ActionError> {
    control.phase("making the root's file system");
    let (name, words): (&str, &[&str]) = match wanted.fs_type.as_deref().unwrap_or("ext4") {
        "ext4" => ("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "root"]),
        "xfs" => ("mkfs.xfs", &["-q", "-f", "-L", "root"]),
        other => {
            return Err(ActionError::Other(format!(
                "a root cannot be {other:?} here; ext4 and xfs are known"
            )));
        }
    };
    let command = program(
        name,
        words
            .iter()
            .map(Into::into)
            .chain([root.as_os_str().to_owned()]),
    );
    command::run(command, &context.log, control)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn disk(mib: u64, sector: u32) -> Disk {
        Disk {
            device: "vda".into(),
            size_bytes: mib << 20,
            sector_bytes: Some(sector),
            ..Disk::default()
        }
    }

    fn wanted(layout: Layout, swap: Option<u64>) -> Partition {
        Partition {
            layout,
            swap_bytes: swap,
            ..Partition::default()
        }
    }

    fn sizes(table: &Table) -> Vec<(Guid, u64)> {
        let mib = |entry: &Entry| ((entry.last - entry.first + 1) * table.sector) >> 20;
        table
            .entries
            .iter()
            .map(|entry| (entry.kind, mib(entry)))
            .collect()
    }

    #[test_case(512)]
    #[test_case(4096)]
    fn a_disk_is_filled_to_its_last_whole_mebibyte(sector: u32) {
        let table = layout(
            &wanted(Layout::GptEfi, Some(256 << 20)),
            &disk(4096, sector),
        )
        .unwrap();
        assert_eq!(
            sizes(&table),
            [
                (gpt::EFI_SYSTEM, 512),
                (gpt::LINUX, 3326),
                (gpt::LINUX_SWAP, 256)
            ]
        );
        assert!(
            table
                .entries
                .windows(2)
                .all(|pair| pair[0].last + 1 == pair[1].first)
        );
        assert!(table.entries.last().unwrap().last <= table.last_usable());
        assert!(
            table
                .entries
                .iter()
                .all(|entry| entry.first * u64::from(sector) % ALIGN == 0)
        );
    }

    #[test]
    fn each_layout_has_its_parts() {
        let bios = layout(&wanted(Layout::GptBios, None), &disk(1024, 512)).unwrap();
        assert_eq!(sizes(&bios), [(gpt::BIOS_BOOT, 1), (gpt::LINUX, 1021)]);
        let single = layout(&wanted(Layout::Single, None), &disk(1024, 512)).unwrap();
        assert_eq!(sizes(&single), [(gpt::LINUX, 1022)]);
        let mut mirror = wanted(Layout::Single, None);
        mirror.mirror.push(crate::model::DiskRule::Auto);
        assert_eq!(
            sizes(&layout(&mirror, &disk(1024, 512)).unwrap())[0].0,
            gpt::LINUX_RAID
        );
    }

    #[test_case(0)]
    #[test_case(500)]
    #[test_case(570)]
    fn a_disk_that_is_too_small_is_told_with_what_it_needs(mib: u64) {
        let error = layout(&wanted(Layout::GptEfi, None), &disk(mib, 512))
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs 577 MiB"), "{error}");
    }

    #[test_case("vg0", true)]
    #[test_case("-rf", false)]
    #[test_case("a/b", false)]
    #[test_case("", false)]
    #[test_case("..", false)]
    fn a_volume_group_has_a_name_that_is_one(name: &str, good: bool) {
        let mut wanted = wanted(Layout::Single, None);
        wanted.lvm = Some(name.into());
        assert_eq!(check_names(&wanted).is_ok(), good);
    }
}
