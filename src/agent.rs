//! The program that runs on a machine that booted from us: first as its init, then, installed, as a unit of its system.
//!
//! It is synchronous and carries nothing of the server. What the two say to each other is `model::agent`; what it can
//! be told to do is `model::action`. It never gives up by itself: whatever fails is shown on the machine's screen and
//! tried again, since nobody stands there to restart it.

pub mod actions;
pub mod client;
pub mod clock;
pub mod cmdline;
pub mod console;
pub mod home;
pub mod http;
pub mod image;
pub mod init;
pub mod inventory;
pub mod log;
pub mod network;
pub mod oom;
mod run;
pub mod sys;

use std::process::ExitCode;

/// Does what the words of its command line ask for.
pub fn main() -> ExitCode {
    let mut words = std::env::args();
    let own = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    if own.rsplit('/').next() == Some("modprobe") {
        return init::modprobe::run(&words);
    }
    match words.first().map(String::as_str) {
        Some("--version") => {
            say(concat!("dragonfly-agent ", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Some("home") => home::run(),
        // The kernel hands its init whatever words it does not know.
        _ if std::process::id() == 1 => init::run(),
        Some("boot") => run::boot(words.get(1).cloned()),
        Some("in") => actions::chroot::enter(&words[1..]),
        _ => {
            say(
                "usage: dragonfly-agent home | --version\nIt is /init of Dragonfly's boot environment, and the unit of what was installed.",
            );
            ExitCode::from(2)
        }
    }
}

/// A line for whoever started it.
fn say(line: &str) {
    use std::io::Write as _;
    // Whoever closed the pipe does not want the line.
    let _ = writeln!(std::io::stdout(), "{line}");
}
