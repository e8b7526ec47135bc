//! The firmware's boot order set right: the disk before the network, or the network before the disk.

use std::path::Path;

use super::efi::{self, Entry, HardDisk, Menu};
use super::gpt::{self, Table};
use super::target::{self, Mounted};
use super::{ActionError, Context, Control};
use crate::model::action::EfiBoot;
use crate::model::machine::Disk;

/// Loaders of distributions, in the order in which one is taken.
const LOADERS: [&str; 4] = ["shimx64.efi", "shimaa64.efi", "grubx64.efi", "grubaa64.efi"];

pub(super) fn set(
    wanted: &EfiBoot,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let folder = Path::new(efi::VARIABLES);
    if !folder.exists() {
        return Ok("no UEFI: the BIOS has an order of its own".into());
    }
    let disk = target::disk(context, &wanted.disk)?;
    let table = read_table(context, &disk)?;
    let guids: Vec<[u8; 16]> = table.entries.iter().map(|entry| entry.guid).collect();
    let mut menu = Menu::read(folder).map_err(ActionError::io("the firmware's list"))?;
    let of_disk = |entry: &Entry| entry.partition().is_some_and(|guid| guids.contains(&guid));
    let mut made = String::new();
    if !menu.in_order().any(of_disk) {
        let entry = new_entry(wanted, context, control, &disk, &table, menu.free())?;
        efi::set_entry(folder, &entry)
            .map_err(ActionError::io("a new entry of the firmware's list"))?;
        made = format!("{} added, ", entry.label);
        menu.order.push(entry.number);
        menu.entries.insert(entry.number, entry);
    }
    menu.order = menu.reordered(of_disk);
    if wanted.set_pxe_first {
        menu.order = menu.reordered(Entry::is_network);
    }
    efi::set_order(folder, &menu.order).map_err(ActionError::io("the firmware's boot order"))?;
    // Some firmwares put the network first again whenever they start, and what was written is to start now.
    let next = menu
        .in_order()
        .find(|entry| entry.active && of_disk(entry) && !wanted.set_pxe_first);
    if let Some(entry) = next {
        efi::set_next(folder, entry.number)
            .map_err(ActionError::io("what the firmware starts next"))?;
    }
    let names: Vec<&str> = menu.in_order().map(|entry| entry.label.as_str()).collect();
    Ok(format!("{made}boot order: {}", names.join(", ")))
}

fn read_table(context: &Context, disk: &Disk) -> Result<Table, ActionError> {
    let path = target::device(&context.places, &disk.device);
    let mut file = std::fs::File::open(&path).map_err(ActionError::at(&path))?;
    let sector = u64::from(disk.sector_bytes.unwrap_or(512));
    let table =
        Table::read(&mut file, sector, disk.size_bytes / sector).map_err(ActionError::at(&path))?;
    table.ok_or_else(|| {
        ActionError::Other(format!(
            "{} has no GPT, which UEFI starts from",
            disk.device
        ))
    })
}

/// An entry for the loader that is on the disk.
fn new_entry(
    wanted: &EfiBoot,
    context: &Context,
    control: &Control,
    disk: &Disk,
    table: &Table,
    number: u16,
) -> Result<Entry, ActionError> {
    let system = table
        .entries
        .iter()
        .find(|entry| entry.kind == gpt::EFI_SYSTEM);
    let system = system.ok_or_else(|| {
        ActionError::Other(format!("{} has no EFI system partition", disk.device))
    })?;
    let part = target::await_part(&context.places, &disk.device, system.number, control)?;
    let mounted = Mounted::new(
        &target::device(&context.places, &part.name),
        "vfat",
        nix::mount::MsFlags::MS_RDONLY,
    )?;
    let loader = loader(mounted.root());
    mounted.close()?;
    let (vendor, file) = loader.ok_or_else(|| {
        ActionError::Other(format!(
            "{} has no loader in its EFI system partition",
            disk.device
        ))
    })?;
    let partition = HardDisk {
        number: system.number,
        start: system.first,
        size: system.last - system.first + 1,
        guid: system.guid,
    };
    let label = wanted.label.clone().unwrap_or(vendor);
    Ok(Entry::of_file(number, &label, partition, &file))
}

/// A distribution's loader, else the one of the removable path: its folder's name, and its path.
pub(super) fn loader(root: &Path) -> Option<(String, String)> {
    let folders = std::fs::read_dir(root.join("EFI")).ok()?.flatten();
    let mut names: Vec<String> = folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let own = names
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case("boot"));
    for folder in own {
        for file in LOADERS {
            if root.join("EFI").join(folder).join(file).exists() {
                return Some((folder.clone(), format!("/EFI/{folder}/{file}")));
            }
        }
    }
    let boot = names
        .iter()
        .find(|name| name.eq_ignore_ascii_case("boot"))?;
    let there = |file: &&str| root.join("EFI").join(boot).join(file).exists();
    let file = ["BOOTX64.EFI", "BOOTAA64.EFI", "bootx64.efi", "bootaa64.efi"]
        .into_iter()
        .find(there)?;
    Some(("Installed system".into(), format!("/EFI/{boot}/{file}")))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(&["EFI/debian/grubx64.efi", "EFI/debian/shimx64.efi", "EFI/BOOT/BOOTX64.EFI"], Some("/EFI/debian/shimx64.efi"); "the one that is signed")]
    #[test_case(&["EFI/rocky/grubaa64.efi"], Some("/EFI/rocky/grubaa64.efi"); "the one that there is")]
    #[test_case(&["EFI/boot/bootx64.efi"], Some("/EFI/boot/bootx64.efi"); "the removable path")]
    #[test_case(&["EFI/debian/fbx64.efi"], None; "no loader")]
    fn a_loader_is_found(files: &[&str], found: Option<&str>) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(loader(root.path()).map(|(_, file)| file).as_deref(), found);
    }
}
