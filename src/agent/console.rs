//! What whoever stands before the machine sees: a screen on its display, and on a serial line the same as a log that
//! grows, with one line at its end that is drawn again.
//!
//! Drawing has a thread of its own, so that a display that is slow, or a serial line that nobody reads, never keeps
//! the agent.

mod screen;
mod serial;
pub mod status;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::clock;
use super::log::Log;
use super::sys::kernel::terminal_size;
pub use status::{Bar, Mark, Status, Step};

/// Four times a second at most.
const PAUSE: Duration = Duration::from_millis(250);
/// A line that does not take what is written to it is left alone for this drawing.
const PATIENCE: Duration = Duration::from_secs(2);
const DISPLAY: &str = "/dev/tty0";

/// The one status of the machine; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Console(Arc<Mutex<Status>>);

impl Console {
    /// Changes what is shown.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn status(&self) -> Status {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Draws from now on, as long as the process lives: on the display, and on each serial console of these names.
    pub fn start(&self, consoles: &[String], log: &Log) {
        let lines = serial_lines(consoles);
        let (console, log) = (self.clone(), log.clone());
        let thread = std::thread::Builder::new().name("console".into());
        let drawing = thread.spawn(move || draw(&console, &log, &lines));
        if let Err(error) = drawing {
            let error = format!("the screen is not drawn again: {error}");
            self.update(|status| status.error = Some(error));
        }
    }
}

/// The devices of those consoles that are no displays.
fn serial_lines(consoles: &[String]) -> Vec<String> {
    let active = || std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let names = if consoles.is_empty() {
        active().split_whitespace().map(str::to_owned).collect()
    } else {
        consoles.to_vec()
    };
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        let is_display = name
            .strip_prefix("tty")
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        let is_device = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_display && is_device && !lines.contains(&name) {
            lines.push(name);
        }
    }
    lines
}

fn draw(console: &Console, log: &Log, lines: &[String]) {
    let mut display = Device::open(DISPLAY);
    let mut serial: Vec<(Device, serial::Writer)> = lines
        .iter()
        .filter_map(|name| {
            Some((
                Device::open(&format!("/dev/{name}"))?,
                serial::Writer::default(),
            ))
        })
        .collect();
    let mut drawn = None;
    loop {
        let (status, recent) = (console.status(), log.recent());
        let seen = (status, recent);
        if drawn.as_ref() != Some(&seen) {
            let (status, (written, recent)) = &seen;
            if let Some(display) = &mut display {
                let (rows, columns) = display.size();
                display.write(&screen::paint(status, recent, rows, columns));
            }
            for (device, writer) in &mut serial {
                device.write(&writer.say(status, *written, recent, clock::now()));
            }
            drawn = Some(seen);
        }
        clock::pause(PAUSE);
    }
}

/// A terminal that is written to without waiting for it.
struct Device(File);

impl Device {
    fn open(path: &str) -> Option<Self> {
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits())
            .open(Path::new(path));
        file.ok().map(Self)
    }

    fn size(&self) -> (u16, u16) {
        terminal_size(&self.0).unwrap_or((25, 80))
    }

    fn write(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        let until: Instant = clock::now() + PATIENCE;
        while !rest.is_empty() {
            match self.0.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && clock::now() < until => {
                    clock::pause(Duration::from_millis(5));
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(&["tty0", "ttyS0", "ttyS0"], &["ttyS0"]; "each once, displays not")]
    #[test_case(&["ttyAMA0", "hvc0"], &["ttyAMA0", "hvc0"]; "of other boards")]
    #[test_case(&["../x", "tty1"], &[]; "no way out of the folder")]
    fn serial_lines_are_those_that_the_kernel_was_told(consoles: &[&str], lines: &[&str]) {
        let consoles: Vec<String> = consoles.iter().map(|&name| name.into()).collect();
        assert_eq!(serial_lines(&consoles), lines);
    }
}
