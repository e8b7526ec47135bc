//! Whether Dragonfly is installed here, and what says so.
//!
//! Three signs, looked at in this order: the variable `DRAGONFLY_INSTALLED`, the data folder, and a cluster
//! behind `KUBECONFIG` that has the namespace `tink-system`. The first that speaks decides. The cluster is asked
//! by `server` alone, and is given two seconds.

pub mod cluster;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::config::Environment;

/// What was found, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detection {
    Installed {
        /// Goes on from "installed by".
        by: String,
    },
    NotInstalled {
        /// What each sign said, in the order of looking.
        why: Vec<String>,
    },
}

impl Detection {
    /// What says that it is installed.
    pub fn installed_by(&self) -> Option<&str> {
        match self {
            Self::Installed { by } => Some(by),
            Self::NotInstalled { .. } => None,
        }
    }
}

/// A variable that says neither yes nor no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "variable DRAGONFLY_INSTALLED is '{value}', which is neither yes nor no; for example DRAGONFLY_INSTALLED=true"
)]
pub struct Unclear {
    pub value: String,
}

/// What a cluster said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAnswer {
    /// The namespace is there; the address of the cluster.
    Has(String),
    /// It is not, or nobody could say; why, for people.
    No(String),
}

/// Looks at the three signs. `ask` is called only when the first two say nothing and a `KUBECONFIG` is set.
pub fn detect(
    env: &Environment,
    data: &Path,
    ask: impl FnOnce(&[PathBuf]) -> ClusterAnswer,
) -> Result<Detection, Unclear> {
    let mut why = Vec::new();
    match env.get("DRAGONFLY_INSTALLED").map(said).transpose()? {
        Some(true) => return Ok(installed("the variable DRAGONFLY_INSTALLED")),
        Some(false) => {
            why.push("the variable DRAGONFLY_INSTALLED says that it is not".into());
            return Ok(Detection::NotInstalled { why });
        }
        None => why.push("the variable DRAGONFLY_INSTALLED is not set".into()),
    }
    if data.is_dir() {
        return Ok(installed(format!("the folder {}", data.display())));
    }
    why.push(format!("there is no folder {}", data.display()));
    let paths = env.get("KUBECONFIG").map(kubeconfigs).unwrap_or_default();
    if paths.is_empty() {
        why.push("KUBECONFIG names no cluster".into());
        return Ok(Detection::NotInstalled { why });
    }
    match ask(&paths) {
        ClusterAnswer::Has(place) => Ok(installed(format!(
            "the namespace {} of the cluster at {place}",
            cluster::NAMESPACE
        ))),
        ClusterAnswer::No(reason) => {
            why.push(reason);
            Ok(Detection::NotInstalled { why })
        }
    }
}

fn installed(by: impl Into<String>) -> Detection {
    Detection::Installed { by: by.into() }
}

fn said(value: &OsStr) -> Result<bool, Unclear> {
    let text = value.to_string_lossy();
    match text.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Unclear {
            value: text.escape_debug().to_string(),
        }),
    }
}

/// The files of a `KUBECONFIG`, which may name several.
fn kubeconfigs(value: &OsStr) -> Vec<PathBuf> {
    let all = std::env::split_paths(&OsString::from(value)).collect::<Vec<_>>();
    all.into_iter()
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment(
            pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        )
    }

    fn nobody(_: &[PathBuf]) -> ClusterAnswer {
        panic!("the cluster was asked")
    }

    const NOWHERE: &str = "/nonexistent/dragonfly";

    #[test_case("true")]
    #[test_case("1")]
    #[test_case(" Yes ")]
    fn a_variable_that_says_yes_is_enough(value: &str) {
        let env = env(&[("DRAGONFLY_INSTALLED", value), ("KUBECONFIG", "/x")]);
        let found = detect(&env, Path::new(NOWHERE), nobody).unwrap();
        assert_eq!(
            found.installed_by(),
            Some("the variable DRAGONFLY_INSTALLED")
        );
    }

    #[test_case("false")]
    #[test_case("0")]
    #[test_case("NO")]
    fn a_variable_that_says_no_is_believed_against_the_folder(value: &str) {
        let dir = tempfile::tempdir().unwrap();
        let env = env(&[("DRAGONFLY_INSTALLED", value), ("KUBECONFIG", "/x")]);
        let found = detect(&env, dir.path(), nobody).unwrap();
        assert_eq!(found.installed_by(), None);
    }

    #[test]
    fn a_variable_that_says_neither_is_named() {
        let env = env(&[("DRAGONFLY_INSTALLED", "perhaps\n")]);
        let error = detect(&env, Path::new(NOWHERE), nobody).unwrap_err();
        assert!(error.to_string().contains(r"'perhaps\n'"), "{error}");
    }

    #[test]
    fn the_folder_says_yes_and_a_file_of_its_name_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let found = detect(&env(&[]), dir.path(), nobody).unwrap();
        assert_eq!(
            found.installed_by(),
            Some(&*format!("the folder {}", dir.path().display()))
        );
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            detect(&env(&[]), &file, nobody).unwrap().installed_by(),
            None
        );
    }

    #[test]
    fn nothing_anywhere_tells_all_three_signs() {
        let found = detect(&env(&[("KUBECONFIG", ":")]), Path::new(NOWHERE), nobody).unwrap();
        let Detection::NotInstalled { why } = found else {
            panic!("installed")
        };
        assert_eq!(why.len(), 3, "{why:?}");
    }

    #[test]
    fn the_cluster_is_asked_last_with_every_file() {
        let ask = |paths: &[PathBuf]| {
            assert_eq!(paths, [PathBuf::from("/a"), PathBuf::from("/b")]);
            ClusterAnswer::Has("https://10.0.0.1:6443".into())
        };
        let found = detect(&env(&[("KUBECONFIG", "/a::/b")]), Path::new(NOWHERE), ask).unwrap();
        assert_eq!(
            found.installed_by(),
            Some("the namespace tink-system of the cluster at https://10.0.0.1:6443")
        );
    }
}
