//! What is written down of a lab, so that another process, or the next one, can find it, use it and take
//! it down. One directory per lab; its name is claimed by making it.
//!
//! ```text
//! /var/tmp/dragonfly-lab/NAME/      DRAGONFLY_LAB_DIR names another base
//!   lab.json                        what it is, and who holds it
//!   processes/PROCESS               pid, start time and boot of each, by its own hand
//!   namespaces/NAMESPACE            written before the namespace is made
//!   logs/  foreign/  vm/NAME/  files/
//! ```

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use super::{
    Foreign, LabError, NAME_LENGTH, error::Doing, net::Netns, process::Identity, tools::Tools,
};

const BASE: &str = "/var/tmp/dragonfly-lab";
/// Logs, firmware variables (64 MiB for arm64) and a little of the sparse disks.
const NEEDED_MB: u64 = 300;
const PREFIX: &str = "dfl-";

/// Claims that this process has made.
static CLAIMS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sheet {
    version: u32,
    pub foreign: Foreign,
    pub netboot: bool,
    /// The process that takes the lab down at its end; a detached lab has none.
    owner: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub name: String,
    pub dir: PathBuf,
}

impl Record {
    /// Claims a name, or the first free one of lab1, lab2, …
    pub(crate) fn claim(wanted: Option<&str>, sheet: &Sheet) -> Result<Record, LabError> {
        let base = base();
        fs::create_dir_all(&base).doing(|| format!("create {}", base.display()))?;
        check_space(&base)?;
        if let Some(name) = wanted {
            check_name(name)?;
            return Record::try_claim(&base, name, sheet)?.ok_or_else(|| LabError::Taken {
                kind: "lab",
                name: name.to_owned(),
            });
        }
        for number in 1.. {
            if let Some(record) = Record::try_claim(&base, &format!("lab{number}"), sheet)? {
                return Ok(record);
            }
        }
        unreachable!("the numbers do not end");
    }

    /// Made whole under another name and then renamed, so that nobody sees half a lab.
    fn try_claim(base: &Path, name: &str, sheet: &Sheet) -> Result<Option<Record>, LabError> {
        let record = Record {
            name: name.to_owned(),
            dir: base.join(name),
        };
        if record.dir.exists() {
            return Ok(None);
        }
        // One process may start several labs at once, each with a folder of its own in the making.
        let turn = CLAIMS.fetch_add(1, Ordering::Relaxed);
        let making = base.join(format!(".{name}.{}.{turn}", std::process::id()));
        for part in ["processes", "namespaces", "logs", "foreign", "vm", "files"] {
            fs::create_dir_all(making.join(part))
                .doing(|| format!("create {}", making.display()))?;
        }
        let text = serde_json::to_string_pretty(sheet).map_err(io::Error::other);
        text.and_then(|text| fs::write(making.join("lab.json"), text))
            .doing(|| format!("write {}/lab.json", making.display()))?;
        match fs::rename(&making, &record.dir) {
            Ok(()) => Ok(Some(record)),
            Err(_) if record.dir.exists() => {
                let _ = fs::remove_dir_all(&making);
                Ok(None)
            }
            Err(source) => Err(LabError::Io {
                doing: format!("create {}", record.dir.display()),
                source,
            }),
        }
    }

    pub(crate) fn open(name: &str) -> Result<Record, LabError> {
        let dir = base().join(name);
        if dir.join("lab.json").is_file() {
            return Ok(Record {
                name: name.to_owned(),
                dir,
            });
        }
        let have = Record::all()
            .into_iter()
            .map(|record| record.name)
            .collect();
        Err(LabError::Unknown {
            kind: "lab",
            name: name.to_owned(),
            have,
        })
    }

    /// All labs on this machine, in the order of their names.
    pub(crate) fn all() -> Vec<Record> {
        let mut all: Vec<Record> = names_in(&base())
            .into_iter()
            .map(|name| Record {
                dir: base().join(&name),
                name,
            })
            .filter(|record| record.dir.join("lab.json").is_file())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(crate) fn sheet(&self) -> Result<Sheet, LabError> {
        let path = self.dir.join("lab.json");
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| LabError::Damaged {
            path,
            said: error.to_string(),
        })
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.dir.join(part)
    }

    pub(crate) fn netns(&self, host: &str) -> Netns {
        Netns::named(format!("{PREFIX}{}-{host}", self.name))
    }

    /// Written down before it is made: a kill in between leaves a note about nothing, which harms nobody.
    pub(crate) fn note_netns(&self, netns: &Netns) -> Result<(), LabError> {
        if netns.exists() {
            return Err(LabError::Taken {
                kind: "the network namespace",
                name: netns.name().to_owned(),
            });
        }
        let note = self.dir.join("namespaces").join(netns.name());
        fs::write(&note, "").doing(|| format!("write {}", note.display()))
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        let prefix = format!("{PREFIX}{}-", self.name);
        names_in(&self.path("namespaces"))
            .into_iter()
            .filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    }

    pub(crate) fn processes(&self) -> Vec<(String, Identity)> {
        let dir = self.path("processes");
        names_in(&dir)
            .into_iter()
            .filter_map(|name| {
                let text = fs::read_to_string(dir.join(&name)).ok()?;
                Some((name, Identity::parse(&text)?))
            })
            .collect()
    }

    /// Nobody is left who would take it down.
    pub(crate) fn is_orphan(&self) -> bool {
        let Ok(Sheet {
            owner: Some(owner), ..
        }) = self.sheet()
        else {
            return false;
        };
        !Identity::parse(&owner).is_some_and(|owner| owner.is_alive())
    }

    /// Ends the lab's processes, removes its namespaces and its files. It may run twice, or at the same
    /// time as another.
    pub(crate) fn take_down(&self, tools: &Tools) -> Result<TakenDown, LabError> {
        let mut done = TakenDown {
            lab: self.name.clone(),
            ..TakenDown::default()
        };
        for (name, identity) in self.processes() {
            if identity.is_alive() {
                identity.end()?;
                done.processes.push(name);
            }
        }
        for name in names_in(&self.path("namespaces")) {
            let netns = Netns::named(name.clone());
            if netns.exists() {
                done.strangers.extend(netns.pids(tools));
                netns.remove(tools)?;
                done.namespaces.push(name);
            }
        }
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", self.dir.display()))
            }
            _ => Ok(done),
        }
    }
}

impl Sheet {
    pub(crate) fn new(foreign: Foreign, netboot: bool, detached: bool) -> Result<Sheet, LabError> {
        let owner = if detached {
            None
        } else {
            Some(Identity::of_self()?.record())
        };
        Ok(Sheet {
            version: 1,
            foreign,
            netboot,
            owner,
        })
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.owner.is_none()
    }
}

/// What was there to be taken down.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TakenDown {
    pub lab: String,
    pub processes: Vec<String>,
    pub namespaces: Vec<String>,
    /// Processes inside the namespaces that the lab did not start; they are left alone.
    pub strangers: Vec<i32>,
}

pub(crate) fn check_name(name: &str) -> Result<(), LabError> {
    let tail_fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let first_fits = name.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    if first_fits && name.len() <= NAME_LENGTH && name.bytes().all(tail_fits) {
        return Ok(());
    }
    Err(LabError::BadName {
        name: name.to_owned(),
    })
}

fn base() -> PathBuf {
    env::var_os("DRAGONFLY_LAB_DIR").map_or_else(|| PathBuf::from(BASE), PathBuf::from)
}

fn check_space(dir: &Path) -> Result<(), LabError> {
    let stat = statvfs(dir).doing(|| format!("measure {}", dir.display()))?;
    let free_mb = stat.blocks_available().saturating_mul(stat.fragment_size()) >> 20;
    if free_mb >= NEEDED_MB {
        return Ok(());
    }
    Err(LabError::Space {
        dir: dir.to_owned(),
        free_mb,
        needed_mb: NEEDED_MB,
    })
}

/// Sorted; what begins with a dot is still being made.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("lab1", true)]
    #[test_case("a-b-c", true)]
    #[test_case("", false)]
    #[test_case("1lab", false; "a digit first")]
    #[test_case("Lab", false; "upper case")]
    #[test_case("../etc", false; "a path")]
    #[test_case("twelve-chars", false; "too long for a tap device")]
    fn names_fit_devices_and_paths(name: &str, fits: bool) {
        assert_eq!(check_name(name).is_ok(), fits);
    }

    /// Two labs that one process started at the same moment made theirs in one folder, and one of them found it gone.
    #[test]
    fn labs_that_are_claimed_at_once_get_a_name_each() {
        let base = tempfile::tempdir().unwrap();
        let sheet = Sheet::new(Foreign::None, false, true).unwrap();
        let claim = |number: u32| {
            let name = format!("lab{number}");
            Record::try_claim(base.path(), &name, &sheet).unwrap()
        };
        let claimed = std::thread::scope(|scope| {
            let one = || (1..=20).find_map(claim);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            let mut names: Vec<_> = ended.map(|record| record.unwrap().name).collect();
            names.sort();
            names
        });
        let mut apart = claimed.clone();
        apart.dedup();
        assert_eq!(apart, claimed);
        assert_eq!(claimed.len(), 8);
    }
}
