//! A program inside the system on the disk, which finds there what every program expects: devices, processes, the
//! firmware's variables. No shell stands between, and the boot environment lends it nothing of its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::command;
use super::target::Mounted;
use super::{ActionError, Context, Control, efi};
use crate::agent::init::PATH;
use crate::model::action::Chroot;

pub(super) fn chroot(
    wanted: &Chroot,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let Some((program, arguments)) = wanted.command.split_first() else {
        return Err(ActionError::Other("there is no command to run".into()));
    };
    let mut mounted = Mounted::open(context, control, &wanted.place)?;
    prepare(&mut mounted)?;
    let mut command = inside(mounted.root(), program, arguments.iter().map(Into::into));
    command.envs(&wanted.env);
    command::run(command, &context.log, control)?;
    mounted.close()?;
    Ok(format!("{program} ran"))
}

/// Mounts what programs need inside.
pub(super) fn prepare(mounted: &mut Mounted) -> Result<(), ActionError> {
    mounted.add(Path::new("/dev"), "/dev", None)?;
    mounted.add(Path::new("proc"), "/proc", Some("proc"))?;
    mounted.add(Path::new("sysfs"), "/sys", Some("sysfs"))?;
    if Path::new(efi::VARIABLES).exists() {
        mounted.add(Path::new("efivarfs"), efi::VARIABLES, Some("efivarfs"))?;
    }
    mounted
        .add(Path::new("tmpfs"), "/run", Some("tmpfs"))
        .map(drop)
}

/// The command that runs a program with that folder as its root. It starts this very program, which goes there first.
pub(super) fn inside(
    root: &Path,
    program: &str,
    arguments: impl Iterator<Item = OsString>,
) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("in").arg(root).arg(program).args(arguments);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// `dragonfly-agent in ROOT PROGRAM ARGUMENTS`: becomes that program.
pub fn enter(words: &[String]) -> ExitCode {
    let [root, program, arguments @ ..] = words else {
        return ExitCode::from(2);
    };
    if let Err(error) = go_to(Path::new(root)) {
        return failed(&format!("{root} cannot be entered: {error}"));
    }
    let error = Command::new(program).args(arguments).exec();
    failed(&format!("{program} cannot be started inside: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process has one thread, and becomes another program next"
)]
fn go_to(root: &Path) -> std::io::Result<()> {
    std::os::unix::fs::chroot(root)?;
    std::env::set_current_dir("/")
}

fn failed(why: &str) -> ExitCode {
    use std::io::Write as _;
    // The program that started this one reads it.
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::from(127)
}
