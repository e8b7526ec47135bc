//! Programs of the boot environment, and of the system on the disk: started without a shell, their words in the log,
//! ended when the action is told to stop.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{ActionError, Control};
use crate::agent::clock;
use crate::agent::log::Log;
use crate::agent::oom;

const PAUSE: Duration = Duration::from_millis(20);
/// As many last lines go into an error.
const TAIL: usize = 8;
/// A line is no longer than this; a program may write without end.
const LINE: u64 = 8 * 1024;

/// Runs it to its end; all that it says goes to the log.
pub(super) fn run(mut command: Command, log: &Log, control: &Control) -> Result<(), ActionError> {
    let program = name(&command);
    let failed = |how: String, tail: String| ActionError::Program {
        program: program.clone(),
        how,
        tail,
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut memory = oom::Watch::begin();
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("it cannot be started: {error}"), String::new()))?;
    let tail = Arc::new(Mutex::new(VecDeque::new()));
    let mut readers = Vec::new();
    readers.extend(
        child
            .stdout
            .take()
            .map(|pipe| listen(pipe, &program, log, &tail)),
    );
    readers.extend(
        child
            .stderr
            .take()
            .map(|pipe| listen(pipe, &program, log, &tail)),
    );
    let status = wait(&mut child, control).map_err(ActionError::io(program.clone()))?;
    finish(readers);
    control.check()?;
    if status.success() {
        return Ok(());
    }
    let lines: Vec<String> = tail
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .cloned()
        .collect();
    // It may be one that it started which was ended.
    let how = match memory.told() {
        Some(told) => format!("{status}; {told}"),
        None => status.to_string(),
    };
    Err(failed(how, lines.join(" / ")))
}

/// A program by its name, in the boot environment.
pub(super) fn program<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

fn name(command: &Command) -> String {
    let path = command.get_program().to_string_lossy().into_owned();
    // What runs inside the disk's system is started by this program itself.
    let inside = command
        .get_args()
        .nth(2)
        .filter(|_| path == "/proc/self/exe");
    inside.map_or(path, |program| program.to_string_lossy().into_owned())
}

fn listen(
    pipe: impl Read + Send + 'static,
    program: &str,
    log: &Log,
    tail: &Arc<Mutex<VecDeque<String>>>,
) -> JoinHandle<()> {
    let (log, tail) = (log.clone(), Arc::clone(tail));
    let short = program.rsplit('/').next().unwrap_or(program).to_owned();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while (&mut pipe)
            .take(LINE)
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            if text.is_empty() {
                continue;
            }
            log.say(format!("{short}: {text}"));
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(crate::agent::log::clean(&text));
        }
    })
}

fn wait(child: &mut Child, control: &Control) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if control.is_stopped() {
            let group = i32::try_from(child.id()).map_err(io::Error::other)?;
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            return child.wait();
        }
        clock::pause(PAUSE);
    }
}

/// A program may leave another one behind that holds its output open: that one is not waited for.
fn finish(readers: Vec<JoinHandle<()>>) {
    let until = clock::now() + Duration::from_secs(1);
    for reader in readers {
        while !reader.is_finished() && clock::now() < until {
            clock::pause(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        program("sh", ["-c", script])
    }

    #[test]
    fn what_a_program_says_is_logged_and_its_last_words_are_in_the_error() {
        let log = Log::default();
        let error = run(
            sh("echo one; echo two >&2; exit 3"),
            &log,
            &Control::default(),
        )
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("sh failed (exit status: 3): "), "{error}");
        assert!(error.contains("one") && error.contains("two"), "{error}");
        assert!(log.take(9).contains(&"sh: one".to_owned()));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(
            program("no-such-program", [""; 0]),
            &Log::default(),
            &Control::default(),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no-such-program failed (it cannot be started: "),
            "{error}"
        );
    }

    #[test]
    fn a_program_ends_with_its_children_when_the_action_is_stopped() {
        let control = Control::default();
        control.stop();
        let started = clock::now();
        let error = run(sh("sleep 60 & wait"), &Log::default(), &control).unwrap_err();
        assert!(matches!(error, ActionError::Stopped));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_is_left_behind_is_not_waited_for() {
        let started = clock::now();
        run(
            sh("sleep 20 & exit 0"),
            &Log::default(),
            &Control::default(),
        )
        .unwrap();
        assert!(started.elapsed() < Duration::from_secs(15));
    }
}
