//! A machine's serial line: all that it said so far, and what it says now.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    LabError,
    qemu::{SERIAL_LOG, SERIAL_SOCKET},
};
use crate::lab::{error::Doing, process::with_hint, wait::Stop};

#[derive(Clone, Debug)]
pub struct Serial {
    vm: String,
    pub log: PathBuf,
    /// Both ways, for one talker at a time.
    pub socket: PathBuf,
    stop: Stop,
}

impl Serial {
    pub(super) fn new(vm: &str, dir: &Path, stop: Stop) -> Serial {
        let (log, socket) = (dir.join(SERIAL_LOG), dir.join(SERIAL_SOCKET));
        Serial {
            vm: vm.to_owned(),
            log,
            socket,
            stop,
        }
    }

    /// All that was said since power-on, without colours and cursor moves.
    pub fn text(&self) -> String {
        plain(&String::from_utf8_lossy(
            &fs::read(&self.log).unwrap_or_default(),
        ))
    }

    /// Waits for a line that holds `text`, and gives it; `alive` ends the wait early.
    pub(super) fn wait(
        &self,
        text: &str,
        within: Duration,
        alive: impl Fn() -> Result<(), LabError>,
    ) -> Result<String, LabError> {
        let awaited = format!("{text:?} on the serial line of {}", self.vm);
        let found = self.stop.until(&awaited, within, || {
            let said = self.text();
            match said.lines().find(|line| line.contains(text)) {
                Some(line) => Ok(Some(line.trim().to_owned())),
                None => alive().map(|()| None),
            }
        });
        found.map_err(|error| with_hint(error, &self.log))
    }

    /// Copies what was said and what is being said, until `until` holds after a look.
    pub fn follow(
        &self,
        to: &mut impl Write,
        mut until: impl FnMut() -> bool,
    ) -> Result<(), LabError> {
        let mut at = 0;
        loop {
            let last = until();
            at = self
                .copy_from(at, to)
                .doing(|| format!("follow {}", self.log.display()))?;
            if last {
                return Ok(());
            }
            crate::lab::wait::pause();
        }
    }

    fn copy_from(&self, at: u64, to: &mut impl Write) -> io::Result<u64> {
        let Ok(mut log) = File::open(&self.log) else {
            return Ok(at);
        };
        // A machine that was switched on again begins a new log.
        let at = if log.metadata()?.len() < at { 0 } else { at };
        log.seek(SeekFrom::Start(at))?;
        let copied = io::copy(&mut log, to)?;
        to.flush()?;
        Ok(at + copied)
    }
}

/// Takes out escape sequences (ECMA-48 5.4) and carriage returns. Firmware positions its cursor for each
/// line, so a jump to the start of a line counts as a new line.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                if rest.next() != Some('[') {
                    continue;
                }
                let sequence: String = take_sequence(&mut rest);
                let to_line_start = sequence.ends_with('H') && !sequence.contains(';')
                    || sequence.ends_with(";01H")
                    || sequence.ends_with(";1H");
                if to_line_start && !plain.ends_with('\n') {
                    plain.push('\n');
                }
            }
            '\n' => plain.push('\n'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Parameters and the letter that ends them.
fn take_sequence(rest: &mut std::str::Chars<'_>) -> String {
    let mut sequence = String::new();
    for c in rest {
        sequence.push(c);
        if ('@'..='~').contains(&c) {
            break;
        }
    }
    sequence
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("iPXE\r\n", "iPXE\n"; "carriage returns go")]
    #[test_case("\x1b[1;37mBooting\x1b[0m from", "Booting from"; "colours go")]
    #[test_case("one\x1b[02;01Htwo", "one\ntwo"; "the start of a line is a new line")]
    #[test_case("A\x1b[10CB\x1b", "AB"; "cut off")]
    fn a_screen_becomes_lines(said: &str, read: &str) {
        assert_eq!(plain(said), read);
    }
}
