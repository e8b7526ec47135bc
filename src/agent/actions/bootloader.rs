//! The disk made to start on this machine's firmware.
//!
//! UEFI starts the removable path of every disk, also after somebody lost its variables: the distribution's own loader
//! is put there too. BIOS starts what is in the first sector: GRUB, by the installed system's own grub-install.

use std::fs;
use std::path::Path;

use nix::mount::MsFlags;

use super::chroot::{inside, prepare};
use super::command;
use super::efiboot::loader;
use super::gpt::{EFI_SYSTEM, Table};
use super::target::{self, Mounted};
use super::{ActionError, Context, Control, efi};
use crate::agent::inventory::architecture;
use crate::model::action::Bootloader;
use crate::model::machine::Disk;

pub(super) fn install(
    wanted: &Bootloader,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let disk = target::disk(context, &wanted.place.disk)?;
    let system = if Path::new(efi::VARIABLES).exists() {
        efi_system(context, control, &disk)?
    } else {
        None
    };
    match system {
        Some(number) => removable(wanted, context, control, &disk, number),
        None => bios(wanted, context, control, &disk),
    }
}

/// The number of the EFI system partition.
fn efi_system(
    context: &Context,
    _control: &Control,
    disk: &Disk,
) -> Result<Option<u32>, ActionError> {
    let path = target::device(&context.places, &disk.device);
    let mut file = fs::File::open(&path).map_err(ActionError::at(&path))?;
    let sector = u64::from(disk.sector_bytes.unwrap_or(512));
    let table =
        Table::read(&mut file, sector, disk.size_bytes / sector).map_err(ActionError::at(&path))?;
    let entries = table.map(|table| table.entries).unwrap_or_default();
    let system = entries.iter().find(|entry| entry.kind == EFI_SYSTEM);
    let system = system.ok_or_else(|| {
        ActionError::Other(format!(
            "{} has no EFI system partition, and this machine's firmware is UEFI",
            disk.device
        ))
    })?;
    Ok(Some(system.number))
}

/// The name that UEFI looks for on every disk (UEFI 2.10 §3.5.1.1).
fn removable_name() -> &'static str {
    if architecture() == "arm64" {
        "BOOTAA64.EFI"
    } else {
        "BOOTX64.EFI"
    }
}

fn removable(
    wanted: &Bootloader,
    context: &Context,
    control: &Control,
    disk: &Disk,
    number: u32,
) -> Result<String, ActionError> {
    let part = target::await_part(&context.places, &disk.device, number, control)?;
    let device = target::device(&context.places, &part.name);
    let mounted = Mounted::new(&device, "vfat", MsFlags::empty())?;
    let outcome =
        put_removable(mounted.root()).map_err(ActionError::io("the EFI system partition"))?;
    mounted.close()?;
    match outcome {
        Some(told) => Ok(told),
        None => grub_efi(wanted, context, control, &device),
    }
}

/// Copies the distribution's loader to the removable path where nothing is there; none where there is no loader.
fn put_removable(root: &Path) -> std::io::Result<Option<String>> {
    let folder = root.join("EFI/BOOT");
    let own = folder.join(removable_name());
    if own.exists() {
        return Ok(Some("the removable path has a loader".into()));
    }
    let Some((vendor, file)) = loader(root) else {
        return Ok(None);
    };
    fs::create_dir_all(&folder)?;
    let from = root.join(file.trim_start_matches('/'));
    // A shim starts its GRUB from the folder that it stands in itself.
    if let Some(beside) = from.parent() {
        for entry in fs::read_dir(beside)?.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().to_lowercase().starts_with("grub") && entry.path() != from {
                fs::copy(entry.path(), folder.join(name))?;
            }
        }
    }
    fs::copy(&from, &own)?;
    Ok(Some(format!(
        "the loader of {vendor} put on the removable path"
    )))
}

/// A partition without any loader: GRUB by the installed system's own program.
fn grub_efi(
    wanted: &Bootloader,
    context: &Context,
    control: &Control,
    system: &Path,
) -> Result<String, ActionError> {
    let mut mounted = Mounted::open(context, control, &wanted.place)?;
    mounted.add(system, "/boot/efi", Some("vfat"))?;
    prepare(&mut mounted)?;
    let target = if architecture() == "arm64" {
        "--target=arm64-efi"
    } else {
        "--target=x86_64-efi"
    };
    grub(
        &mounted,
        context,
        control,
        &[
            target,
            "--efi-directory=/boot/efi",
            "--removable",
            "--no-nvram",
        ],
    )?;
    mounted.close()?;
    Ok("GRUB put on the removable path".into())
}

fn bios(
    wanted: &Bootloader,
    context: &Context,
    control: &Control,
    disk: &Disk,
) -> Result<String, ActionError> {
    let mut mounted = Mounted::open(context, control, &wanted.place)?;
    prepare(&mut mounted)?;
    let device = format!("/dev/{}", disk.device);
    if mounted.has("/usr/lib/grub/i386-pc") {
        grub(&mounted, context, control, &["--target=i386-pc", &device])?;
        mounted.close()?;
        return Ok(format!("GRUB put on {device}"));
    }
    mounted.close()?;
    let mut first = [0; 440];
    let read = fs::File::open(&device)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
    read.map_err(ActionError::io(device.clone()))?;
    if first.iter().all(|byte| *byte == 0) {
        return Err(ActionError::Other(format!(
            "{device} does not start on a BIOS, and its system has no GRUB for one"
        )));
    }
    Ok(format!("{device} has boot code of its own"))
}

/// Runs the installed system's grub-install, and has its menu made.
fn grub(
    mounted: &Mounted,
    context: &Context,
    control: &Control,
    words: &[&str],
) -> Result<(), ActionError> {
    let run = |name: &str, words: &[&str]| {
        let command = inside(mounted.root(), name, words.iter().map(Into::into));
        command::run(command, &context.log, control)
    };
    let red_hat = mounted.has("/usr/sbin/grub2-install");
    run(
        if red_hat {
            "grub2-install"
        } else {
            "grub-install"
        },
        words,
    )?;
    if red_hat {
        run("grub2-mkconfig", &["-o", "/boot/grub2/grub.cfg"])
    } else {
        run("grub-mkconfig", &["-o", "/boot/grub/grub.cfg"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    #[test]
    fn a_distributions_loader_is_put_where_every_firmware_looks() {
        let root = system(&[
            "EFI/debian/shimx64.efi",
            "EFI/debian/grubx64.efi",
            "EFI/debian/fbx64.efi",
        ]);
        put_removable(root.path()).unwrap().unwrap();
        let text =
            |name: &str| fs::read_to_string(root.path().join("EFI/BOOT").join(name)).unwrap();
        assert_eq!(text(removable_name()), "EFI/debian/shimx64.efi");
        assert_eq!(text("grubx64.efi"), "EFI/debian/grubx64.efi");
        assert!(
            !root.path().join("EFI/BOOT/fbx64.efi").exists(),
            "it would add entries to the firmware's list"
        );
        assert_eq!(
            put_removable(root.path()).unwrap().unwrap(),
            "the removable path has a loader"
        );
    }

    #[test]
    fn a_partition_without_a_loader_is_left_to_grub() {
        assert_eq!(
            put_removable(system(&["EFI/debian/x"]).path()).unwrap(),
            None
        );
        assert_eq!(put_removable(system(&[]).path()).unwrap(), None);
    }
}
