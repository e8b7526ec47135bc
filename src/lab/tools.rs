//! Where the lab's programs and firmware are: unpacked by scripts/setup-lab under build/lab/root, with
//! the machine's own programs as second choice.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{LabError, error::Doing};

const PROGRAM_DIRS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];
const LIBRARY_DIRS: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// build/lab/root of this source tree, or what `DRAGONFLY_LAB_TOOLS` names.
    pub fn find() -> Result<Tools, LabError> {
        let root = env::var_os("DRAGONFLY_LAB_TOOLS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("build/lab/root"),
            PathBuf::from,
        );
        if !root.join("usr/bin").is_dir() {
            return Err(LabError::Missing {
                what: format!("the lab's tool tree {}", root.display()),
            });
        }
        Ok(Tools { root })
    }

    /// The folder that everything is built in; the tools are in `lab/root` of it.
    pub fn build(&self) -> PathBuf {
        let build = self.root.ancestors().nth(2);
        build.unwrap_or(&self.root).to_owned()
    }

    /// A file of the tool tree, by its path in a Debian system.
    pub fn file(&self, path: &str) -> Result<PathBuf, LabError> {
        let file = self.root.join(path);
        if file.exists() {
            return Ok(file);
        }
        Err(LabError::Missing {
            what: file.display().to_string(),
        })
    }

    pub fn command(&self, program: &str) -> Result<Command, LabError> {
        if let Some(path) = in_dirs(program, PROGRAM_DIRS.iter().map(|dir| self.root.join(dir))) {
            let mut command = Command::new(path);
            command.env("LD_LIBRARY_PATH", self.library_path());
            return Ok(command);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        in_dirs(program, env::split_paths(&path))
            .map(Command::new)
            .ok_or_else(|| LabError::Missing {
                what: format!("the program {program}"),
            })
    }

    /// Runs `ip` with these words, split at spaces.
    pub(crate) fn ip(&self, words: &str) -> Result<String, LabError> {
        let mut command = self.command("ip")?;
        command.args(words.split_whitespace());
        output(command, &format!("ip {words}"))
    }

    fn library_path(&self) -> String {
        LIBRARY_DIRS
            .map(|dir| self.root.join(dir).display().to_string())
            .join(":")
    }
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn output(mut command: Command, told: &str) -> Result<String, LabError> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("start {told}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(LabError::Command {
        command: told.to_owned(),
        code: done.status.to_string(),
        said: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
    })
}

fn in_dirs(program: &str, mut dirs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    dirs.find_map(|dir| Some(dir.join(program)).filter(|path| path.is_file()))
}
