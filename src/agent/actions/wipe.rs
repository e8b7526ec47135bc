//! Making a disk forget: what was mounted or assembled of it let go, and its marks struck out at every place where a
//! kernel or a firmware would look for them.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};

use nix::mount::{MntFlags, umount2};

use super::command::{self, program};
use super::{ActionError, Context, Control, target};
use crate::agent::inventory::disks;
use crate::agent::sys::block::{self, Wipe};
use crate::model::action::Erase;
use crate::model::machine::Disk;

/// As much is struck out at each end: more than any mark is away from it.
const END: u64 = 4 << 20;
const ZEROS: usize = 1 << 20;
/// Progress is told, and a stop heard, after so much.
const PIECE: u64 = 64 << 20;

/// Quick: so that nothing on the disk is recognised. Secure: so that nothing is there.
pub(super) fn erase(
    erase: &Erase,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let disk = target::disk(context, &erase.disk)?;
    forget(context, control, &disk)?;
    let path = target::device(&context.places, &disk.device);
    let mut file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(ActionError::at(&path))?;
    let how = if erase.secure {
        secure(&mut file, &disk, context, control)?
    } else if block::wipe(&file, Wipe::Discard, 0, disk.size_bytes).is_ok() {
        "discarded whole"
    } else {
        "its marks struck out"
    };
    file.sync_all().map_err(ActionError::at(&path))?;
    reread(context, &file);
    Ok(format!("{disk}: {how}"))
}

fn secure(
    file: &mut File,
    disk: &Disk,
    context: &Context,
    control: &Control,
) -> Result<&'static str, ActionError> {
    if block::wipe(file, Wipe::SecureDiscard, 0, disk.size_bytes).is_ok() {
        return Ok("erased by its own command");
    }
    context.log.say(format!(
        "{} has no command of its own to erase it; overwriting",
        disk.device
    ));
    let zeros = vec![0; ZEROS];
    let what = || format!("overwriting {}", disk.device);
    file.seek(SeekFrom::Start(0))
        .map_err(ActionError::io(what()))?;
    let mut done = 0;
    while done < disk.size_bytes {
        let piece = usize::try_from(disk.size_bytes - done)
            .unwrap_or(ZEROS)
            .min(ZEROS);
        file.write_all(&zeros[..piece])
            .map_err(ActionError::io(what()))?;
        done += piece as u64;
        if done % PIECE == 0 {
            file.sync_data().map_err(ActionError::io(what()))?;
            control.check()?;
        }
        control.bytes("overwriting", done, disk.size_bytes);
    }
    Ok("overwritten with zeros")
}

/// Lets go of the disk, and strikes out every mark on it and on its partitions.
pub(super) fn forget(context: &Context, control: &Control, disk: &Disk) -> Result<(), ActionError> {
    control.phase("clearing");
    release(context, control, &disk.device);
    for part in disks::partitions(&context.places.sys, &disk.device) {
        strike(context, &part.name, part.size_bytes)?;
    }
    strike(context, &disk.device, disk.size_bytes)?;
    let path = target::device(&context.places, &disk.device);
    reread(context, &File::open(&path).map_err(ActionError::at(&path))?);
    Ok(())
}

/// What was made of the disk is taken apart. What fails here shows when the disk is written.
fn release(context: &Context, control: &Control, disk: &str) {
    let mounts = std::fs::read_to_string(context.places.proc.join("mounts")).unwrap_or_default();
    let ours = |line: &&str| {
        let device = line
            .split(' ')
            .next()
            .and_then(|what| what.strip_prefix("/dev/"));
        device.is_some_and(|name| disks::is_part(name, disk))
    };
    for place in mounts
        .lines()
        .filter(ours)
        .filter_map(|line| line.split(' ').nth(1))
    {
        let _ = umount2(place, MntFlags::MNT_DETACH);
    }
    if !has_holders(context, disk) {
        return;
    }
    // Volumes first: they may stand on a RAID.
    let _ = command::run(program("lvm", ["vgchange", "-an"]), &context.log, control);
    let _ = command::run(
        program("mdadm", ["--stop", "--scan"]),
        &context.log,
        control,
    );
}

/// Whether something stands on the disk or on one of its partitions.
fn has_holders(context: &Context, disk: &str) -> bool {
    let parts = disks::partitions(&context.places.sys, disk);
    let names = parts.iter().map(|part| part.name.as_str()).chain([disk]);
    let mut folders = names.map(|name| {
        context
            .places
            .sys
            .join("class/block")
            .join(name)
            .join("holders")
    });
    folders
        .any(|folder| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
}

fn strike(context: &Context, name: &str, size: u64) -> Result<(), ActionError> {
    let path = target::device(&context.places, name);
    let file = OpenOptions::new().write(true).open(&path);
    file.and_then(|mut file| strike_ends(&mut file, size))
        .map_err(ActionError::io(format!("clearing {name}")))
}

fn strike_ends(file: &mut File, size: u64) -> io::Result<()> {
    let length = END.min(size);
    let zeros = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    for at in [0, size - length] {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&zeros)?;
    }
    file.sync_all()
}

/// The kernel looks at the disk anew.
pub(super) fn reread(context: &Context, disk: &File) {
    let _ = block::forget_cached(disk);
    if let Err(error) = block::reread_partitions(disk) {
        context
            .log
            .say(format!("the partitions were not read anew: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0; "nothing")]
    #[test_case(1000; "smaller than a mark")]
    #[test_case(6 << 20; "where both ends meet")]
    #[test_case(20 << 20; "with something between")]
    fn both_ends_are_struck_out_and_the_size_stays(size: u64) {
        let mut file = tempfile::tempfile().unwrap();
        let length = usize::try_from(size).unwrap();
        file.write_all(&vec![1; length]).unwrap();
        strike_ends(&mut file, size).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        let end = usize::try_from(END).unwrap().min(length);
        assert!(
            bytes[..end]
                .iter()
                .chain(&bytes[length - end..])
                .all(|byte| *byte == 0)
        );
        assert_eq!(bytes.contains(&1), size > 2 * END);
    }
}
