//! The first process of the boot environment: it makes the file systems that every program expects, keeps the agent
//! itself running as its child, and buries the dead. It must never end, since the kernel would with it.
//!
//! The agent's key is made here, so that an agent that was killed, by the kernel for want of memory or by its own
//! fault, goes on in the session that it had.

pub mod modprobe;
pub mod modules;
mod mounts;
pub mod rest;

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::client::identity::Identity;
use super::clock::{self, Backoff};
use super::oom;

/// Where the boot environment has its programs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Never returns.
pub fn run() -> ! {
    // Before the mounts: the file system of the firmware's variables is a module.
    let allowed = modules::allow();
    let mut problems = mounts::make_all();
    if let Err(error) = allowed {
        problems.push(format!("no modules can be loaded: {error}"));
    }
    // Only what is an emergency may draw over the screen.
    let _ = std::fs::write("/proc/sys/kernel/printk", "2 4 1 7");
    let _ = set_cad_enabled(false);
    for problem in problems {
        tell(&problem);
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.add(Signal::SIGINT);
    let _ = signals.thread_block();
    let key = await_key();
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
    let mut before = None;
    loop {
        let mut memory = oom::Watch::begin();
        match start(&key, before.as_deref()) {
            Ok(agent) => {
                let how = keep(&agent, &signals);
                // What it had started would go on writing beside the next one's.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                let why = memory.told().map(|told| format!(": {told}"));
                let how = format!("{how}{}", why.unwrap_or_default());
                tell(&format!("{how}; it is started again"));
                before = Some(how);
            }
            Err(error) => tell(&format!("the agent cannot be started: {error}")),
        }
        clock::pause(backoff.pause());
    }
}

/// A key needs randomness, which a machine without any has a little later.
fn await_key() -> Vec<u8> {
    loop {
        match Identity::new_key() {
            Ok(key) => return key,
            Err(error) => tell(&format!("no key could be made: {error}")),
        }
        clock::pause(Duration::from_secs(1));
    }
}

/// The next one is told how the one `before` it ended, and tells the server.
fn start(key: &[u8], before: Option<&str>) -> io::Result<Child> {
    let mut agent = Command::new("/proc/self/exe")
        .arg0("dragonfly-agent")
        .arg("boot")
        .args(before)
        .env("PATH", PATH)
        .env("HOME", "/")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = agent.stdin.take() {
        pipe.write_all(key)?;
    }
    Ok(agent)
}

/// Buries whoever dies until it is the agent; tells how it ended.
fn keep(agent: &Child, signals: &SigSet) -> String {
    loop {
        while let Ok(status) = waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            match status {
                WaitStatus::StillAlive => break,
                WaitStatus::Exited(pid, code) if is(pid, agent) => {
                    return format!("the agent ended with {code}");
                }
                WaitStatus::Signaled(pid, signal, _) if is(pid, agent) => {
                    return format!("the agent was ended by {signal}");
                }
                _ => {}
            }
        }
        if signals.wait() == Ok(Signal::SIGINT) {
            tell("restarting, as the keyboard says");
            restart();
        }
    }
}

fn is(pid: Pid, child: &Child) -> bool {
    u32::try_from(pid.as_raw()) == Ok(child.id())
}

/// Restarts the machine; returns only where that is not allowed.
pub fn restart() -> Errno {
    stop(RebootMode::RB_AUTOBOOT)
}

/// Switches the machine off; returns only where that is not allowed.
pub fn power_off() -> Errno {
    stop(RebootMode::RB_POWER_OFF)
}

/// Starts the kernel that was loaded in this one's place; returns only where there is none.
pub fn start_loaded() -> Errno {
    stop(RebootMode::RB_KEXEC)
}

fn stop(how: RebootMode) -> Errno {
    nix::unistd::sync();
    match reboot(how) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// For whoever started this.
fn tell_error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// For whoever stands before the machine, whatever else works.
fn tell(line: &str) {
    let console = std::fs::OpenOptions::new().write(true).open("/dev/console");
    let line = format!("\r\ndragonfly: {line}\r\n");
    let written = console.and_then(|mut console| console.write_all(line.as_bytes()));
    if written.is_err() {
        tell_error(line.trim());
    }
}
