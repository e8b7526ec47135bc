//! The image, as it is and packed: the Debian 13 that the lab's machines are turned into.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly::lab::Tools;

use super::Result;
use super::common::shell;

pub const RAW: &str = "image.raw";

pub struct Files {
    pub folder: PathBuf,
    pub tools: Tools,
    pub size: u64,
}

impl Files {
    /// The raw image in a folder of its own, `boot` under it, from which our server serves.
    pub fn new(home: &Path) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(root.join("scripts/lab-image")).status()?;
        if !made.success() {
            return Err("scripts/lab-image could not make an image to write".into());
        }
        let packed = root.join("build/lab/images/debian-13.raw.zst");
        let folder = home.to_path_buf();
        let raw = folder.join(RAW);
        shell(&format!(
            "zstd -qdc {} >{}",
            packed.display(),
            raw.display()
        ))?;
        let size = fs::metadata(&raw)?.len();
        println!("# image: Debian 13 as a whole disk, {} MiB", size >> 20);
        Ok(Self {
            folder,
            tools: Tools::find()?,
            size,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Packs the image by a line of shell with `{raw}` and `{file}` in it.
    pub fn pack(&self, name: &str, line: &str) -> Result<u64> {
        let (raw, file) = (self.path(RAW), self.path(name));
        let line = line
            .replace("{raw}", &raw.display().to_string())
            .replace("{file}", &file.display().to_string());
        shell(&line)?;
        Ok(fs::metadata(&file)?.len())
    }

    pub fn qcow2(&self, name: &str) -> Result<u64> {
        let mut command = self.tools.command("qemu-img")?;
        command.args(["convert", "-c", "-f", "raw", "-O", "qcow2"]);
        let status = command.arg(self.path(RAW)).arg(self.path(name)).status()?;
        if !status.success() {
            return Err(format!("qemu-img: {status}").into());
        }
        Ok(fs::metadata(self.path(name))?.len())
    }

    /// Puts a file into the page cache, or out of it.
    pub fn warm(&self, name: &str, warm: bool) -> Result<()> {
        let mut file = File::open(self.path(name))?;
        if warm {
            std::io::copy(&mut file, &mut std::io::sink())?;
            return Ok(());
        }
        file.sync_all()?;
        nix::fcntl::posix_fadvise(
            file.as_fd(),
            0,
            0,
            nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        )?;
        Ok(())
    }
}
