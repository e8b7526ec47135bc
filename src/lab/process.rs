//! Processes that the lab started, and no others. Each writes down its own pid and start time before it
//! becomes the program, so that whoever takes the lab down later, even after a kill -9, ends exactly
//! these: a pid alone could have passed on to a stranger.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    LabError,
    error::Doing,
    net::{Netns, copy_surroundings},
    wait::Stop,
};

/// What a process needs to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
const DEATH: Duration = Duration::from_secs(5);
const TAIL_LINES: usize = 12;

/// The shell notes /proc/PID/stat and the boot's id, and then becomes the program: same pid, same start time.
const RECORD_THEN_BECOME: &str =
    r#"cat "/proc/$$/stat" /proc/sys/kernel/random/boot_id >"$0" && exec "$@""#;

/// One process by pid, start time and boot: it cannot be mistaken for a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub pid: i32,
    started: u64,
    boot: String,
}

impl Identity {
    pub(crate) fn of_self() -> Result<Identity, LabError> {
        let stat =
            fs::read_to_string("/proc/self/stat").doing(|| "read /proc/self/stat".to_owned())?;
        Identity::parse(&format!("{stat}{}", boot_id())).ok_or_else(|| LabError::Damaged {
            path: "/proc/self/stat".into(),
            said: stat,
        })
    }

    /// Line 1: /proc/PID/stat; line 2: the boot's id.
    pub(crate) fn parse(record: &str) -> Option<Identity> {
        let (stat, boot) = record.trim_end().split_once('\n')?;
        let (pid, rest) = stat.split_once(" (")?;
        // The name may hold spaces and parentheses; proc(5) counts the start time as field 22.
        let started = rest.rsplit_once(") ")?.1.split(' ').nth(19)?;
        Some(Identity {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
            boot: boot.trim().to_owned(),
        })
    }

    pub(crate) fn record(&self) -> String {
        let nothing = "0 ".repeat(18);
        format!(
            "{} (recorded) S {nothing}{}\n{}\n",
            self.pid, self.started, self.boot
        )
    }

    /// A zombie, which only waits for its parent to look, counts as gone.
    pub fn is_alive(&self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return false;
        };
        !is_zombie(&stat) && Identity::parse(&format!("{stat}{}", boot_id())).as_ref() == Some(self)
    }

    fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end between the look and the signal; then there is nothing to signal.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// SIGTERM, then SIGKILL to what is still there.
    pub(crate) fn end(&self) -> Result<(), LabError> {
        let gone = || Ok((!self.is_alive()).then_some(()));
        let waits = Stop::default();
        self.signal(Signal::SIGTERM);
        if waits.until("", GRACE, gone).is_ok() {
            return Ok(());
        }
        self.signal(Signal::SIGKILL);
        waits.until(&format!("the end of process {}", self.pid), DEATH, gone)
    }
}

/// A process of the lab; clones are the same process.
#[derive(Clone, Debug)]
pub struct Process {
    pub name: String,
    pub log: PathBuf,
    identity: Identity,
    /// Present where this very process is the parent, which then takes the exit code.
    child: Option<Arc<Mutex<Child>>>,
}

/// Where a lab keeps its processes' records and logs.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub records: &'a Path,
    pub logs: &'a Path,
    pub stop: &'a Stop,
}

impl Process {
    pub(crate) fn start(
        place: &Place<'_>,
        name: &str,
        inside: &Netns,
        command: &Command,
    ) -> Result<Process, LabError> {
        let record = place.records.join(name);
        let _ = fs::remove_file(&record);
        let log = place.logs.join(format!("{name}.log"));
        let output = File::create(&log).doing(|| format!("create {}", log.display()))?;
        let errors = output
            .try_clone()
            .doing(|| format!("share {}", log.display()))?;
        let child = wrapped(&record, inside, command)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .doing(|| format!("start {name}"))?;
        let child = Arc::new(Mutex::new(child));
        let identity = place
            .stop
            .until(&format!("the record of {name}"), DEATH, || {
                let recorded = fs::read_to_string(&record)
                    .ok()
                    .and_then(|text| Identity::parse(&text));
                match (recorded, exit_code(&child)) {
                    (None, Some(code)) => Err(ended(name, &code, &log)),
                    (recorded, _) => Ok(recorded),
                }
            })?;
        Ok(Process {
            name: name.to_owned(),
            log,
            identity,
            child: Some(child),
        })
    }

    /// A process that this or another run of the lab has started.
    pub(crate) fn recorded(place: &Place<'_>, name: &str) -> Result<Process, LabError> {
        let record = place.records.join(name);
        let text = fs::read_to_string(&record).doing(|| format!("read {}", record.display()))?;
        let identity = Identity::parse(&text).ok_or_else(|| LabError::Damaged {
            path: record.clone(),
            said: text,
        })?;
        let log = place.logs.join(format!("{name}.log"));
        Ok(Process {
            name: name.to_owned(),
            log,
            identity,
            child: None,
        })
    }

    pub fn pid(&self) -> i32 {
        self.identity.pid
    }

    pub fn is_alive(&self) -> bool {
        let code = self.child.as_ref().and_then(exit_code);
        code.is_none() && self.identity.is_alive()
    }

    /// An error with the end of its log when it is no longer running.
    pub fn expect_alive(&self) -> Result<(), LabError> {
        if self.is_alive() {
            return Ok(());
        }
        let code = self.child.as_ref().and_then(exit_code);
        Err(ended(
            &self.name,
            code.as_deref().unwrap_or("a code that nobody took"),
            &self.log,
        ))
    }

    pub fn signal(&self, signal: Signal) {
        self.identity.signal(signal);
    }

    /// Ends it, asking first. Its record stays, of something that is gone.
    pub fn end(&self) -> Result<(), LabError> {
        self.identity.end()?;
        if let Some(child) = &self.child {
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        }
        Ok(())
    }

    /// Waits until a line of its log holds `text`.
    pub fn wait_log(&self, stop: &Stop, text: &str, within: Duration) -> Result<String, LabError> {
        let awaited = format!("{text:?} in the log of {}", self.name);
        let found = stop.until(&awaited, within, || {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            match log.lines().find(|line| line.contains(text)) {
                Some(line) => Ok(Some(line.to_owned())),
                None => self.expect_alive().map(|()| None),
            }
        });
        found.map_err(|error| with_hint(error, &self.log))
    }
}

/// Adds the end of a log to an error about something that did not come.
pub(crate) fn with_hint(error: LabError, log: &Path) -> LabError {
    match error {
        LabError::Late {
            awaited, seconds, ..
        } => {
            let hint = format!("; the end of {}:\n{}", log.display(), tail(log));
            LabError::Late {
                awaited,
                seconds,
                hint,
            }
        }
        other => other,
    }
}

fn ended(name: &str, code: &str, log: &Path) -> LabError {
    LabError::Ended {
        name: name.to_owned(),
        code: code.to_owned(),
        log: log.to_owned(),
        tail: tail(log),
    }
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let text = super::vm::plain(&text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// In a process group of its own, so that a Ctrl-C reaches the lab alone.
fn wrapped(record: &Path, inside: &Netns, command: &Command) -> Command {
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", RECORD_THEN_BECOME]).arg(record);
    let inside = inside.command(command);
    wrapped.arg(inside.get_program()).args(inside.get_args());
    copy_surroundings(&inside, &mut wrapped);
    wrapped.process_group(0);
    wrapped
}

fn exit_code(child: &Arc<Mutex<Child>>) -> Option<String> {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    child
        .try_wait()
        .ok()
        .flatten()
        .map(|status| status.to_string())
}

/// Whether nothing is left of it but its entry. The first thread of a killed process is often over before the others,
/// which hold its ports and files until they are, too.
fn is_zombie(stat: &str) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    // proc(5) counts the state as field 3 and the number of threads as field 20.
    let alone = matches!(rest.split(' ').nth(17), None | Some("0" | "1"));
    rest.starts_with('X') || (rest.starts_with('Z') && alone)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_start_and_boot() {
        let me = Identity::of_self().unwrap();
        assert!(me.is_alive());
        assert_eq!(Identity::parse(&me.record()), Some(me.clone()));
        assert!(
            !Identity {
                started: me.started + 1,
                ..me.clone()
            }
            .is_alive()
        );
        assert!(
            !Identity {
                boot: "another".to_owned(),
                ..me
            }
            .is_alive()
        );
    }

    #[test]
    fn a_process_whose_other_threads_still_end_is_not_gone() {
        let stat = |state, threads| format!("42 (a) {state} {}{threads} 0 777\n", "1 ".repeat(16));
        assert!(is_zombie(&stat('Z', 1)));
        assert!(is_zombie(&stat('X', 0)));
        assert!(!is_zombie(&stat('Z', 3)));
        assert!(!is_zombie(&stat('S', 1)));
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_move_the_start_time() {
        let stat = format!("42 (a) S (b)) R {}777 0 0\nboot\n", "1 ".repeat(18));
        assert_eq!(Identity::parse(&stat).unwrap().started, 777);
    }
}
