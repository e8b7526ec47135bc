//! What the kernel ended for want of memory. Whoever is ended so cannot tell of it: the kernel's own log does.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

/// The kernel gives one record with each read, and no record is longer (`CONSOLE_EXT_LOG_MAX`).
const RECORD: usize = 8192;

/// What the kernel calls the agent: its init starts it by its link in `/proc`.
const OWN: &str = "exe";

/// The kernel's log from a moment on.
#[derive(Debug)]
pub struct Watch(Option<File>);

impl Watch {
    /// From now on. Where the log cannot be read nothing will be told.
    pub fn begin() -> Self {
        Self(end_of_log().ok())
    }

    /// What was ended last since then, in a person's words. Nothing is told twice.
    pub fn told(&mut self) -> Option<String> {
        let log = self.0.as_mut()?;
        let (mut record, mut last) = (vec![0; RECORD], None);
        loop {
            match log.read(&mut record) {
                Ok(0) => break,
                Ok(read) => last = victim(&String::from_utf8_lossy(&record[..read])).or(last),
                // The log ran over what was not read yet; it goes on with what there is.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        last
    }
}

fn end_of_log() -> std::io::Result<File> {
    let flags = i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes());
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// `Out of memory: Killed process 123 (dd) total-vm:4096kB, anon-rss:1024kB, …` (`mm/oom_kill.c`), in other words.
fn victim(record: &str) -> Option<String> {
    let (_, rest) = record.split_once("ut of memory")?;
    let (_, rest) = rest.split_once("Killed process ")?;
    let (_, rest) = rest.split_once(" (")?;
    let (name, rest) = rest.split_once(") ")?;
    let name = if name == OWN { "the agent" } else { name };
    let held = rest.split_once("anon-rss:").and_then(|(_, rest)| {
        let (kibibytes, _) = rest.split_once("kB")?;
        kibibytes.parse::<u64>().ok()
    });
    let held = held.map(|kibibytes| format!(", which held {} MiB", kibibytes / 1024));
    Some(format!(
        "the machine ran out of memory, and its kernel ended {name}{}",
        held.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(
        "3,901,48071,-;Out of memory: Killed process 87 (tail) total-vm:441936kB, anon-rss:399872kB, file-rss:4kB\n",
        Some("the machine ran out of memory, and its kernel ended tail, which held 390 MiB");
        "of the whole machine"
    )]
    #[test_case(
        "3,901,4,-;Memory cgroup out of memory: Killed process 9 (a (b)) anon-rss:1kB\n",
        Some("the machine ran out of memory, and its kernel ended a (b), which held 0 MiB");
        "of a group, a name with parentheses"
    )]
    #[test_case(
        "3,9,4,-;Out of memory: Killed process 70 (exe) total-vm:9000kB, anon-rss:2048kB\n",
        Some("the machine ran out of memory, and its kernel ended the agent, which held 2 MiB");
        "the agent"
    )]
    #[test_case("6,339,51,-;usb 1-1: new device\n", None; "something else")]
    #[test_case("", None; "nothing")]
    fn the_kernels_words_are_read(record: &str, told: Option<&str>) {
        assert_eq!(victim(record).as_deref(), told);
    }
}
