//! Tells the service manager how the daemon is: the protocol of `sd_notify(3)`.
//!
//! One datagram with `KEY=value` lines to the socket that `NOTIFY_SOCKET` names, a path or (with `@`) a name in
//! the abstract namespace. Nobody there, or a full queue, is no error: the daemon works without a manager.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The line to the service manager.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    line: Option<(UnixDatagram, SocketAddr)>,
    /// How often the manager wants to hear that all is well.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The line that this process was given, if it was.
    pub(super) fn of_process() -> Self {
        let var = |name| std::env::var_os(name);
        let line = var("NOTIFY_SOCKET").and_then(|place| open(&place));
        let number = |name| var(name)?.to_str()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0);
        Self {
            watchdog: line.as_ref().and(watchdog).map(Duration::from_micros),
            line,
        }
    }

    pub(super) fn ready(&self, status: &str) {
        self.send(&format!(
            "READY=1\nSTATUS={status}\nMAINPID={}",
            std::process::id()
        ));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    pub(super) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// How often to say that all is well: twice as often as the manager wants it.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|every| every / 2)
    }

    fn send(&self, words: &str) {
        if let Some((socket, manager)) = &self.line
            && let Err(error) = socket.send_to_addr(words.as_bytes(), manager)
        {
            tracing::debug!(%error, "service manager not reached");
        }
    }
}

fn open(place: &OsStr) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
        [b'/', ..] => SocketAddr::from_pathname(place).ok()?,
        _ => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address))
}
