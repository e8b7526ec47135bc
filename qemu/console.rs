//! A person at a machine's serial line: keys go there, all that it says comes here.

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
};

use dragonfly::lab::{Stop, Vm, plain};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ctrl-], as telnet has it.
const LEAVE: u8 = 0x1d;
/// How often a quiet line looks whether it was told to stop.
const LOOK_MS: u16 = 200;
/// What is shown of the past before the present begins.
const PAST_LINES: usize = 20;

pub(crate) fn run(vm: &Vm, follow: bool, stop: &Stop) -> Result<ExitCode, Failure> {
    let serial = vm.serial();
    if follow {
        serial.follow(&mut io::stdout(), || {
            stop.is_set() || !vm.process.is_alive()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    vm.process.expect_alive()?;
    let line = UnixStream::connect(&serial.socket)?;
    eprintln!("The serial line of {}; Ctrl-] leaves.", vm.name);
    let past = plain(&String::from_utf8_lossy(&fs::read(&serial.log)?));
    let past: Vec<&str> = past.lines().collect();
    println!(
        "{}",
        past[past.len().saturating_sub(PAST_LINES)..].join("\n")
    );
    let raw = RawTerminal::enter()?;
    let ended = talk(line, stop);
    drop(raw);
    eprintln!("\n{}", ended?);
    Ok(ExitCode::SUCCESS)
}

fn talk(mut line: UnixStream, stop: &Stop) -> Result<&'static str, Failure> {
    let (mut keys, mut screen) = (io::stdin(), io::stdout());
    let (mut bytes, mut typing) = ([0; 4096], true);
    while !stop.is_set() {
        let (typed, said) = {
            let stdin = if typing {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            };
            let mut ends = [
                PollFd::new(keys.as_fd(), stdin),
                PollFd::new(line.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ends, PollTimeout::from(LOOK_MS)) {
                Err(nix::errno::Errno::EINTR) => continue,
                done => done?,
            };
            (
                typing && ends[0].any().unwrap_or(false),
                ends[1].any().unwrap_or(false),
            )
        };
        if said {
            match line.read(&mut bytes)? {
                0 => return Ok("The machine is off."),
                count => screen.write_all(&bytes[..count])?,
            }
            screen.flush()?;
        }
        if typed {
            let count = keys.read(&mut bytes)?;
            typing = count > 0;
            let leaves = bytes[..count].iter().position(|byte| *byte == LEAVE);
            line.write_all(&bytes[..leaves.unwrap_or(count)])?;
            if leaves.is_some() {
                return Ok("Left; the machine goes on.");
            }
        }
    }
    Ok("Interrupted; the machine goes on.")
}

/// Every key goes to the machine, until this is dropped.
struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    fn enter() -> nix::Result<RawTerminal> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(RawTerminal { before: None });
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
        Ok(RawTerminal {
            before: Some(before),
        })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing more can be done for a terminal that does not take its own settings back.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
