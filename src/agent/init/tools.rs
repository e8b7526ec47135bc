//! The programs of the boot environment lie in it packed: a machine that is only looked at needs none of them, and the
//! kernel would unpack them before all else. The agent does when the server knows the machine, or at the latest before
//! the first step of a workflow.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Below the root of the environment.
pub const ARCHIVE: &str = "usr/lib/dragonfly/tools.tar.zst";

static UNPACKING: Mutex<()> = Mutex::new(());

/// Returns when they are there. The archive goes when all of it is, so that one who was ended on the way begins anew.
pub fn unpack(root: &Path) -> io::Result<()> {
    let _turn = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
    let archive = root.join(ARCHIVE);
    let packed = match File::open(&archive) {
        Ok(packed) => packed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(packed)?);
    tar.set_preserve_permissions(true);
    tar.unpack(root)?;
    fs::remove_file(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(content: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib/dragonfly")).unwrap();
        fs::write(root.path().join(ARCHIVE), content).unwrap();
        root
    }

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut head = tar::Header::new_gnu();
        head.set_size(3);
        head.set_mode(0o755);
        tar.append_data(&mut head, "usr/sbin/x", &b"abc"[..])
            .unwrap();
        zstd::encode_all(&*tar.into_inner().unwrap(), 3).unwrap()
    }

    #[test]
    fn they_are_unpacked_once_over_what_was_left_half() {
        let root = root(&archive());
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        fs::write(root.path().join("usr/sbin/x"), "a").unwrap();
        unpack(root.path()).unwrap();
        assert_eq!(fs::read(root.path().join("usr/sbin/x")).unwrap(), b"abc");
        assert!(!root.path().join(ARCHIVE).exists());
        unpack(root.path()).unwrap();
    }

    #[test]
    fn an_archive_that_is_cut_is_an_error_and_stays() {
        let whole = archive();
        let root = root(&whole[..whole.len() - 5]);
        assert!(unpack(root.path()).is_err());
        assert!(root.path().join(ARCHIVE).exists());
    }
}
