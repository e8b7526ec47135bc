//! The disk that is written to: a loop device over a file, or the file where there can be none.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Result;

pub struct Device {
    pub path: PathBuf,
    pub size: u64,
    looped: bool,
}

impl Device {
    /// Of this size, over a file in this folder.
    pub fn new(folder: &Path, size: u64) -> Result<Self> {
        let file = folder.join("disk");
        File::create(&file)?.set_len(size)?;
        let made = Command::new("losetup")
            .args(["--direct-io=on", "--find", "--show"])
            .arg(&file)
            .output();
        let made = made.ok().filter(|made| made.status.success());
        let looped = made.map(|made| String::from_utf8_lossy(&made.stdout).trim().into());
        let device = Self {
            size,
            looped: looped.is_some(),
            path: looped.unwrap_or(file),
        };
        let what = if device.looped {
            "a loop device over a file, past the page cache"
        } else {
            "a file, past the page cache"
        };
        println!("# image: the disk is {what}, of {} MiB", size >> 20);
        Ok(device)
    }

    /// Writes old bytes over all of it, so that both sides find it the same, and what would shine through is seen.
    pub fn spoil(&self) -> Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let old = vec![0xa5; 4 << 20];
        for _ in 0..self.size / old.len() as u64 {
            file.write_all(&old)?;
        }
        file.sync_all()?;
        let (path, len) = (&self.path, self.size);
        // What the next reader sees comes off the disk.
        let file = OpenOptions::new().read(true).custom_flags(0).open(path)?;
        let len = i64::try_from(len)?;
        nix::fcntl::posix_fadvise(
            &file,
            0,
            len,
            nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        )?;
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.looped {
            let _ = Command::new("losetup").arg("-d").arg(&self.path).status();
        }
    }
}
