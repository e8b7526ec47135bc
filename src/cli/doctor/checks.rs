//! What `doctor` looks at, one function per finding.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use nix::sys::statvfs::statvfs;
use nix::unistd::{Gid, Group, Uid, User};

use super::{Facts, Finding, network};
use crate::api::Status;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::out::text::{count, size};
use crate::cli::out::time;
use crate::cli::target::Target;

/// With less space than this the store cannot give its unused parts back.
const LEAST_SPACE: u64 = 256 * 1024 * 1024;
/// A clock before this has never been set: no version of Dragonfly is as old.
const FIRST_MOMENT: &str = "2026-01-01T00:00:00Z";

pub async fn all(facts: &Facts, client: &mut Client, now: Timestamp) -> Vec<Finding> {
    let asked = client.status().await;
    let place = client.place().map(ToString::to_string).unwrap_or_default();
    let status = asked.as_ref().ok();
    let socket = socket_of(client, status).unwrap_or_else(|| facts.socket.clone());
    let file = status.and_then(file_of);
    let folder = file.and_then(Path::parent).filter(|_| !facts.data_named);
    let data = folder.unwrap_or(&facts.data);
    let demo = status.is_some_and(|status| status.mode == "demo");
    let mut findings = vec![
        daemon(&asked, &place),
        version(status),
        store(status, file),
        conflicts(status),
        self::socket(&socket, facts, demo),
        self::data(data, demo),
        space(data, demo),
        config(facts),
        clock(status, now),
    ];
    findings.extend(network::all(facts, status).await);
    findings
}

/// The socket that was asked or named, else the one that the daemon says it has.
fn socket_of(client: &Client, status: Option<&Status>) -> Option<PathBuf> {
    if let Some(Target::Unix(path)) = client.asked() {
        return Some(path.clone());
    }
    let mut doors = status?.ports.iter();
    doors
        .find(|door| door.name == "socket")
        .map(|door| door.at.clone().into())
}

/// The file that the daemon says its store is.
fn file_of(status: &Status) -> Option<&Path> {
    let path = Path::new(status.store.strip_prefix("redb ")?);
    path.is_absolute().then_some(path)
}

fn daemon(asked: &Result<Status, Failure>, place: &str) -> Finding {
    const NAME: &str = "daemon";
    match asked {
        Ok(status) if status.ready => {
            let mode = if status.mode == "demo" {
                "the demo answers"
            } else {
                "answers"
            };
            Finding::well(NAME, format!("{mode} at {place}"))
        }
        Ok(_) => Finding::wrong(
            NAME,
            format!("answers at {place}, but is not ready"),
            "wait a moment; its log says what it waits for",
        ),
        Err(failure) => {
            let mut lines = failure.lines();
            let remedy = if lines.len() > 1 { lines.pop() } else { None };
            Finding::wrong(
                NAME,
                lines.join("\n"),
                remedy.unwrap_or_else(|| "look into its log".into()),
            )
        }
    }
}

fn version(status: Option<&Status>) -> Finding {
    const NAME: &str = "version";
    let ours = env!("CARGO_PKG_VERSION");
    match status {
        None => Finding::skipped(
            NAME,
            format!("this command line is {ours}; the daemon cannot be asked"),
        ),
        Some(status) if status.version == ours => {
            Finding::well(NAME, format!("{ours}, both sides"))
        }
        Some(status) => Finding::wrong(
            NAME,
            format!("the daemon is {}, this command line {ours}", status.version),
            "install both from the same build, and restart the daemon",
        ),
    }
}

fn store(status: Option<&Status>, file: Option<&Path>) -> Finding {
    const NAME: &str = "store";
    let Some(status) = status else {
        return Finding::skipped(
            NAME,
            "the daemon cannot be asked; `dragonfly store check` reads the file itself",
        );
    };
    if let Some(file) = file.filter(|file| gone(file)) {
        return Finding::wrong(
            NAME,
            format!(
                "{} was deleted or moved away while the daemon runs; what is written now is lost when it ends",
                file.display()
            ),
            "before it is stopped, copy the file that it still has open: sudo ls -l /proc/$(pidof -s dragonfly)/fd",
        );
    }
    let told = format!(
        "{}: {} and {}; {} on disk, {} in memory",
        status.store,
        count(status.machines, "machine"),
        count(status.events, "event"),
        size(status.store_bytes),
        size(status.store_memory_bytes)
    );
    Finding::well(NAME, told)
}

/// Its folder is on this machine, and it is not in there.
fn gone(file: &Path) -> bool {
    let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    file.parent().is_some_and(Path::is_dir) && fs::symlink_metadata(file).is_err_and(missing)
}

fn conflicts(status: Option<&Status>) -> Finding {
    const NAME: &str = "conflicts";
    match status.map(|status| status.conflicts) {
        None => Finding::skipped(NAME, "the daemon cannot be asked"),
        Some(0) => Finding::well(NAME, "every machine can be told from every other"),
        Some(number) => Finding::notice(
            NAME,
            format!("{} between machines", count(number, "conflict")),
            "dragonfly machine conflicts",
        ),
    }
}

fn socket(at: &Path, facts: &Facts, demo: bool) -> Finding {
    const NAME: &str = "socket";
    let path = at.display();
    if demo {
        return Finding::skipped(NAME, "the demo has none");
    }
    let found = match fs::symlink_metadata(at) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::wrong(
                NAME,
                format!("{path} is not there"),
                "it comes with the daemon: dragonfly server",
            );
        }
        Err(error) => {
            return Finding::wrong(
                NAME,
                format!("{path}: {error}"),
                "ask as root: sudo dragonfly doctor",
            );
        }
    };
    if !found.file_type().is_socket() {
        return Finding::wrong(
            NAME,
            format!("{path} is no socket"),
            format!("see what it is, and move it away: ls -l {path}"),
        );
    }
    let mode = found.mode() & 0o777;
    let group = group_name(found.gid());
    let told = format!("{path}, mode {mode:04o}, group {group}");
    if Group::from_name(&facts.socket_group).is_ok_and(|group| group.is_none()) {
        let told = format!("{told}; there is no group {}", facts.socket_group);
        let remedy = format!(
            "to let others in: sudo groupadd --system {}, then restart the daemon",
            facts.socket_group
        );
        return Finding::notice(NAME, told, remedy);
    }
    if mode == facts.socket_mode && group == facts.socket_group {
        return Finding::well(NAME, told);
    }
    let remedy = format!(
        "restart the daemon; it sets mode {:04o} and group {}",
        facts.socket_mode, facts.socket_group
    );
    Finding::wrong(NAME, told, remedy)
}

fn data(path: &Path, demo: bool) -> Finding {
    const NAME: &str = "data folder";
    if demo {
        return Finding::skipped(NAME, "the demo writes nothing");
    }
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::notice(
                NAME,
                format!("{shown} is not there"),
                format!("for an installation: sudo mkdir -p {shown}"),
            );
        }
        Err(error) => {
            return Finding::wrong(
                NAME,
                format!("{shown}: {error}"),
                "ask as root: sudo dragonfly doctor",
            );
        }
    };
    if !found.is_dir() {
        return Finding::wrong(
            NAME,
            format!("{shown} is no folder"),
            "name another: --data DIR",
        );
    }
    let (owner, mode) = (user_name(found.uid()), found.mode() & 0o7777);
    let told = format!("{shown}, of {owner}, mode {mode:04o}");
    if mode & 0o002 != 0 {
        return Finding::wrong(
            NAME,
            format!("{told}: everybody may write to it"),
            format!("sudo chmod o-w {shown}"),
        );
    }
    Finding::well(NAME, told)
}

fn space(path: &Path, demo: bool) -> Finding {
    const NAME: &str = "free space";
    if demo {
        return Finding::skipped(NAME, "the demo writes nothing");
    }
    let Some(there) = path.ancestors().find(|folder| folder.is_dir()) else {
        return Finding::skipped(NAME, "there is no such place");
    };
    match statvfs(there) {
        Ok(found) => {
            let free = found.blocks_available() * found.fragment_size();
            let told = format!("{} at {}", size(free), there.display());
            if free < LEAST_SPACE {
                return Finding::wrong(
                    NAME,
                    told,
                    "make room there, or move the folder: --data DIR",
                );
            }
            Finding::well(NAME, told)
        }
        Err(error) => Finding::wrong(
            NAME,
            format!("{}: {error}", there.display()),
            "ask as root: sudo dragonfly doctor",
        ),
    }
}

fn config(facts: &Facts) -> Finding {
    const NAME: &str = "configuration";
    let file = facts
        .config_file
        .as_ref()
        .map(|file| file.display().to_string());
    if facts.config_errors.is_empty() {
        let told = file.map_or_else(
            || "no file; defaults, environment and flags alone".into(),
            |file| format!("{file} is valid"),
        );
        return Finding::well(NAME, told);
    }
    Finding::wrong(
        NAME,
        facts.config_errors.join("\n"),
        "repair it, then: dragonfly config check",
    )
}

fn clock(status: Option<&Status>, now: Timestamp) -> Finding {
    const NAME: &str = "clock";
    let told = time::exact(now);
    let remedy = "set it: sudo timedatectl set-ntp true";
    if FIRST_MOMENT
        .parse::<Timestamp>()
        .is_ok_and(|first| now < first)
    {
        return Finding::wrong(NAME, format!("{told} is long ago"), remedy);
    }
    let started = status.and_then(|status| status.started_at.parse::<Timestamp>().ok());
    if started.is_some_and(|started| started.as_second() > now.as_second() + 5) {
        return Finding::wrong(
            NAME,
            format!("{told}, but the daemon says that it started later"),
            remedy,
        );
    }
    Finding::well(NAME, told)
}

fn user_name(id: u32) -> String {
    let found = User::from_uid(Uid::from_raw(id)).ok().flatten();
    found.map_or_else(|| format!("uid {id}"), |user| user.name)
}

fn group_name(id: u32) -> String {
    let found = Group::from_gid(Gid::from_raw(id)).ok().flatten();
    found.map_or_else(|| format!("gid {id}"), |group| group.name)
}
