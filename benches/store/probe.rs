//! What the disk itself can do, so that nobody measures a memory file system or a throttled disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::{Result, rate};

/// After much was written a shared disk may be held back for a while.
const PATIENCE: Duration = Duration::from_mins(2);

pub fn refuse_memory(home: &Path) -> Result<()> {
    if statfs(home)?.filesystem_type() == TMPFS_MAGIC {
        let home = home.display();
        return Err(format!("{home} lies in memory (tmpfs); durable puts are measured on a disk: set CARGO_TARGET_DIR to one").into());
    }
    Ok(())
}

pub fn syncs_a_second(home: &Path) -> Result<f64> {
    const FOR: Duration = Duration::from_secs(1);
    let path = home.join("probe");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; 1 << 20], 0)?;
    file.sync_all()?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < FOR {
        file.write_all_at(&[1; 4096], count % 256 * 4096)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = rate(count, began.elapsed());
    drop(file);
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Waits until a raw sync is about as fast as it was at first.
pub fn settle(home: &Path, first: f64) -> Result<()> {
    let began = Instant::now();
    loop {
        let now = syncs_a_second(home)?;
        let waited = began.elapsed().as_secs();
        if now >= first * 0.7 {
            println!("# raw fdatasync {now:.0}/s after {waited} s");
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            println!(
                "# raw fdatasync still {now:.0}/s after {waited} s, {first:.0}/s at first: the disk is throttled"
            );
            return Ok(());
        }
    }
}
