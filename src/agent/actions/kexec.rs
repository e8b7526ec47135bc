//! The installed system's own kernel, loaded in place of this one: it starts without the firmware's minutes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::target::{self, Mounted};
use super::{ActionError, Context, Control, inside};
use crate::agent::sys::kernel;
use crate::model::action::Kexec;

/// Where kernels are, and what their names begin with.
const KERNELS: [(&str, &str); 3] = [("boot", "vmlinuz-"), ("boot", "Image-"), ("boot", "linux-")];
/// What belongs to a kernel of this version.
const INITRDS: [(&str, &str); 3] = [("initrd.img-", ""), ("initramfs-", ".img"), ("initrd-", "")];

/// Loads it. The agent starts it when the server knows.
pub(super) fn load(
    wanted: &Kexec,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let device = target::find(context, control, &wanted.place)?;
    let kind = wanted
        .place
        .fs_type
        .clone()
        .or_else(|| target::kind(&device))
        .unwrap_or_default();
    let mounted = Mounted::new(&device, &kind, MsFlags::MS_RDONLY)?;
    let (kernel, initrd) = find(mounted.root(), wanted)?;
    let line = match &wanted.cmdline {
        Some(line) => line.clone(),
        None => own_line(context, &kind, &device)?,
    };
    let open = |path: &Path| File::open(path).map_err(ActionError::at(path));
    let initrd_file = initrd.as_deref().map(open).transpose()?;
    kernel::load(&open(&kernel)?, initrd_file.as_ref(), &line)
        .map_err(ActionError::io(format!("loading {}", kernel.display())))?;
    drop(initrd_file);
    let told = format!(
        "{} loaded, with {line}",
        kernel
            .strip_prefix(mounted.root())
            .unwrap_or(&kernel)
            .display()
    );
    mounted.close()?;
    Ok(told)
}

/// The kernel and its initial file system: those that are named, else the newest.
fn find(root: &Path, wanted: &Kexec) -> Result<(PathBuf, Option<PathBuf>), ActionError> {
    let inside = |path: &str| inside::resolve(root, Path::new(path)).map_err(ActionError::io(path));
    let kernel = match &wanted.kernel {
        Some(path) => inside(path)?,
        None => newest(root).ok_or_else(|| {
            ActionError::Other("no kernel was found in /boot; say where it is".into())
        })?,
    };
    let initrd = match &wanted.initrd {
        Some(path) => Some(inside(path)?),
        None if wanted.kernel.is_none() => initrd_of(root, &kernel),
        None => None,
    };
    Ok((kernel, initrd))
}

/// The kernel of the highest version, number by number.
fn newest(root: &Path) -> Option<PathBuf> {
    let mut found: Vec<(Vec<u64>, PathBuf)> = Vec::new();
    for (folder, prefix) in KERNELS {
        let folder = inside::resolve(root, Path::new(folder)).ok()?;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(version) = name
                .strip_prefix(prefix)
                .filter(|version| !version.contains("rescue"))
            {
                let numbers = version
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|part| part.parse().ok());
                found.push((numbers.collect(), entry.path()));
            }
        }
    }
    found.into_iter().max().map(|(_, path)| path)
}

fn initrd_of(root: &Path, kernel: &Path) -> Option<PathBuf> {
    let name = kernel.file_name()?.to_str()?;
    let version = KERNELS
        .iter()
        .find_map(|(_, prefix)| name.strip_prefix(prefix))?;
    let folder = inside::resolve(root, Path::new("boot")).ok()?;
    let names = INITRDS
        .iter()
        .map(|(prefix, suffix)| folder.join(format!("{prefix}{version}{suffix}")));
    names.into_iter().find(|path| path.exists())
}

/// The root by its UUID, and the consoles that this kernel has.
fn own_line(context: &Context, kind: &str, device: &Path) -> Result<String, ActionError> {
    let mut file = File::open(device).map_err(ActionError::at(device))?;
    let root = match uuid(&mut file, kind) {
        Some(uuid) => format!("root=UUID={uuid}"),
        None => format!("root={}", device.display()),
    };
    let own = fs::read_to_string(context.places.proc.join("cmdline")).unwrap_or_default();
    let consoles = own
        .split_whitespace()
        .filter(|word| word.starts_with("console="));
    Ok([root.as_str(), "ro"]
        .into_iter()
        .chain(consoles)
        .collect::<Vec<_>>()
        .join(" "))
}

/// The UUID of a file system, where its superblock has it.
fn uuid(device: &mut (impl std::io::Read + std::io::Seek), kind: &str) -> Option<uuid::Uuid> {
    let at = match kind {
        "ext4" | "ext3" | "ext2" => 0x468,
        "xfs" => 0x20,
        "btrfs" => 0x1_0020,
        _ => return None,
    };
    let mut bytes = [0; 16];
    device.seek(std::io::SeekFrom::Start(at)).ok()?;
    device.read_exact(&mut bytes).ok()?;
    Some(uuid::Uuid::from_bytes(bytes)).filter(|uuid| !uuid.is_nil())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("boot")).unwrap();
        for file in files {
            fs::write(root.path().join("boot").join(file), "").unwrap();
        }
        root
    }

    #[test]
    fn the_newest_kernel_is_taken_with_what_belongs_to_it() {
        let root = system(&[
            "vmlinuz-6.9.1-amd64",
            "vmlinuz-6.12.30-amd64",
            "vmlinuz-0-rescue-abc",
            "initrd.img-6.12.30-amd64",
            "initrd.img-6.9.1-amd64",
        ]);
        let (kernel, initrd) = find(root.path(), &Kexec::default()).unwrap();
        assert_eq!(kernel, root.path().join("boot/vmlinuz-6.12.30-amd64"));
        assert_eq!(
            initrd,
            Some(root.path().join("boot/initrd.img-6.12.30-amd64"))
        );
    }

    #[test]
    fn a_kernel_that_is_named_is_looked_for_inside() {
        let root = system(&["x"]);
        let wanted = Kexec {
            kernel: Some("/../../boot/x".into()),
            ..Kexec::default()
        };
        assert_eq!(
            find(root.path(), &wanted).unwrap(),
            (root.path().join("boot/x"), None)
        );
        assert!(find(root.path(), &Kexec::default()).is_err());
    }

    #[test]
    fn a_file_system_has_its_uuid_in_its_superblock() {
        let mut bytes = vec![0; 0x478];
        bytes[0x468..].fill(0xab);
        let uuid = uuid(&mut std::io::Cursor::new(bytes), "ext4").unwrap();
        assert_eq!(uuid.to_string(), "abababab-abab-abab-abab-abababababab");
        assert_eq!(
            super::uuid(&mut std::io::Cursor::new(vec![0; 0x478]), "ext4"),
            None
        );
        assert_eq!(
            super::uuid(&mut std::io::Cursor::new(vec![1; 9]), "ext4"),
            None
        );
    }
}
