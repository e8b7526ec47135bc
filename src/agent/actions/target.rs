//! The disk that is meant, the file system on it that is meant, and that file system mounted.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::command::{self, program};
use super::{ActionError, Context, Control, inside};
use crate::agent::clock;
use crate::agent::inventory::disks::{self, Part};
use crate::agent::inventory::{Places, contents};
use crate::model::action::Place;
use crate::model::disk::{DiskRule, choose};
use crate::model::machine::Disk;

/// Where the system on the disk is mounted.
const TARGET: &str = "/run/dragonfly/target";
/// File systems that can hold a root.
const ROOTS: [&str; 5] = ["ext4", "xfs", "btrfs", "ext3", "ext2"];
/// A partition's device appears so soon after its table was read, or not at all.
const APPEARS: Duration = Duration::from_secs(10);

/// The one disk that the rule points at, as it is now.
pub(super) fn disk(context: &Context, rule: &DiskRule) -> Result<Disk, ActionError> {
    let all = disks::look(&context.places);
    let disk = choose(rule, &all)?;
    context.log.say(format!("{rule} is {disk}"));
    Ok(disk.clone())
}

/// The path of a device by its name.
pub(super) fn device(places: &Places, name: &str) -> PathBuf {
    places.dev.join(name)
}

/// Waits until the kernel shows the partition.
pub(super) fn await_part(
    places: &Places,
    disk: &str,
    number: u32,
    control: &Control,
) -> Result<Part, ActionError> {
    let until = clock::now() + APPEARS;
    loop {
        let parts = disks::partitions(&places.sys, disk);
        let part = parts
            .into_iter()
            .find(|part| part.number == number && device(places, &part.name).exists());
        if let Some(part) = part {
            return Ok(part);
        }
        control.check()?;
        if clock::now() > until {
            return Err(ActionError::Other(format!(
                "{disk} has no partition {number}"
            )));
        }
        clock::pause(Duration::from_millis(50));
    }
}

/// The device of the file system that is meant.
pub(super) fn find(
    context: &Context,
    control: &Control,
    place: &Place,
) -> Result<PathBuf, ActionError> {
    let places = &context.places;
    if let Some(device) = &place.device {
        let path = Path::new(device);
        if !path.starts_with("/dev") || device.contains("..") {
            return Err(ActionError::Other(format!("{device} is no device")));
        }
        if !path.exists() {
            assemble(context, control);
        }
        return if path.exists() {
            Ok(path.to_owned())
        } else {
            Err(ActionError::Other(format!("there is no {device}")))
        };
    }
    let disk = disk(context, &place.disk)?;
    if let Some(number) = place.partition {
        return Ok(device(
            places,
            &await_part(places, &disk.device, number, control)?.name,
        ));
    }
    root(context, control, &disk)
}

/// Starts the RAIDs and volume groups that are on the disks: a restart forgot them. What fails is told by what is
/// missing then.
fn assemble(context: &Context, control: &Control) {
    load_drivers(context, control);
    let _ = command::run(
        program("mdadm", ["--assemble", "--scan", "--run"]),
        &context.log,
        control,
    );
    let _ = command::run(program("lvm", ["vgchange", "-ay"]), &context.log, control);
}

/// The drivers of RAID and volumes, which no device asks for.
pub(super) fn load_drivers(context: &Context, control: &Control) {
    let names = ["-a", "-b", "-q", "md_mod", "raid1", "dm_mod"];
    let _ = command::run(program("modprobe", names), &context.log, control);
}

/// The file system of the disk that holds an installed system; where none does, the only one that could.
fn root(context: &Context, control: &Control, disk: &Disk) -> Result<PathBuf, ActionError> {
    let look = || -> Vec<(PathBuf, String)> {
        let names = candidates(&context.places, &disk.device);
        let found = names.into_iter().filter_map(|name| {
            let path = device(&context.places, &name);
            let kind = kind(&path).filter(|kind| ROOTS.contains(&kind.as_str()))?;
            Some((path, kind))
        });
        found.collect()
    };
    let mut found = look();
    if found.is_empty() {
        assemble(context, control);
        found = look();
    }
    let with_system = |(device, kind): &&(PathBuf, String)| {
        Mounted::new(device, kind, MsFlags::MS_RDONLY).is_ok_and(|mounted| mounted.holds_system())
    };
    let systems: Vec<&(PathBuf, String)> = found.iter().filter(with_system).collect();
    let all: Vec<&(PathBuf, String)> = found.iter().collect();
    let names = |list: &[&(PathBuf, String)]| -> String {
        let names: Vec<String> = list
            .iter()
            .map(|(device, kind)| format!("{} ({kind})", device.display()))
            .collect();
        names.join(", ")
    };
    match (systems.as_slice(), all.as_slice()) {
        ([(device, _)], _) | ([], [(device, _)]) => Ok(device.clone()),
        ([], []) => Err(ActionError::Other(format!(
            "{} has no file system that holds a root",
            disk.device
        ))),
        ([], several) | (several, _) => Err(ActionError::Other(format!(
            "{} has several file systems that could be the root: {}; say which by its partition",
            disk.device,
            names(several)
        ))),
    }
}

/// The partitions of a disk, the disk itself where it has none, and what the kernel made of them: RAIDs, volumes.
fn candidates(places: &Places, disk: &str) -> Vec<String> {
    let mut names: Vec<String> = disks::partitions(&places.sys, disk)
        .into_iter()
        .map(|part| part.name)
        .collect();
    if names.is_empty() {
        names.push(disk.to_owned());
    }
    let mut at = 0;
    while let Some(name) = names.get(at) {
        let holders = fs::read_dir(places.sys.join("class/block").join(name).join("holders"))
            .into_iter()
            .flatten()
            .flatten();
        let new: Vec<String> = holders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !names.contains(name))
            .collect();
        names.extend(new);
        at += 1;
    }
    names
}

/// What is on a device, first of all. A volume's name leads to no folder of sysfs, so that its end is looked for here.
pub(super) fn kind(device: &Path) -> Option<String> {
    let mut file = File::open(device).ok()?;
    let size = file.seek(SeekFrom::End(0)).ok()?;
    contents::of(&mut file, size).ok()?.into_iter().next()
}

/// A file system that is mounted as long as this lives.
#[derive(Debug)]
pub(super) struct Mounted {
    root: PathBuf,
    /// What was mounted, in order.
    places: Vec<PathBuf>,
}

impl Mounted {
    /// The file system that is meant, to be written to.
    pub(super) fn open(
        context: &Context,
        control: &Control,
        place: &Place,
    ) -> Result<Self, ActionError> {
        let device = find(context, control, place)?;
        let kind = place.fs_type.clone().or_else(|| kind(&device));
        let kind = kind.ok_or_else(|| {
            ActionError::Other(format!(
                "{} has no file system that is known here",
                device.display()
            ))
        })?;
        context
            .log
            .say(format!("mounting {} ({kind})", device.display()));
        Self::new(&device, &kind, MsFlags::empty())
    }

    pub(super) fn new(device: &Path, kind: &str, flags: MsFlags) -> Result<Self, ActionError> {
        let root = PathBuf::from(TARGET);
        fs::create_dir_all(&root).map_err(ActionError::at(&root))?;
        // What an earlier step left, if it was ended in the middle.
        while umount2(&root, MntFlags::MNT_DETACH).is_ok() {}
        let what = format!("mounting {} as {kind}", device.display());
        let kind = if matches!(kind, "ext2" | "ext3") {
            "ext4"
        } else {
            kind
        };
        mount(Some(device), &root, Some(kind), flags, None::<&str>)
            .map_err(ActionError::io(what))?;
        Ok(Self {
            places: vec![root.clone()],
            root,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Mounts something else inside it.
    pub(super) fn add(
        &mut self,
        what: &Path,
        at: &str,
        kind: Option<&str>,
    ) -> Result<PathBuf, ActionError> {
        let place =
            inside::make_folder(&self.root, Path::new(at), 0o755).map_err(ActionError::io(at))?;
        let flags = if kind.is_some() {
            MsFlags::empty()
        } else {
            MsFlags::MS_BIND | MsFlags::MS_REC
        };
        mount(Some(what), &place, kind, flags, None::<&str>)
            .map_err(ActionError::io(format!("mounting {at}")))?;
        self.places.push(place.clone());
        Ok(place)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        inside::resolve(&self.root, Path::new(path)).is_ok_and(|place| place.exists())
    }

    fn holds_system(&self) -> bool {
        [
            "usr/lib/os-release",
            "etc/os-release",
            "etc/fstab",
            "sbin/init",
            "@/etc/os-release",
        ]
        .iter()
        .any(|path| self.has(path))
    }

    /// Takes it down, and tells whether everything that was written is on the disk.
    pub(super) fn close(mut self) -> Result<(), ActionError> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<(), ActionError> {
        let mut outcome = Ok(());
        while let Some(place) = self.places.pop() {
            // Not by force where it can be avoided: what is written last is on the disk when this returns.
            let plain = umount2(&place, MntFlags::empty());
            if plain.is_err() {
                nix::unistd::sync();
                outcome = umount2(&place, MntFlags::MNT_DETACH).map_err(ActionError::at(&place));
            }
        }
        outcome
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever did not close it has an error of its own to tell.
        let _ = self.take_down();
    }
}
