//! What an environment's files are and were made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dragonfly::model::agent::PROTOCOL;
use dragonfly::model::digest::{Digest, DigestKind};
use dragonfly::model::environment::{
    AgentAbout, FIRMWARE, FIRMWARE_LIST, FileAbout, INITRD, KERNEL, Manifest, REST,
};
use sha2::{Digest as _, Sha256};

use super::Outcome;

const FILES: [&str; 5] = [KERNEL, INITRD, REST, FIRMWARE, FIRMWARE_LIST];

/// `packages` are names of package files, `NAME_VERSION_ARCH.deb`, one on a line.
pub(crate) fn of(
    folder: &Path,
    architecture: &str,
    kernel: &str,
    packages: &str,
) -> Outcome<Manifest> {
    let mut files = BTreeMap::new();
    for name in FILES {
        let path = folder.join(name);
        let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let digest = Digest::of(DigestKind::Sha256, &Sha256::digest(&content));
        let about = FileAbout {
            bytes: content.len() as u64,
            digest: digest.ok_or("a sum of the wrong length")?,
        };
        files.insert(name.to_owned(), about);
    }
    Ok(Manifest {
        architecture: architecture.to_owned(),
        kernel: kernel.to_owned(),
        agent: AgentAbout {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
        },
        packages: packages.lines().filter_map(package).collect(),
        files,
    })
}

/// A colon in a version is `%3a` in the name of its file.
fn package(file: &str) -> Option<(String, String)> {
    let mut parts = file.trim_end_matches(".deb").split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some((name.to_owned(), version.replace("%3a", ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_every_file_and_every_package() {
        let folder = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::write(folder.path().join(name), "abc").unwrap();
        }
        let debs = "mdadm_4.4-11_amd64.deb\nlvm2_2%3a2.03.31-2_amd64.deb\n";
        let manifest = of(folder.path(), "amd64", "6.12.1-amd64", debs).unwrap();
        assert_eq!(manifest.packages["lvm2"], "2:2.03.31-2");
        assert_eq!(manifest.files[INITRD].bytes, 3);
        assert!(manifest.files[INITRD].digest.hex().starts_with("ba7816bf"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = of(folder.path(), "amd64", "6.12", "").unwrap_err();
        assert!(error.to_string().contains("vmlinuz"), "{error}");
    }
}
